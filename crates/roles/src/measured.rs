//! What a batch cost, from the reports of both parties.

use std::time::Duration;

use anyhow::Result;
use mpc::{Cost, deal_frames};
use net::HEADER_LEN;

use crate::message::{PartReport, Report};

/// What a batch cost, as the parties measured it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Rounds between the parties, over all attempts.
    pub rounds: u64,
    /// Bytes between the parties, headers included, in the larger direction.
    pub online_bytes_each_way: u64,
    /// All that the dealer sent.
    pub offline_bytes: u64,
    /// Attempts beyond the first.
    pub restarts: u32,
    /// Attempts whose correlations came from the stock.
    pub stocked: u32,
    /// Seconds until the input was asked for, in the slower party: all that is spent on correlations, but where they are streamed.
    pub offline_seconds: f64,
    /// Seconds from the client's input to its output, without the correlations of restarts.
    pub online_seconds: f64,
    /// The online phase by parts of the network, in the slower party of each: the embedding, each layer, the head.
    pub parts: Vec<PartReport>,
    /// The same by operation, in the slower party of each, in the order of [`model::Operation::ALL`].
    pub operations: [PartReport; 4],
    /// The same by part and operation.
    pub cells: Vec<[PartReport; 4]>,
}

impl Measured {
    /// Adds another batch.
    pub fn add(&mut self, other: &Measured) {
        self.rounds += other.rounds;
        self.online_bytes_each_way += other.online_bytes_each_way;
        self.offline_bytes += other.offline_bytes;
        self.restarts += other.restarts;
        self.stocked += other.stocked;
        self.offline_seconds += other.offline_seconds;
        self.online_seconds += other.online_seconds;
        self.parts.resize(self.parts.len().max(other.parts.len()), PartReport::default());
        self.parts.iter_mut().zip(&other.parts).for_each(|(sum, part)| sum.add(part));
        self.cells.resize(self.cells.len().max(other.cells.len()), Default::default());
        self.cells.iter_mut().flatten().zip(other.cells.iter().flatten()).for_each(|(sum, part)| sum.add(part));
        self.operations.iter_mut().zip(&other.operations).for_each(|(sum, part)| sum.add(part));
    }
}

/// The slower party of each operation.
fn slower(zero: &[PartReport; 4], one: &[PartReport; 4]) -> [PartReport; 4] {
    std::array::from_fn(|at| zero[at].slower(&one[at]))
}

/// What both parties report, held against the plan: nobody sends more than it says.
pub(crate) fn measure(
    cost: &Cost,
    most_parts: usize,
    (zero, one): (&Report, &Report),
    (before, after): (Duration, Duration),
) -> Result<Measured> {
    let restarts = zero.restarts;
    let attempts = u64::from(restarts) + 1;
    let offline_seconds = zero.offline_seconds.max(one.offline_seconds);
    // while an attempt is repeated, the client waits for its correlations too
    let again = if restarts > 0 { (offline_seconds - before.as_secs_f64()).max(0.0) } else { 0.0 };
    let measured = Measured {
        rounds: zero.rounds.max(one.rounds),
        online_bytes_each_way: zero.online_bytes.max(one.online_bytes),
        offline_bytes: zero.offline_bytes.saturating_add(one.offline_bytes),
        restarts,
        stocked: zero.stocked,
        offline_seconds,
        online_seconds: after.as_secs_f64() - again,
        parts: zero.parts.iter().zip(&one.parts).take(most_parts).map(|(zero, one)| zero.slower(one)).collect(),
        operations: slower(&zero.operations, &one.operations),
        cells: zero.cells.iter().zip(&one.cells).take(most_parts).map(|(zero, one)| slower(zero, one)).collect(),
    };
    let headers = (cost.frames * HEADER_LEN) as u64;
    let frames = (deal_frames(cost.dealt_bytes) + 2) * HEADER_LEN;
    for (what, got, most) in [
        ("rounds", measured.rounds, cost.rounds as u64),
        ("bytes online", measured.online_bytes_each_way, cost.opened_bytes as u64 + headers),
        ("bytes from the dealer", measured.offline_bytes, (cost.dealt_bytes + 2 * 32 + frames) as u64),
    ] {
        let most = most.saturating_mul(attempts);
        anyhow::ensure!(got <= most, "the parties report {got} {what}, at most {most} were planned");
    }
    Ok(measured)
}
