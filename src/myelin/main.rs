//! The binary `myelin`; everything is in the library beside it, so that tests run the same.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// glibc's allocator slows down as the heap grows: a sync with 5,000 rooms cost twice that with 100
/// (docs/decisions/allocator.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match myelin::run(myelin::CommandLine::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("myelin: {error}");
            ExitCode::FAILURE
        }
    }
}
