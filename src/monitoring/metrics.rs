//! `/metrics`: every figure of the server, gathered when Prometheus asks.
//!
//! Nothing is registered anywhere: each part of the server tells its figures when it is asked ([`Gathered::of`]), and here
//! they get the names of the [`catalogue`] and are written.

use std::fmt;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use client_server_api::{Error, Services};
use http::header;
use http_layer::RequestFigures;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::Registry,
};
use store::{CommitDistributions, EngineFigures, Stats, StoreError};

pub mod catalogue;
mod exposition;

use catalogue as names;
pub use catalogue::{CATALOGUE, Kind, Metric};
use exposition::Exposition;

use crate::process::Process;

/// What Prometheus asks for first.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Notifications counted in the queue: more are read in vain, for that many are trouble enough.
const MOST_NOTIFICATIONS: usize = 10_000;

/// `GET /metrics`
pub(crate) async fn scrape(State(services): State<Services>) -> Result<Response, Error> {
    let gathered = Gathered::of(&services).await?;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(gathered));
    let mut text = String::new();
    text::encode(&mut text, &registry).map_err(Error::internal)?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// All figures, of about the same moment.
#[derive(Debug)]
struct Gathered {
    http: Http,
    sync: sync::SyncFigures,
    commit: Stats,
    distributions: CommitDistributions,
    position: u64,
    writable: bool,
    names: (u64, u64),
    engine: EngineFigures,
    rooms: rooms::RoomMemory,
    users: users::UserFigures,
    push: push::PushFigures,
    push_queue: u64,
    media: media::MediaFigures,
    certificate: Certificate,
    traces: traces::TraceFigures,
    /// Free and all bytes of the disk.
    disk: Option<(u64, u64)>,
    process: Process,
}

#[derive(Debug)]
struct Http {
    requests: Vec<RequestFigures>,
    in_flight: i64,
    body_bytes: u64,
    panics: u64,
    limited: Vec<(&'static str, u64)>,
}

impl Gathered {
    async fn of(services: &Services) -> Result<Self, StoreError> {
        let store = services.rooms.store().clone();
        let data_dir = services.config.data_dir.clone();
        // The engine's locks and the file system may keep us waiting.
        let looking = {
            let store = store.clone();
            tokio::task::spawn_blocking(move || {
                (store.engine_figures(), disk(&data_dir), Process::look())
            })
        };
        let push_queue = services.push.queued(MOST_NOTIFICATIONS).await?;
        let (engine, disk, process) = looking
            .await
            .map_err(|error| StoreError::Engine(error.to_string()))?;
        Ok(Self {
            http: Http {
                requests: services.http.requests(),
                in_flight: services.http.in_flight(),
                body_bytes: services.http.body_bytes(),
                panics: services.http.panics(),
                limited: services.limits.refused(),
            },
            sync: services.sync.figures(),
            commit: store.stats(),
            distributions: store.distributions(),
            position: u64::try_from(store.visible().0).unwrap_or(0),
            writable: store.writable().is_ok(),
            names: store.interner().memory(),
            engine,
            rooms: services.rooms.memory(),
            users: services.users.figures(),
            push: services.push.figures(),
            push_queue: push_queue as u64,
            media: services.media.figures(),
            certificate: Certificate::of(&services.certificates),
            traces: services.traces.clone(),
            disk,
            process,
        })
    }
}

/// Free and all bytes of the file system of `directory`, as an ordinary user has them.
fn disk(directory: &std::path::Path) -> Option<(u64, u64)> {
    let known = rustix::fs::statvfs(directory).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(known.f_frsize);
    Some((bytes(known.f_bavail), bytes(known.f_blocks)))
}

impl Collector for Gathered {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Exposition(encoder);
        to.gauges(&names::BUILD, [([env!("CARGO_PKG_VERSION")], 1)])?;
        self.http.write(&mut to)?;
        self.write_sync(&mut to)?;
        self.write_commits(&mut to)?;
        self.write_memory(&mut to)?;
        write_engine(&self.engine, &mut to)?;
        self.write_work(&mut to)?;
        self.certificate.write(&mut to)?;
        self.write_process(&mut to)
    }
}

