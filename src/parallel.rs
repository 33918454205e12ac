//! Work on the 256 parts of a whole, shared out over threads.
//!
//! Shards, and the buckets of a sort, are equal and independent. Each thread takes the next one as
//! soon as it is done with the last, so that a large part holds up one thread only.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::monitor::Monitor;

/// Number of parts: one a value of a byte.
const PARTS: usize = 256;

/// Hands the parts to `threads` threads one at a time, and returns what each thread made of its
/// share. When the monitor asks to stop, no further parts are handed out; the first error is
/// returned once all threads have ended.
pub fn share_out<T: Send, E: Send>(
    threads: usize,
    monitor: &dyn Monitor,
    work: impl Fn(&mut dyn Iterator<Item = u8>) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let run = || {
            let mut share = std::iter::from_fn(|| {
                let part = next.fetch_add(1, Ordering::Relaxed);
                (part < PARTS && !monitor.stopped()).then_some(part as u8)
            });
            work(&mut share)
        };
        // Where the system gives no further thread, fewer do the work; this one always does.
        let handles: Vec<_> = (1..threads.clamp(1, PARTS))
            .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, run).ok())
            .collect();
        let own = run();
        let others = handles.into_iter().map(|handle| match handle.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        std::iter::once(own).chain(others).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Silent;

    #[test]
    fn every_part_is_worked_on_once() {
        for threads in [0, 1, 3, 1000] {
            let shares = share_out(threads, &Silent, |parts| {
                Ok::<_, ()>(parts.collect::<Vec<u8>>())
            });
            let mut parts: Vec<u8> = shares.unwrap().concat();
            parts.sort_unstable();
            assert!(parts.into_iter().eq(0..=u8::MAX));
        }
    }

    #[test]
    fn an_error_is_returned() {
        let result = share_out(4, &Silent, |parts| {
            for part in parts {
                if part == 77 {
                    return Err(part);
                }
            }
            Ok(())
        });
        assert_eq!(result, Err(77));
    }
}
