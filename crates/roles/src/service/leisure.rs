//! Threads for work that nobody waits for.

use anyhow::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The lowest priority that a thread can have.
const LOWEST: i32 = 19;

/// So many threads that compute when no others do. Kernels that are called on one of them stay among them.
pub(crate) fn pool(threads: usize) -> Result<ThreadPool> {
    let begin = |_| {
        // on Linux this is of the calling thread alone; where it is refused, the work is done all the same
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, LOWEST);
    };
    let name = |at| format!("leisure {at}");
    let built = ThreadPoolBuilder::new().num_threads(threads).thread_name(name).start_handler(begin).build();
    built.context("starting threads")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn its_threads_have_the_lowest_priority_and_others_keep_theirs() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let before = own();
        assert_eq!(pool(2).unwrap().install(own), LOWEST);
        assert_eq!(own(), before);
    }
}
