//! One stage: batches, losses, steps, evaluations, checkpoints.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::Tensor;
use cli::coded;
use cli::exit::INTERRUPTED;
use datasets::Batches;
use model::Config;
use serde_json::{Value, json};

use crate::accumulation::gradients;
use crate::adamw::{AdamW, Settings};
use crate::bert::{Bert, Packed};
use crate::checkpoint;
use crate::events::Events;
use crate::judge::{extend, judge};
use crate::ops::DropoutKey;
use crate::parallel::{Share, World, digest, exchange};
use crate::pipeline::Data;
use crate::progress::Progress;
use crate::results::TRAIN_LOSS;
use crate::schedule::Schedule;
use crate::state::{Stage, State};
use crate::weights::Weights;

/// Set when the user asks to stop; looked at between two steps.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// Whether somebody looks at [`STOP`]: a stage is being trained.
pub static TRAINING: AtomicBool = AtomicBool::new(false);

/// [`TRAINING`] while it lives.
struct Looking;

impl Looking {
    fn new() -> Looking {
        TRAINING.store(true, Ordering::SeqCst);
        Looking
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        TRAINING.store(false, Ordering::SeqCst);
    }
}

/// What a batch costs: the number to make small, and its parts for the log.
#[derive(Debug)]
pub struct Loss {
    /// The sum that is differentiated.
    pub total: Tensor,
    /// Named parts, unweighted.
    pub parts: Vec<(&'static str, Tensor)>,
}

/// A batch as a lesson sees it.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The texts' numbers in the training set.
    pub chosen: &'a [usize],
    /// What they are of the whole batch.
    pub share: &'a Share<'a>,
    /// The texts.
    pub batch: &'a Packed,
    /// What dropout is drawn from.
    pub key: DropoutKey,
}

/// A stage's numbers.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which stage.
    pub stage: Stage,
    /// How the training set is cut into the texts of each step.
    pub batches: Batches,
    /// Texts of a step that a process learns from at once.
    pub batch: usize,
    /// Passes over the training set.
    pub epochs: u64,
    /// The learning rate.
    pub schedule: Schedule,
    /// The optimiser's.
    pub optimiser: Settings,
    /// The share of words that are replaced in every other text.
    pub augment: f32,
    /// Keep the model that does best on the development set, not the last one.
    pub keep_best: bool,
    /// Evaluations without a better score that end the stage.
    pub patience: Option<u64>,
    /// By how much a better score must be so.
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

impl Plan {
    /// Texts that the stage is trained on, those that come again counted again.
    pub fn texts(&self) -> u64 {
        self.schedule.steps.saturating_mul(self.batches.size as u64)
    }

    /// Whether the stage ends here.
    fn is_over(&self, state: &State) -> bool {
        let tired = |patience| state.early_stopping_patience_counter >= patience;
        state.stage_step >= self.schedule.steps || self.patience.is_some_and(tired)
    }
}

/// Where a run works, and how far it is.
#[derive(Debug)]
pub struct Run {
    /// The output folder.
    pub out: PathBuf,
    /// The checkpoint to take up, until a stage has done so.
    pub resume: Option<PathBuf>,
    /// The run's state.
    pub state: State,
    /// The processes that train.
    pub world: Rc<World>,
    /// What TensorBoard reads.
    pub events: Events,
    /// Keeps other runs out of the output folder; rank 0 has it.
    pub(crate) _lock: Option<cli::Lock>,
}

impl Run {
    /// Adds an entry to the log, which rank 0 writes.
    fn record(&mut self, entry: Value) -> Result<()> {
        if self.world.leads() {
            self.events.write(self.state.global_step, &entry)?;
        }
        self.state.log_history.push(entry);
        Ok(())
    }
}

