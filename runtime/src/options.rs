//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
#[cfg(feature = "bench")]
use bench::options::Bench;
use bundle::{Role, check_alone};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use cli::coded;
use cli::exit::{BAD_INPUT, USAGE};
use convert::Who;
use datasets::{DataFlags, Length};
use local::flags::{Running, after};
use local::network::LinkSpeed;
use model::Lengths;
use roles::engine::EngineKind;

use crate::services::doctor::Doctor;
use crate::services::flags::{CONFIGURED, ConfigFlags};
use crate::services::keys::Keys;
use crate::stock::{EXAMPLES as STOCK, Stock};

const PROGRAM: &str = "Examples:
  runtime infer --text \"a gorgeous, witty, seductive movie\"
  runtime infer --bundle outputs/bundle --file texts.txt --json
  runtime infer --config client.toml --file texts.txt
  runtime evaluate --model outputs/student --task sst2 --data-dir glue
";
const INFER: &str = "Examples:
  runtime infer --text \"a gorgeous, witty, seductive movie\" --text \"a dull and lifeless film\"
  runtime infer --bundle outputs/bundle --text \"A man plays.\" --text-pair \"Somebody makes music.\"
  runtime infer --model outputs/student --file texts.txt --batch 8 --json
  runtime infer --model minilm-sst2 --calibrate texts.txt --text \"a dull and lifeless film\"
  cut -f 1,2 pairs.tsv | runtime infer --model outputs/student --pairs --no-truncate
";
const EVALUATE: &str = "Examples:
  runtime evaluate --task sst2 --data-dir glue --max-samples 100
  runtime evaluate --bundle outputs/bundle --student outputs/student --task mrpc --data-dir glue --json
  runtime evaluate --model outputs/student --validation-file dev.csv --text-column review --label-column stars
";
const PARTY: &str = "Examples:
  runtime party --config party0.toml
  runtime party --config party0.toml --check-config
  runtime party --index 0 --bundle outputs/bundle/party0 --insecure-local
  runtime party --index 1 --bundle outputs/bundle/party1 --insecure-local --deadline 30
";
const DEALER: &str = "Examples:
  runtime dealer --config dealer.toml
  runtime dealer --bundle outputs/bundle/dealer --insecure-local
  runtime dealer --bundle outputs/bundle/dealer --insecure-local --deadline 30
";

const KEYS: &str = "Examples:
  runtime keys new keys/party0
  runtime keys show keys/party0
  runtime keys rotate keys/party0
  runtime keys rotate keys/party0 --activate
";
const DOCTOR: &str = "Examples:
  runtime doctor --config party0.toml
  runtime doctor --config client.toml --json
";
const CACHE: &str = "Examples:
  runtime cache list
  runtime cache prune --older-than 30 --dry-run
";

/// Classifies texts privately: two servers compute on shares, neither sees text, weights or answer.
///
/// Every flag may be spelt with `_` for `-`.
#[derive(Parser)]
#[command(name = "runtime", version, after_help = after(PROGRAM))]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Classify texts; starts both parties and the dealer on this machine and is the client.
    #[command(after_help = after(INFER))]
    Infer(Infer),
    /// Classify a labelled set and compare with floating point and with fixed point in clear.
    #[command(after_help = after(EVALUATE))]
    Evaluate(Evaluate),
    /// Measure this machine: models of any shape with random weights, the same in floating point, and the kernels.
    #[cfg(feature = "bench")]
    #[command(after_help = after(bench::options::EXAMPLES))]
    Bench(Bench),
    /// List or prune the bundles that were converted on first use.
    #[command(after_help = after(CACHE))]
    Cache(Cache),
    /// Make, show or replace the key by which other roles know this one.
    #[command(after_help = after(KEYS))]
    Keys(Keys),
    /// Say whether a role could do its work, and if not, the first thing that is in its way.
    #[command(after_help = after(DOCTOR))]
    Doctor(Doctor),
    /// Look at, check or throw away the correlations that a party made ahead.
    #[command(after_help = after(STOCK))]
    Stock(Stock),
    /// Be one of the two computing parties: a service with --config, or a child of `infer` and `evaluate`.
    ///
    /// With --config it serves any number of sessions until SIGTERM, and reads keys and pins again on SIGHUP. Without, it is
    /// for `infer` and `evaluate`, which start it themselves; by hand only to watch it. It says on standard output, in one
    /// line of JSON, that it is ready, waits for one line on standard input (token, session, addresses), serves one client,
    /// and ends when that input ends.
    #[command(after_help = after(PARTY))]
    Party(Party),
    /// Be the dealer of correlated randomness: a service with --config, or a child of `infer` and `evaluate`.
    ///
    /// With --config it deals to any number of sessions until SIGTERM, and reads keys and pins again on SIGHUP. Without, it is
    /// for `infer` and `evaluate`, which start it themselves; by hand only to watch it. It says on standard output, in one
    /// line of JSON, that it is ready, waits for one line on standard input (token, session, addresses), deals what both
    /// parties ask for, and ends when that input ends.
    #[command(after_help = after(DEALER))]
    Dealer(Dealer),
}

