//! The beginning of a safetensors file: which tensors it has, of which shapes and types, without their numbers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;
use safetensors::tensor::TensorInfo;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::files::{INDEX, Shard, shards};

/// How the file of a large model begins where git left it out.
const POINTER: &[u8] = b"version https://git-lfs";
/// The longest header: a hundred thousand tensors have a shorter one, and it is unpacked in memory.
const LONGEST: u64 = 16_000_000;

/// What a file of weights says of its tensors.
#[derive(Debug)]
pub struct Header {
    pub(crate) path: PathBuf,
    pub(crate) tensors: BTreeMap<String, TensorInfo>,
}

impl Header {
    /// Of the text that follows a file's first eight bytes, which say how long it is.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Header, Error> {
        let wrong = |problem: SafeTensorError| Error::Weights { path: path.into(), message: problem.to_string() };
        let text = str::from_utf8(text).map_err(|e| wrong(SafeTensorError::InvalidHeader(e)))?;
        let not_json = |e| wrong(SafeTensorError::InvalidHeaderDeserialization(e));
        let mut entries: Map<String, Value> = serde_json::from_str(text).map_err(not_json)?;
        entries.remove("__metadata__");
        let tensor = |(name, entry)| Ok((name, serde_json::from_value(entry)?));
        let tensors = entries.into_iter().map(tensor).collect::<Result<_, serde_json::Error>>().map_err(not_json)?;
        Ok(Header { path: path.into(), tensors })
    }

    pub(crate) fn of_file(path: &Path) -> Result<Header, Error> {
        let io = |problem: io::Error| Error::Io { path: path.into(), problem };
        let mut file = File::open(path).map_err(io)?;
        let wrong = |message: String| Error::Weights { path: path.into(), message };
        let mut first = Vec::new();
        file.by_ref().take(POINTER.len() as u64).read_to_end(&mut first).map_err(io)?;
        if first == POINTER {
            return Err(wrong("git-lfs left a pointer in its place, `git lfs pull` brings the file".into()));
        }
        let Some((length, rest)) = first.split_first_chunk() else {
            return Err(wrong(SafeTensorError::HeaderTooSmall.to_string()));
        };
        let length = u64::from_le_bytes(*length);
        if length > LONGEST {
            return Err(wrong(SafeTensorError::HeaderTooLarge.to_string()));
        }
        let mut text = rest.to_vec();
        file.take(length.saturating_sub(rest.len() as u64)).read_to_end(&mut text).map_err(io)?;
        text.truncate(length as usize);
        match text.len() as u64 == length {
            true => Header::parse(path, &text),
            false => Err(wrong(SafeTensorError::InvalidHeaderLength.to_string())),
        }
    }
}

/// The headers of a folder's weights; each file has what an index says of it.
pub(crate) fn headers(folder: &Path) -> Result<Vec<Header>, Error> {
    let header = |Shard { path, tensors }: Shard| {
        let header = Header::of_file(&path)?;
        match tensors.iter().find(|name| !header.tensors.contains_key(*name)) {
            None => Ok(header),
            Some(name) => {
                let file = path.file_name().unwrap_or_default().display();
                let problem = format!("tensor `{name}` is said to be in `{file}`, which does not have it");
                Err(Error::Index { path: folder.join(INDEX), problem })
            }
        }
    };
    shards(folder)?.into_iter().map(header).collect()
}