/// Trains `weights` in place until the stage is over; with `keep_best` they are the best ones then.
pub fn train(
    run: &mut Run,
    plan: &Plan,
    config: &Config,
    weights: &Weights,
    data: &Data,
    lesson: impl Fn(&Bert, &Turn<'_>) -> Result<Loss>,
) -> Result<()> {
    let _looking = Looking::new();
    let world = Rc::clone(&run.world);
    let steps = plan.schedule.steps;
    let mut optimiser = AdamW::new(plan.optimiser, weights);
    if let Some(folder) = run.resume.take() {
        let lent = world.lend(&folder, &checkpoint::TENSORS)?;
        checkpoint::read_weights(lent.folder(), config, weights)?;
        checkpoint::read_optimiser(lent.folder(), &run.state, &mut optimiser)?;
        if world.leads() {
            checkpoint::read_best(&folder, &run.out, &run.state)?;
        }
    }
    if world.size() > 1 {
        world.agree("the weights", digest::of_weights(weights)?)?;
    }
    let model = Bert::new(config, weights)?;
    let judged = Bert::new(config, &weights.detached())?;
    let per_epoch = plan.batches.count(data.train.len()) as u64;
    let together = plan.batch * world.size();
    let mut order: Option<(u64, Vec<Vec<usize>>)> = None;
    let progress = Progress::new(plan.stage.name(), steps, run.state.stage_step, plan.quiet);
    let mut clock = (Instant::now(), run.state.stage_step);
    let mut since = Instant::now();
    run.state.trainer.begin(plan, run.state.global_step - run.state.stage_step);
    // What a student's stage begins with may be better than anything it finds; a teacher begins with a head that is drawn.
    let taught = plan.keep_best && plan.stage != Stage::Teacher;
    if taught && run.state.stage_step == 0 && run.state.best_metric.is_none() && steps > 0 {
        run.state.trainer.epoch = 0.0;
        evaluate(run, plan, &judged, weights, data, &progress)?;
    }
    while !plan.is_over(&run.state) {
        let step = run.state.stage_step;
        let (epoch, place) = (step / per_epoch, (step % per_epoch) as usize);
        if order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            // Each stage has epochs of its own, so that no two see the same order.
            order = Some((epoch, plan.batches.epoch(epoch + 1000 * plan.stage as u64, data.train.lengths())));
        }
        let (_, batches) = order.as_ref().context("an epoch without batches")?;
        let chosen = &batches[place];
        let first = run.state.global_step * plan.batches.size.div_ceil(together) as u64;
        let (mut gradients, means) = gradients(weights, chosen, together, |number, texts| {
            let share = world.share(texts, data.train.lengths());
            // Every process drops others of its numbers.
            let draw = (first + number as u64) * world.size() as u64 + world.rank() as u64;
            let key = DropoutKey { seed: plan.batches.seed, step: draw };
            let heads = config.num_attention_heads;
            let batch = match plan.augment > 0.0 {
                true => data.train.pack_changed(share.texts, heads, model.device(), plan.augment, key)?,
                false => data.train.pack(share.texts, heads, model.device())?,
            };
            lesson(&model, &Turn { chosen: share.texts, share: &share, batch: &batch, key })
        })?;
        let rate = plan.schedule.rate(step);
        let mut sums: Vec<f64> = means.iter().map(|(_, mean)| *mean).collect();
        // Whichever process is asked to stop, all hear of it in the same step.
        sums.push(f64::from(u8::from(STOP.load(Ordering::Relaxed))));
        exchange(&world, weights, &mut gradients, &mut sums)?;
        let asked = sums.pop().is_some_and(|processes| processes > 0.0);
        let mut numbers: Vec<(&str, f64)> = means.iter().map(|(name, _)| *name).zip(sums).collect();
        let loss = numbers[0].1;
        numbers.push(("grad_norm", optimiser.step(weights, &gradients, rate)?));
        drop(gradients);
        run.state.note(&numbers);
        run.state.stage_step += 1;
        run.state.global_step += 1;
        run.state.stage_effort.step(chosen.len(), loss);
        progress.advance(loss);
        let done = run.state.stage_step;
        run.state.trainer.epoch = done as f64 / per_epoch as f64;
        if done.is_multiple_of(plan.log_every) || done == steps {
            log(run, plan, rate, &mut clock, &progress)?;
        }
        if done.is_multiple_of(plan.evaluate_every) || done == steps {
            evaluate(run, plan, &judged, weights, data, &progress)?;
        }
        let over = plan.is_over(&run.state);
        if over && run.state.pending_steps > 0 {
            log(run, plan, rate, &mut clock, &progress)?;
        }
        run.state.stage_effort.took(since.elapsed());
        since = Instant::now();
        if over {
            end(run, plan, &progress)?;
        }
        let stop = asked || (world.size() == 1 && STOP.load(Ordering::Relaxed));
        if world.leads() && (done.is_multiple_of(plan.save_every) || over || stop) {
            checkpoint::write(&run.out, plan.keep_checkpoints, &run.state, weights, &mut optimiser)?;
        }
        if stop {
            progress.finish();
            return Err(coded(INTERRUPTED, "interrupted; the same command takes the run up again"));
        }
    }
    progress.finish();
    if world.size() > 1 {
        // All took the same steps; what a bug or another build did otherwise must not pass.
        world.agree("the weights", digest::of_weights(weights)?)?;
    }
    if plan.keep_best && run.state.best_metric.is_some() {
        let lent = world.lend(&run.out, &[checkpoint::BEST])?;
        weights.assign(&Weights::read_file(&checkpoint::best(lent.folder()), config)?)?;
    }
    Ok(())
}

