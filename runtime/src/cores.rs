//! Cores and threads of this process.

use anyhow::{Context, Result};
use core_affinity::CoreId;

/// Gives this process its core, where it is to have one of its own, and its threads; 0 is one for each core that it may
/// use. To be called before any other thread is started: later ones stay where their maker was.
pub fn settle(core: Option<usize>, threads: u32) -> Result<()> {
    if let Some(id) = core
        && !core_affinity::set_for_current(CoreId { id })
    {
        crate::log(&format!("warning: the system does not let this process keep to core {id}"));
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build_global().context("starting threads")
}

/// The two cores that this process may use, where two are all there is: one for each party.
pub fn two() -> Option<[usize; 2]> {
    let ids: Vec<usize> = core_affinity::get_core_ids()?.into_iter().map(|core| core.id).collect();
    ids.try_into().ok()
}
