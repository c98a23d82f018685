//! The stock of correlations of a party (`[stock]`): where it lies, how much of it there is, and when it is filled.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};

use bundle::Role;
use cli::memory::size;

use crate::origin::{Fault, shown};
use crate::section::{Item, Section};

/// As many packs of one class as are ordered at once.
const MARKS: RangeInclusive<u64> = 1..=65_536;
/// The name of the key's file in the folder of the role's keys.
const KEY: &str = "stock.key";
const WINDOW: &str = "02:00-05:00";
const CLASSES: &str = "write [stock.classes] with lines such as 32 = { low = 50, high = 200 }";

/// A party's stock. What party0 alone decides is empty at party1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockConfig {
    /// The folder of the packs.
    pub folder: PathBuf,
    /// The file of the key that seals them, outside that folder.
    pub key: PathBuf,
    /// The most bytes of packs.
    pub quota: u64,
    /// How many packs are made at once.
    pub parallel: usize,
    /// When packs are ordered; nothing where that may be at any time.
    pub refill: Option<Refill>,
    /// How many packs there are to be, by the padded length of their texts.
    pub classes: BTreeMap<u32, Marks>,
}

/// Between how many packs of a class the stock is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// With fewer, packs are ordered.
    pub low: u64,
    /// With so many, no more are.
    pub high: u64,
}

/// The part of each day in which packs are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// When it begins, in seconds of the day, UTC.
    pub from: u32,
    /// When it ends; on the next day where this is less than `from`.
    pub until: u32,
    /// Whether what is left is thrown away when it begins, so that the dealer does not learn how many were used.
    pub renew: bool,
}

impl StockConfig {
    /// The stock of a role, where there is one. `folder` is the configuration's, `keys` that of the role's keys.
    pub(crate) fn read(
        role: Role,
        top: &mut Section,
        folder: &Path,
        keys: &Path,
    ) -> Result<Option<StockConfig>, Fault> {
        let Some(item) = top.take("stock") else { return Ok(None) };
        let mut section = item.section()?;
        let orders = role == Role::Party0;
        if !orders {
            for key in ["refill", "renew", "classes"] {
                section.refuse(key, "party0 orders packs for both, and says how many and when")?;
            }
        }
        let example = format!("stock/{role}");
        let place = section.need("folder", &format!("name the folder of the packs: folder = \"{example}\""))?;
        let stock = folder.join(place.text(&example)?);
        let key = outside(&place, section.take("key").as_ref(), &stock, folder, keys)?;
        let item = section.need("quota", "say how many bytes of the disk packs may take: quota = \"20G\"")?;
        let text = item.text("20G")?;
        let quota = size(&text).map_err(|what| item.fault(format_args!("is \"{}\"; {what}", shown(&text))))?;
        let parallel = section.whole("parallel", 1, 1..=16)? as usize;
        let refill = refill(&mut section)?;
        let classes = if orders { classes(&mut section)? } else { BTreeMap::new() };
        Ok(Some(StockConfig { folder: stock, key, quota, parallel, refill, classes }))
    }
}

/// Where the key is. Whoever copies the folder must not have it by that.
fn outside(place: &Item, key: Option<&Item>, stock: &Path, folder: &Path, keys: &Path) -> Result<PathBuf, Fault> {
    let path = match key {
        Some(item) => folder.join(item.text(&format!("keys/{KEY}"))?),
        None => keys.join(KEY),
    };
    if !plain(&path).starts_with(plain(stock)) {
        return Ok(path);
    }
    Err(match key {
        Some(item) => item.fault("lies within `stock.folder`: who copies the one copies the other; name another place"),
        None => place.fault(format_args!(
            "holds the stock's key, {KEY} in the folder of `keys`: who copies the one copies the other; name a folder beside it"
        )),
    })
}

/// A path without `.` and `..`, as far as that can be said without looking: links are followed when the stock is opened.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

/// When packs are ordered.
fn refill(section: &mut Section) -> Result<Option<Refill>, Fault> {
    let renewed = section.take("renew");
    let renew = renewed.as_ref().map_or(Ok(false), |item| item.switch())?;
    let Some(item) = section.take("refill") else {
        return match renewed {
            Some(item) if renew => Err(item.fault(format_args!(
                "is true without `stock.refill`, at whose begin the stock is renewed; write refill = \"{WINDOW}\""
            ))),
            _ => Ok(None),
        };
    };
    let text = item.text(WINDOW)?;
    let ends = text.split_once('-').and_then(|(from, until)| Some((seconds(from.trim())?, seconds(until.trim())?)));
    match ends {
        Some((from, until)) if from != until => Ok(Some(Refill { from, until, renew })),
        Some(_) => {
            Err(item
                .fault("begins when it ends; write a longer one, or leave it out for orders at any time of the day"))
        }
        None => Err(item.fault(format_args!("is \"{}\"; write two times of the day, UTC: \"{WINDOW}\"", shown(&text)))),
    }
}

/// The seconds of the day at a time such as 02:00.
fn seconds(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, most: u32| {
        // a sign is no part of a time, though numbers are read with one
        let fits = text.len() == 2 && text.chars().all(|c| c.is_ascii_digit());
        text.parse::<u32>().ok().filter(|number| fits && *number <= most)
    };
    Some((number(hours, 23)? * 60 + number(minutes, 59)?) * 60)
}

/// How many packs there are to be of each class.
fn classes(section: &mut Section) -> Result<BTreeMap<u32, Marks>, Fault> {
    let item = section.need("classes", &format!("party0 says how many packs there are to be: {CLASSES}"))?;
    let origin = item.key.clone();
    let mut section = item.section()?;
    let mut classes = BTreeMap::new();
    for name in section.names() {
        // its names are all known, and numbers
        let (Some(item), Ok(rows)) = (section.take(&name), name.parse()) else { continue };
        let mut marks = item.section()?;
        let mut mark = |key: &str, range| {
            let cure = "write both, such as { low = 50, high = 200 }: orders begin below low and end at high";
            marks.need(key, cure)?.whole(&range)
        };
        let low = mark("low", MARKS)?;
        let high = mark("high", low..=*MARKS.end())?;
        classes.insert(rows, Marks { low, high });
    }
    if classes.is_empty() {
        return Err(Fault::new(&origin, format!("`stock.classes` names no length of texts; {CLASSES}")));
    }
    Ok(classes)
}
