//! Talks to a homeserver through `matrix-sdk`, the library under Element X:
//!
//!     rust-client talk http://127.0.0.1:8008
//!     rust-client encrypted http://127.0.0.1:8008 [pause]
//!
//! Ends with a line and exit code 0, or with what went wrong and another code. With `pause` it writes `pause` in the middle and
//! goes on when a line comes: whoever runs it may kill and restart the server meanwhile.

mod account;
mod device;
mod encrypted;
mod talk;
mod verification;

use std::process::ExitCode;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (name, done) = match arguments[..] {
        ["talk", url] => ("matrix-sdk", talk::talk(url).await),
        ["encrypted", url] => ("matrix-sdk, encrypted", encrypted::talk(url, false).await),
        ["encrypted", url, "pause"] => ("matrix-sdk, encrypted", encrypted::talk(url, true).await),
        _ => {
            eprintln!("usage: rust-client talk URL | encrypted URL [pause]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => {
            println!("{name}: all well");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Fails with `message` unless `condition` holds.
fn check(condition: bool, message: impl Into<String>) -> Result {
    if condition {
        Ok(())
    } else {
        Err(message.into().into())
    }
}
