//! One stage: batches, losses, steps, evaluations, checkpoints.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::Tensor;
use candle_core::backprop::GradStore;
use cli::coded;
use cli::exit::INTERRUPTED;
use model::Config;

use crate::accumulation::{Means, gradients};
use crate::adamw::AdamW;
use crate::bert::{Bert, PackedBatch};
use crate::checkpoint;
use crate::digests;
use crate::ops::DropoutKey;
use crate::parallel::{ProcessGroup, Shard, exchange};
use crate::pipeline::Data;
use crate::plan::StagePlan;
use crate::progress::Progress;
use crate::state::Stage;
use crate::weights::Weights;

mod evaluation;
mod interrupt;
mod log;
mod run;

use interrupt::TrainingGuard;
pub use interrupt::{STOP, TRAINING};
pub use run::Run;

/// The loss of a batch: the number to minimise, and its parts for the log.
#[derive(Debug)]
pub struct Loss {
    /// The sum that is differentiated.
    pub total: Tensor,
    /// Named parts, unweighted.
    pub parts: Vec<(&'static str, Tensor)>,
}

/// What an objective computes a loss of.
#[derive(Debug)]
pub struct Step<'a> {
    /// The texts' numbers in the training set.
    pub chosen: &'a [usize],
    /// This process's part of the whole batch.
    pub shard: &'a Shard<'a>,
    /// The texts.
    pub batch: &'a PackedBatch,
    /// What dropout is drawn from.
    pub key: DropoutKey,
}

/// Trains `weights` in place until the stage is over; with `keep_best` they are the best ones then.
pub fn train(
    run: &mut Run,
    plan: &StagePlan,
    config: &Config,
    weights: &Weights,
    data: &Data,
    objective: impl Fn(&Bert, &Step<'_>) -> Result<Loss>,
) -> Result<()> {
    let _guard = TrainingGuard::new();
    let mut training = StageTraining::begin(run, plan, config, weights, data)?;
    while !plan.is_over(&training.run.state) {
        training.step(&objective)?;
    }
    training.finish()
}

/// A stage while it is trained.
struct StageTraining<'a> {
    run: &'a mut Run,
    plan: &'a StagePlan,
    config: &'a Config,
    weights: &'a Weights,
    data: &'a Data,
    group: Rc<ProcessGroup>,
    optimiser: AdamW,
    model: Bert,
    /// The same numbers without gradients, for evaluations.
    evaluated: Bert,
    /// The batches of an epoch, and which epoch.
    order: Option<(u64, Vec<Vec<usize>>)>,
    progress: Progress,
    /// When the last line of the log was written, and after which step.
    logged: (Instant, u64),
    /// Until when the stage's effort counts its time.
    counted: Instant,
}

