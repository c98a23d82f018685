//! What is laid over the file: environment variables, and flags over them.

use crate::origin::{Fault, Origin, shown};
use crate::tree::{Table, lay};

/// What a variable's name begins with.
pub const PREFIX: &str = "PRIVATE_BERT_";
/// Variables that begin so and are not about a service: where bundles are kept, and where models are for tests.
pub const UNRELATED: [&str; 2] = ["PRIVATE_BERT_CACHE", "PRIVATE_BERT_MODELS"];
/// No key is deeper, by far.
const MOST_LEVELS: usize = 8;

/// The variables of this process that are laid over a configuration. One that is not UTF-8 is refused.
pub fn variables() -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
        let Ok(value) = value.into_string() else {
            return Err(Fault::new(&Origin::Variable(name.into()), "is not UTF-8; set it anew").coded());
        };
        found.push((name.to_string(), value));
    }
    Ok(found)
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) && !UNRELATED.contains(&name)
}

/// Lays variables over a table; those of others are passed over.
pub(crate) fn lay_variables(
    table: &mut Table,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(), Fault> {
    let mut ours: Vec<(String, String)> = variables.into_iter().filter(|(name, _)| is_ours(name)).collect();
    // their order is the system's
    ours.sort();
    for (name, value) in ours {
        let origin = Origin::Variable(name.clone());
        let keys = name[PREFIX.len()..].to_lowercase();
        let path: Vec<String> = keys.split("__").map(String::from).collect();
        checked(&path, &origin, "PRIVATE_BERT_RUN__DEADLINE")?;
        lay(table, &path, value, &origin)?;
    }
    Ok(())
}

/// Lays flags over a table, later ones over earlier ones.
pub(crate) fn lay_flags(table: &mut Table, sets: &[String]) -> Result<(), Fault> {
    for set in sets {
        let Some((keys, value)) = set.split_once('=') else {
            let origin = Origin::Flag(set.clone());
            return Err(Fault::new(&origin, "has no value; write it as `--set run.deadline=30`"));
        };
        let origin = Origin::Flag(keys.trim().into());
        let path: Vec<String> = keys.trim().split('.').map(String::from).collect();
        checked(&path, &origin, "run.deadline")?;
        lay(table, &path, value.trim().into(), &origin)?;
    }
    Ok(())
}

fn checked(path: &[String], origin: &Origin, example: &str) -> Result<(), Fault> {
    if path.iter().any(String::is_empty) || path.len() > MOST_LEVELS {
        let name = shown(&path.join("."));
        return Err(Fault::new(origin, format!("`{name}` is not the name of a key; write one such as {example}")));
    }
    Ok(())
}
