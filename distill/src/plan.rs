//! The numbers of a stage: batches, steps, rates.

use datasets::Batches;

use crate::adamw::AdamWConfig;
use crate::options::Options;
use crate::schedule::{RateSchedule, RateShape};
use crate::state::{Stage, State};

/// With `--group-by-length`: how many steps' texts are sorted by length together, and into how many such pools all texts are
/// split at least, as in Trainer.
const POOL: usize = 50;
const POOL_SHARE: usize = 4;

/// Texts in a process's batch.
pub fn batch(options: &Options, stage: Stage) -> usize {
    let own = options.stage1_batch_size.filter(|_| stage == Stage::Layers);
    usize::from(own.unwrap_or(options.per_device_train_batch_size))
}

/// Texts in a step of all processes.
pub fn step(options: &Options, stage: Stage, processes: usize) -> usize {
    batch(options, stage) * usize::from(options.trainer.gradient_accumulation_steps) * processes
}

/// How a stage is trained.
#[derive(Clone, Debug)]
pub struct StagePlan {
    /// Which stage.
    pub stage: Stage,
    /// How the training set is cut into the texts of each step.
    pub batches: Batches,
    /// Texts of a step that a process learns from at once.
    pub batch: usize,
    /// Passes over the training set.
    pub epochs: u64,
    /// The learning rate.
    pub schedule: RateSchedule,
    /// The optimiser's settings.
    pub optimiser: AdamWConfig,
    /// The share of words that are replaced in every other text.
    pub augment: f32,
    /// Keep the model that does best on the development set, not the last one.
    pub keep_best: bool,
    /// Evaluations without a better score that end the stage.
    pub patience: Option<u64>,
    /// How much higher a score must be to count as better.
    pub threshold: f64,
    /// Steps between two evaluations.
    pub evaluate_every: u64,
    /// Steps between two lines of log.
    pub log_every: u64,
    /// Steps between two checkpoints.
    pub save_every: u64,
    /// Checkpoints that are kept.
    pub keep_checkpoints: usize,
    /// Neither a bar nor a log on standard error.
    pub quiet: bool,
}

impl StagePlan {
    /// Texts that the stage is trained on, those that come again counted again.
    pub fn texts(&self) -> u64 {
        self.schedule.steps.saturating_mul(self.batches.size as u64)
    }

    /// Whether the stage ends here.
    pub(crate) fn is_over(&self, state: &State) -> bool {
        let out_of_patience = |patience| state.early_stopping_patience_counter >= patience;
        state.stage_step >= self.schedule.steps || self.patience.is_some_and(out_of_patience)
    }
}

