//! Nothing but dependencies: they switch on, for every crate of the workspace, the features that any of them needs, so
//! that `cargo test -p rooms` and `cargo build -p myelin` share one build of each library instead of two.
