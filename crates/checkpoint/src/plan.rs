//! Which tensors are read under which names, decided by the headers alone: what is refused is refused before a number is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model::Config;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;

use crate::config::Said;
use crate::error::Error;
use crate::family::Family;
use crate::head::{HEAD, is_of_texts};
use crate::header::Header;
use crate::layout::{Layout, first};
use crate::names::{is_buffer, is_encoders, layer_of, shapes};

/// A network's tensors in files.
#[derive(Debug)]
pub(crate) struct Plan {
    /// For each file, which tensor is read as which.
    pub(crate) files: Vec<(PathBuf, BTreeMap<String, String>)>,
    /// First rows of each that are left out.
    pub(crate) family: Family,
    /// Tensors that the family does not have, with their shapes: they are zero.
    pub(crate) zeros: Vec<(String, Vec<usize>)>,
    /// Whether the head has a weight and no bias, which then is zero.
    pub(crate) lacks_bias: bool,
    /// What is not read, or read otherwise than it stands.
    pub(crate) notes: Vec<String>,
}

/// Refuses a model by its folder's `config.json` and the headers of its weights, wherever those are, as reading it would.
pub fn check_headers(folder: &Path, headers: &[Header]) -> Result<(), Error> {
    let mut said = Said::read(folder)?;
    if said.config.id2label.is_empty() {
        said.count_labels(headers);
    }
    Plan::new(&said.config, said.family, headers).map(drop)
}

impl Plan {
    pub(crate) fn new(config: &Config, family: Family, headers: &[Header]) -> Result<Plan, Error> {
        let layout = Layout::find(family, headers)?;
        let mut draft =
            Draft { config, family, shapes: shapes(config), has: BTreeSet::new(), unread: Vec::new(), stray: None };
        draft.check_head(&layout, headers)?;
        let mut files = Vec::new();
        for header in headers {
            let mut wanted = BTreeMap::new();
            // in the order of their names, so that of several errors it is always the same that is told
            for (full, info) in &header.tensors {
                if let Some(name) = draft.place(&layout, &header.path, full, info)? {
                    wanted.insert(full.clone(), name);
                }
            }
            files.push((header.path.clone(), wanted));
        }
        draft.check_whole(&layout, headers)?;
        let lacks = |one: usize, other: usize| draft.has.contains(HEAD[one]) && !draft.has.contains(HEAD[other]);
        let (lacks_bias, lacks_weight) = (lacks(0, 1), lacks(1, 0));
        if lacks_weight {
            for (_, wanted) in &mut files {
                draft.unread.extend(wanted.extract_if(.., |_, name| *name == HEAD[1]).map(|(full, _)| full));
            }
        }
        let zeros = draft.shapes.iter().filter(|(name, _)| family.lacks(name) && !draft.has.contains(*name));
        let zeros = zeros.map(|(name, shape)| (name.clone(), shape.clone())).collect();
        let mut notes = Vec::new();
        if let Some(prefix) = layout.unusual() {
            notes.push(format!("the network is read under the prefix `{prefix}`"));
        }
        if lacks_bias {
            notes.push(format!("the head has no bias (`{}`); it is taken as zero", HEAD[1]));
        }
        if !draft.unread.is_empty() {
            notes.push(format!("not read, being no part of a classifier of texts: {}", first(draft.unread.iter())));
        }
        Ok(Plan { files, family, zeros, lacks_bias, notes })
    }
}

/// What is known of a network after some of its tensors.
struct Draft<'a> {
    config: &'a Config,
    family: Family,
    shapes: BTreeMap<String, Vec<usize>>,
    has: BTreeSet<String>,
    unread: Vec<String>,
    /// The first tensor of the encoder that a BERT does not have.
    stray: Option<(PathBuf, String, Vec<usize>)>,
}

