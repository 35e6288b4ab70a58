//! The binary `myelin`; everything is in the library beside it, so that tests run the same.

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

/// For RocksDB's C++, too: glibc's allocator slows down as the heap grows, and keeps what it was given
/// (docs/decisions/allocator.md). `.cargo/config.toml` has its options.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    match myelin::run(myelin::CommandLine::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("myelin: {error}");
            ExitCode::FAILURE
        }
    }
}
