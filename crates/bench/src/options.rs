//! The command line of `runtime bench`.

use std::time::Duration;

use clap::{Args, Subcommand};
use cli::memory::Memory;
use convert::Who;
use local::flags::{Running, after};
use local::network::LinkSpeed;
use local::settings::LocalSettings;
use roles::settings::Settings;

use crate::design::Design;
use crate::shapes::ModelName;

/// How the command is called.
pub const EXAMPLES: &str = "Examples:
  runtime bench model --model bert-base --tokens 128 --embedding client --json
  runtime bench model --model minilm-l6 --tokens 64 --batch 4 --link wan
  runtime bench plain --model bert-base --tokens 128
  runtime bench table3 --model bert-base --tokens 128 --shape-check
  runtime bench kernels
";
const MODEL: &str = "Examples:
  runtime bench model --model bert-base --tokens 128 --embedding client --json
  runtime bench model --model bert-large --tokens 128 --layers 4 --schedule stream
  runtime bench model --model minilm-l6 --tokens 64 --link 10ms,1000mbit
  runtime bench model --model bert-base --layers 2 --design friendly
";
const PLAIN: &str = "Examples:
  runtime bench plain --model bert-base --tokens 128
  runtime bench plain --model minilm-l6 --tokens 64 --batch 8 --threads 2 --json
";
const TABLE3: &str = "Examples:
  runtime bench table3 --model bert-base --tokens 128,512 --shape-check
  runtime bench table3 --model minilm-l6 --tokens 128 --json
  runtime bench table3 --model minilm-l3 --tokens 32 --link lan --repeat 3
";
const KERNELS: &str = "Examples:
  runtime bench kernels
  runtime bench kernels --threads 1 --json
";

/// `runtime bench`.
#[derive(Args)]
pub struct Bench {
    /// What to measure.
    #[command(subcommand)]
    pub what: What,
}

/// What to measure.
#[derive(Subcommand)]
pub enum What {
    /// Private inference with random weights of a known shape: two parties and a dealer as processes of this machine.
    ///
    /// Weights are drawn, calibrated and kept in your cache folder on first use. One request warms up, then each repeat is
    /// one request; all seconds are medians over the repeats. Where this machine has two cores, each party gets one of its
    /// own. The same network with softmax runs in floating point afterwards, on one thread unless --threads says more.
    #[command(after_help = after(MODEL))]
    Model(Model),
    /// The same shapes in 32-bit floating point, in clear: softmax, GeLU, candle.
    #[command(after_help = after(PLAIN))]
    Plain(Plain),
    /// SecFormer's Table 3 by both engines: seconds, bytes and rounds of GeLU, Softmax, LayerNorm and all else.
    ///
    /// Random weights of a known shape are run by masked wires and, on additive shares, with SecFormer's, MPCFormer's and
    /// exact functions; the last two are for students of other kinds, and cost the same on this one. One request warms up
    /// each. Correlations are made ahead where there is memory for them, and streamed where there is not, which the output
    /// says: seconds online then hold the wait for the dealer.
    #[command(after_help = after(TABLE3))]
    Table3(Table3),
    /// Products, openings, series and streams by each kernel of this machine, against what bounds them.
    #[command(after_help = after(KERNELS))]
    Kernels(Kernels),
}

/// A network and a batch of random texts for it.
#[derive(Args, Clone, Debug)]
pub struct Job {
    /// Which shape.
    #[arg(long, value_enum, value_name = "NAME")]
    pub model: ModelName,
    /// Tokens of each text.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=512))]
    pub tokens: u32,
    /// Texts that share their rounds.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub batch: u32,
    /// Only the first N layers of the shape.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub layers: Option<u32>,
    /// Measurements, after one that is not counted.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Print one JSON object in place of tables.
    #[arg(long)]
    pub json: bool,
    /// No progress.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `runtime bench model`.
#[derive(Args)]
pub struct Model {
    /// Network and texts.
    #[command(flatten)]
    pub job: Job,
    /// Which functions it has.
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub design: Design,
    /// Who embeds: the parties with a private table, or the client with a table in clear.
    #[arg(long, value_enum, default_value_t)]
    pub embedding: Who,
    /// What the link between the parties is slowed down to: none (loopback as it is), lan (0.25 ms one way, 10 Gbit/s in
    /// each direction), wan (20 ms, 400 Mbit/s), or a link such as 10ms,1000mbit. Links to the dealer and the client are
    /// left as they are.
    #[arg(long, value_name = "LINK", default_value_t)]
    pub link: LinkSpeed,
    /// How the roles are run.
    #[command(flatten)]
    pub running: Running,
}

/// `runtime bench plain`.
#[derive(Args)]
pub struct Plain {
    /// Network and texts.
    #[command(flatten)]
    pub job: Job,
    /// Threads.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: u32,
    /// Measure in this process, whose environment says how many threads candle has.
    #[arg(long, hide = true)]
    pub here: bool,
    /// The only core to use, by its number in the system.
    #[arg(long, hide = true, value_name = "N")]
    pub core: Option<usize>,
}

/// `runtime bench table3`.
#[derive(Args)]
pub struct Table3 {
    /// Which shape.
    #[arg(long, value_enum, value_name = "NAME", default_value_t = ModelName::BertBase)]
    pub model: ModelName,
    /// Tokens of a text; several lengths with commas between.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [128],
        value_parser = clap::value_parser!(u32).range(1..=512))]
    pub tokens: Vec<u32>,
    /// Only the first N layers of the shape.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub layers: Option<u32>,
    /// Run two layers, or as many as --layers says, and extrapolate to all of the shape.
    #[arg(long)]
    pub shape_check: bool,
    /// Who embeds: the parties with a private table, or the client with a table in clear.
    #[arg(long, value_enum, default_value_t)]
    pub embedding: Who,
    /// Measurements of each engine, after one that is not counted.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// What the link between the parties is slowed down to: none, lan, wan, or a link such as 10ms,1000mbit.
    #[arg(long, value_name = "LINK", default_value_t)]
    pub link: LinkSpeed,
    /// Longest wait for another role, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub deadline: u64,
    /// How much memory may be taken.
    #[command(flatten)]
    pub memory: Memory,
    /// Threads of each process; 0 is one for each core that it may use.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub threads: u32,
    /// Print one JSON object in place of tables.
    #[arg(long)]
    pub json: bool,
    /// No progress.
    #[arg(short, long)]
    pub quiet: bool,
}

impl Table3 {
    /// The settings that the flags say, for the masked engine.
    pub(crate) fn settings(&self) -> LocalSettings {
        let Table3 { memory, threads, deadline, .. } = *self;
        let roles = Settings { memory, ..Settings::within(Duration::from_secs(deadline)) };
        LocalSettings { threads, ..LocalSettings::of(roles) }
    }
}

/// `runtime bench kernels`.
#[derive(Args)]
pub struct Kernels {
    /// Threads; 0 is one for each core that may be used.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub threads: u32,
    /// Measurements of each kernel.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Print one JSON object in place of a table.
    #[arg(long)]
    pub json: bool,
}

impl Bench {
    /// The core that this process is to keep to, and its threads (0 is one for each core).
    pub fn cores(&self) -> (Option<usize>, u32) {
        match &self.what {
            What::Model(options) => (None, options.running.threads),
            What::Plain(options) => (options.core, options.threads),
            What::Table3(options) => (None, options.threads),
            What::Kernels(options) => (None, options.threads),
        }
    }
}
