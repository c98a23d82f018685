//! `runtime bench table3`: SecFormer's Table 3 on this machine, for masked wires and for the published engine with the
//! functions that it is compared with: costs by operation.

mod print;
mod published;
mod run;

use std::io::Write;

use anyhow::Result;
use bundle::Embedding;
use cli::coded;
use cli::exit::USAGE;
use model::{Functions, InputKind};
use mpc::beaver::Options as Published;
use serde_json::{Value, json};

use super::options::{Job, Table3};
use super::shapes::Work;
use super::weights;
use crate::cores;
use crate::deployment::{Deployment, INSECURE_LOCAL};
use crate::engine::Engine;
use crate::settings::Settings;
use published::{AsPublished, stretched};
use run::{Place, Run};

/// Layers that stand for all in a check of shapes.
const SHAPE_CHECK: u32 = 2;

/// What is run on each length: the last two with functions that 2Quad students were not taught, for their cost.
fn engines() -> [Engine; 4] {
    let [secformer, mpcformer, exact] =
        [Functions::SecFormer, Functions::MpcFormer, Functions::Exact].map(|f| Engine::Beaver(Published::of(f)));
    [Engine::Masked, secformer, mpcformer, exact]
}

/// All runs on texts of one length.
struct Length {
    tokens: u32,
    /// As [`engines`] has them.
    runs: Vec<Run>,
    as_published: AsPublished,
}

/// All that is printed.
struct Results<'a> {
    options: &'a Table3,
    /// Layers that ran, and layers that costs are given for.
    layers: [usize; 2],
    pinned: bool,
    lengths: Vec<Length>,
}

/// Measures and prints.
pub(super) fn run(options: &Table3, out: &mut dyn Write) -> Result<()> {
    let layers = match (options.layers, options.shape_check) {
        (None, true) => Some(SHAPE_CHECK.min(options.model.layers() as u32)),
        (Some(1), true) => {
            let message =
                "--shape-check takes two layers at least: the last one is not like the others; give --layers 2 or more";
            return Err(coded(USAGE, message));
        }
        (layers, _) => layers,
    };
    let job = |tokens| Job {
        model: options.model,
        tokens,
        batch: 1,
        layers,
        repeat: options.repeat,
        json: options.json,
        quiet: options.quiet,
    };
    let works = options.tokens.iter().map(|tokens| Work::of(&job(*tokens))).collect::<Result<Vec<_>>>()?;
    let Some(first) = works.first() else { return Err(coded(USAGE, "--tokens names no length; give one or more")) };
    if !(options.quiet && options.json) {
        crate::log(&format!("note: {INSECURE_LOCAL}"));
    }
    let embedding = Embedding::from(options.embedding);
    let bundle = weights::bundle(first, &options.model.name(), embedding, options.memory, options.quiet)?;
    let spec = Deployment::check(&bundle)?.spec;
    let kind: InputKind = embedding.input_kind();
    let settings = Settings { link: options.link, cores: cores::two(), ..options.settings() };
    let run_layers = spec.shape.layers;
    let layers = if options.shape_check { options.model.layers() } else { run_layers };
    let count = works.len() * engines().len() * (1 + options.repeat as usize);
    let bar = cli::bar(options.quiet, "classifying", count as u64);
    let mut lengths = Vec::new();
    for (work, tokens) in works.iter().zip(&options.tokens) {
        let place = Place { work, bundle: &bundle, spec: &spec, kind, settings, repeat: options.repeat, layers };
        let mut runs = Vec::new();
        for engine in engines() {
            bar.set_message(format!("{tokens} tokens, {}, {}", engine.name(), engine.functions()));
            runs.push(place.run(engine, &bar)?);
        }
        let all = stretched(&spec, options.model.layers());
        let as_published = AsPublished::of(&options.model.name(), &all, &work.texts)?;
        lengths.push(Length { tokens: *tokens, runs, as_published });
    }
    bar.finish_and_clear();
    let results = Results { options, layers: [run_layers, layers], pinned: settings.cores.is_some(), lengths };
    match options.json {
        true => Ok(writeln!(out, "{}", serde_json::to_string_pretty(&results.object())?)?),
        false => Ok(results.write(out)?),
    }
}

/// What the published engine takes of each for what masked wires take: seconds online, bytes between the parties, rounds,
/// bytes from the dealer.
fn ratios(runs: &[Run]) -> Option<[(&'static str, f64); 4]> {
    let [masked, secformer, ..] = runs else { return None };
    let (masked, secformer) = (masked.total(), secformer.total());
    let of = |secformer: u64, masked: u64| secformer as f64 / masked as f64;
    Some([
        ("seconds", secformer.seconds / masked.seconds),
        ("online_bytes", of(secformer.online_bytes, masked.online_bytes)),
        ("rounds", of(secformer.rounds, masked.rounds)),
        ("dealt_bytes", of(secformer.dealt_bytes, masked.dealt_bytes)),
    ])
}

impl Results<'_> {
    fn object(&self) -> Value {
        let Results { options, layers: [run, all], pinned, lengths } = self;
        let length = |length: &Length| {
            let ratios: Option<serde_json::Map<_, _>> = ratios(&length.runs)
                .map(|all| all.map(|(name, ratio)| (name.to_string(), json!(ratio))).into_iter().collect());
            json!({
                "tokens": length.tokens,
                "runs": length.runs.iter().map(Run::object).collect::<Vec<_>>(),
                "as_published": length.as_published.object(),
                "secformer_over_masked": ratios,
            })
        };
        json!({
            "model": options.model.name(),
            "layers_run": run,
            "layers": all,
            "extrapolated": all > run,
            "embedding": Embedding::from(options.embedding),
            "threads": options.threads,
            "one_core_a_party": pinned,
            "link": options.link.to_string(),
            "shaped": options.link.describe(),
            "repeats": options.repeat,
            "lengths": lengths.iter().map(length).collect::<Vec<_>>(),
        })
    }
}
