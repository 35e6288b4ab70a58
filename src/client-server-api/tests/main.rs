//! Ring 2: every endpoint through an in-process server. A test file has the path of the handler it tests.

mod capabilities;
mod server_discovery;
