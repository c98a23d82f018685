//! Result files under the names that Trainer and run_glue give them.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::atomic;
use crate::evaluate::{Evaluation, extend, results};
use crate::options::Options;
use crate::pipeline::Data;
use crate::range::ObservedLayer;
use crate::state::State;

/// Writes `train_results.json`, `eval_results.json` and, with all of both, `all_results.json`.
pub fn write(
    out: &Path,
    options: &Options,
    state: &State,
    data: &Data,
    [student, teacher]: [&Evaluation; 2],
    ranges: &[ObservedLayer],
) -> Result<()> {
    let mut trained = json!({"train_samples": data.train.len(), "train_steps": state.global_step});
    extend(&mut trained, state.run_effort.speeds());
    // the last stage that took steps ends with such an entry
    if let Some(last) = state.log_history.iter().rfind(|entry| entry.get(TRAIN_LOSS).is_some()) {
        extend(&mut trained, ["epoch", TRAIN_LOSS].map(|name| (name.to_string(), last[name].clone())));
    }
    let mut evaluated = json!({"epoch": trained["epoch"], "eval_samples": student.metrics.samples});
    extend(&mut evaluated, student.entries());
    extend(&mut evaluated, results("teacher_eval_", &teacher.metrics));
    let mut all = json!({"task": data.task.source.name(), "options": options, "ranges": ranges});
    for part in [&trained, &evaluated] {
        extend(&mut all, part.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    }
    let files: [(&str, &Value); 3] =
        [("train_results.json", &trained), ("eval_results.json", &evaluated), ("all_results.json", &all)];
    files.into_iter().try_for_each(|(name, value)| atomic::write_json(&out.join(name), value))
}

/// A stage's mean loss, in the last entry it leaves in the log.
pub const TRAIN_LOSS: &str = "train_loss";
