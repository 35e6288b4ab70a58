//! The names of all figures, and what they mean: what `docs/metrics.md` and each scrape say.
//!
//! [Naming](https://prometheus.io/docs/practices/naming/): base units, the unit last, `_total` for what only grows.

/// What kind of figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// `_bucket`, `_sum` and `_count`.
    Histogram,
}

impl Kind {
    /// As OpenMetrics calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A figure, or several that differ in their labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The whole name as a query writes it; a histogram's without `_bucket`.
    pub name: &'static str,
    /// What kind.
    pub kind: Kind,
    /// The labels' names.
    pub labels: &'static [&'static str],
    /// What it means, in a sentence.
    pub help: &'static str,
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        labels,
        help,
    }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        labels,
        help,
    }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind: Kind::Histogram,
        labels,
        help,
    }
}

/// Declares each metric as a constant, and [`CATALOGUE`] of them all.
macro_rules! catalogue {
    ($($name:ident = $metric:expr;)*) => {
        $(pub(crate) const $name: Metric = $metric;)*
        /// Every metric, in the order in which they are written.
        pub const CATALOGUE: &[Metric] = &[$($name),*];
    };
}

catalogue! {
    BUILD = gauge("myelin_build_info", &["version"], "Always 1; the label is the version of the server.");

    REQUESTS = counter("myelin_http_requests_total", &["endpoint", "method", "code"],
        "Requests answered, by the pattern of their route (`elsewhere` for none). Code 499 is a client that hung up before it was answered.");
    REQUEST_SECONDS = histogram("myelin_http_request_duration_seconds", &["endpoint", "method"],
        "How long requests took, from the end of their head to the last byte of the answer. Waiting in /sync counts.");
    IN_FLIGHT = gauge("myelin_http_requests_in_flight", &[],
        "Requests being answered, those that wait in /sync included.");
    BODY_BYTES = counter("myelin_http_response_body_bytes_total", &[], "Bytes of the bodies of answers.");
    PANICS = counter("myelin_http_panics_total", &[], "Requests answered with status 500 because the code was wrong. Report them.");
    LIMITED = counter("myelin_http_rate_limited_total", &["limit"],
        "Requests told to come back later, by the option in `rate_limits` that says so.");

    SYNC_WAITING = gauge("myelin_sync_waiting", &[], "Requests to /sync and /events that wait for news.");
    SYNC_WAITS = counter("myelin_sync_waits_total", &["ended_by"],
        "Waits that have ended: with `news`, with the client's `timeout`, or with the `shutdown` of the server.");
    SYNC_SESSIONS = gauge("myelin_sync_sessions", &[], "Users whose sync session is in memory.");

    QUEUE_BATCHES = gauge("myelin_commit_queue_batches", &[], "Changes that wait to be written, those being written included.");
    QUEUE_BYTES = gauge("myelin_commit_queue_bytes", &[], "Bytes of them.");
    QUEUE_LIMIT = gauge("myelin_commit_queue_limit_bytes", &[], "Bytes from which on changes are refused: `storage.queue_bytes`.");
    BATCHES = counter("myelin_commit_batches_total", &[], "Changes written.");
    WRITTEN_BYTES = counter("myelin_commit_bytes_total", &[], "Bytes of them, before compression.");
    GROUP_BATCHES = histogram("myelin_commit_group_batches", &[], "Changes that shared one write, and one sync.");
    SYNC_SECONDS = histogram("myelin_commit_sync_duration_seconds", &[],
        "How long writes took that wait for the disk: the write-ahead log with its fsync, and the write buffers.");
    REFUSED = counter("myelin_commit_refused_total", &["reason"],
        "Changes not made: `guard`, somebody else had the name; `busy`, too much waited.");
    POSITION = gauge("myelin_commit_position", &[], "The position of the latest change that is on the disk and told to others.");
    WRITABLE = gauge("myelin_store_writable", &[], "1 while the store takes changes; 0 once it has failed, is closed, or the disk does not answer.");

    CACHE_BYTES = gauge("myelin_cache_bytes", &["cache"], "Bytes in a cache, roughly. `blocks` is the database's, its write buffers included.");
    CACHE_LIMIT = gauge("myelin_cache_limit_bytes", &["cache"], "Bytes that it may hold.");
    ROOMS_RESIDENT = gauge("myelin_rooms_resident", &[], "Rooms ready in memory.");
    EVENTS_RESIDENT = gauge("myelin_events_resident", &[], "Events ready in memory.");

    PINNED_BYTES = gauge("myelin_rocksdb_block_cache_pinned_bytes", &[], "Bytes in the block cache that cannot be dropped now.");
    READER_BYTES = gauge("myelin_rocksdb_table_reader_bytes", &[], "Bytes of open table files outside the block cache.");
    MEMTABLE_BYTES = gauge("myelin_rocksdb_memtable_bytes", &["family"], "Bytes in write buffers.");
    SST_BYTES = gauge("myelin_rocksdb_sst_bytes", &["family"], "Bytes of table files on the disk.");
    FILES = gauge("myelin_rocksdb_files", &["family", "level"], "Table files, by level.");
    PENDING_BYTES = gauge("myelin_rocksdb_pending_compaction_bytes", &["family"], "Bytes that compactions have yet to rewrite.");
    KEYS = gauge("myelin_rocksdb_estimated_keys", &["family"], "Rows, roughly.");
    COMPACTIONS = gauge("myelin_rocksdb_running_compactions", &[], "Compactions under way.");
    FLUSHES = gauge("myelin_rocksdb_running_flushes", &[], "Flushes of write buffers under way.");
    STALLS = counter("myelin_rocksdb_write_stalls_total", &["kind"],
        "How often writes were slowed down (`delay`) or stopped (`stop`) until compactions had caught up.");
    STOPPED = gauge("myelin_rocksdb_writes_stopped", &[], "1 while writes are stopped.");
    DELAYED_RATE = gauge("myelin_rocksdb_delayed_write_bytes_per_second", &[], "To what writes are slowed down; 0 while they are not.");
    BACKGROUND_ERRORS = counter("myelin_rocksdb_background_errors_total", &[], "Flushes and compactions that have failed.");

    PASSWORD_QUEUE = gauge("myelin_password_queue", &[], "Passwords that wait to be hashed, those being hashed included.");
    PASSWORD_LIMIT = gauge("myelin_password_queue_limit", &[], "How many may wait; further logins are told to come back.");
    PASSWORD_WORKERS = gauge("myelin_password_workers", &[], "Hashes computed at the same time, at most.");
    PASSWORD_HASHES = counter("myelin_password_hashes_total", &[], "Hashes computed.");
    PASSWORD_REFUSED = counter("myelin_password_refused_total", &[], "Logins and changes of passwords that found the queue full.");

    PUSH_QUEUE = gauge("myelin_push_queue", &[], "Notifications that wait for their push gateway; counted up to 10,000.");
    PUSH = counter("myelin_push_notifications_total", &["result"],
        "Notifications `delivered`, `rejected` (the gateway knows the device no more), `failed` (tried again later), `expired` (given up) and `outdated` (read before they were sent).");

    MEDIA_RECEIVED = counter("myelin_media_received_bytes_total", &[], "Bytes of uploads, refused ones included.");
    MEDIA_SENT = counter("myelin_media_sent_bytes_total", &[], "Bytes of downloads and thumbnails.");
    THUMBNAIL_QUEUE = gauge("myelin_thumbnail_queue", &[], "Requests that wait until a thumbnail can be made for them.");

    CERTIFICATE_EXPIRES = gauge("myelin_tls_certificate_expiry_timestamp_seconds", &[],
        "Until when the certificate is valid that TLS clients are shown, in seconds since the Unix epoch; absent where the server speaks no TLS, or has none yet.");
    RENEWALS = counter("myelin_tls_acme_attempts_total", &["result"],
        "Attempts to get a certificate from an authority: `issued` or `failed`.");
    RENEWAL_FAILING = gauge("myelin_tls_acme_failing", &[],
        "1 if the last attempt to get a certificate failed, 0 if not; absent without `tls.acme_domains`.");

    SPANS = counter("myelin_trace_spans_total", &["result"],
        "Spans for the collector in `tracing.otlp_endpoint`: `sent`, and `dropped` because the queue was full or the collector did not take them.");

    DISK_FREE = gauge("myelin_data_disk_free_bytes", &[], "Bytes that the server may still write to the file system of its data directory.");
    DISK_SIZE = gauge("myelin_data_disk_size_bytes", &[], "The size of that file system.");

    CPU_SECONDS = counter("process_cpu_seconds_total", &[], "CPU time of the process, user and system.");
    RESIDENT = gauge("process_resident_memory_bytes", &[], "Memory that the process has.");
    VIRTUAL = gauge("process_virtual_memory_bytes", &[], "Addresses that the process has.");
    THREADS = gauge("process_threads", &[], "Threads of the process.");
    OPEN_FILES = gauge("process_open_fds", &[], "Open files and sockets.");
    MOST_FILES = gauge("process_max_fds", &[], "How many there may be.");
    START_SECONDS = gauge("process_start_time_seconds", &[], "When the process was started, in seconds since the Unix epoch.");
}
