//! `runtime bench table3`: SecFormer's Table 3 on this machine, for masked wires and for the published engine with the
//! functions that it is compared with: costs by operation.

mod print;
mod published;
mod results;
mod run;

use std::io::Write;

use anyhow::Result;
use bundle::Embedding;
use cli::coded;
use cli::exit::USAGE;
use local::cores;
use local::deployment::{Deployment, INSECURE_LOCAL};
use local::settings::LocalSettings;
use model::{Functions, InputKind};
use mpc::beaver::Options as Published;
use published::{AsPublished, stretched};
use results::{Length, Results};
use roles::engine::EngineKind;
use run::Setup;

use crate::design::Design;
use crate::options::{Job, Table3};
use crate::weights;
use crate::work::Work;

/// Layers that stand for all in a check of shapes.
const SHAPE_CHECK: u32 = 2;

/// What is run on each length: the last two with functions that 2Quad students were not taught, for their cost.
fn engines() -> [EngineKind; 4] {
    let [secformer, mpcformer, exact] =
        [Functions::SecFormer, Functions::MpcFormer, Functions::Exact].map(|f| EngineKind::Beaver(Published::of(f)));
    [EngineKind::Masked, secformer, mpcformer, exact]
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
    let works =
        options.tokens.iter().map(|tokens| Work::of(&job(*tokens), Design::default())).collect::<Result<Vec<_>>>()?;
    let Some(first) = works.first() else { return Err(coded(USAGE, "--tokens names no length; give one or more")) };
    if !(options.quiet && options.json) {
        cli::log(&format!("note: {INSECURE_LOCAL}"));
    }
    let embedding = Embedding::from(options.embedding);
    let bundle = weights::bundle(first, &options.model.name(), embedding, options.memory, options.quiet)?;
    let spec = Deployment::check(&bundle)?.spec;
    let kind: InputKind = embedding.input_kind();
    let settings = LocalSettings { link: options.link, cores: cores::two(), ..options.settings() };
    let run_layers = spec.shape.layers;
    let layers = if options.shape_check { options.model.layers() } else { run_layers };
    let count = works.len() * engines().len() * (1 + options.repeat as usize);
    let bar = cli::bar(options.quiet, "classifying", count as u64);
    let mut lengths = Vec::new();
    for (work, tokens) in works.iter().zip(&options.tokens) {
        let setup = Setup {
            work,
            bundle: &bundle,
            spec: &spec,
            kind,
            settings: settings.clone(),
            repeat: options.repeat,
            layers,
        };
        let mut runs = Vec::new();
        for engine in engines() {
            bar.set_message(format!("{tokens} tokens, {}, {}", engine.name(), engine.functions()));
            runs.push(setup.run(engine, &bar)?);
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
