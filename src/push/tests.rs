//! The follower and the lanes, turned by hand: a gateway that answers what a test wants, a clock that stands still.

mod delivery;
mod fixture;
mod gateway;
mod queueing;
