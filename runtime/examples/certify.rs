//! Whether private answers are right or refused: texts of all kinds, run privately over processes and in floating point.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use convert::Student;
use datasets::Length;
use local::deployment::{Deployment, this_program};
use model::{Sample, Texts};
use serde::Deserialize;
use serde_json::json;

/// Runs texts privately on this machine and writes one JSON line a text: kind, tokens, certified, the certificate (total), and the
/// logits in floating point and in private. scripts/odd_texts.py makes texts, scripts/odd_texts_summary.py judges the lines.
///
/// Lines that the output has already are not made again, so a run that was broken off goes on.
///
/// Example:
///   convert models/sst2-minilm-l4-2quad -o /tmp/bundle
///   cargo build --release -p runtime
///   cargo run --release -p runtime --example certify -- --student models/sst2-minilm-l4-2quad --bundle /tmp/bundle \
///     --texts texts.jsonl -o answers.jsonl
#[derive(Parser)]
#[command(name = "certify", verbatim_doc_comment)]
struct Options {
    /// The student's folder, for floating point.
    #[arg(long, value_name = "DIR")]
    student: PathBuf,
    /// The bundle that was made of it.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// JSON lines with `kind`, `text` and, for pairs, `text_pair`.
    #[arg(long, value_name = "FILE")]
    texts: PathBuf,
    /// Where answers go, a line each.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Most tokens of texts that share their rounds.
    #[arg(long, value_name = "N", default_value_t = 256)]
    batch_tokens: usize,
    /// Longest wait for another role, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86400))]
    deadline: u64,
}

#[derive(Deserialize)]
struct Line {
    kind: String,
    text: String,
    text_pair: Option<String>,
}

fn main() {
    if let Err(error) = run(&Options::parse()) {
        cli::log(&format!("error: {error:#}"));
        std::process::exit(1);
    }
}

fn run(options: &Options) -> Result<()> {
    let student = Student::read(&options.student)?;
    let lines = File::open(&options.texts).with_context(|| options.texts.display().to_string())?;
    let lines = BufReader::new(lines).lines().map(|line| Ok(serde_json::from_str(&line?)?));
    let lines: Vec<Line> = lines.collect::<Result<_>>()?;
    let texts = lines.iter().map(|line| (line.text.as_str(), line.text_pair.as_deref()));
    let samples = convert::encode(&student.tokenizer, student.shape(), texts, Length::default())?.samples;
    let done = match File::open(&options.output) {
        Ok(file) => BufReader::new(file).lines().count(),
        Err(_) => 0,
    };
    ensure!(done <= lines.len(), "{} has more lines than there are texts", options.output.display());
    let mut output = BufWriter::new(OpenOptions::new().append(true).create(true).open(&options.output)?);
    let own = this_program()?;
    let profile = own.parent().and_then(Path::parent).context("this program lies in no folder of cargo's")?;
    let program = profile.join("runtime").with_extension(std::env::consts::EXE_EXTENSION);
    let mut deployment = Deployment::start(&program, &options.bundle, Duration::from_secs(options.deadline))?;
    let spec = deployment.bundle()?.spec.clone();
    let bar = cli::bar(false, "answering", lines.len() as u64);
    bar.set_position(done as u64);
    let mut at = done;
    while at < lines.len() {
        let batch = batch(&samples[at..], options.batch_tokens);
        let answer = deployment.classify(batch)?;
        for (place, sample) in batch.iter().enumerate() {
            let length = Texts::new(&[sample.ids.len()], student.shape())?;
            let float = student.folded.logits(&length, &sample.ids, &sample.segments)?;
            let line = json!({
                "kind": lines[at + place].kind,
                "tokens": sample.ids.len(),
                "certified": answer.certified(&spec, place),
                "total": answer.certificates.get(place).map(|certificate| certificate.total),
                "float": float.iter().collect::<Vec<_>>(),
                "private": answer.logits[place],
            });
            writeln!(output, "{line}")?;
        }
        output.flush()?;
        at += batch.len();
        bar.set_position(at as u64);
    }
    bar.finish_and_clear();
    deployment.finish()
}

/// The first texts, as many as go together.
fn batch(samples: &[Sample], most_tokens: usize) -> &[Sample] {
    let mut tokens = 0;
    let fit = samples.iter().take_while(|sample| {
        tokens += sample.ids.len();
        tokens <= most_tokens
    });
    &samples[..fit.count().max(1)]
}
