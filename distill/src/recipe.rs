//! Recipes: hyper-parameters as TOML, with the flags' names for keys. The published one of every task of GLUE is compiled in,
//! and ours, which is one for all tasks.

use std::any::TypeId;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Result;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory};
use datasets::{DataFlags, Task};
use toml::de::{DeTable, DeValue};

use crate::errors::bad_file;
use crate::options::Options;

const RECIPES: [(&str, &str); 9] = [
    ("cola", include_str!("../recipes/cola.toml")),
    ("mnli", include_str!("../recipes/mnli.toml")),
    ("mrpc", include_str!("../recipes/mrpc.toml")),
    ("qnli", include_str!("../recipes/qnli.toml")),
    ("qqp", include_str!("../recipes/qqp.toml")),
    ("rte", include_str!("../recipes/rte.toml")),
    ("sst2", include_str!("../recipes/sst2.toml")),
    ("stsb", include_str!("../recipes/stsb.toml")),
    ("wnli", include_str!("../recipes/wnli.toml")),
];

/// The name of ours, and the recipe.
const OURS: (&str, &str) = ("ours", include_str!("../recipes/ours.toml"));

/// Flags that a recipe must not set, because they name inputs and outputs and not how to train. Those about texts are added in
/// [`is_for_recipes`].
const NOT_FOR_RECIPES: [&str; 18] = [
    "teacher",
    "revision",
    "student",
    "output-dir",
    "overwrite-output-dir",
    "resume-from-checkpoint",
    "evaluate-only",
    "calibrate",
    "device",
    "ddp-timeout",
    "do-predict",
    "test-file",
    "dry-run",
    "quiet",
    "memory",
    "recipe",
    "config",
    "print-recipe",
];

/// What `--recipe` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipeChoice {
    /// Only the defaults.
    Nothing,
    /// Ours, for any task.
    Ours,
    /// That of a task.
    Of(Task),
}

impl RecipeChoice {
    /// `none`, `ours`, or a task in any usual spelling.
    pub fn parse(name: &str) -> Result<RecipeChoice, String> {
        match name {
            "none" => return Ok(RecipeChoice::Nothing),
            name if name == OURS.0 => return Ok(RecipeChoice::Ours),
            _ => {}
        }
        let names = || RECIPES.map(|(key, _)| key).join(", ");
        let unknown = |_| format!("there are {}, ours and none; one of your own is given with --config", names());
        name.parse().map(RecipeChoice::Of).map_err(unknown)
    }
}

/// A flag and the value that a recipe or the command line gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The flag, with dashes.
    pub flag: String,
    /// Its value.
    pub value: FlagValue,
    /// Where it comes from: a recipe, a file or the command line.
    pub origin: String,
}

/// A flag's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlagValue {
    /// Of a flag that takes none: whether it is given.
    Switch(bool),
    /// As it would stand on the command line.
    Given(String),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            FlagValue::Given(value) => write!(f, "--{} {value}", self.flag),
            FlagValue::Switch(true) => write!(f, "--{}", self.flag),
            FlagValue::Switch(false) => write!(f, "no --{}", self.flag),
        }
    }
}

/// What kind of value a flag takes.
#[derive(Clone, Copy)]
enum Kind {
    Switch,
    Number,
    Text,
}

impl Kind {
    fn of(arg: &Arg) -> Kind {
        if !matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) {
            return Kind::Switch;
        }
        let is = |number: &TypeId| arg.get_value_parser().type_id() == *number;
        let whole = [TypeId::of::<u8>(), TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>()];
        let other = [TypeId::of::<usize>(), TypeId::of::<i64>(), TypeId::of::<f32>(), TypeId::of::<f64>()];
        if whole.iter().chain(&other).any(is) { Kind::Number } else { Kind::Text }
    }

    /// How its values are written.
    fn cure(self) -> &'static str {
        match self {
            Kind::Switch => "write true or false",
            Kind::Number => "write a number, without quotes",
            Kind::Text => "write a text, in quotes",
        }
    }
}

/// Our recipe.
pub fn ours() -> Result<Vec<Setting>> {
    parse(Path::new("recipes/ours.toml"), "recipe ours", OURS.1)
}

/// The recipe of a task of GLUE.
pub fn of_task(task: Task) -> Result<Vec<Setting>> {
    // both development sets of MNLI have the same training set
    let key = if task == Task::MnliMismatched { Task::Mnli.key() } else { task.key() };
    let text = RECIPES.iter().find(|(name, _)| *name == key).map_or("", |(_, text)| text);
    parse(Path::new(&format!("recipes/{key}.toml")), &format!("recipe {key}"), text)
}

/// A recipe of the user's own.
pub fn read(path: &Path) -> Result<Vec<Setting>> {
    let text =
        fs::read_to_string(path).map_err(|error| bad_file(path, format!("{error}; --config takes a TOML file")))?;
    parse(path, &path.display().to_string(), &text)
}

fn parse(path: &Path, origin: &str, text: &str) -> Result<Vec<Setting>> {
    let wrong = |start: usize, what: String| {
        let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
        bad_file(path, format!("line {line}: {what}"))
    };
    let table = DeTable::parse(text).map_err(|error| {
        let message = error.message().replace('\n', ", ");
        wrong(
            error.span().map_or(0, |span| span.start),
            format!("not TOML: {message}; write lines like `eval-steps = 100`"),
        )
    })?;
    let command = Options::command();
    let mut settings: Vec<Setting> = Vec::new();
    for (key, value) in table.get_ref() {
        let refuse = |what: String| wrong(key.span().start, what);
        let flag = key.get_ref().replace('_', "-");
        let arg = settable(&command, &flag).map_err(&refuse)?;
        if settings.iter().any(|setting| setting.flag == flag) {
            return Err(refuse(format!("`{flag}` is set twice, in two spellings; keep one")));
        }
        let value = convert(Kind::of(arg), value.get_ref()).map_err(|what| refuse(format!("`{flag}` {what}")))?;
        if let FlagValue::Given(value) = &value {
            check(&command, &flag, value).map_err(&refuse)?;
        }
        settings.push(Setting { flag, value, origin: origin.into() });
    }
    Ok(settings)
}