/// Which model to run on this machine, and how.
#[derive(Args)]
pub struct Here {
    /// A bundle that `convert` made.
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    pub bundle: Option<PathBuf>,
    /// A student that `distill` made, or with --calibrate any classifier that is read: its folder, or its name on the hub where
    /// this program was built with the feature `hub`. It is converted into your cache folder first. Without --bundle and
    /// --model the student that ships with this program is used.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Texts to fit the model to where it is converted, some hundreds like those to be classified: one a line, two with a tab
    /// between, or a table by its ending. A model whose attention is softmax needs them.
    #[arg(long, value_name = "FILE", conflicts_with = "bundle")]
    pub calibrate: Option<PathBuf>,
    /// Who embeds, where a model is converted: the parties with a private table, or the client with a table in clear.
    #[arg(long, value_enum, default_value_t, conflicts_with = "bundle")]
    pub embedding: Who,
    /// How the roles are run.
    #[command(flatten)]
    pub running: Running,
}

/// Which model to run.
#[derive(Args)]
pub struct ModelSource {
    /// Services of others to ask, in place of roles on this machine.
    #[command(flatten)]
    pub services: ConfigFlags,
    /// Roles on this machine.
    #[command(flatten)]
    pub here: Here,
    /// Run functions that the student was not taught for: its answers mean nothing, what they cost does.
    #[arg(long)]
    pub force: bool,
    /// Give answers that are not certified too: their values left the domains that the model was converted for, so logits may be
    /// wrong.
    #[arg(long)]
    pub uncertified: bool,
    /// Say how many tokens each text has, in place of padding it privately to 16, 32, 64, 128, 256 or 512: cheaper, and public
    /// to all roles. The engine beaver always does.
    #[arg(long)]
    pub exact_lengths: bool,
    /// Stocks of both parties, filled by `stock fill`: a text whose correlations are there waits for none. Without --config.
    #[arg(long, value_name = "DIR")]
    pub stock: Option<PathBuf>,
    /// Most texts that share their rounds; fewer where memory or restarts would grow too large.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub batch: u32,
    /// Print one JSON object in place of one list a text.
    #[arg(long)]
    pub json: bool,
    /// No progress.
    #[arg(short, long)]
    pub quiet: bool,
}

impl ModelSource {
    /// The stocks to take correlations from, which must be there.
    pub fn stock(&self) -> Result<Option<PathBuf>> {
        let Some(folder) = &self.stock else { return Ok(None) };
        if !folder.join(Role::Party0.name()).is_dir() {
            let folder = folder.display();
            return Err(coded(
                BAD_INPUT,
                format!("{folder} holds no stock; fill one: runtime stock fill --stock {folder}"),
            ));
        }
        Ok(Some(folder.clone()))
    }

    /// What of the lengths of texts is public: of published engines, which know no padding, all.
    pub fn lengths(&self, engine: EngineKind) -> Lengths {
        if self.exact_lengths || !engine.pads() { Lengths::Exact } else { Lengths::Padded }
    }
}

