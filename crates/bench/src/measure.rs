//! One deployment, measured: a request that warms up, then as many as are asked for.

use std::fs;
use std::path::Path;

use anyhow::Result;
use indicatif::ProgressBar;
use local::deployment::{Deployment, this_program};
use local::settings::LocalSettings;
use roles::measured::Measured;
use roles::message::{PartReport, Role};
use serde::Serialize;

use crate::median::{median, median_count};
use crate::work::Work;

/// What a layer of the network took in one request, in the slower party.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LayerCost {
    /// `embedding`, `0`, `1`, ..., `head`: pooler and classifier.
    pub layer: String,
    /// Seconds of work.
    pub compute_seconds: f64,
    /// Seconds of waiting for the other party.
    pub wait_seconds: f64,
    /// Bytes sent to the other party.
    pub bytes: u64,
    /// Rounds.
    pub rounds: u64,
}

/// What a request costs: medians over all.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    /// Seconds spent on correlations, in the slower party.
    pub offline_seconds: f64,
    /// Seconds from the client's input to its output.
    pub online_seconds: f64,
    /// The least and the most of both over the requests.
    pub offline_range: [f64; 2],
    pub online_range: [f64; 2],
    /// Bytes between the parties, headers included, in the larger direction.
    pub online_bytes_each_way: u64,
    /// All bytes that the dealer sent.
    pub offline_bytes: u64,
    /// Rounds between the parties.
    pub rounds: u64,
    /// Attempts beyond the first, of all requests together.
    pub restarts: u32,
    /// By layer.
    pub layers: Vec<LayerCost>,
    /// By operation.
    pub operations: [PartReport; 4],
    /// By part of the network and operation.
    pub cells: Vec<[PartReport; 4]>,
    /// The most memory in bytes that each role ever had, where the system tells.
    pub peaks: Vec<(Role, Option<u64>)>,
}

/// Starts all roles on a bundle, classifies random batches, and ends the roles.
pub(crate) fn measure(
    work: &Work,
    bundle: &Path,
    settings: &LocalSettings,
    repeat: u32,
    bar: &ProgressBar,
) -> Result<Costs> {
    let mut deployment = Deployment::start_with(&this_program()?, bundle, settings)?;
    deployment.classify(&work.batch(0))?;
    bar.inc(1);
    let mut all = Vec::new();
    for seed in 1..=u64::from(repeat) {
        all.push(deployment.classify(&work.batch(seed))?.measured);
        bar.inc(1);
    }
    // a process that has ended has no memory to look at
    let peaks = deployment.processes().into_iter().map(|(role, process)| (role, peak(process))).collect();
    deployment.finish()?;
    let seconds = |of: fn(&Measured) -> f64| median(all.iter().map(of).collect());
    let range = |of: fn(&Measured) -> f64| {
        all.iter().map(of).fold([f64::INFINITY, 0.0], |[least, most], one| [one.min(least), one.max(most)])
    };
    let count = |of: fn(&Measured) -> u64| median_count(all.iter().map(of).collect());
    Ok(Costs {
        offline_seconds: seconds(|m| m.offline_seconds),
        online_seconds: seconds(|m| m.online_seconds),
        offline_range: range(|m| m.offline_seconds),
        online_range: range(|m| m.online_seconds),
        online_bytes_each_way: count(|m| m.online_bytes_each_way),
        offline_bytes: count(|m| m.offline_bytes),
        rounds: count(|m| m.rounds),
        restarts: all.iter().map(|m| m.restarts).sum(),
        layers: by_layer(&all.iter().map(layers).collect::<Vec<_>>()),
        operations: by_operation(&all.iter().map(|m| &m.operations).collect::<Vec<_>>()),
        cells: by_part(&all),
        peaks,
    })
}

/// The layers of one request, in order.
fn layers(measured: &Measured) -> Vec<LayerCost> {
    let last = measured.parts.len().saturating_sub(1);
    let layer = |(at, part): (usize, &PartReport)| LayerCost {
        layer: match at {
            0 => "embedding".to_string(),
            at if at == last => "head".to_string(),
            at => (at - 1).to_string(),
        },
        compute_seconds: part.compute_seconds,
        wait_seconds: part.wait_seconds,
        bytes: part.bytes,
        rounds: part.rounds,
    };
    measured.parts.iter().enumerate().map(layer).collect()
}

/// Medians over requests, layer by layer.
fn by_layer(requests: &[Vec<LayerCost>]) -> Vec<LayerCost> {
    let most = requests.iter().map(Vec::len).max().unwrap_or(0);
    let layer = |number: usize| {
        let all = || requests.iter().filter_map(|layers| layers.get(number));
        LayerCost {
            layer: all().next().map(|l| l.layer.clone()).unwrap_or_default(),
            compute_seconds: median(all().map(|l| l.compute_seconds).collect()),
            wait_seconds: median(all().map(|l| l.wait_seconds).collect()),
            bytes: median_count(all().map(|l| l.bytes).collect()),
            rounds: median_count(all().map(|l| l.rounds).collect()),
        }
    };
    (0..most).map(layer).collect()
}

/// Medians over requests, operation by operation.
fn by_operation(requests: &[&[PartReport; 4]]) -> [PartReport; 4] {
    std::array::from_fn(|at| {
        let all = || requests.iter().map(|operations| &operations[at]);
        PartReport {
            compute_seconds: median(all().map(|r| r.compute_seconds).collect()),
            wait_seconds: median(all().map(|r| r.wait_seconds).collect()),
            bytes: median_count(all().map(|r| r.bytes).collect()),
            rounds: median_count(all().map(|r| r.rounds).collect()),
        }
    })
}

/// The same in each part of the network.
fn by_part(requests: &[Measured]) -> Vec<[PartReport; 4]> {
    let most = requests.iter().map(|m| m.cells.len()).max().unwrap_or(0);
    (0..most).map(|part| by_operation(&requests.iter().filter_map(|m| m.cells.get(part)).collect::<Vec<_>>())).collect()
}

/// The most memory that a process ever had, in bytes; nothing where there is no `/proc`.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(1024 * kilobytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_compared_with_the_same_layer_of_other_requests() {
        let cost = |layer: usize, seconds: f64, bytes| LayerCost {
            layer: layer.to_string(),
            compute_seconds: seconds,
            wait_seconds: 2.0 * seconds,
            bytes,
            rounds: 15,
        };
        let requests = [1.0, 5.0, 2.0].map(|s| vec![cost(0, s, 10), cost(1, 10.0 * s, 20)]);
        assert_eq!(by_layer(&requests), [cost(0, 2.0, 10), cost(1, 20.0, 20)]);
        assert_eq!(by_layer(&[]), []);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_had_some_memory() {
        assert!(peak(std::process::id()).unwrap() > 1 << 20);
        assert_eq!(peak(u32::MAX), None);
    }
}