impl Http {
    fn write(&self, to: &mut Exposition<'_>) -> fmt::Result {
        let code =
            |code: Option<u16>| code.map_or_else(|| "other".to_owned(), |code| code.to_string());
        let mut by_code: Vec<([&str; 2], String, u64)> = Vec::new();
        for request in &self.requests {
            let labels = [request.endpoint.as_str(), request.method];
            let codes = request.codes.iter();
            by_code.extend(codes.map(|(status, count)| (labels, code(*status), *count)));
        }
        let by_code = by_code.iter();
        to.counters(
            &names::REQUESTS,
            by_code.map(|([endpoint, method], code, count)| ([*endpoint, method, code], *count)),
        )?;
        let requests = self.requests.iter();
        to.histograms(
            &names::REQUEST_SECONDS,
            requests.map(|request| {
                let labels = [request.endpoint.as_str(), request.method];
                (labels, request.duration.clone())
            }),
        )?;
        to.gauge(
            &names::IN_FLIGHT,
            u64::try_from(self.in_flight).unwrap_or(0),
        )?;
        to.counter(&names::BODY_BYTES, self.body_bytes)?;
        to.counter(&names::PANICS, self.panics)?;
        let limited = self.limited.iter();
        to.counters(
            &names::LIMITED,
            limited.map(|(limit, count)| ([*limit], *count)),
        )
    }
}

/// The certificate that TLS clients are shown, and its renewal where that is ours.
#[derive(Debug)]
struct Certificate {
    /// In seconds since the Unix epoch.
    expires: Option<u64>,
    succeeded: u64,
    failed: u64,
    /// Whether the last attempt failed.
    is_failing: Option<bool>,
}

impl Certificate {
    fn of(certificates: &tls::Certificates) -> Self {
        let renewals = &certificates.renewals;
        Self {
            expires: certificates.facts().map(|it| it.not_after_ms / 1_000),
            succeeded: renewals.succeeded.get(),
            failed: renewals.failed.get(),
            is_failing: renewals.standing().map(|it| it.failure.is_some()),
        }
    }

    fn write(&self, to: &mut Exposition<'_>) -> fmt::Result {
        to.gauge(&names::CERTIFICATE_EXPIRES, self.expires)?;
        let results = [(["issued"], self.succeeded), (["failed"], self.failed)];
        to.counters(&names::RENEWALS, results)?;
        to.gauge(&names::RENEWAL_FAILING, self.is_failing.map(u64::from))
    }
}

impl Gathered {
    fn write_sync(&self, to: &mut Exposition<'_>) -> fmt::Result {
        let sync = &self.sync;
        to.gauge(&names::SYNC_WAITING, sync.waiting)?;
        let ended_by = [
            (["news"], sync.woken_by_news),
            (["timeout"], sync.timed_out),
            (["shutdown"], sync.stopped),
        ];
        to.counters(&names::SYNC_WAITS, ended_by)?;
        to.gauge(&names::SYNC_SESSIONS, sync.sessions)
    }

    fn write_commits(&self, to: &mut Exposition<'_>) -> fmt::Result {
        let commit = &self.commit;
        to.gauge(&names::QUEUE_BATCHES, commit.queue_depth)?;
        to.gauge(&names::QUEUE_BYTES, commit.queue_bytes)?;
        to.gauge(&names::QUEUE_LIMIT, commit.queue_limit_bytes)?;
        to.counter(&names::BATCHES, commit.batches)?;
        to.counter(&names::WRITTEN_BYTES, commit.written_bytes)?;
        let CommitDistributions {
            group_batches,
            sync_seconds,
        } = &self.distributions;
        to.histograms(&names::GROUP_BATCHES, [([], group_batches.clone())])?;
        to.histograms(&names::SYNC_SECONDS, [([], sync_seconds.clone())])?;
        let refused = [(["guard"], commit.refused), (["busy"], commit.busy)];
        to.counters(&names::REFUSED, refused)?;
        to.gauge(&names::POSITION, self.position)?;
        to.gauge(&names::WRITABLE, u64::from(self.writable))
    }

    fn write_memory(&self, to: &mut Exposition<'_>) -> fmt::Result {
        let (rooms, users) = (&self.rooms, &self.users);
        let caches = [
            ("rooms", (rooms.rooms_bytes, rooms.rooms_limit_bytes)),
            ("events", (rooms.events_bytes, rooms.events_limit_bytes)),
            (
                "sync_sessions",
                (self.sync.session_bytes, self.sync.session_limit_bytes),
            ),
            ("access_tokens", users.sessions),
            ("push_rules", users.push_rules),
            ("filters", users.filters),
            ("names", self.names),
            (
                "blocks",
                (self.engine.cache_bytes, self.engine.cache_limit_bytes),
            ),
        ];
        to.gauges(
            &names::CACHE_BYTES,
            caches.map(|(cache, (bytes, _))| ([cache], bytes)),
        )?;
        to.gauges(
            &names::CACHE_LIMIT,
            caches.map(|(cache, (_, limit))| ([cache], limit)),
        )?;
        to.gauge(&names::ROOMS_RESIDENT, rooms.rooms)?;
        to.gauge(&names::EVENTS_RESIDENT, rooms.events)
    }

