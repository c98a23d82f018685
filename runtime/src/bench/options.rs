//! The command line of `runtime bench`.

use clap::{Args, Subcommand};
use convert::Who;

use super::shapes::Named;
use crate::network::Network;
use crate::options::{Running, after};

pub(crate) const EXAMPLES: &str = "Examples:
  runtime bench model --model bert-base --tokens 128 --embedding client --json
  runtime bench model --model minilm-l6 --tokens 64 --batch 4 --link wan
  runtime bench plain --model bert-base --tokens 128
  runtime bench kernels
";
const MODEL: &str = "Examples:
  runtime bench model --model bert-base --tokens 128 --embedding client --json
  runtime bench model --model bert-large --tokens 128 --layers 4 --schedule stream
  runtime bench model --model minilm-l6 --tokens 64 --link 10ms,1000mbit
";
const PLAIN: &str = "Examples:
  runtime bench plain --model bert-base --tokens 128
  runtime bench plain --model minilm-l6 --tokens 64 --batch 8 --threads 2 --json
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
    /// Products, openings, series and streams by each kernel of this machine, against what bounds them.
    #[command(after_help = after(KERNELS))]
    Kernels(Kernels),
}

/// A network and a batch of random texts for it.
#[derive(Args, Clone, Debug)]
pub struct Job {
    /// Which shape.
    #[arg(long, value_enum, value_name = "NAME")]
    pub model: Named,
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
    /// Who embeds: the parties with a private table, or the client with a table in clear.
    #[arg(long, value_enum, default_value_t)]
    pub embedding: Who,
    /// What the link between the parties is slowed down to: none (loopback as it is), lan (0.25 ms one way, 10 Gbit/s in
    /// each direction), wan (20 ms, 400 Mbit/s), or a link such as 10ms,1000mbit. Links to the dealer and the client are
    /// left as they are.
    #[arg(long, value_name = "LINK", default_value_t)]
    pub link: Network,
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
            What::Kernels(options) => (None, options.threads),
        }
    }
}
