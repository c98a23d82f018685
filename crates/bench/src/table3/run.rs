//! One engine with its functions on one length of text: a deployment, measured, and its costs by operation.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use indicatif::ProgressBar;
use local::report::{say_engine, security};
use local::settings::LocalSettings;
use model::{InputKind, Lengths, Operation, Spec};
use mpc::{Cost, Planned};
use roles::engine::EngineKind;
use roles::memory::{Needs, hold};
use roles::message::PartReport;
use roles::schedule::Schedule;
use roles::settings::Settings;
use serde_json::{Map, Value, json};

use super::published::stretched;
use crate::measure::{Costs, measure};
use crate::work::Work;

/// What an operation costs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row {
    /// Seconds online of the slower party, waiting included.
    pub(super) seconds: f64,
    /// Payload bytes between the parties, in both directions together.
    pub(super) online_bytes: u64,
    /// Rounds.
    pub(super) rounds: u64,
    /// Bytes that the dealer sends.
    pub(super) dealt_bytes: u64,
    /// Bytes in both directions as SecFormer counts them, for its engine.
    pub(super) secformer_bytes: Option<u64>,
}

impl Row {
    fn add(&mut self, other: &Row) {
        self.seconds += other.seconds;
        self.online_bytes += other.online_bytes;
        self.rounds += other.rounds;
        self.dealt_bytes += other.dealt_bytes;
        self.secformer_bytes = self.secformer_bytes.zip(other.secformer_bytes).map(|(a, b)| a + b);
    }

    fn object(&self) -> Value {
        json!({
            "seconds": self.seconds,
            "online_bytes_both_ways": self.online_bytes,
            "rounds": self.rounds,
            "dealt_bytes": self.dealt_bytes,
            "secformer_bytes_both_ways": self.secformer_bytes,
        })
    }
}

/// A run that was measured.
pub(super) struct Run {
    pub(super) engine: EngineKind,
    pub(super) schedule: Schedule,
    pub(super) costs: Costs,
    /// Estimates of memory.
    needs: Needs,
    /// In the order of [`Operation::ALL`].
    pub(super) rows: [Row; 4],
}

/// What the runs on one length have in common.
pub(super) struct Setup<'a> {
    pub(super) work: &'a Work,
    pub(super) bundle: &'a Path,
    pub(super) spec: &'a Arc<Spec>,
    pub(super) kind: InputKind,
    pub(super) settings: LocalSettings,
    pub(super) repeat: u32,
    /// Layers for which costs are given, where they are more than those that run.
    pub(super) layers: usize,
}

impl Setup<'_> {
    /// Measures an engine: with correlations made ahead where there is memory for them, streamed where there is not.
    pub(super) fn run(&self, engine: EngineKind, bar: &ProgressBar) -> Result<Run> {
        let Setup { work, bundle, spec, kind, repeat, layers, .. } = *self;
        let calibrated = spec.calibrated(kind);
        let plan = engine.plan(&calibrated, &work.texts)?;
        let memory = self.settings.roles.memory;
        let hold = hold(&calibrated.network, engine, memory);
        let needs = |schedule| Needs::of(&calibrated, &work.texts, &*plan, engine, schedule, hold);
        let ahead = needs(Schedule::Ahead)?;
        let (schedule, needs) = match ahead.check(memory) {
            Ok(()) => (Schedule::Ahead, ahead),
            Err(_) => (Schedule::Stream, needs(Schedule::Stream)?),
        };
        needs.check(memory)?;
        let roles = Settings { engine, schedule, ..self.settings.roles };
        let settings = LocalSettings { roles, ..self.settings.clone() };
        let costs = measure(work, bundle, &settings, repeat, bar)?;
        check(&costs, &*plan)?;
        let all = match layers > work.shape.layers {
            true => engine.plan(&stretched(spec, layers).calibrated(kind), &work.texts)?,
            false => plan,
        };
        let rows = Operation::ALL.map(|operation| {
            let Cost { rounds, opened_bytes, dealt_bytes, .. } = all.cost_of(operation);
            let secformer_bytes = all.published_bytes(operation).map(|bytes| bytes as u64);
            Row {
                seconds: seconds(&costs.cells, operation.index(), layers),
                online_bytes: 2 * opened_bytes as u64,
                rounds: rounds as u64,
                dealt_bytes: dealt_bytes as u64,
                secformer_bytes,
            }
        });
        Ok(Run { engine, schedule, costs, needs, rows })
    }
}

