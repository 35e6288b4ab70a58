//! The server as a whole: read the options, open the store, plug the parts together, serve, stop.

mod assemble;

pub use assemble::assemble;
