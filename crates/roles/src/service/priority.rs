//! Work at low priority: nobody waits for it.

use std::time::Duration;

use anyhow::{Context, Result};
use rayon::ThreadPoolBuilder;

/// The lowest priority that a thread can have.
const LOWEST: i32 = 19;

/// How many times as long a role at low priority may take for one step: beside threads that compute, it gets about a seventieth of
/// a core.
const SLOWER: u32 = 10;

/// How long is waited for the next sign of work at low priority, where other work has `deadline` for a step. A peer that is gone is
/// noticed by its connections long before.
pub(crate) fn at_low_priority_within(deadline: Duration) -> Duration {
    deadline.saturating_mul(SLOWER)
}

/// Does the work on a thread that computes when no others do. Kernels that are called there stay on it: a thread that waits for its
/// peers in the midst of one order must not take up another.
pub(crate) fn at_low_priority<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let begin = |_| {
        // on Linux this is of the calling thread alone; where it is refused, the work is done all the same
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, LOWEST);
    };
    let built =
        ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "low priority".into()).start_handler(begin).build();
    built.context("starting a thread")?.install(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn its_thread_has_the_lowest_priority_and_others_keep_theirs() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let before = own();
        assert_eq!(at_low_priority(|| Ok(own())).unwrap(), LOWEST);
        assert_eq!(own(), before);
    }
}