fn log(run: &mut Run, plan: &Plan, rate: f64, clock: &mut (Instant, u64), progress: &Progress) -> Result<()> {
    let done = run.state.stage_step;
    let seconds = clock.0.elapsed().as_secs_f64() / done.saturating_sub(clock.1).max(1) as f64;
    *clock = (Instant::now(), done);
    let means = run.state.take_means();
    let mut text: Vec<String> = means.iter().map(|(name, mean)| format!("{name} {mean:.4}")).collect();
    text.push(format!("rate {rate:.2e}, {seconds:.3} s a step"));
    progress.say(&format!("{} {done}/{}: {}", plan.stage.name(), plan.schedule.steps, text.join(", ")));
    let mut entry = entry(&run.state, plan);
    extend(&mut entry, [("learning_rate".into(), rate.into())]);
    extend(&mut entry, means.into_iter().map(|(name, mean)| (name, mean.into())));
    run.record(entry)
}

/// What every entry of the log says.
fn entry(state: &State, plan: &Plan) -> Value {
    json!({"stage": plan.stage.name(), "step": state.global_step, "epoch": state.trainer.epoch})
}

/// The last entry of a stage, and what became of it.
fn end(run: &mut Run, plan: &Plan, progress: &Progress) -> Result<()> {
    let state = &mut run.state;
    if state.stage_step < plan.schedule.steps {
        let evaluations = state.early_stopping_patience_counter;
        let name = plan.stage.name();
        progress.say(&format!("{name} ends early: {evaluations} evaluations without a better score"));
    }
    state.run_effort.add(state.stage_effort);
    let mut entry = entry(state, plan);
    extend(&mut entry, [(TRAIN_LOSS.to_string(), state.stage_effort.mean_loss().into())]);
    extend(&mut entry, state.stage_effort.speeds());
    run.record(entry)
}

fn evaluate(
    run: &mut Run,
    plan: &Plan,
    judged: &Bert,
    weights: &Weights,
    data: &Data,
    progress: &Progress,
) -> Result<()> {
    let done = Cell::new(0);
    let judged = match run.world.leads() {
        true => Some(judge(judged, &data.dev, &data.question, &|texts| {
            done.set(done.get() + texts);
            progress.judging(done.get(), data.dev.len());
            run.world.alive();
        })?),
        false => None,
    };
    let metric = run.world.broadcast_f64(judged.as_ref().map_or(0.0, |judged| judged.metrics.main()))?;
    let state = &mut run.state;
    let enough = state.best_metric.is_none_or(|best| metric - best > plan.threshold);
    state.early_stopping_patience_counter = if enough { 0 } else { state.early_stopping_patience_counter + 1 };
    let better = state.best_metric.is_none_or(|best| metric > best);
    if better {
        if plan.keep_best {
            let path = checkpoint::best(&run.out);
            if run.world.leads() {
                weights.write(&path, false)?;
            }
            state.trainer.best_model_checkpoint = Some(path);
        }
        state.best_metric = Some(metric);
        state.best_global_step = Some(state.global_step);
    }
    let Some(judged) = judged else { return Ok(()) };
    let mark = if better { ", the best so far" } else { "" };
    let (name, metrics) = (plan.stage.name(), &judged.metrics);
    let (step, words, texts) = (run.state.stage_step, metrics.words(), metrics.samples);
    progress.say(&format!("{name} {step}: {words} on {texts} texts{mark}"));
    let mut entry = entry(&run.state, plan);
    extend(&mut entry, judged.entries());
    run.record(entry)
}