impl<'a> StageTraining<'a> {
    /// Prepares the stage, from the run's checkpoint where there is one.
    fn begin(
        run: &'a mut Run,
        plan: &'a StagePlan,
        config: &'a Config,
        weights: &'a Weights,
        data: &'a Data,
    ) -> Result<StageTraining<'a>> {
        let group = Rc::clone(&run.group);
        let mut optimiser = AdamW::new(plan.optimiser, weights);
        if let Some(folder) = run.resume.take() {
            let files = group.broadcast_files(&folder, &checkpoint::TENSORS)?;
            checkpoint::read_weights(files.folder(), config, weights)?;
            checkpoint::read_optimiser(files.folder(), &run.state, &mut optimiser)?;
            if group.leads() {
                checkpoint::read_best(&folder, &run.out, &run.state)?;
            }
        }
        if group.size() > 1 {
            group.agree("the weights", &digests::of_weights(weights)?)?;
        }
        let model = Bert::new(config, weights)?;
        let evaluated = Bert::new(config, &weights.detached())?;
        let progress = Progress::new(plan.stage.name(), plan.schedule.steps, run.state.stage_step, plan.quiet);
        let (logged, counted) = ((Instant::now(), run.state.stage_step), Instant::now());
        run.state.trainer.begin(plan, run.state.global_step - run.state.stage_step);
        let mut training = StageTraining {
            run,
            plan,
            config,
            weights,
            data,
            group,
            optimiser,
            model,
            evaluated,
            order: None,
            progress,
            logged,
            counted,
        };
        training.evaluate_start()?;
        Ok(training)
    }

    /// Evaluates a student before its first step, because it may already be better than anything the stage finds. A teacher
    /// starts with a head that was just drawn, so that is not worth a look.
    fn evaluate_start(&mut self) -> Result<()> {
        let state = &mut self.run.state;
        let student = self.plan.keep_best && self.plan.stage != Stage::Teacher;
        if student && state.stage_step == 0 && state.best_metric.is_none() && self.plan.schedule.steps > 0 {
            state.trainer.epoch = 0.0;
            self.evaluate()?;
        }
        Ok(())
    }

    /// Takes one step and does what is due after it: log, evaluation, checkpoint.
    fn step(&mut self, objective: &impl Fn(&Bert, &Step<'_>) -> Result<Loss>) -> Result<()> {
        let rate = self.plan.schedule.rate(self.run.state.stage_step);
        let asked_to_stop = self.update(rate, objective)?;
        let (done, last) = (self.run.state.stage_step, self.plan.schedule.steps);
        if done.is_multiple_of(self.plan.log_every) || done == last {
            self.log(rate)?;
        }
        if done.is_multiple_of(self.plan.evaluate_every) || done == last {
            self.evaluate()?;
        }
        let over = self.plan.is_over(&self.run.state);
        if over && self.run.state.pending_steps > 0 {
            self.log(rate)?;
        }
        self.run.state.stage_effort.took(self.counted.elapsed());
        self.counted = Instant::now();
        if over {
            self.log_end()?;
        }
        let stop = asked_to_stop || (self.group.size() == 1 && STOP.load(Ordering::Relaxed));
        if self.group.leads() && (done.is_multiple_of(self.plan.save_every) || over || stop) {
            let limit = self.plan.keep_checkpoints;
            checkpoint::write(&self.run.out, limit, &self.run.state, self.weights, &mut self.optimiser)?;
        }
        if stop {
            self.progress.finish();
            return Err(coded(INTERRUPTED, "interrupted; the same command takes the run up again"));
        }
        Ok(())
    }

    /// Moves the weights by the gradient of one step's texts; gives whether any process was asked to stop.
    fn update(&mut self, rate: f64, objective: &impl Fn(&Bert, &Step<'_>) -> Result<Loss>) -> Result<bool> {
        let chosen = self.next_texts()?;
        let (mut gradients, means) = self.gradients(&chosen, objective)?;
        let mut sums: Vec<f64> = means.iter().map(|(_, mean)| *mean).collect();
        // All processes must learn in the same step that one of them is asked to stop.
        sums.push(f64::from(u8::from(STOP.load(Ordering::Relaxed))));
        exchange(&self.group, self.weights, &mut gradients, &mut sums)?;
        let asked_to_stop = sums.pop().is_some_and(|processes| processes > 0.0);
        let mut numbers: Vec<(&str, f64)> = means.iter().map(|(name, _)| *name).zip(sums).collect();
        let loss = numbers[0].1;
        numbers.push(("grad_norm", self.optimiser.step(self.weights, &gradients, rate)?));
        // An evaluation may follow and needs the memory.
        drop(gradients);
        let per_epoch = self.steps_per_epoch();
        let state = &mut self.run.state;
        state.note(&numbers);
        state.stage_step += 1;
        state.global_step += 1;
        state.stage_effort.step(chosen.len(), loss);
        state.trainer.epoch = state.stage_step as f64 / per_epoch as f64;
        self.progress.advance(loss);
        Ok(asked_to_stop)
    }

    fn steps_per_epoch(&self) -> u64 {
        self.plan.batches.count(self.data.train.len()) as u64
    }

    /// The texts of the next step, of all processes.
    fn next_texts(&mut self) -> Result<Vec<usize>> {
        let (step, per_epoch) = (self.run.state.stage_step, self.steps_per_epoch());
        let (epoch, place) = (step / per_epoch, (step % per_epoch) as usize);
        if self.order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            // Each stage has epochs of its own, so that no two see the same order.
            let number = epoch + 1000 * self.plan.stage as u64;
            self.order = Some((epoch, self.plan.batches.epoch(number, self.data.train.lengths())));
        }
        let (_, batches) = self.order.as_ref().context("an epoch without batches")?;
        Ok(batches[place].clone())
    }

    /// The gradients of this process's shard of the chosen texts, and the losses.
    fn gradients(
        &self,
        chosen: &[usize],
        objective: &impl Fn(&Bert, &Step<'_>) -> Result<Loss>,
    ) -> Result<(GradStore, Means)> {
        let (group, plan, model, train) = (&self.group, self.plan, &self.model, &self.data.train);
        let together = plan.batch * group.size();
        let first = self.run.state.global_step * plan.batches.size.div_ceil(together) as u64;
        gradients(self.weights, chosen, together, |number, texts| {
            let shard = group.shard(texts, train.lengths());
            // Every process and every batch needs dropout masks of its own.
            let draw = (first + number as u64) * group.size() as u64 + group.rank() as u64;
            let key = DropoutKey { seed: plan.batches.seed, step: draw };
            let heads = self.config.num_attention_heads;
            let batch = match plan.augment > 0.0 {
                true => train.pack_changed(shard.texts, heads, model.device(), plan.augment, key)?,
                false => train.pack(shard.texts, heads, model.device())?,
            };
            objective(model, &Step { chosen: shard.texts, shard: &shard, batch: &batch, key })
        })
    }

    /// Checks that all processes have the same weights, and takes the best ones where they are kept.
    fn finish(self) -> Result<()> {
        self.progress.finish();
        if self.group.size() > 1 {
            // All took the same steps; a difference comes from a bug or another build and must not pass unseen.
            self.group.agree("the weights", &digests::of_weights(self.weights)?)?;
        }
        if self.plan.keep_best && self.run.state.best_metric.is_some() {
            let files = self.group.broadcast_files(&self.run.out, &[checkpoint::BEST])?;
            self.weights.assign(&Weights::read_file(&checkpoint::best(files.folder()), self.config)?)?;
        }
        Ok(())
    }
}
