//! The log as TensorBoard reads it: `runs/TIME_HOST/events.out.tfevents.*`.
//!
//! Written by hand: the crates for such files are unmaintained or bring images and an old protobuf along, and a log needs
//! only four fields of a message and a frame of sixteen bytes.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use chrono::Local;
use crc::{CRC_32_ISCSI, Crc};
use serde_json::Value;

use crate::atomic;
use crate::errors::unwritable;
use crate::output::LOG;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
/// The version of the format, in the first record of a file.
const VERSION: &str = "brain.Event:2";

/// A run's events. The file is created with the first event and appended to; readers tolerate a torn last record.
pub struct Events {
    folder: PathBuf,
    /// The step that a resumed run begins with.
    resumes: Option<u64>,
    file: Option<(PathBuf, File)>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events {{ {} }}", self.folder.display())
    }
}

/// Where a new run's events go, below its output folder, as Trainer names it: `runs/Nov27_14-39-01_host`.
pub fn new_folder() -> PathBuf {
    Path::new(LOG).join(format!("{}_{}", Local::now().format("%b%d_%H-%M-%S"), host()))
}

/// The machine's name, as far as it may be part of a file's name.
fn host() -> String {
    let name = sysinfo::System::host_name().unwrap_or_else(|| "localhost".into());
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' }).collect()
}

impl Events {
    /// Events in a folder. A run that is resumed after a step writes a new file, which supersedes the later steps of the
    /// older files beside it.
    pub fn new(folder: PathBuf, after: Option<u64>) -> Events {
        Events { folder, resumes: after.map(|step| step + 1), file: None }
    }

    /// Writes the numbers of an entry of the log, named as Trainer names them: `train/loss`, `eval/accuracy`.
    pub fn write(&mut self, step: u64, entry: &Value) -> Result<()> {
        let named = entry.as_object().into_iter().flatten().filter(|(name, _)| *name != "step");
        let numbers = named.filter_map(|(name, value)| Some((tag(name), value.as_f64()? as f32)));
        let event = event(Some(step), &bytes(5, &summary(numbers)));
        let (path, file) = self.open()?;
        file.write_all(&record(&event)).map_err(|error| unwritable("write", path, &error.into()))
    }

    /// The file, made now if there is none yet.
    fn open(&mut self) -> Result<&mut (PathBuf, File)> {
        let open = match self.file.take() {
            Some(open) => open,
            None => self.create()?,
        };
        Ok(self.file.insert(open))
    }

    fn create(&self) -> Result<(PathBuf, File)> {
        atomic::make_folder(&self.folder)?;
        let name = format!("events.out.tfevents.{:010}.{}.{}.0", now() as u64, host(), std::process::id());
        let path = self.folder.join(name);
        let mut head = record(&event(None, &bytes(3, VERSION.as_bytes())));
        if let Some(step) = self.resumes {
            // a SessionLog with status START: readers discard what older files say of this step and later ones
            head.extend(record(&event(Some(step), &bytes(7, &[0x08, 1]))));
        }
        let made = File::create_new(&path).and_then(|mut file| file.write_all(&head).map(|()| file));
        let file = made.map_err(|error| unwritable("write", &path, &error.into()))?;
        Ok((path, file))
    }
}

fn tag(name: &str) -> String {
    name.strip_prefix("eval_").map_or_else(|| format!("train/{name}"), |name| format!("eval/{name}"))
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// An `Event`: `double wall_time = 1; int64 step = 2;`, then what happened.
fn event(step: Option<u64>, what: &[u8]) -> Vec<u8> {
    let mut message = vec![0x09];
    message.extend(now().to_le_bytes());
    if let Some(step) = step {
        message.push(0x10);
        varint(step, &mut message);
    }
    message.extend(what);
    message
}

/// A `Summary` of values: `string tag = 1; float simple_value = 2;`.
fn summary(numbers: impl Iterator<Item = (String, f32)>) -> Vec<u8> {
    let mut values = Vec::new();
    for (tag, number) in numbers {
        let mut value = bytes(1, tag.as_bytes());
        value.push(0x15);
        value.extend(number.to_le_bytes());
        values.extend(bytes(1, &value));
    }
    values
}

/// A field with a length.
fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![field << 3 | 2];
    varint(content.len() as u64, &mut out);
    out.extend(content);
    out
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A record of a file: length, its check sum, content, its check sum.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), content, &masked(content)].concat()
}

/// The masked check sum of TensorFlow's records, which differs from a check sum of bytes that hold one.
fn masked(bytes: &[u8]) -> [u8; 4] {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The contents of a file's records, whose sums must be right.
    fn records(folder: &Path) -> Vec<Vec<u8>> {
        let path = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with("events.out.tfevents."));
        let file = std::fs::read(path).unwrap();
        let (mut rest, mut found) = (file.as_slice(), Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked(&rest[..8]));
            assert_eq!(rest[12 + length..][..4], masked(&rest[12..][..length]));
            found.push(rest[12..][..length].to_vec());
            rest = &rest[16 + length..];
        }
        found
    }

    #[test]
    fn sums_are_those_of_tensorflow() {
        // the check value of CRC-32C, and what every file of TensorFlow's begins with
        assert_eq!(CRC.checksum(b"123456789"), 0xe306_9283);
        let first = record(&event(None, &bytes(3, VERSION.as_bytes())));
        assert_eq!(first[..12], [0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22]);
    }

    #[test]
    fn an_entry_of_the_log_is_a_summary_with_trainers_tags() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::new(folder.path().join("runs"), None);
        events.write(300, &json!({"step": 300, "stage": "stage 1", "loss": 0.5, "eval_accuracy": 1})).unwrap();
        let records = records(&folder.path().join("runs"));
        assert_eq!(records.len(), 2);
        assert_eq!(records[0][9..], *b"\x1a\x0dbrain.Event:2");
        let mut wanted = b"\x10\xac\x02\x2a\x2a\x0a\x14\x0a\x0deval/accuracy\x15".to_vec();
        wanted.extend(1f32.to_le_bytes());
        wanted.extend(b"\x0a\x11\x0a\x0atrain/loss\x15");
        wanted.extend(0.5f32.to_le_bytes());
        wanted[4] = (wanted.len() - 5) as u8;
        assert_eq!(records[1][9..], wanted);
    }

    #[test]
    fn a_run_taken_up_says_from_which_step_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::new(folder.path().into(), Some(4));
        events.write(6, &json!({"loss": 0.5})).unwrap();
        events.write(7, &json!({"loss": 0.25})).unwrap();
        let records = records(folder.path());
        assert_eq!(records.len(), 4);
        assert_eq!(records[1][9..], *b"\x10\x05\x3a\x02\x08\x01");
    }
}
