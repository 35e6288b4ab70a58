//! A reverse proxy with one fault, for tests of what finds it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a proxy does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Decodes paths, merges slashes and resolves `..`.
    NormalisesPaths,
    /// Passes neither `Authorization` nor `X-Forwarded-For` on.
    DropsHeaders,
    /// Passes on what the client says of its own address.
    BelievesClients,
    /// Refuses bodies of more than a mebibyte.
    SmallBodies,
    /// Holds answers back until they are whole.
    Buffers,
    /// Adds an `Access-Control-Allow-Origin` of its own.
    DoublesCors,
    /// Takes CORS headers away.
    DropsCors,
    /// Answers 504 if the server takes longer than a second.
    Impatient,
    /// Says that it is a day earlier.
    WrongDate,
    /// Leads to nothing that is a homeserver.
    Elsewhere,
}

/// Starts one in front of `upstream`, on a free port, with TLS if there is a certificate; it ends with the process.
pub fn proxy(
    upstream: SocketAddr,
    fault: Fault,
    certificate: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let tls = certificate.map(|(chain, key)| {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(vec![chain], key);
        Arc::new(config.expect("a certificate with its key"))
    });
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let tls = tls.clone();
            std::thread::spawn(move || {
                // A client that goes away is no failure of the test.
                let _ = match tls.map(ServerConnection::new) {
                    Some(Ok(connection)) => {
                        pass(StreamOwned::new(connection, client), upstream, fault)
                    }
                    Some(Err(_)) => Ok(()),
                    None => pass(client, upstream, fault),
                };
            });
        }
    });
    address
}

/// One request and its answer.
fn pass(client: impl Read + Write, upstream: SocketAddr, fault: Fault) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let head = read_head(&mut client)?;
    if fault == Fault::Elsewhere {
        let page = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        return client.get_mut().write_all(page.as_bytes());
    }
    let length = header(&head, "content-length").and_then(|text| text.parse().ok());
    let length: u64 = length.unwrap_or(0);
    if fault == Fault::SmallBodies && length > 1 << 20 {
        let refusal =
            "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        client.get_mut().write_all(refusal.as_bytes())?;
        // As nginx does it: who is told has to be listened to.
        return io::copy(&mut client.take(length), &mut io::sink()).map(|_| ());
    }
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(request(&head, fault).as_bytes())?;
    io::copy(&mut (&mut client).take(length), &mut server)?;
    if fault == Fault::Impatient {
        server.set_read_timeout(Some(Duration::from_secs(1)))?;
    }
    let mut answers = BufReader::new(server);
    let head = match read_head(&mut answers) {
        Ok(head) => head,
        Err(_) if fault == Fault::Impatient => {
            let late =
                "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return client.get_mut().write_all(late.as_bytes());
        }
        Err(error) => return Err(error),
    };
    let mut answer = answer(&head, fault).into_bytes();
    if fault == Fault::Buffers {
        answers.read_to_end(&mut answer)?;
    }
    client.get_mut().write_all(&answer)?;
    loop {
        let chunk = answers.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        client.get_mut().write_all(chunk)?;
        client.get_mut().flush()?;
        let read = chunk.len();
        answers.consume(read);
    }
    answers.get_ref().shutdown(Shutdown::Both)
}

/// The lines before the empty one, without their ends.
fn read_head(stream: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line);
    }
}

fn is(line: &str, name: &str) -> bool {
    let found = line.split(':').next().unwrap_or_default();
    found.eq_ignore_ascii_case(name)
}

fn header<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    let line = head.iter().skip(1).find(|line| is(line, name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

/// The head of a request as it is passed on.
fn request(head: &[String], fault: Fault) -> String {
    let mut lines = head.to_vec();
    if fault == Fault::NormalisesPaths {
        lines[0] = normalised(&lines[0]);
    }
    let forwarded = "X-Forwarded-For: 127.0.0.1".to_owned();
    lines.retain(|line| !is(line, "connection"));
    match fault {
        Fault::BelievesClients => {}
        Fault::DropsHeaders => {
            lines.retain(|line| !is(line, "authorization") && !is(line, "x-forwarded-for"));
        }
        _ => {
            lines.retain(|line| !is(line, "x-forwarded-for"));
            lines.push(forwarded);
        }
    }
    lines.push("Connection: close".to_owned());
    lines.join("\r\n") + "\r\n\r\n"
}

/// `GET /a%2F..//b HTTP/1.1` as those see it who know better.
fn normalised(line: &str) -> String {
    let parts: Vec<&str> = line.split(' ').collect();
    let decoded = percent_encoding::percent_decode_str(parts[1]).decode_utf8_lossy();
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/').filter(|it| !it.is_empty()) {
        if segment == ".." {
            segments.pop();
        } else {
            segments.push(segment);
        }
    }
    let path = segments.join("/").replace(' ', "%20").replace('#', "%23");
    format!("{} /{path} {}", parts[0], parts[2])
}

/// The head of an answer as it is passed on.
fn answer(head: &[String], fault: Fault) -> String {
    let mut lines = head.to_vec();
    match fault {
        Fault::DoublesCors => lines.push("Access-Control-Allow-Origin: *".to_owned()),
        Fault::DropsCors => {
            lines.retain(|line| !line.to_ascii_lowercase().starts_with("access-control-"));
        }
        Fault::WrongDate => {
            lines.retain(|line| !is(line, "date"));
            lines.push("Date: Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
        }
        _ => {}
    }
    lines.join("\r\n") + "\r\n\r\n"
}