    fn write_work(&self, to: &mut Exposition<'_>) -> fmt::Result {
        let passwords = &self.users.passwords;
        to.gauge(&names::PASSWORD_QUEUE, passwords.queued)?;
        to.gauge(&names::PASSWORD_LIMIT, passwords.queue_limit)?;
        to.gauge(&names::PASSWORD_WORKERS, passwords.workers)?;
        to.counter(&names::PASSWORD_HASHES, passwords.hashed)?;
        to.counter(&names::PASSWORD_REFUSED, passwords.refused)?;
        to.gauge(&names::PUSH_QUEUE, self.push_queue)?;
        let push = &self.push;
        let results = [
            (["delivered"], push.delivered),
            (["rejected"], push.rejected),
            (["failed"], push.failed),
            (["expired"], push.expired),
            (["outdated"], push.outdated),
        ];
        to.counters(&names::PUSH, results)?;
        to.counter(&names::MEDIA_RECEIVED, self.media.received_bytes)?;
        to.counter(&names::MEDIA_SENT, self.media.sent_bytes)?;
        to.gauge(&names::THUMBNAIL_QUEUE, self.media.thumbnails_queued)?;
        let traces = [
            (["sent"], self.traces.sent()),
            (["dropped"], self.traces.dropped()),
        ];
        to.counters(&names::SPANS, traces)
    }

    fn write_process(&self, to: &mut Exposition<'_>) -> fmt::Result {
        to.gauge(&names::DISK_FREE, self.disk.map(|(free, _)| free))?;
        to.gauge(&names::DISK_SIZE, self.disk.map(|(_, size)| size))?;
        let process = &self.process;
        to.fractional_counter(&names::CPU_SECONDS, process.cpu_seconds)?;
        to.gauge(&names::RESIDENT, process.resident_bytes)?;
        to.gauge(&names::VIRTUAL, process.virtual_bytes)?;
        to.gauge(&names::THREADS, process.threads)?;
        to.gauge(&names::OPEN_FILES, process.open_files)?;
        to.gauge(&names::MOST_FILES, process.most_files)?;
        to.fractional_gauge(&names::START_SECONDS, process.start_seconds)
    }
}

fn write_engine(engine: &EngineFigures, to: &mut Exposition<'_>) -> fmt::Result {
    to.gauge(&names::PINNED_BYTES, engine.cache_pinned_bytes)?;
    to.gauge(&names::READER_BYTES, engine.table_reader_bytes)?;
    let families = || engine.families.iter();
    to.gauges(
        &names::MEMTABLE_BYTES,
        families().map(|family| ([family.name], family.memtable_bytes)),
    )?;
    to.gauges(
        &names::SST_BYTES,
        families().map(|family| ([family.name], family.sst_bytes)),
    )?;
    let levels: Vec<(&str, String, u64)> = families()
        .flat_map(|family| {
            let levels = family.level_files.iter().enumerate();
            levels.map(|(level, files)| (family.name, level.to_string(), *files))
        })
        .collect();
    let levels = levels.iter();
    to.gauges(
        &names::FILES,
        levels.map(|(family, level, files)| ([*family, level.as_str()], *files)),
    )?;
    to.gauges(
        &names::PENDING_BYTES,
        families().map(|family| ([family.name], family.pending_compaction_bytes)),
    )?;
    to.gauges(
        &names::KEYS,
        families().map(|family| ([family.name], family.estimated_keys)),
    )?;
    to.gauge(&names::COMPACTIONS, engine.running_compactions)?;
    to.gauge(&names::FLUSHES, engine.running_flushes)?;
    let stalls = [
        (["delay"], engine.write_delays),
        (["stop"], engine.write_stops),
    ];
    to.counters(&names::STALLS, stalls)?;
    to.gauge(&names::STOPPED, u64::from(engine.writes_stopped))?;
    to.gauge(&names::DELAYED_RATE, engine.delayed_write_bytes_per_second)?;
    to.counter(&names::BACKGROUND_ERRORS, engine.background_errors)
}

#[cfg(test)]
mod tests;
