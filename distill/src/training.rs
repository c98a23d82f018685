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
use serde_json::json;

use crate::adamw::{AdamW, Settings};
use crate::bert::{Bert, Packed};
use crate::checkpoint;
use crate::judge::{extend, judge, results};
use crate::ops::DropoutKey;
use crate::parallel::{Share, World, digest, exchange};
use crate::pipeline::Data;
use crate::progress::Progress;
use crate::schedule::Schedule;
use crate::state::{Best, Stage, State};
use crate::weights::Weights;

/// The best weights of a stage, in the output folder.
const BEST: &str = "best.safetensors";

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
    /// Whether the texts are other ones than the chosen, which the teacher has not answered yet.
    pub changed: bool,
}

/// A stage's numbers.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which stage.
    pub stage: Stage,
    /// How the training set is cut.
    pub batches: Batches,
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
    /// Steps between two evaluations.
    pub evaluate_every: u64,
    /// Steps between two lines of log.
    pub log_every: u64,
    /// Steps between two checkpoints.
    pub save_every: u64,
    /// Neither a bar nor a log on standard error.
    pub quiet: bool,
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
    }
    if world.size() > 1 {
        world.agree("the weights", digest::of_weights(weights)?)?;
    }
    let model = Bert::new(config, weights)?;
    let judged = Bert::new(config, &weights.detached())?;
    let per_epoch = plan.batches.count(data.train.len()) as u64;
    let mut order: Option<(u64, Vec<Vec<usize>>)> = None;
    let progress = Progress::new(plan.stage.name(), steps, run.state.stage_step, plan.quiet);
    let mut clock = (Instant::now(), run.state.stage_step);
    while run.state.stage_step < steps {
        let step = run.state.stage_step;
        let (epoch, place) = (step / per_epoch, (step % per_epoch) as usize);
        if order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            // Each stage has epochs of its own, so that no two see the same order.
            order = Some((epoch, plan.batches.epoch(epoch + 1000 * plan.stage as u64, data.train.lengths())));
        }
        let (_, batches) = order.as_ref().context("an epoch without batches")?;
        let share = world.share(&batches[place], data.train.lengths());
        let chosen = share.texts;
        // Every process drops others of its numbers.
        let draw = run.state.global_step * world.size() as u64 + world.rank() as u64;
        let key = DropoutKey { seed: plan.batches.seed, step: draw };
        let (heads, changed) = (config.num_attention_heads, plan.augment > 0.0);
        let batch = match changed {
            true => data.train.pack_changed(chosen, heads, model.device(), plan.augment, key)?,
            false => data.train.pack(chosen, heads, model.device())?,
        };
        let loss = lesson(&model, &Turn { chosen, share: &share, batch: &batch, key, changed })?;
        let rate = plan.schedule.rate(step);
        let mut gradients = loss.total.backward()?;
        let mut sums = vec![scalar(&loss.total)?];
        for (_, part) in &loss.parts {
            sums.push(scalar(part)?);
        }
        // Whichever process is asked to stop, all hear of it in the same step.
        sums.push(f64::from(u8::from(STOP.load(Ordering::Relaxed))));
        exchange(&world, weights, &mut gradients, &mut sums)?;
        let norm = optimiser.step(weights, &gradients, rate)?;
        let asked = sums.pop().is_some_and(|processes| processes > 0.0);
        let names = ["loss"].into_iter().chain(loss.parts.iter().map(|(name, _)| *name));
        let mut numbers: Vec<(&str, f64)> = names.zip(sums).collect();
        numbers.push(("grad_norm", norm));
        run.state.note(&numbers);
        run.state.stage_step += 1;
        run.state.global_step += 1;
        progress.advance(numbers[0].1);
        let done = run.state.stage_step;
        if done.is_multiple_of(plan.log_every) || done == steps {
            log(run, plan, rate, done as f64 / per_epoch as f64, &mut clock, &progress);
        }
        if done.is_multiple_of(plan.evaluate_every) || done == steps {
            evaluate(run, plan, &judged, weights, data, &progress)?;
        }
        let stop = asked || (world.size() == 1 && STOP.load(Ordering::Relaxed));
        if world.leads() && (done.is_multiple_of(plan.save_every) || done == steps || stop) {
            checkpoint::write(&run.out, &run.state, weights, &mut optimiser)?;
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
    if plan.keep_best && run.state.best.is_some() {
        let lent = world.lend(&run.out, &[BEST])?;
        weights.assign(&Weights::read_file(&lent.folder().join(BEST), config)?)?;
    }
    Ok(())
}

fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(f64::from(tensor.to_scalar::<f32>()?))
}

fn log(run: &mut Run, plan: &Plan, rate: f64, epoch: f64, clock: &mut (Instant, u64), progress: &Progress) {
    let done = run.state.stage_step;
    let seconds = clock.0.elapsed().as_secs_f64() / done.saturating_sub(clock.1).max(1) as f64;
    *clock = (Instant::now(), done);
    let means = run.state.take_means();
    let mut text: Vec<String> = means.iter().map(|(name, mean)| format!("{name} {mean:.4}")).collect();
    text.push(format!("rate {rate:.2e}, {seconds:.3} s a step"));
    progress.say(&format!("{} {done}/{}: {}", plan.stage.name(), plan.schedule.steps, text.join(", ")));
    let mut entry =
        json!({"stage": plan.stage.name(), "step": run.state.global_step, "epoch": epoch, "learning_rate": rate});
    extend(&mut entry, means.into_iter().map(|(name, mean)| (name, mean.into())));
    run.state.log_history.push(entry);
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
    let metrics = match run.world.leads() {
        true => Some(judge(judged, &data.dev, &data.question, &|texts| {
            done.set(done.get() + texts);
            progress.judging(done.get(), data.dev.len());
            run.world.alive();
        })?),
        false => None,
    };
    let metric = metrics.as_ref().map_or(0, |metrics| metrics.main().to_bits());
    let metric = f64::from_bits(run.world.broadcast_u64(metric)?);
    let better = run.state.best.is_none_or(|best| metric > best.metric);
    if better {
        if plan.keep_best && run.world.leads() {
            weights.write(&run.out.join(BEST), false)?;
        }
        run.state.best = Some(Best { metric, step: run.state.stage_step });
    }
    let Some(metrics) = metrics else { return Ok(()) };
    let mark = if better { ", the best so far" } else { "" };
    let name = plan.stage.name();
    let (step, words, texts) = (run.state.stage_step, metrics.words(), metrics.samples);
    progress.say(&format!("{name} {step}: {words} on {texts} texts{mark}"));
    let mut entry = json!({"stage": name, "step": run.state.global_step});
    extend(&mut entry, results("eval_", &metrics));
    run.state.log_history.push(entry);
    Ok(())
}
