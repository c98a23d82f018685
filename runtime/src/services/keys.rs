//! `runtime keys`: the key by which other roles know this one.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use clap::{Args, Subcommand};
use local::flags::after;
use net::keys::{self, Shown};
use net::{Pin, Validity};

const NEW: &str = "Examples:
  runtime keys new keys/party0
";
const SHOW: &str = "Examples:
  runtime keys show keys/party0
";
const ROTATE: &str = "Examples:
  runtime keys rotate keys/party0
  runtime keys rotate keys/party0 --activate
";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `runtime keys`.
#[derive(Args)]
pub struct Keys {
    /// What to do.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// What to do with a role's key.
#[derive(Subcommand)]
pub enum KeysCommand {
    /// Make a key and its certificate, and print its pin.
    #[command(after_help = after(NEW))]
    New(New),
    /// Print the pin, and until when its certificate holds.
    #[command(after_help = after(SHOW))]
    Show(Folder),
    /// Replace a key without a pause: makes the next one, and with --activate puts it in the place of the first.
    ///
    /// In between, the other operators put the new pin beside the old one and reload; afterwards they take the old one out.
    #[command(after_help = after(ROTATE))]
    Rotate(Rotate),
}

/// Where the key is.
#[derive(Args)]
pub struct Folder {
    /// The folder of the key.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// `runtime keys new`.
#[derive(Args)]
pub struct New {
    /// Where to put it.
    #[command(flatten)]
    pub place: Folder,
    /// What the certificate holds for, in days.
    #[arg(long, value_name = "DAYS", default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=7300))]
    pub days: u32,
}

/// `runtime keys rotate`.
#[derive(Args)]
pub struct Rotate {
    /// Where the key is.
    #[command(flatten)]
    pub new: New,
    /// Put the next key, made before, in the place of the first.
    #[arg(long, conflicts_with = "days")]
    pub activate: bool,
}

/// Does it, and says on standard output what to tell the other operators.
pub fn run(options: &Keys, out: &mut dyn Write) -> Result<()> {
    match &options.command {
        KeysCommand::New(New { place, days }) => {
            let made = keys::create(&place.folder, "private-bert", DAY * *days)?;
            writeln!(out, "{}", made.pin())?;
        }
        KeysCommand::Show(place) => {
            let Shown { current, validity, next } = keys::show(&place.folder)?;
            writeln!(out, "{}", line(current, validity))?;
            if let Some((pin, validity)) = next {
                writeln!(out, "{}, the next key", line(pin, validity))?;
            }
        }
        KeysCommand::Rotate(Rotate { new, activate: false }) => {
            let pin = keys::prepare(&new.place.folder, "private-bert", DAY * new.days)?;
            writeln!(out, "{pin}")?;
            cli::log(
                "note: this is the next key, which is not in use yet; have the other operators put its pin beside the old one and \
                 reload, then say --activate",
            );
        }
        KeysCommand::Rotate(Rotate { new, activate: true }) => {
            let (old, pin) = keys::activate(&new.place.folder)?;
            writeln!(out, "{pin}")?;
            cli::log(&format!("note: reload this role (SIGHUP); then have the other operators take {old} out"));
        }
    }
    Ok(out.flush()?)
}

fn line(pin: Pin, validity: Validity) -> String {
    let days = |end: SystemTime| match end.duration_since(SystemTime::now()) {
        Ok(left) => format!("holds for {} more days", left.as_secs() / DAY.as_secs()),
        Err(past) => format!("EXPIRED {} days ago", past.duration().as_secs() / DAY.as_secs()),
    };
    match validity.not_before > SystemTime::now() {
        true => format!("{pin} (does not hold yet: is this machine's clock right?)"),
        false => format!("{pin} ({})", days(validity.not_after)),
    }
}