/// `runtime infer`.
#[derive(Args)]
pub struct Infer {
    /// Which model.
    #[command(flatten)]
    pub source: ModelSource,
    /// A text to classify; may be given several times.
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    pub text: Vec<String>,
    /// The second text of a pair; as many as there are --text, in the same order.
    #[arg(long, value_name = "TEXT", requires = "text")]
    pub text_pair: Vec<String>,
    /// A file with one text a line; without --text and --file, texts are read from standard input.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Each line of the file or of standard input holds two texts with a tab between.
    #[arg(long, conflicts_with = "text")]
    pub pairs: bool,
    /// What happens to long texts.
    #[command(flatten)]
    pub length: Length,
    /// Labels to print for each text, best first; numbers are printed all.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with = "json")]
    pub top_k: u32,
}

/// `runtime evaluate`.
#[derive(Args)]
pub struct Evaluate {
    /// Which model.
    #[command(flatten)]
    pub source: ModelSource,
    /// The student that the bundle was made from, for comparing.
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    pub student: Option<PathBuf>,
    /// The student's all_results.json, to put this run's scores into: private_eval_accuracy and so on, float_eval_... and
    /// clear_eval_... (fixed point) where they are compared, in place of an earlier run's; nothing else in it changes.
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
    /// Evaluate the first N examples only.
    #[arg(long, alias = "max-eval-samples", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_samples: Option<u32>,
    /// What happens to long texts.
    #[command(flatten)]
    pub length: Length,
    /// Which texts.
    #[command(flatten)]
    pub data: DataFlags,
}

