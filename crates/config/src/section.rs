//! Tables read key by key: each key by its type, with an error that names key, place and what would be right.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::keys::{keys_of, nearest, unknown, within};
use crate::origin::{Fault, Origin, shown};
use crate::tree::{Node, Table, Value};

/// A table that is being read. Its keys are all known.
pub(crate) struct Section {
    name: String,
    table: Table,
    origin: Origin,
}

/// A value under a known key.
pub(crate) struct Item {
    /// The key, from the top.
    pub(crate) name: String,
    /// Where the key stands.
    pub(crate) key: Origin,
    node: Node,
}

impl Section {
    /// The table of this name. A key that it cannot have is refused.
    pub(crate) fn new(name: &str, table: Table, origin: Origin) -> Result<Section, Fault> {
        for (key, entry) in &table {
            if !keys_of(name).contains(&key.as_str()) {
                return Err(Fault::new(&entry.key, unknown(name, key)));
            }
        }
        Ok(Section { name: name.into(), table, origin })
    }

    /// Takes out the value of a key.
    pub(crate) fn take(&mut self, key: &str) -> Option<Item> {
        let entry = self.table.remove(key)?;
        Some(Item { name: within(&self.name, key), key: entry.key, node: entry.node })
    }

    /// The keys that are there.
    pub(crate) fn names(&self) -> Vec<String> {
        self.table.keys().cloned().collect()
    }

    /// Takes out the value of a key that must be there.
    pub(crate) fn need(&mut self, key: &str, cure: &str) -> Result<Item, Fault> {
        self.take(key).ok_or_else(|| self.lacks(key, cure))
    }

    /// The table of a key, without keys where it is not there.
    pub(crate) fn optional(&mut self, key: &str) -> Result<Section, Fault> {
        match self.take(key) {
            Some(item) => item.section(),
            None => Section::new(&within(&self.name, key), Table::new(), self.origin.clone()),
        }
    }

    /// Says that a key is missing.
    pub(crate) fn lacks(&self, key: &str, cure: &str) -> Fault {
        Fault::new(&self.origin, format!("`{}` is missing; {cure}", within(&self.name, key)))
    }

    /// Refuses a key that this role has no use for.
    pub(crate) fn refuse(&mut self, key: &str, why: &str) -> Result<(), Fault> {
        match self.take(key) {
            None => Ok(()),
            Some(item) => Err(Fault::new(&item.key, format!("{why}; leave `{}` out", item.name))),
        }
    }

    /// A number of this range, or the default.
    pub(crate) fn whole(&mut self, key: &str, default: u64, range: RangeInclusive<u64>) -> Result<u64, Fault> {
        self.take(key).map_or(Ok(default), |item| item.whole(&range))
    }

    /// One of several words, or the first.
    pub(crate) fn choice<T: Copy>(&mut self, key: &str, words: &[(&'static str, T)]) -> Result<T, Fault> {
        self.take(key).map_or(Ok(words[0].1), |item| item.choice(words))
    }
}

impl Item {
    /// Something wrong with this value.
    pub(crate) fn fault(&self, what: impl Display) -> Fault {
        Fault::new(&self.node.origin, format!("`{}` {what}", self.name))
    }

    fn wrong_type(&self, wanted: &str) -> Fault {
        let is = self.node.read().map_or("a text", |value| value.kind());
        self.fault(format_args!("is {is}; write {wanted}"))
    }

    /// A text; what came from a variable or a flag needs no quotes.
    pub(crate) fn text(&self, example: &str) -> Result<String, Fault> {
        let text = match (&self.node.value, self.node.read()) {
            (_, Some(Value::Text(text))) => text,
            (Value::Raw(text), _) => text.clone(),
            _ => return Err(self.wrong_type(&format!("a text in quotes, such as \"{example}\""))),
        };
        if text.trim().is_empty() {
            return Err(self.fault(format_args!("is empty; write a text such as \"{example}\"")));
        }
        Ok(text)
    }

    /// A number of this range.
    pub(crate) fn whole(&self, range: &RangeInclusive<u64>) -> Result<u64, Fault> {
        let (least, most) = (range.start(), range.end());
        let wanted = format!("a whole number from {least} to {most}, without quotes");
        let Some(Value::Whole(number)) = self.node.read() else { return Err(self.wrong_type(&wanted)) };
        let within = u64::try_from(number).ok().filter(|number| range.contains(number));
        within.ok_or_else(|| self.fault(format_args!("is {number}; write a number from {least} to {most}")))
    }

    /// True or false.
    pub(crate) fn switch(&self) -> Result<bool, Fault> {
        match self.node.read() {
            Some(Value::Switch(on)) => Ok(on),
            _ => Err(self.wrong_type("true or false, without quotes")),
        }
    }

    /// The items of a list, each with its own place.
    pub(crate) fn list(&self, example: &str) -> Result<Vec<Item>, Fault> {
        let Some(Value::List(nodes)) = self.node.read() else {
            return Err(self.wrong_type(&format!("a list, such as {example}")));
        };
        let item = |node: Node| Item { name: self.name.clone(), key: node.origin.clone(), node };
        Ok(nodes.into_iter().map(item).collect())
    }

    /// A table.
    pub(crate) fn section(self) -> Result<Section, Fault> {
        match self.node.value {
            Value::Table(table) => Section::new(&self.name, table, self.node.origin),
            Value::Raw(_) => {
                let name = &self.name;
                Err(self.fault(format_args!("is a table; set one key of it, such as `{name}.KEY`")))
            }
            _ => Err(self.wrong_type(&format!("a table: [{}], and its keys below", self.name))),
        }
    }

    /// One of several words.
    pub(crate) fn choice<T: Copy>(&self, words: &[(&'static str, T)]) -> Result<T, Fault> {
        let text = self.text(words[0].0)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let cure = match nearest(&text, &names) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write one of {}", names.join(", ")),
        };
        Err(self.fault(format_args!("is \"{}\"; {cure}", shown(&text))))
    }
}
