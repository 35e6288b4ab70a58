//! The same work on many things, by as many threads as there are cores.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::CheckError;

/// Does `work` with each of `things`, in their order, on `threads` threads; stops at the first error.
pub(crate) fn each<T: Sync>(
    threads: usize,
    things: &[T],
    work: impl Fn(&T) -> Result<(), CheckError> + Sync,
) -> Result<(), CheckError> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let run = || {
        while failed.lock().is_none()
            && let Some(thing) = things.get(next.fetch_add(1, Ordering::Relaxed))
        {
            if let Err(error) = work(thing) {
                failed.lock().get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.clamp(1, things.len().max(1)) {
            scope.spawn(run);
        }
        run();
    });
    failed.into_inner().map_or(Ok(()), Err)
}