/// A stage's plan for texts of these lengths and so many processes.
pub fn plan(options: &Options, stage: Stage, lengths: &[usize], processes: usize) -> StagePlan {
    let (epochs, rate, shape) = match stage {
        Stage::Teacher => (
            options.teacher_epochs.or(options.num_train_epochs).unwrap_or(3),
            options.teacher_learning_rate.or(options.learning_rate).unwrap_or(5e-5),
            RateShape::WarmUp(options.warmup_ratio),
        ),
        Stage::Layers => (
            options.stage1_epochs.or(options.num_train_epochs).unwrap_or(10),
            options.stage1_learning_rate.or(options.learning_rate).unwrap_or(5e-5),
            if options.stage1_linear_decay { RateShape::WarmUp(options.warmup_ratio) } else { RateShape::Constant },
        ),
        Stage::Norms => (
            1,
            options.stage2_learning_rate.or(options.learning_rate).unwrap_or(1e-5),
            RateShape::WarmUp(options.warmup_ratio),
        ),
        Stage::Prediction => (
            options.stage2_epochs.or(options.num_train_epochs).unwrap_or(5),
            options.stage2_learning_rate.or(options.learning_rate).unwrap_or(1e-5),
            RateShape::WarmUp(options.warmup_ratio),
        ),
    };
    let flags = &options.trainer;
    let size = step(options, stage, processes);
    let pool = if flags.group_by_length { (lengths.len() / (POOL_SHARE * size)).clamp(1, POOL) } else { 1 };
    let batches = Batches { size, pool, seed: options.seed };
    let per_epoch = batches.count(lengths.len()) as u64;
    let steps = match options.objectives.tokens(stage) {
        None => epochs.saturating_mul(per_epoch),
        Some(tokens) => {
            let all: usize = lengths.iter().sum();
            let steps = (tokens as f64 * per_epoch as f64 / all.max(1) as f64).round() as u64;
            // a budget of less than half a step is still one step, and one of 0 is none
            steps.max(u64::from(tokens > 0))
        }
    };
    let epochs = steps.div_ceil(per_epoch.max(1));
    StagePlan {
        stage,
        batches,
        batch: batch(options, stage),
        epochs,
        schedule: RateSchedule { peak: rate, shape, steps },
        optimiser: AdamWConfig {
            weight_decay: options.weight_decay as f32,
            max_norm: if flags.max_grad_norm > 0.0 { flags.max_grad_norm as f32 } else { f32::INFINITY },
            ..AdamWConfig::default()
        },
        augment: if stage == Stage::Teacher { 0.0 } else { options.objectives.augment as f32 },
        keep_best: stage != Stage::Layers,
        patience: flags.early_stopping_patience.filter(|_| stage != Stage::Layers),
        threshold: flags.early_stopping_threshold.unwrap_or(0.0),
        evaluate_every: options.stage2_eval_steps.filter(|_| stage == Stage::Prediction).unwrap_or(options.eval_steps),
        log_every: options.logging_steps,
        save_every: options.save_steps,
        keep_checkpoints: usize::from(flags.save_total_limit),
        quiet: options.quiet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stage: Stage, examples: usize, more: &[&str]) -> StagePlan {
        let args =
            [&["distill", "--teacher", "t", "--task", "sst2", "--per-device-train-batch-size", "8"], more].concat();
        plan(&Options::from_args(args.iter().map(Into::into)).unwrap(), stage, &vec![10; examples], 1)
    }

    #[test]
    fn steps_are_made_of_batches_as_trainer_makes_them() {
        let one = of(Stage::Teacher, 1000, &["--num-train-epochs", "2"]);
        assert_eq!((one.schedule.steps, one.batches.size, one.batches.pool), (250, 8, 1));
        let more = ["--num-train-epochs", "2", "--gradient-accumulation-steps", "3", "--group-by-length"];
        let three = of(Stage::Teacher, 1000, &more);
        // 42 steps of up to 24 texts; a pool holds a quarter of all texts, or 50 steps' where those are fewer
        assert_eq!((three.schedule.steps, three.batch, three.batches.size, three.batches.pool), (84, 8, 24, 10));
        assert_eq!(of(Stage::Teacher, 100_000, &more).batches.pool, 50);
        assert_eq!(of(Stage::Teacher, 10, &more).batches.pool, 1);
    }

    #[test]
    fn a_budget_of_tokens_makes_the_steps_that_have_them() {
        // 1000 texts of 10 tokens: 125 steps of 80
        let of = |tokens: &str| of(Stage::Layers, 1000, &["--stage1-tokens", tokens]).schedule.steps;
        assert_eq!(["0", "1", "119", "120", "10_000", "15_000"].map(of), [0, 1, 1, 2, 125, 188]);
    }

    #[test]
    fn a_tenth_of_a_hundred_steps_is_ten() {
        let shape = of(Stage::Teacher, 800, &["--num-train-epochs", "1"]).schedule;
        // the last of the climb and the first of the fall
        let at_peak = |step: u64| (shape.rate(step) / shape.peak - 1.0).abs() < 1e-12;
        assert_eq!((shape.steps, [8, 9, 10, 11].map(at_peak)), (100, [false, true, true, false]));
    }

    #[test]
    fn a_stage_without_a_best_model_has_no_patience_and_no_norm_is_the_longest() {
        let more = ["--early-stopping-patience", "3", "--max-grad-norm", "0"];
        assert_eq!(of(Stage::Prediction, 10, &more).patience, Some(3));
        let layers = of(Stage::Layers, 10, &more);
        assert_eq!((layers.patience, layers.optimiser.max_norm), (None, f32::INFINITY));
        assert_eq!(of(Stage::Layers, 10, &[]).optimiser.max_norm, 1.0);
    }
}
