//! Files in a bucket that speaks S3: `s3rver` from npm, in a directory of the test's own.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{PNG, UPLOAD, download, path, upload};
use crate::real_clients::node_script;
use spec_tests::Server;

/// More than one part, of at least 5 MiB each.
const LARGE: usize = 20_000_000;

struct Bucket {
    child: Child,
    port: String,
    directory: tempfile::TempDir,
}

impl Bucket {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new("node")
            .arg(node_script("s3", &["serve.mjs"]))
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs node (20 or later)");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().expect("the bucket tells its port").unwrap();
        Self {
            child,
            port,
            directory,
        }
    }

    fn server(&self, key: &str) -> Server {
        let endpoint = format!("\"http://127.0.0.1:{}\"", self.port);
        let key = format!("\"{key}\"");
        Server::with(&[
            ("media.backend", "\"s3\""),
            ("media.s3_bucket", "\"media\""),
            ("media.s3_region", "\"us-east-1\""),
            ("media.s3_endpoint", &endpoint),
            ("media.s3_access_key_id", &key),
            ("media.s3_secret_access_key", "\"S3RVER\""),
            ("media.user_quota_files", "4"),
        ])
    }

    /// Objects whose names begin with `folder`.
    fn objects(&self, folder: &str) -> usize {
        let is_object = |path: &Path| path.to_string_lossy().ends_with("._S3rver_object");
        let (mut found, mut open) = (0, vec![self.directory.path().join("media").join(folder)]);
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                found += usize::from(is_object(&path));
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
        found
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn files_are_kept_in_a_bucket() {
    let bucket = Bucket::start();
    let mut server = bucket.server("S3RVER");
    let alice = server.client().register("alice");
    let large: Vec<u8> = (0_u8..=250).cycle().take(LARGE).collect();
    let large_uri = upload(&alice, "video/mp4", &large);
    let image_uri = upload(&alice, "image/png", PNG);
    let copy_uri = upload(&alice, "image/png", PNG);
    let thumbnail = format!(
        "{}?width=8&height=8&method=crop",
        path("thumbnail", &copy_uri)
    );
    assert_eq!(alice.get(&thumbnail).status, 200);
    assert_eq!(
        (bucket.objects("files"), bucket.objects("incoming")),
        (2, 0)
    );

    server.kill();
    server.start_again();
    let alice = alice.reconnected();
    assert_eq!(download(&alice, &large_uri).body, large);
    assert_eq!(download(&alice, &image_uri).body, PNG);
    let headers = [("range", "bytes=9999999-10000001")];
    let part = alice.send("GET", &path("download", &large_uri), &headers, None);
    assert_eq!(
        (part.status, &part.body[..]),
        (206, &large[9_999_999..=10_000_001])
    );
    assert_eq!(alice.get(&thumbnail).status, 200);

    // Room for one more: the other is refused, and its object is taken away again if it came that far.
    let more = [vec![1; LARGE], vec![2; LARGE]];
    let statuses = std::thread::scope(|scope| {
        let sending = more.each_ref().map(|bytes| {
            let alice = &alice;
            scope.spawn(move || alice.send("POST", UPLOAD, &[], Some(bytes)).status)
        });
        sending.map(|thread| thread.join().unwrap())
    });
    let kept = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(kept, 1, "{statuses:?}");
    assert_eq!(
        (bucket.objects("files"), bucket.objects("incoming")),
        (3, 0)
    );
}

/// The status of an upload, without the client that has a place in the definitions for every status.
fn status(server: &Server, token: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "POST {UPLOAD} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        bytes.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The answer may come before everything is read.
    let _ = stream.write_all(bytes);
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_bucket_that_refuses_is_no_success() {
    let mut bucket = Bucket::start();
    let server = bucket.server("not the key");
    let alice = server.client().register("alice");
    for bytes in [vec![1; 100], vec![1; LARGE]] {
        assert_eq!(status(&server, &alice.access_token, &bytes), "500");
    }
    assert_eq!(bucket.objects(""), 0);
    bucket.child.kill().unwrap();
    assert_eq!(status(&server, &alice.access_token, b"x"), "500");
}
