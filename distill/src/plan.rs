//! The numbers of a stage: batches, steps, rates.

use datasets::Batches;

use crate::adamw::Settings;
use crate::options::Options;
use crate::schedule::{Schedule, Shape};
use crate::state::Stage;
use crate::training::Plan;

/// A stage's plan for texts of these lengths and so many processes.
pub fn plan(options: &Options, stage: Stage, lengths: &[usize], processes: usize) -> Plan {
    let (epochs, rate, shape) = match stage {
        Stage::Teacher => (
            options.teacher_epochs.or(options.num_train_epochs).unwrap_or(3),
            options.teacher_learning_rate.or(options.learning_rate).unwrap_or(5e-5),
            Shape::WarmUp(f64::from(options.warmup_ratio)),
        ),
        Stage::Layers => (
            options.stage1_epochs.or(options.num_train_epochs).unwrap_or(10),
            options.stage1_learning_rate.or(options.learning_rate).unwrap_or(5e-5),
            if options.stage1_linear_decay { Shape::WarmUp(f64::from(options.warmup_ratio)) } else { Shape::Constant },
        ),
        Stage::Norms => (
            1,
            options.stage2_learning_rate.or(options.learning_rate).unwrap_or(1e-5),
            Shape::WarmUp(f64::from(options.warmup_ratio)),
        ),
        Stage::Prediction => (
            options.stage2_epochs.or(options.num_train_epochs).unwrap_or(5),
            options.stage2_learning_rate.or(options.learning_rate).unwrap_or(1e-5),
            Shape::WarmUp(f64::from(options.warmup_ratio)),
        ),
    };
    let size = usize::from(options.per_device_train_batch_size) * processes;
    let batches = Batches { size, pool: 1, seed: options.seed };
    let per_epoch = batches.count(lengths.len()) as u64;
    let steps = match options.lessons.tokens(stage) {
        None => epochs.saturating_mul(per_epoch),
        Some(tokens) => {
            let all: usize = lengths.iter().sum();
            (tokens as f64 * per_epoch as f64 / all.max(1) as f64).round() as u64
        }
    };
    let epochs = steps.div_ceil(per_epoch.max(1));
    Plan {
        stage,
        batches,
        epochs,
        schedule: Schedule { peak: rate, shape, steps },
        optimiser: Settings { weight_decay: options.weight_decay as f32, ..Settings::default() },
        augment: if stage == Stage::Teacher { 0.0 } else { options.lessons.augment },
        keep_best: stage != Stage::Layers,
        evaluate_every: options.eval_steps,
        log_every: options.logging_steps,
        save_every: options.save_steps,
        quiet: options.quiet,
    }
}
