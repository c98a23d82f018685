//! Which setting wins: the task's recipe over the defaults, `--config` over that, the command line over all.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgMatches, CommandFactory};
use cli::coded;
use cli::exit::USAGE;
use datasets::Task;

use crate::options::Options;
use crate::recipe::{self, FlagValue, RecipeChoice, Setting};

/// Flags for every stage that has none of its own, with what the stages' flags end in.
const GENERAL: [(&str, &str); 5] = [
    ("learning-rate", "-learning-rate"),
    ("num-train-epochs", "-epochs"),
    ("num-train-epochs", "-tokens"),
    ("per-device-train-batch-size", "-batch-size"),
    ("eval-steps", "-eval-steps"),
];
const STAGES: [&str; 3] = ["teacher", "stage1", "stage2"];

/// The origin that overrides all others.
const COMMAND_LINE: &str = "the command line";

/// The settings of recipes and command line, each flag once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precedence {
    settings: Vec<Setting>,
}

impl Precedence {
    /// Reads the recipes that a command line asks for.
    pub fn of(args: &[OsString]) -> Result<Precedence> {
        let command = Options::command();
        // Errors of the command line are reported when all of it is parsed; help and version are printed at once.
        let matches = command.clone().ignore_errors(true).try_get_matches_from(args)?;
        let settings = match (matches.get_one::<RecipeChoice>("recipe"), matches.get_one::<Task>("task")) {
            (Some(RecipeChoice::Nothing), _) | (None, None) => Vec::new(),
            (Some(RecipeChoice::Ours), _) => recipe::ours()?,
            (Some(RecipeChoice::Of(task)), _) | (None, Some(task)) => recipe::of_task(*task)?,
        };
        let mut precedence = Precedence { settings };
        if let Some(path) = matches.get_one::<PathBuf>("config") {
            precedence.override_with(recipe::read(path)?);
        }
        precedence.override_with(recipe::on_command_line(&command, &matches, COMMAND_LINE));
        Ok(precedence)
    }

    /// Puts settings in the place of those that they override.
    fn override_with(&mut self, over: Vec<Setting>) {
        self.settings.retain(|under| !over.iter().any(|over| overrides(&over.flag, &under.flag)));
        self.settings.extend(over);
    }

    /// The command line with the recipes' part before the user's.
    pub fn parse(&self, args: &[OsString]) -> Result<ArgMatches> {
        let parse = |more: Vec<OsString>| {
            let (program, given) = args.split_at(args.len().min(1));
            Options::command().try_get_matches_from(program.iter().chain(&more).chain(given))
        };
        let more: Vec<OsString> = self.of_recipes().filter_map(argument).collect();
        match parse(more) {
            // recipes and command line are valid each, but conflict with each other
            Err(error) if error.use_stderr() && parse(Vec::new()).is_ok() => {
                let mut origins: Vec<&str> = self.of_recipes().map(|setting| setting.origin.as_str()).collect();
                origins.dedup();
                let (said, origins) = (recipe::message(&error), origins.join(" and "));
                Err(coded(USAGE, format!("the command line with {origins}: {said}; change one or pass --recipe none")))
            }
            parsed => Ok(parsed?),
        }
    }

    fn of_recipes(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(|setting| setting.origin != COMMAND_LINE)
    }

    /// Where each setting comes from, a line for every origin.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for group in self.settings.chunk_by(|a, b| a.origin == b.origin) {
            let settings: Vec<String> = group.iter().map(ToString::to_string).collect();
            text.push_str(&format!("from {}: {}\n", group[0].origin, settings.join(", ")));
        }
        text + "everything else: default\n"
    }
}

/// Whether a flag overrides another.
fn overrides(over: &str, under: &str) -> bool {
    let of_stage = |ending: &str| STAGES.iter().any(|stage| under.strip_prefix(stage) == Some(ending));
    // a stage's length is said in epochs or in tokens
    let length = |flag: &str| flag.strip_suffix("-epochs").or(flag.strip_suffix("-tokens")).map(str::to_string);
    let same = over == under || length(over).is_some_and(|stage| length(under) == Some(stage));
    same || GENERAL.iter().any(|(general, ending)| over == *general && of_stage(ending))
}

fn argument(setting: &Setting) -> Option<OsString> {
    match &setting.value {
        FlagValue::Switch(given) => given.then(|| format!("--{}", setting.flag).into()),
        FlagValue::Given(value) => Some(format!("--{}={value}", setting.flag).into()),
    }
}