/// The flag, if a recipe may set it.
fn settable<'a>(command: &'a Command, flag: &str) -> Result<&'a Arg, String> {
    let Some(arg) = command.get_arguments().find(|arg| arg.get_long() == Some(flag)) else {
        let tip = match command.clone().try_get_matches_from(["distill", &format!("--{flag}")]) {
            Err(error) => match error.get(ContextKind::SuggestedArg) {
                Some(ContextValue::String(name)) => format!("did you mean `{}`? ", name.trim_start_matches('-')),
                _ => String::new(),
            },
            Ok(_) => String::new(),
        };
        return Err(format!("`{flag}` is no flag of distill; {tip}`distill --help` lists them"));
    };
    if !is_for_recipes(arg) {
        return Err(format!("`{flag}` is not for recipes; take it out and say --{flag} on the command line"));
    }
    Ok(arg)
}

fn is_for_recipes(arg: &Arg) -> bool {
    let about_texts = DataFlags::augment_args(Command::new("texts"));
    let about_texts = |long| about_texts.get_arguments().any(|arg| arg.get_long() == Some(long));
    arg.get_long().is_some_and(|long| !NOT_FOR_RECIPES.contains(&long) && !about_texts(long))
}

/// A value of the right type, or what is wrong with it.
fn convert(kind: Kind, value: &DeValue<'_>) -> Result<FlagValue, String> {
    Ok(match (kind, value) {
        (Kind::Switch, DeValue::Boolean(given)) => FlagValue::Switch(*given),
        // a flag of any other type may accept numbers too; its own parser decides
        (Kind::Number | Kind::Text, DeValue::Integer(number)) => {
            match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => FlagValue::Given(number.to_string()),
                Err(error) => return Err(format!("is {number}: {error}; write a smaller number")),
            }
        }
        (Kind::Number | Kind::Text, DeValue::Float(number)) => FlagValue::Given(number.as_str().into()),
        (Kind::Text, DeValue::String(text)) => FlagValue::Given(text.as_ref().into()),
        (kind, value) => return Err(format!("is of type {}; {}", value.type_str(), kind.cure())),
    })
}

/// Refuses a value that the flag would not take.
fn check(command: &Command, flag: &str, value: &str) -> Result<(), String> {
    let Err(error) = command.clone().try_get_matches_from(["distill", &format!("--{flag}={value}")]) else {
        return Ok(());
    };
    match error.kind() {
        // a flag alone may lack others that it needs
        ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict => Ok(()),
        _ => Err(format!("{}; `distill --help` says what it takes", message(&error))),
    }
}

/// What clap says is wrong with a command line, without its usage.
pub(crate) fn message(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.trim_start_matches("error:").split_whitespace().collect();
    words.join(" ")
}

/// The settings that the command line gives, among those that a recipe could.
pub(crate) fn on_command_line(command: &Command, matches: &ArgMatches, origin: &str) -> Vec<Setting> {
    settings(command, matches, origin, |id| matches.value_source(id) == Some(ValueSource::CommandLine))
}

/// Everything that a recipe could set, as `--config` takes it.
pub(crate) fn print(command: &Command, matches: &ArgMatches) -> String {
    let mut text = "# For `distill --recipe none --config FILE`.\n".to_string();
    for setting in settings(command, matches, "", |id| matches.value_source(id).is_some()) {
        let number = command
            .get_arguments()
            .find(|arg| arg.get_long() == Some(&setting.flag))
            .is_some_and(|arg| matches!(Kind::of(arg), Kind::Number));
        let value = match setting.value {
            FlagValue::Switch(given) => toml::Value::Boolean(given).to_string(),
            FlagValue::Given(value) if number => plain(&value),
            FlagValue::Given(value) => toml::Value::String(value).to_string(),
        };
        text.push_str(&format!("{} = {value}\n", setting.flag));
    }
    text
}

/// A number as TOML has it: with a digit on both sides of its point.
fn plain(number: &str) -> String {
    if let Ok(whole) = number.parse::<i128>() {
        return whole.to_string();
    }
    number.parse::<f64>().map_or_else(|_| number.into(), |number| format!("{number:?}"))
}

fn settings(command: &Command, matches: &ArgMatches, origin: &str, wanted: impl Fn(&str) -> bool) -> Vec<Setting> {
    let mut settings = Vec::new();
    for arg in command.get_arguments().filter(|arg| is_for_recipes(arg) && wanted(arg.get_id().as_str())) {
        let id = arg.get_id().as_str();
        let value = match Kind::of(arg) {
            Kind::Switch => Some(FlagValue::Switch(matches.get_flag(id))),
            _ => matches.get_raw(id).and_then(Iterator::last).map(|raw| FlagValue::Given(raw.to_string_lossy().into())),
        };
        if let (Some(flag), Some(value)) = (arg.get_long(), value) {
            settings.push(Setting { flag: flag.into(), value, origin: origin.into() });
        }
    }
    settings
}
