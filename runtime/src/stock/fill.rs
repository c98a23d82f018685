//! `runtime stock fill`: makes packs of correlations on this machine, for `infer --stock` and `evaluate --stock`.

use std::fs::DirBuilder;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use local::deployment::{Deployment, INSECURE_LOCAL, this_program};
use local::settings::LocalSettings;
use roles::stocked::Fill as Packs;
use serde_json::json;

use crate::options::Here;
use crate::shipped::choose;

/// `runtime stock fill`.
#[derive(Args)]
pub struct Fill {
    /// The stocks of both parties on this machine, made where they are missing.
    #[arg(long, value_name = "DIR")]
    pub stock: PathBuf,
    /// Packs to make: TOKENSxCOUNT, such as 32x10 for ten texts that are padded to 32 tokens; may be given several times.
    #[arg(long, value_name = "TOKENSxCOUNT", required = true, value_parser = packs)]
    pub packs: Vec<Packs>,
    /// Which model.
    #[command(flatten)]
    pub here: Here,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// No notes.
    #[arg(short, long)]
    pub quiet: bool,
}

fn packs(given: &str) -> Result<Packs, String> {
    let expected = "TOKENSxCOUNT, such as 32x10: at most 65536 packs";
    let (tokens, count) = given.split_once('x').ok_or(expected)?;
    match (tokens.parse(), count.parse()) {
        (Ok(tokens), Ok(count @ 1..=65_536)) => Ok(Packs { tokens, count }),
        _ => Err(expected.into()),
    }
}

/// Makes the packs, and says how long it took.
pub(super) fn run(options: &Fill, out: &mut dyn Write) -> Result<()> {
    let Fill { stock: folder, packs, here, json, quiet } = options;
    let settings = here.running.settings()?;
    let chosen = choose(here, *quiet)?;
    if !quiet {
        cli::log(&format!("note: {INSECURE_LOCAL}"));
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).with_context(|| format!("making {}", folder.display()))?;
    let settings = LocalSettings { stock: Some(folder.clone()), quiet: *quiet, ..settings };
    let begin = Instant::now();
    Deployment::fill(&this_program()?, &chosen.bundle, &settings, packs.clone())?;
    let (made, seconds) = (packs.iter().map(|packs| packs.count).sum::<u64>(), begin.elapsed().as_secs_f64());
    match json {
        true => writeln!(out, "{}", json!({ "made": made, "seconds": seconds }))?,
        false => writeln!(out, "{made} packs are in stock ({seconds:.1} s)")?,
    }
    Ok(out.flush()?)
}
