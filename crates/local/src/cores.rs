//! Cores and threads of this process.

use anyhow::{Context, Result};
use core_affinity::CoreId;

/// Address space that a thread takes before it does anything: its stack, and a segment of the allocator.
const THREAD: u64 = 24 << 20;
/// Threads beside those that compute: for links, messages and signals.
const OTHERS: u64 = 11;

/// Gives this process its core, where it is to have one of its own, and its threads; 0 is one for each core that it may
/// use. To be called before any other thread is started: later ones stay where their maker was.
pub fn settle(core: Option<usize>, threads: u32) -> Result<()> {
    if let Some(id) = core
        && !core_affinity::set_for_current(CoreId { id })
    {
        cli::log(&format!("warning: the system does not let this process keep to core {id}"));
    }
    let computing = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads as usize,
    };
    cli::check_start((OTHERS + computing as u64) * THREAD)?;
    rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build_global().context("starting threads")
}

/// The two cores that this process may use, where two are all there is: one for each party.
pub fn two() -> Option<[usize; 2]> {
    let ids: Vec<usize> = core_affinity::get_core_ids()?.into_iter().map(|core| core.id).collect();
    ids.try_into().ok()
}