impl Draft<'_> {
    /// Under which name a tensor is read, if it is.
    fn place(&mut self, layout: &Layout, path: &Path, full: &str, info: &TensorInfo) -> Result<Option<String>, Error> {
        let wrong = |problem, expected: String, got: String| {
            let (path, name) = (path.to_path_buf(), full.to_string());
            Error::Tensor { path, name, problem, expected, got }
        };
        let of_head = |name: &str| name.starts_with("classifier.");
        let name = layout.canonical(full).filter(|name| is_of_texts(self.config) || !of_head(name));
        let Some((name, shape)) = name.as_ref().and_then(|name| Some((name, self.shapes.get(name)?))) else {
            let name = name.as_deref().unwrap_or_default();
            if let Some(layer) = layer_of(name).filter(|l| *l >= self.config.num_hidden_layers) {
                let expected = format!("{} layers, as config.json says", self.config.num_hidden_layers);
                return Err(wrong("is of a layer too many", expected, format!("layer number {layer}")));
            }
            if is_encoders(name) {
                self.stray.get_or_insert_with(|| (path.into(), full.into(), info.shape.clone()));
            } else if !is_buffer(full) {
                self.unread.push(full.into());
            }
            return Ok(None);
        };
        self.check_shape(path, full, name, shape, info)?;
        if ![Dtype::F32, Dtype::F16, Dtype::BF16].contains(&info.dtype) {
            return Err(wrong("has an unknown type", "F32, F16 or BF16".into(), info.dtype.to_string()));
        }
        if !self.has.insert(name.clone()) {
            let problem = "is there twice, under another name too (with and without prefix, old and new)";
            return Err(wrong(problem, "one of them".into(), "both".into()));
        }
        Ok(Some(name.clone()))
    }

    fn check_shape(
        &self,
        path: &Path,
        full: &str,
        name: &str,
        shape: &[usize],
        info: &TensorInfo,
    ) -> Result<(), Error> {
        let mut expected = shape.to_vec();
        expected[0] += self.family.skipped_rows(name);
        if info.shape == expected {
            return Ok(());
        }
        let (mut expected, mut got) = (format!("{expected:?}"), format!("{:?}", info.shape));
        match name.starts_with("classifier.") {
            true => {
                let labels = self.config.labels();
                expected += &format!(" for the {} labels of config.json ({})", labels.len(), first(labels.iter()));
                got += "; correct `id2label` or `num_labels` in config.json, or leave the head out of the file to have one drawn";
            }
            false => expected += ", as config.json says",
        }
        Err(Error::Tensor { path: path.into(), name: full.into(), problem: "has another shape", expected, got })
    }

    /// Refuses a head for another number of labels by its weight: that says more than its bias, which comes before it.
    fn check_head(&self, layout: &Layout, headers: &[Header]) -> Result<(), Error> {
        let Some(shape) = self.shapes.get(HEAD[0]).filter(|_| is_of_texts(self.config)) else { return Ok(()) };
        let tensors =
            headers.iter().flat_map(|header| header.tensors.iter().map(|(full, info)| (&header.path, full, info)));
        let mut heads = tensors.filter(|(_, full, _)| layout.canonical(full).as_deref() == Some(HEAD[0]));
        heads.try_for_each(|(path, full, info)| self.check_shape(path, full, HEAD[0], shape, info))
    }

    /// Refuses an encoder of which a tensor is missing, or would be left out. A pooler may be missing.
    fn check_whole(&self, layout: &Layout, headers: &[Header]) -> Result<(), Error> {
        let asked = |name: &str| is_encoders(name) && !name.starts_with("pooler.") && !self.family.lacks(name);
        let missing = self.shapes.iter().find(|(name, _)| asked(name) && !self.has.contains(*name));
        if let Some((path, name, shape)) = &self.stray {
            let expected = match missing {
                Some((missing, _)) => format!("`{missing}`, which is missing"),
                None => "the tensors of an ordinary BERT".into(),
            };
            let (path, name, got) = (path.clone(), name.clone(), format!("one more, of shape {shape:?}"));
            return Err(Error::Tensor { path, name, problem: "is not one of a BERT's", expected, got });
        }
        let Some((name, shape)) = missing else { return Ok(()) };
        Err(Error::Tensor {
            path: headers.first().map(|header| header.path.clone()).unwrap_or_default(),
            name: layout.full(name),
            problem: "is missing",
            expected: format!("one of shape {shape:?}"),
            got: "none".into(),
        })
    }
}
