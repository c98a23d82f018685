//! Configurations that are right, for tests to change.

use std::fs;
use std::path::{Path, PathBuf};

use cli::Coded;
use config::Config;
use tempfile::TempDir;

/// A pin made of one digit.
pub(crate) fn pin(digit: char) -> String {
    format!("pb1-{}", String::from(digit).repeat(64))
}

/// A configuration of each role that holds what it must and no more. Its pins: 0 and 1 the parties', d the dealer's, c a client's.
pub(crate) fn example(role: &str) -> String {
    let head = format!("role = \"{role}\"\nbundle = \"bundle/{role}\"\nkeys = \"keys/{role}\"\n");
    let listen = "listen = \"0.0.0.0:7100\"\n";
    let called = |name: &str, digit| format!("[peers.{name}]\npins = [\"{}\"]\n", pin(digit));
    let dialled = |name: &str, digit| format!("{}address = \"{name}.example.org:7100\"\n", called(name, digit));
    let clients = format!("[clients]\npins = [\"{}\"]\n", pin('c'));
    match role {
        "party0" => format!("{head}{listen}{}{}{clients}", called("party1", '1'), called("dealer", 'd')),
        "party1" => format!("{head}{listen}{}{}{clients}", dialled("party0", '0'), called("dealer", 'd')),
        _ => format!("{head}{}{}", dialled("party0", '0'), dialled("party1", '1')),
    }
}

/// A folder with one configuration.
pub(crate) struct Placed {
    folder: TempDir,
}

impl Placed {
    pub(crate) fn new(text: &str) -> Placed {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("role.toml"), text).unwrap();
        Placed { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("role.toml")
    }

    /// Reads it under these flags and variables.
    pub(crate) fn read(&self, sets: &[&str], env: &[(&str, &str)]) -> anyhow::Result<Config> {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        Config::read(&self.path(), &sets, env.iter().map(|(name, value)| (name.to_string(), value.to_string())))
    }

    /// Code and words of its refusal, with the folder left out.
    pub(crate) fn refusal(&self, sets: &[&str], env: &[(&str, &str)]) -> (i32, String) {
        let error = match self.read(sets, env) {
            Ok(config) => panic!("was not refused: {config:?}"),
            Err(error) => error,
        };
        let coded = error.downcast_ref::<Coded>().unwrap();
        assert!(!coded.message.contains('\n'), "more than one line: {}", coded.message);
        let folder = format!("{}{}", self.folder.path().display(), std::path::MAIN_SEPARATOR);
        (coded.code, coded.message.replace(&folder, ""))
    }
}

/// The words in which a file is refused, as bad input.
pub(crate) fn refusal(text: &str) -> String {
    let (code, words) = Placed::new(text).refusal(&[], &[]);
    assert_eq!(code, cli::exit::BAD_INPUT, "{words}");
    words
}
