//! The binary `myelin`; everything is in the library beside it, so that tests run the same.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match myelin::run(myelin::CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("myelin: {error}");
            ExitCode::FAILURE
        }
    }
}
