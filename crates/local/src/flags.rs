//! How roles are run, as flags say it: of those that start roles, and of the roles themselves.

use std::time::Duration;

use anyhow::Result;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use cli::coded;
use cli::exit::USAGE;
use cli::memory::Memory;
use model::Functions;
use mpc::beaver::{Options, Sines, Truncation};
use roles::engine::{EngineKind, sines_name, truncation_name};
use roles::schedule::Schedule;
use roles::settings::Settings;

use crate::settings::LocalSettings;

/// What follows a command's flags in its help.
pub fn after(examples: &str) -> String {
    format!("{examples}\n{}", cli::EXIT_CODES)
}

/// How roles are run: flags of those that start roles, and of the roles themselves.
#[derive(Args, Clone, Copy, Debug)]
pub struct Running {
    /// Longest wait for another role, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub deadline: u64,
    /// How much memory may be taken.
    #[command(flatten)]
    pub memory: Memory,
    /// When correlations are made.
    #[arg(long, default_value_t, value_parser = schedules())]
    pub schedule: Schedule,
    /// Threads of each process; 0 is one for each core that it may use.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub threads: u32,
    /// What evaluates the network.
    #[command(flatten)]
    pub engine: EngineFlags,
}

impl Running {
    /// The settings that the flags say.
    pub fn settings(&self) -> Result<LocalSettings> {
        let Running { deadline, memory, schedule, threads, engine } = *self;
        let engine = engine.chosen()?;
        let deadline = Duration::from_secs(deadline);
        let roles = Settings { memory, schedule, engine, ..Settings::within(deadline) };
        Ok(LocalSettings { threads, ..LocalSettings::of(roles) })
    }
}

fn schedules() -> impl TypedValueParser<Value = Schedule> {
    let of = |name: String| if name == Schedule::Stream.name() { Schedule::Stream } else { Schedule::Ahead };
    let named = |schedule: Schedule, help: &'static str| PossibleValue::new(schedule.name()).help(help);
    PossibleValuesParser::new([
        named(Schedule::Ahead, "All before the input is asked for: the least waiting once a text is there"),
        named(Schedule::Stream, "While the parties work, at most two layers of them held: the least memory"),
    ])
    .map(of)
}

/// An engine by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// Masked wires.
    #[default]
    Masked,
    /// SecFormer as published, on additive shares: for comparison.
    Beaver,
}

/// Flags that choose the engine: of those that start roles, and of the roles themselves.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct EngineFlags {
    /// Which engine evaluates the network.
    #[arg(long, value_enum, default_value_t)]
    pub engine: EngineName,
    /// Which functions stand for softmax, GeLU and roots: calibrated series (the only ones of masked), SecFormer's (the
    /// default of beaver), MPCFormer's, or exact ones after CrypTen.
    #[arg(long, value_name = "NAME", value_parser = functions())]
    pub functions: Option<Functions>,
    /// How beaver's products return to their scale: each party alone, as published (the default), or with a dealt mask, one
    /// more round each.
    #[arg(long, value_name = "HOW", value_parser = truncations())]
    pub truncation: Option<Truncation>,
    /// Which sines stand for erf in SecFormer's GeLU: its own (the default), or ones fitted again.
    #[arg(long, value_name = "WHICH", value_parser = sines())]
    pub sines: Option<Sines>,
}

fn functions() -> impl TypedValueParser<Value = Functions> {
    let of = |name: String| Functions::ALL.into_iter().find(|f| f.name() == name).unwrap_or_default();
    PossibleValuesParser::new(Functions::ALL.map(Functions::name)).map(of)
}

fn truncations() -> impl TypedValueParser<Value = Truncation> {
    let of =
        |name: String| if name == truncation_name(Truncation::Dealt) { Truncation::Dealt } else { Truncation::Local };
    PossibleValuesParser::new([Truncation::Local, Truncation::Dealt].map(truncation_name)).map(of)
}

fn sines() -> impl TypedValueParser<Value = Sines> {
    let of = |name: String| if name == sines_name(Sines::Refitted) { Sines::Refitted } else { Sines::Published };
    PossibleValuesParser::new([Sines::Published, Sines::Refitted].map(sines_name)).map(of)
}

impl EngineFlags {
    /// The engine that the flags say.
    pub fn chosen(&self) -> Result<EngineKind> {
        let EngineFlags { engine, functions, truncation, sines } = *self;
        if engine == EngineName::Beaver {
            let functions = functions.unwrap_or(Functions::SecFormer);
            if sines.is_some() && functions != Functions::SecFormer {
                return Err(coded(USAGE, "--sines is for --functions secformer; leave it out"));
            }
            let published = Options::of(functions);
            // series keep masked wires' scales, which leave local truncation no room
            let safe = if functions == Functions::Series { Truncation::Dealt } else { Truncation::Local };
            let (truncation, sines) = (truncation.unwrap_or(safe), sines.unwrap_or_default());
            return Ok(EngineKind::Beaver(Options { truncation, sines, ..published }));
        }
        if functions.is_some_and(|functions| functions != Functions::Series) {
            return Err(coded(USAGE, "the masked engine evaluates series only; add --engine beaver"));
        }
        for (flag, given) in [("--truncation", truncation.is_some()), ("--sines", sines.is_some())] {
            if given {
                return Err(coded(USAGE, format!("{flag} is beaver's; add --engine beaver, or leave it out")));
            }
        }
        Ok(EngineKind::Masked)
    }
}

/// The flags that say the same.
pub(crate) fn spelt(engine: EngineKind) -> Vec<&'static str> {
    let mut flags = vec!["--engine", engine.name(), "--functions", engine.functions().name()];
    if let EngineKind::Beaver(options) = engine {
        flags.extend(["--truncation", truncation_name(options.truncation)]);
        if options.functions == Functions::SecFormer {
            flags.extend(["--sines", sines_name(options.sines)]);
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use cli::exit::code_in;

    use super::*;

    #[test]
    fn flags_say_what_they_were_made_from() {
        let chosen = |flags: EngineFlags| flags.chosen().map_err(|e| e.chain().find_map(code_in));
        let beaver = EngineFlags { engine: EngineName::Beaver, ..EngineFlags::default() };
        assert_eq!(chosen(EngineFlags::default()), Ok(EngineKind::Masked));
        assert_eq!(chosen(beaver), Ok(EngineKind::Beaver(Options::of(Functions::SecFormer))));
        let masked = EngineFlags::default();
        for wrong in [
            EngineFlags { functions: Some(Functions::SecFormer), ..masked },
            EngineFlags { truncation: Some(Truncation::Local), ..masked },
            EngineFlags { sines: Some(Sines::Published), ..masked },
            EngineFlags { sines: Some(Sines::Published), functions: Some(Functions::Exact), ..beaver },
        ] {
            assert_eq!(chosen(wrong), Err(Some(USAGE)), "{wrong:?}");
        }
        assert_eq!(chosen(EngineFlags { functions: Some(Functions::Series), ..masked }), Ok(EngineKind::Masked));
        let all = EngineFlags {
            functions: Some(Functions::SecFormer),
            truncation: Some(Truncation::Dealt),
            sines: Some(Sines::Refitted),
            ..beaver
        };
        let flags = chosen(all).map(spelt).unwrap_or_default().join(" ");
        assert_eq!(flags, "--engine beaver --functions secformer --truncation dealt --sines refitted");
    }
}
