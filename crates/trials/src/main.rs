//! `trials`: see `trials --help`.

use std::path::PathBuf;
use std::process::exit;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use local::network::LinkSpeed;
use trials::asking::lines;
use trials::chaos::Chaos;
use trials::load::{Load, Pairs, Stocked};
use trials::report;
use trials::shaped::Slow;

/// How much longer online may take over services than over roles on this machine.
const MOST_RATIO: f64 = 1.10;
/// By which part of the plan a request over a slow link may differ from it.
const WITHIN: f64 = 0.20;

/// Trials of services as processes of this machine: under faults, under load, over slow links.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Trial,
}

#[derive(Subcommand)]
enum Trial {
    /// Clients ask while services are killed and links cut, held up and damaged: every answer right, every failure named, in time.
    Chaos(ChaosOptions),
    /// Clients ask as fast as they can: memory, threads and descriptors of services stay as they are. Then one client, over
    /// services and over roles on this machine in turns. Then, with --stock, requests from stock against requests on demand.
    Load(LoadOptions),
    /// The link between the parties is slow: what a request takes online, held against the plan.
    Shaped(ShapedOptions),
}

/// What every trial is told.
#[derive(Args)]
struct Common {
    /// `runtime`, of a release build.
    #[arg(long, value_name = "PATH", default_value = "target/release/runtime")]
    program: PathBuf,
    /// A whole bundle: a folder with party0, party1, dealer and client.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Texts, one a line.
    #[arg(long, value_name = "FILE")]
    texts: PathBuf,
    /// Where the report goes.
    #[arg(long, value_name = "FILE")]
    report: PathBuf,
    /// Where the services' folders and logs are kept; a folder for the time of the trial without.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(Args)]
struct ChaosOptions {
    #[command(flatten)]
    common: Common,
    /// Answers after which it ends.
    #[arg(long, default_value_t = 300)]
    inferences: usize,
    /// Clients at once.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Kills, spread over all services.
    #[arg(long, default_value_t = 30)]
    kills: usize,
    /// Which moments and which faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How far the logits of two private runs may be apart.
    #[arg(long, default_value_t = 0.02)]
    tolerance: f64,
    /// Longest wait of a client, in seconds; services wait two thirds of it.
    #[arg(long, default_value_t = 30)]
    deadline: u64,
    /// The parties keep a stock of the classes of these texts: no pack is used twice, and in the end both have the same.
    #[arg(long)]
    stock: bool,
}

#[derive(Args)]
struct LoadOptions {
    #[command(flatten)]
    common: Common,
    /// Requests of all clients; 0 leaves this part out.
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// Clients at once.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Requests of a session.
    #[arg(long, default_value_t = 10)]
    per_session: usize,
    /// Pairs of runs, over services and over roles on this machine; 0 leaves this part out.
    #[arg(long, default_value_t = 9)]
    pairs: usize,
    /// Requests of such a run, of which the median counts.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Tokens of the text of such a run, and of requests from stock.
    #[arg(long, default_value_t = 128)]
    tokens: usize,
    /// Packs made ahead, half of them for one client and half for all clients at once; 0 leaves this part out.
    #[arg(long, value_name = "PACKS", default_value_t = 0)]
    stock: usize,
}

#[derive(Args)]
struct ShapedOptions {
    #[command(flatten)]
    common: Common,
    /// Links between the parties: latency one way, bandwidth in each direction.
    #[arg(long = "link", default_values = ["10ms,1000mbit", "40ms,100mbit"])]
    links: Vec<LinkSpeed>,
    /// Tokens of the text.
    #[arg(long, default_value_t = 128)]
    tokens: usize,
    /// Requests over each link, of which the median counts.
    #[arg(long, default_value_t = 5)]
    repeat: usize,
}

fn main() {
    let Options { command } = Options::parse();
    if let Err(error) = run(&command) {
        cli::log(&format!("error: {}", cli::describe(&error)));
        exit(roles::exit::code_of(&error));
    }
}

fn run(command: &Trial) -> Result<()> {
    match command {
        Trial::Chaos(options) => chaos(options),
        Trial::Load(options) => load(options),
        Trial::Shaped(options) => shaped(options),
    }
}

fn chaos(options: &ChaosOptions) -> Result<()> {
    let ChaosOptions { common, inferences, clients, kills, seed, tolerance, deadline, stock } = options;
    let root = Root::of(common)?;
    let chaos = Chaos {
        program: common.program.clone(),
        bundle: common.bundle.clone(),
        root: root.path(),
        texts: lines(&common.texts)?,
        inferences: *inferences,
        clients: *clients,
        kills: *kills,
        seed: *seed,
        tolerance: *tolerance,
        deadline: Duration::from_secs(*deadline),
        stock: *stock,
    };
    let outcome = chaos.run()?;
    report::write(&common.report, None, report::joined(report::origin(), outcome.report))?;
    kept(&outcome.violations)
}

fn load(options: &LoadOptions) -> Result<()> {
    let LoadOptions { common, requests, clients, per_session, pairs, repeat, tokens, stock } = options;
    let (root, texts) = (Root::of(common)?, lines(&common.texts)?);
    let (program, bundle) = (common.program.clone(), common.bundle.clone());
    let mut violations = Vec::new();
    if *requests > 0 {
        let (root, texts, program, bundle) = (root.path().join("load"), texts.clone(), program.clone(), bundle.clone());
        let (requests, clients, per_session) = (*requests, *clients, *per_session);
        let outcome = Load { program, bundle, root, texts, requests, clients, per_session }.run()?;
        report::write(&common.report, Some("load"), report::joined(report::origin(), outcome.report))?;
        violations.extend(outcome.violations);
    }
    if *pairs > 0 {
        let (root, program, bundle) = (root.path().join("pairs"), program.clone(), bundle.clone());
        let (texts, pairs, repeat, tokens) = (texts.clone(), *pairs, *repeat, *tokens);
        let outcome = Pairs { program, bundle, root, texts, tokens, pairs, repeat, most: MOST_RATIO }.run()?;
        report::write(&common.report, Some("beside_local"), report::joined(report::origin(), outcome.report))?;
        violations.extend(outcome.violations);
    }
    if *stock > 0 {
        let (root, tokens, packs, clients) = (root.path().join("stocked"), *tokens, *stock, *clients);
        let outcome = Stocked { program, bundle, root, texts, tokens, packs, clients }.run()?;
        report::write(&common.report, Some("stock"), report::joined(report::origin(), outcome.report))?;
        violations.extend(outcome.violations);
    }
    kept(&violations)
}

fn shaped(options: &ShapedOptions) -> Result<()> {
    let ShapedOptions { common, links, tokens, repeat } = options;
    let root = Root::of(common)?;
    let slow = Slow {
        program: common.program.clone(),
        bundle: common.bundle.clone(),
        root: root.path(),
        texts: lines(&common.texts)?,
        tokens: *tokens,
        links: links.clone(),
        repeat: *repeat,
        within: WITHIN,
    };
    let outcome = slow.run()?;
    report::write(&common.report, Some("slow_links"), report::joined(report::origin(), outcome.report))?;
    kept(&outcome.violations)
}

/// The end of a trial: an error where a promise was not kept.
fn kept(violations: &[String]) -> Result<()> {
    ensure!(violations.is_empty(), "{} violations; the report lists them", violations.len());
    Ok(())
}

/// Where services have their folders.
enum Root {
    Kept(PathBuf),
    Passing(tempfile::TempDir),
}

impl Root {
    fn of(common: &Common) -> Result<Root> {
        match &common.keep {
            Some(folder) => Ok(Root::Kept(folder.clone())),
            None => Ok(Root::Passing(tempfile::tempdir()?)),
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Root::Kept(folder) => folder.clone(),
            Root::Passing(folder) => folder.path().to_path_buf(),
        }
    }
}
