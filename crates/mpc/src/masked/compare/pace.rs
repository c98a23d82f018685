//! Which pace suits a link.

use std::sync::Arc;

use model::{Calibrated, Compared, Network, Pace, SpecError};

use super::super::plan::Plan;
use crate::engine::Planned;

/// The links of a deployment: seconds one way and bytes a second between the parties, and bytes a second from the dealer to P1, which are
/// infinite where all is dealt before anyone waits.
#[derive(Clone, Copy, Debug)]
pub struct Links {
    /// Between the parties, one way.
    pub latency: f64,
    /// Between the parties, in each direction.
    pub bandwidth: f64,
    /// From the dealer to P1.
    pub dealt: f64,
}

/// The pace of all of a network's comparisons that waits less for links, and its scales with that pace. Computing is left out: it is
/// about the same.
pub fn paced<N: Network + Clone>(
    calibrated: &Calibrated<N>,
    batches: &[N::Batch],
    links: Links,
) -> Result<(Pace, Calibrated<N>), SpecError> {
    let mut best: Option<(f64, Pace, Calibrated<N>)> = None;
    for pace in [Pace::Fast, Pace::Lean] {
        let scales = (*calibrated.scales).clone();
        let compared = |comparison| Compared { pace, ..calibrated.scales.compared(comparison) };
        let paced = Calibrated { network: calibrated.network.clone(), scales: Arc::new(scales.comparing(compared)) };
        let plan = Plan::new(&paced, batches)?;
        let seconds = plan.seconds(links.latency, links.bandwidth, plan.cost().dealt_bytes as f64 / links.dealt);
        if best.as_ref().is_none_or(|(least, ..)| seconds < *least) {
            best = Some((seconds, pace, paced));
        }
    }
    Ok(best.map_or((Pace::Fast, calibrated.clone()), |(_, pace, paced)| (pace, paced)))
}
