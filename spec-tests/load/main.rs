//! Measures homeservers beside each other over raw HTTP: CPU per operation of the server's processes, latency on schedule, memory,
//! disk.
//!
//! `load --help` teaches by example.

mod client;
mod measure;
mod options;
mod pace;
mod process;
mod report;
mod run;
mod scenarios;
mod target;

use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::Options;

/// Whatever went wrong, in words.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    match main_or_error(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs everything, or what of it there is time for: whoever ends this ends the servers that it started.
async fn main_or_error(options: &Options) -> Result<()> {
    let (mut terminated, mut interrupted) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        done = run::run(options) => done,
        _ = terminated.recv() => Err("terminated".into()),
        _ = interrupted.recv() => Err("interrupted".into()),
    }
}
