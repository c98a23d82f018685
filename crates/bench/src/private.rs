//! `runtime bench model`: a private run of a known shape, beside its prediction and the same network in floating point.

use std::io::Write;

use anyhow::Result;
use bundle::Embedding;
use local::cores;
use local::deployment::{Deployment, INSECURE_LOCAL};
use local::network::LinkSpeed;
use local::report::{say_engine, security};
use local::settings::LocalSettings;
use model::Lengths;
use roles::engine::EngineKind;
use roles::memory::{Needs, hold};
use roles::schedule::Schedule;
use serde_json::{Map, Value, json};

use crate::measure::{Costs, measure};
use crate::options::Model;
use crate::work::Work;
use crate::{plain, weights};

/// Most requests without a link's delays, where those with them are what is asked for.
const MOST_UNDELAYED: u32 = 3;

/// All that is printed.
struct Results<'a> {
    options: &'a Model,
    work: &'a Work,
    needs: Needs,
    costs: Costs,
    plain_seconds: f64,
    predicted_seconds: f64,
    pinned: bool,
    engine: EngineKind,
}

/// Measures and prints.
pub(crate) fn run(options: &Model, out: &mut dyn Write) -> Result<()> {
    let job = &options.job;
    let settings = LocalSettings { link: options.link, cores: cores::two(), ..options.running.settings()? };
    let work = Work::of(job, options.design)?;
    if !(job.quiet && job.json) {
        cli::log(&format!("note: {INSECURE_LOCAL}"));
    }
    let (embedding, memory) = (Embedding::from(options.embedding), options.running.memory);
    let bundle = weights::bundle(&work, &job.model.name(), embedding, memory, job.quiet)?;
    let spec = Deployment::check(&bundle)?.spec;
    let (calibrated, engine) = (spec.calibrated(embedding.input_kind()), settings.roles.engine);
    let plan = engine.plan(&calibrated, &work.texts)?;
    let hold = hold(&calibrated.network, engine, memory);
    let needs = Needs::of(&calibrated, &work.texts, &*plan, engine, settings.roles.schedule, hold)?;
    needs.check(memory)?;

    let shape = options.link.shape();
    let undelayed = shape.map_or(0, |_| 1 + job.repeat.min(MOST_UNDELAYED));
    let bar = cli::bar(job.quiet, "classifying", u64::from(undelayed + 1 + job.repeat));
    let predicted = match shape {
        Some(shape) => {
            let settings = LocalSettings { link: LinkSpeed::default(), ..settings.clone() };
            let compute = measure(&work, &bundle, &settings, undelayed - 1, &bar)?.online_seconds;
            Some(plan.seconds(shape.latency.as_secs_f64(), shape.bandwidth, compute))
        }
        None => None,
    };
    let costs = measure(&work, &bundle, &settings, job.repeat, &bar)?;
    bar.set_message("in floating point");
    let plain_seconds = plain::measure(job, options.running.threads.max(1), settings.cores.map(|cores| cores[0]))?;
    bar.finish_and_clear();
    // without delays there is nothing but the work that was measured
    let predicted_seconds = predicted.unwrap_or(costs.online_seconds);
    let pinned = settings.cores.is_some();
    let engine = settings.roles.engine;
    let results = Results { options, work: &work, needs, costs, plain_seconds, predicted_seconds, pinned, engine };
    match job.json {
        true => Ok(writeln!(out, "{}", serde_json::to_string_pretty(&results.object())?)?),
        false => Ok(results.write_table(out)?),
    }
}

impl Results<'_> {
    fn object(&self) -> Value {
        let Results { options, work, costs, .. } = self;
        let peaks = costs.peaks.iter().map(|(role, bytes)| (role.name().to_string(), json!(bytes)));
        let planned = costs.peaks.iter().map(|(role, _)| (role.name().to_string(), json!(self.needs.role(*role))));
        let mut object = json!({
            "model": options.job.model.name(),
            "design": options.design.name(),
            "layers_run": work.shape.layers,
            "tokens": options.job.tokens,
            "batch": options.job.batch,
            "embedding": Embedding::from(options.embedding),
            "schedule": options.running.schedule.to_string(),
            "threads": options.running.threads,
            "one_core_a_party": self.pinned,
            "link": options.link.to_string(),
            "shaped": options.link.describe(),
            "repeats": options.job.repeat,
            "online_seconds": costs.online_seconds,
            "offline_seconds": costs.offline_seconds,
            "online_seconds_range": costs.online_range,
            "offline_seconds_range": costs.offline_range,
            "plain_seconds": self.plain_seconds,
            "predicted_seconds": self.predicted_seconds,
            "online_bytes_each_way": costs.online_bytes_each_way,
            "offline_bytes": costs.offline_bytes,
            "rounds": costs.rounds,
            "restarts": costs.restarts,
            "peak_rss_bytes": peaks.collect::<Map<_, _>>(),
            "planned_memory_bytes": planned.collect::<Map<_, _>>(),
            "layers": costs.layers,
            "security": security(self.engine, Lengths::Exact),
        });
        say_engine(&mut object, self.engine);
        object
    }

    fn write_table(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let Results { options, work, costs, .. } = self;
        let job = &options.job;
        let mega = |bytes: u64| bytes as f64 / 1e6;
        writeln!(
            out,
            "{}, {} design, {} layers, {} x {} tokens, {} embedding, correlations {}; {}",
            job.model.name(),
            options.design.name(),
            work.shape.layers,
            job.batch,
            job.tokens,
            Embedding::from(options.embedding),
            options.running.schedule,
            options.link.describe()
        )?;
        writeln!(out, "medians of {} requests, {} restarts", job.repeat, costs.restarts)?;
        let seconds = |median: f64, [least, most]: [f64; 2]| format!("{median:>11.4} s ({least:.4} to {most:.4})");
        match options.running.schedule {
            Schedule::Ahead => {
                writeln!(out, "  offline          {}", seconds(costs.offline_seconds, costs.offline_range))?
            }
            Schedule::Stream => writeln!(out, "  offline          while online")?,
        }
        writeln!(out, "  online           {}", seconds(costs.online_seconds, costs.online_range))?;
        if options.link.shape().is_some() {
            writeln!(out, "  predicted        {:>11.4} s online: measured work, planned link", self.predicted_seconds)?;
        }
        writeln!(out, "  in the clear     {:>11.4} s in 32-bit floating point", self.plain_seconds)?;
        writeln!(
            out,
            "  between parties  {:>11.1} MB each way, {} rounds",
            mega(costs.online_bytes_each_way),
            costs.rounds
        )?;
        writeln!(out, "  from the dealer  {:>11.1} MB", mega(costs.offline_bytes))?;
        for (role, bytes) in &costs.peaks {
            match bytes {
                Some(bytes) => writeln!(out, "  {:<16} {:>11.1} MB at most", role.name(), mega(*bytes))?,
                None => writeln!(out, "  {:<16}     unknown at most", role.name())?,
            }
        }
        if !costs.layers.is_empty() {
            writeln!(out, "    layer  compute s     wait s         MB  rounds")?;
        }
        for layer in &costs.layers {
            let (number, bytes) = (&layer.layer, mega(layer.bytes));
            let (compute, wait) = (layer.compute_seconds, layer.wait_seconds);
            writeln!(out, "{number:>9} {compute:>10.4} {wait:>10.4} {bytes:>10.2} {:>7}", layer.rounds)?;
        }
        Ok(())
    }
}
