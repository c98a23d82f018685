//! Whether texts restart as often as planned: many private runs, their restarts, and how likely so many are.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bundle::{ClientBundle, Role, WriteOptions};
use clap::Parser;
use convert::{Student, Who};
use datasets::Tokenizer;
use indicatif::ProgressBar;
use local::deployment::{Deployment, this_program};
use model::{Sample, Texts};
use mpc::Planned;
use mpc::masked::Plan;
use runtime::shipped::SHIPPED;
use serde_json::json;

/// Runs texts privately on this machine, counts restarts, and compares them with the plan; prints one JSON object.
///
/// Every attempt restarts with the planned probability p, whatever the text. Until N texts are done,
/// N p / (1 - p) restarts are expected, with a standard deviation of sqrt(N p) / (1 - p); z is how
/// many of those the count is off. A z from -3 to 3 is as planned.
///
/// Example:
///   cargo build --release -p runtime
///   cargo run --release -p runtime --example restarts -- --tokens 512 --runs 500
#[derive(Parser)]
#[command(name = "restarts", verbatim_doc_comment)]
struct Options {
    /// Tokens of each text.
    #[arg(long, value_name = "T", default_value_t = 128)]
    tokens: usize,
    /// Texts.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// A bundle that `convert` made; without it the shipped student is converted into a temporary folder.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Who embeds, where the shipped student is converted.
    #[arg(long, value_enum, default_value_t, conflicts_with = "bundle")]
    embedding: Who,
    /// The program that plays the roles; without it, `runtime` of the same build.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Longest wait for another role, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400))]
    deadline: u64,
}

fn main() {
    if let Err(error) = run(Options::parse()) {
        cli::log(&format!("error: {error:#}"));
        std::process::exit(1);
    }
}

fn run(options: Options) -> Result<()> {
    let program = match options.program {
        Some(program) => program,
        None => beside_examples()?,
    };
    ensure!(
        program.is_file(),
        "{} is not there; build it with the same profile first, or give --program",
        program.display()
    );
    let temporary = tempfile::tempdir().context("making a temporary folder")?;
    let bundle = match options.bundle {
        Some(bundle) => bundle,
        None => convert_shipped(options.embedding, &temporary.path().join("bundle"))?,
    };
    let client = ClientBundle::open(&Role::Client.folder(&bundle))?;
    let texts = Texts::new(&[options.tokens], &client.spec.shape)?;
    let calibrated = client.spec.calibrated(client.embedding.input_kind());
    let planned = Plan::new(&calibrated, &[texts])?.cost().restart_probability;
    let words = words(&Tokenizer::read(&client.tokenizer_path, client.spec.shape.positions)?)?;
    let mut deployment = Deployment::start(&program, &bundle, Duration::from_secs(options.deadline))?;

    let bar = ProgressBar::new(options.runs.into());
    let begin = Instant::now();
    let mut restarts = 0;
    for run in 0..options.runs {
        restarts += deployment.classify(&[sample(&words, options.tokens, run as usize)])?.measured.restarts;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let seconds = begin.elapsed().as_secs_f64();
    deployment.finish()?;

    // restarts before the last of N successes: negatively binomial
    let runs = f64::from(options.runs);
    let expected = runs * planned / (1.0 - planned);
    let deviation = (runs * planned).sqrt() / (1.0 - planned);
    let object = json!({
        "tokens": options.tokens,
        "runs": options.runs,
        "restarts": restarts,
        "planned_probability": planned,
        "expected": expected,
        "standard_deviation": deviation,
        "z": (f64::from(restarts) - expected) / deviation,
        "seconds": seconds,
        "note": "a z from -3 to 3 is as planned; it says little where fewer than about ten restarts are expected",
    });
    writeln!(stdout(), "{}", serde_json::to_string_pretty(&object)?)?;
    Ok(())
}

/// `target/PROFILE/runtime`, seen from `target/PROFILE/examples/restarts`.
fn beside_examples() -> Result<PathBuf> {
    let own = this_program()?;
    let profile = own.parent().and_then(Path::parent).context("this program lies in no folder of cargo's")?;
    Ok(profile.join("runtime").with_extension(std::env::consts::EXE_EXTENSION))
}

fn convert_shipped(embedding: Who, folder: &Path) -> Result<PathBuf> {
    let student = Student::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(SHIPPED))?;
    let converted = convert::convert(&student, &student.stored_ranges()?)?;
    let options = WriteOptions { overwrite: false, progress: None };
    convert::write_bundle(&student, &converted, embedding.into(), folder, options)?;
    Ok(folder.to_path_buf())
}

/// Plain sentences as tokens, the marks at both ends included.
fn words(tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let sentences = include_str!("../tests/it/sentences.txt").replace('\t', " ");
    let ids = tokenizer.encode(&sentences, None)?.ids;
    ensure!(ids.len() > 2, "the bundle's tokenizer finds no words in a plain sentence");
    Ok(ids)
}

/// A text of so many tokens; each run begins elsewhere in the sentences.
fn sample(words: &[u32], tokens: usize, run: usize) -> Sample {
    let (first, last) = (words[0], words[words.len() - 1]);
    let inner = &words[1..words.len() - 1];
    let mut ids = vec![first];
    ids.extend(inner.iter().cycle().skip(run * 13 % inner.len()).take(tokens.saturating_sub(2)));
    ids.extend((tokens > 1).then_some(last));
    Sample { segments: vec![0; ids.len()], ids }
}
