//! The server as a whole: read the options, open the store, plug the parts together, serve, stop.

mod admin;
mod assemble;
mod backup;
mod check;
mod checkpoint;
mod command_line;
mod data_dir;
mod doctor;
mod giving_back;
mod inherited;
mod listening;
mod log;
mod opening;
mod otlp;
mod private;
mod progress;
mod serve;
mod sweeps;
mod welcome;

pub use assemble::{AssembleError, assemble, recall, router};
pub use command_line::{CommandLine, run};
