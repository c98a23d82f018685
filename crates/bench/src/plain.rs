//! `runtime bench plain`: the same shapes in floating point.
//!
//! candle reads its number of threads from the environment, so the measuring is done by a process that is started with it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::OTHER;
use local::cores;
use local::deployment::this_program;
use local::parent::Parent;
use serde_json::{Value, json};

use crate::design::Design;
use crate::floating::Bert;
use crate::median::median;
use crate::options::{Job, Plain};
use crate::work::Work;

/// The key under which the seconds are printed.
const SECONDS: &str = "plain_seconds";

/// Measures and prints.
pub(crate) fn run(options: &Plain, out: &mut dyn Write) -> Result<()> {
    let job = &options.job;
    let work = Work::of(job, Design::default())?;
    let seconds = if options.here {
        // ends this process with the one that started it
        let _parent = Parent::watch()?;
        repeated(&work, job.repeat)?
    } else {
        let bar = cli::spinner(job.quiet, "in floating point");
        let core = cores::two().filter(|_| options.threads == 1).map(|cores| cores[0]);
        let seconds = measure(job, options.threads, core)?;
        bar.finish_and_clear();
        seconds
    };
    let (name, layers) = (job.model.name(), work.shape.layers);
    if job.json {
        let object = json!({
            "model": name, "layers_run": layers, "tokens": job.tokens, "batch": job.batch, "threads": options.threads,
            "repeats": job.repeat, SECONDS: seconds,
        });
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&object)?)?);
    }
    let Job { batch, tokens, .. } = job;
    Ok(writeln!(out, "{name}, {layers} layers, {batch} x {tokens} tokens, in the clear: {seconds:.4} s")?)
}

/// The median of the seconds that a batch takes, measured by a process of its own.
pub(crate) fn measure(job: &Job, threads: u32, core: Option<usize>) -> Result<f64> {
    let threads = threads.to_string();
    let mut command = Command::new(this_program()?);
    command.args(["bench", "plain", "--here", "--json", "--quiet", "--model", &job.model.name()]);
    for (flag, number) in [("--tokens", job.tokens), ("--batch", job.batch), ("--repeat", job.repeat)] {
        command.args([flag, &number.to_string()]);
    }
    if let Some(layers) = job.layers {
        command.args(["--layers", &layers.to_string()]);
    }
    if let Some(core) = core {
        command.args(["--core", &core.to_string()]);
    }
    command.args(["--threads", &threads]);
    command.env("RAYON_NUM_THREADS", &threads).env("CANDLE_NUM_THREADS", &threads);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting a measurement")?;
    // stays open until the child has ended
    let mut input = child.stdin.take().context("a child without standard input")?;
    // nobody reads it where the child has failed already, and then it says why
    let _ = writeln!(input);
    let done = child.wait_with_output().context("waiting for a measurement")?;
    if !done.status.success() {
        let code = done.status.code().unwrap_or(OTHER);
        return Err(coded(code, format!("the measurement in floating point ended early ({})", done.status)));
    }
    let object: Value = serde_json::from_slice(&done.stdout).context("reading a measurement")?;
    object[SECONDS].as_f64().context("a measurement without seconds")
}

/// The median of the seconds that a batch takes in this process.
fn repeated(work: &Work, repeat: u32) -> Result<f64> {
    let bert = Bert::random(&work.config)?;
    let mut seconds = Vec::new();
    for seed in 0..=u64::from(repeat) {
        let batch = work.batch(seed);
        let begin = Instant::now();
        bert.logits(&batch)?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    // the first warmed up
    Ok(median(seconds.split_off(1)))
}