/// What the sockets carried is what was planned, unless an attempt was repeated.
fn check(costs: &Costs, plan: &dyn Planned) -> Result<()> {
    for operation in Operation::ALL {
        let (got, planned) = (&costs.operations[operation.index()], plan.cost_of(operation));
        let planned = (planned.rounds as u64, planned.opened_bytes as u64);
        anyhow::ensure!(
            costs.restarts > 0 || (got.rounds, got.bytes) == planned,
            "{}: {} rounds and {} bytes were measured, {planned:?} were planned",
            operation.name(),
            got.rounds,
            got.bytes
        );
    }
    Ok(())
}

/// Seconds of an operation in a network of so many layers, of which some were measured: the embedding, the layers and the
/// head. Layers before the last stand for those that did not run.
fn seconds(parts: &[[PartReport; 4]], operation: usize, layers: usize) -> f64 {
    let all: Vec<f64> =
        parts.iter().map(|part| part[operation].compute_seconds + part[operation].wait_seconds).collect();
    let measured = all.len().saturating_sub(2);
    let sum: f64 = all.iter().sum();
    match all.get(1..measured) {
        Some(full) if layers > measured && !full.is_empty() => {
            sum + (layers - measured) as f64 * full.iter().sum::<f64>() / full.len() as f64
        }
        _ => sum,
    }
}

impl Run {
    /// Which functions it ran, by its engine.
    pub(super) fn name(&self) -> String {
        format!("{}, {}", self.engine.name(), self.engine.functions())
    }

    pub(super) fn total(&self) -> Row {
        let [mut total, others @ ..] = self.rows;
        others.iter().for_each(|row| total.add(row));
        total
    }

    pub(super) fn object(&self) -> Value {
        let Costs { online_seconds, offline_seconds, restarts, peaks, .. } = &self.costs;
        let rows =
            Operation::ALL.iter().zip(&self.rows).map(|(operation, row)| (operation.name().into(), row.object()));
        let measured = peaks.iter().map(|(role, bytes)| (role.name().to_string(), json!(bytes)));
        let planned = peaks.iter().map(|(role, _)| (role.name().to_string(), json!(self.needs.role(*role))));
        let mut object = json!({
            "taught": self.engine.functions().fit_two_quad(),
            "schedule": self.schedule.to_string(),
            "operations": rows.collect::<Map<_, _>>(),
            "total": self.total().object(),
            "online_seconds_as_run": online_seconds,
            "offline_seconds_as_run": offline_seconds,
            "restarts": restarts,
            "peak_rss_bytes": measured.collect::<Map<_, _>>(),
            "planned_memory_bytes": planned.collect::<Map<_, _>>(),
            "security": security(self.engine, Lengths::Exact),
        });
        say_engine(&mut object, self.engine);
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_did_not_run_take_as_long_as_those_before_the_last() {
        let part = |compute_seconds| {
            let mut part = [PartReport::default(); 4];
            part[2] = PartReport { compute_seconds, wait_seconds: 1.0, ..PartReport::default() };
            part
        };
        // embedding, two full layers, the last layer, head
        let parts = [part(10.0), part(3.0), part(5.0), part(1.0), part(20.0)];
        assert_eq!(seconds(&parts, 2, 3), 44.0);
        assert_eq!(seconds(&parts, 2, 12), 44.0 + 9.0 * 5.0);
        assert_eq!(seconds(&parts, 0, 12), 0.0);
        assert_eq!(seconds(&[], 0, 12), 0.0);
    }
}
