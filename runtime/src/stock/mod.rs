//! `runtime stock`: stocks of correlations made ahead, looked at, checked and thrown away. A service that runs is asked for the
//! state of its own; all else waits until no service uses it.

mod drop;
mod fill;
mod place;
mod status;
mod verify;

use std::io::Write;

use anyhow::Result;
use clap::{Args, Subcommand};
use cli::log;
use local::flags::after;
use serde_json::{Value, json};

use fill::Fill;
use place::Where;

/// As the help of `runtime stock` ends.
pub const EXAMPLES: &str = "Examples:
  runtime stock status --config party0.toml
  runtime stock verify --config party0.toml
  runtime stock drop --config party0.toml --yes
";
const STATUS: &str = "Examples:
  runtime stock status --config party0.toml
  runtime stock status --stock stock --json
";
const VERIFY: &str = "Examples:
  runtime stock verify --config party0.toml
  runtime stock verify --stock stock -q
";
const FILL: &str = "Examples:
  runtime stock fill --stock stock --packs 32x10 --packs 64x4
  runtime stock fill --stock stock --bundle outputs/bundle --packs 128x2 --json
";
const DROP: &str = "Examples:
  runtime stock drop --config party0.toml
  runtime stock drop --config party0.toml --yes
";
/// What a stock of one machine is worth.
const LOCAL: &str =
    "note: this stock is for one machine, where both parties' halves and keys lie together: it protects nothing";

/// `runtime stock`.
#[derive(Args)]
pub struct Stock {
    /// What to do.
    #[command(subcommand)]
    pub command: StockCommand,
}

/// What to do with a stock.
#[derive(Subcommand)]
pub enum StockCommand {
    /// Say how many packs there are of each class, how old they are and how much of the quota they take.
    ///
    /// While the party's service runs it has the ledger to itself, and is asked.
    #[command(after_help = after(STATUS))]
    Status(Look),
    /// Read every pack to its end, and discard those that are damaged.
    #[command(after_help = after(VERIFY))]
    Verify(Look),
    /// Make packs on this machine, for `infer --stock` and `evaluate --stock`; services fill theirs by themselves.
    ///
    /// Starts both parties and the dealer. The dealer and the parties make correlations as for so many requests; the parties
    /// prepare their halves and write them down, sealed.
    #[command(after_help = after(FILL))]
    Fill(Fill),
    /// Throw all packs away, also where the ledger cannot be used.
    ///
    /// The other party throws its halves away when the two connect next.
    #[command(after_help = after(DROP))]
    Drop(Drop),
}

/// Which stock, and what is said of it.
#[derive(Args)]
pub struct Look {
    /// Which stock.
    #[command(flatten)]
    pub place: Where,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// No progress and no notes.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `runtime stock drop`.
#[derive(Args)]
pub struct Drop {
    /// Which stock, and what is said of it.
    #[command(flatten)]
    pub look: Look,
    /// Do it; without this, what would go is said, and nothing goes.
    #[arg(long)]
    pub yes: bool,
}

impl Stock {
    /// Threads of this process; 0 is one for each core.
    pub fn threads(&self) -> u32 {
        match &self.command {
            StockCommand::Fill(fill) => fill.here.running.threads,
            _ => 1,
        }
    }
}

/// Does it.
pub fn run(options: &Stock, out: &mut dyn Write) -> Result<()> {
    match &options.command {
        StockCommand::Status(look) => status::run(look, out),
        StockCommand::Verify(look) => verify::run(look, out),
        StockCommand::Fill(options) => fill::run(options, out),
        StockCommand::Drop(Drop { look, yes }) => drop::run(look, *yes, out),
    }
}

/// Prints one line a stock, or one object with all of them.
fn print(look: &Look, lines: &str, stocks: &[Value], out: &mut dyn Write) -> Result<()> {
    if look.json {
        let mut all = json!({ "stocks": stocks });
        if look.place.is_local() {
            all["protects"] = json!("nothing");
        }
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
    } else {
        out.write_all(lines.as_bytes())?;
    }
    out.flush()?;
    if look.place.is_local() && !look.quiet {
        log(LOCAL);
    }
    Ok(())
}

fn packs(count: u64) -> String {
    if count == 1 { "1 pack".into() } else { format!("{count} packs") }
}
