//! Which clients may ask a party.

use std::collections::BTreeSet;
use std::path::Path;

use net::Pin;

use crate::origin::{Fault, Origin};
use crate::peers::{EXAMPLE, Pins};
use crate::section::Section;
use crate::source::text_of;

/// Room for two hundred thousand pins.
const MOST_MIB: u64 = 16;

/// Which clients may ask a party: these, or any at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// Whether every client may, whatever its pin.
    pub any: bool,
    /// The pins of those that may; none where any may. A file may hold none: then nobody may for now.
    pub pins: BTreeSet<Pin>,
}

impl Clients {
    /// Whether the client with this pin may ask.
    pub fn allows(&self, pin: &Pin) -> bool {
        self.any || self.pins.contains(pin)
    }
}

/// The clients of a party; a file that they are in is read.
pub(crate) fn read(top: &mut Section, folder: &Path, known: &mut Pins) -> Result<Clients, Fault> {
    let cure =
        format!("say which clients may ask: [clients] with pins = {EXAMPLE}, file = \"clients.txt\" or any = true");
    let item = top.need("clients", &cure)?;
    let origin = item.key.clone();
    let mut section = item.section()?;
    let (list, file, any) = (section.take("pins"), section.take("file"), section.take("any"));
    let open = any.as_ref().map_or(Ok(false), |any| any.switch())?;
    if let (true, Some(any), Some(beside)) = (open, &any, list.as_ref().or(file.as_ref())) {
        return Err(any.fault(format_args!("is true beside `{}`; leave one of the two out", beside.name)));
    }
    let mut pins = BTreeSet::new();
    if let Some(list) = &list {
        pins.extend(known.list(list)?);
    }
    if let Some(file) = &file {
        let path = folder.join(file.text("clients.txt")?);
        let text = text_of(&path, MOST_MIB)
            .map_err(|what| file.fault(format_args!("names {}, which {}", path.display(), as_clause(&what))))?;
        pins.extend(listed(&path, &text, known)?);
    }
    if pins.is_empty() && file.is_none() && !open {
        let what = "`clients` names nobody; write pins, a file, or any = true for every client that there is";
        return Err(Fault::new(&origin, what));
    }
    Ok(Clients { any: open, pins })
}

/// What is wrong with a file, after "which".
fn as_clause(what: &str) -> String {
    if what.starts_with("no such file") { "is not there; check the path".into() } else { what.into() }
}

/// The pins of a file: one a line; what follows `#` is for people.
fn listed(path: &Path, text: &str, known: &mut Pins) -> Result<Vec<Pin>, Fault> {
    let mut pins = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let word = line.split('#').next().unwrap_or_default();
        if word.trim().is_empty() {
            continue;
        }
        let column = 1 + word.chars().take_while(|c| c.is_whitespace()).count();
        let origin = Origin::Place(path.to_path_buf(), at + 1, column);
        let pin = word.trim().parse::<Pin>().map_err(|error| {
            Fault::new(&origin, format!("not a pin: {error}; write one a line, and # before what is not one"))
        })?;
        known.add(pin, "clients.file", &origin)?;
        pins.push(pin);
    }
    Ok(pins)
}