/// `runtime cache`.
#[derive(Args)]
pub struct Cache {
    /// What to do with them.
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// What to do with cached bundles.
#[derive(Subcommand)]
pub enum CacheCommand {
    /// Each bundle with its size, whether this program can use it, and when it was used last.
    #[command(after_help = after(CACHE))]
    List(List),
    /// Remove bundles of other versions, broken ones and what killed processes left; those in use stay.
    #[command(after_help = after(CACHE))]
    Prune(Prune),
}

/// `runtime cache list`.
#[derive(Args)]
pub struct List {
    /// Print one JSON object in place of a line a bundle.
    #[arg(long)]
    pub json: bool,
}

/// `runtime cache prune`.
#[derive(Args)]
pub struct Prune {
    /// Remove usable bundles too that were not used for so many days.
    #[arg(long, value_name = "DAYS", conflicts_with = "all")]
    pub older_than: Option<u32>,
    /// Remove usable bundles too; they are converted again when they are needed.
    #[arg(long)]
    pub all: bool,
    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// `runtime party`.
#[derive(Args)]
pub struct Party {
    /// As a service.
    #[command(flatten)]
    pub service: ConfigFlags,
    /// 0 or 1.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=1), required_unless_present = "config")]
    pub index: Option<u8>,
    /// Loopback port to listen on; 0 takes any free one and says which.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// What the link to the other party is slowed down to, at both ends.
    #[arg(long, hide = true, value_name = "LINK", default_value_t)]
    pub link: LinkSpeed,
    /// Stocks of both parties on this machine.
    #[arg(long, hide = true, value_name = "DIR")]
    pub stock: Option<PathBuf>,
    /// How to run it.
    #[command(flatten)]
    pub child: Child,
}

/// `runtime dealer`.
#[derive(Args)]
pub struct Dealer {
    /// As a service.
    #[command(flatten)]
    pub service: ConfigFlags,
    /// How to run it.
    #[command(flatten)]
    pub child: Child,
}

/// What parties and dealers have in common.
#[derive(Args)]
pub struct Child {
    /// This role's part of the bundle.
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub bundle: Option<PathBuf>,
    /// Consent to run on loopback with a one-time token in place of certificates, beside other roles' parts of the bundle,
    /// which protects nothing. Without it say --config.
    #[arg(long)]
    pub insecure_local: bool,
    /// The only core that this role is to use, by its number in the system.
    #[arg(long, hide = true, value_name = "N")]
    pub core: Option<usize>,
    /// How it is run.
    #[command(flatten)]
    pub running: Running,
}

impl Child {
    /// The part of the bundle, where there is consent to run on it so. Parts that lie together are named first: no deployment
    /// may have them so.
    pub fn consented(&self, role: Role) -> Result<&PathBuf> {
        let Some(bundle) = &self.bundle else { return Err(coded(USAGE, "say --bundle, or --config")) };
        if self.insecure_local {
            return Ok(bundle);
        }
        check_alone(bundle, role)?;
        let message = format!(
            "{role} runs so on loopback only, with a one-time token in place of certificates, which protects nothing; say \
             --insecure-local to run it so, or --config for a service between machines (docs/operating.md)"
        );
        Err(coded(USAGE, message))
    }
}

impl Command {
    /// The core that this process is to keep to, and its threads (0 is one for each core).
    pub fn cores(&self) -> (Option<usize>, u32) {
        match self {
            Command::Infer(options) => (None, options.source.here.running.threads),
            Command::Evaluate(options) => (None, options.source.here.running.threads),
            #[cfg(feature = "bench")]
            Command::Bench(options) => options.cores(),
            Command::Cache(_) | Command::Keys(_) | Command::Doctor(_) => (None, 1),
            Command::Stock(options) => (None, options.threads()),
            Command::Party(options) => (options.child.core, options.child.running.threads),
            Command::Dealer(options) => (options.child.core, options.child.running.threads),
        }
    }
}

impl Options {
    /// Parses a command line, the program's name first. Flags may be spelt with `_` for `-`, and texts begin with `-`.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Options, clap::Error> {
        let texts = ["--text", "--text-pair", "--text_pair"];
        let mut matches = Options::command().try_get_matches_from(cli::dashed(cli::with_texts(args, &texts)))?;
        if let Some((name, sub)) = matches.subcommand() {
            beside_configuration(name, sub)?;
        }
        Options::from_arg_matches_mut(&mut matches)
    }
}

/// Refuses flags that a configuration has values for.
fn beside_configuration(command: &str, matches: &ArgMatches) -> Result<(), clap::Error> {
    let given = |id: &str| {
        matches!(matches.try_contains_id(id), Ok(true)) && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    if !given("config") {
        return Ok(());
    }
    let Some(flag) = CONFIGURED.into_iter().find(|id| given(id)) else { return Ok(()) };
    let flag = if flag == "limit" { "memory".into() } else { flag.replace('_', "-") };
    let what =
        format!("--{flag} cannot be given beside --config, which says it; use --set to change a value of the file");
    let mut options = Options::command();
    options.build();
    let command = options.find_subcommand_mut(command);
    Err(match command {
        Some(command) => command.error(clap::error::ErrorKind::ArgumentConflict, what),
        None => options.error(clap::error::ErrorKind::ArgumentConflict, what),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cli::exit::BAD_INPUT;

    use super::*;
    use crate::exit::code_of;

    #[test]
    fn a_role_without_consent_is_refused_and_its_neighbours_are_named_first() {
        let root = tempfile::tempdir().unwrap();
        for part in ["party0", "dealer"] {
            fs::create_dir(root.path().join(part)).unwrap();
        }
        let own = root.path().join("party0").display().to_string();
        let refusal = |flags: &[&str]| {
            let args = ["runtime", "party", "--index", "0", "--bundle", &own].into_iter().chain(flags.iter().copied());
            match Options::from_args(args.map(OsString::from)).unwrap().command {
                Command::Party(options) => {
                    options.child.consented(Role::Party0).map(|_| ()).map_err(|e| (code_of(&e), e.to_string()))
                }
                _ => Ok(()),
            }
        };
        let (code, message) = refusal(&[]).unwrap_err();
        assert!(code == USAGE && message.contains("say --insecure-local"), "{message}");
        fs::write(root.path().join("dealer").join("seeds"), [0; 64]).unwrap();
        let (code, message) = refusal(&[]).unwrap_err();
        assert!(code == BAD_INPUT && message.contains("dealer's part"), "{message}");
        assert_eq!(refusal(&["--insecure-local"]), Ok(()));
    }
}
