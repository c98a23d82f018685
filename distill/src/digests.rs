//! SHA-256 digests of texts and models: a run is resumed with the same ones only, and all its processes must have them.
//!
//! They are formed a few times a stage, never once a step: that of BERT-base takes a second or two.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use candle_core::Device;
use datasets::{BESIDE_TOKENIZER, Label, VOCABULARY};
use model::Config;
use sha2::{Digest, Sha256};

use crate::folder::{Folder, TOKENIZER};
use crate::pipeline::Data;
use crate::samples::Samples;
use crate::weights::Weights;

/// Digests by the name of what they are of.
pub type InputDigests = BTreeMap<String, String>;

/// Digests of everything that a run is begun with beside its options.
pub fn of_inputs(teacher: &Folder, start: Option<&Folder>, data: &Data) -> Result<InputDigests> {
    let mut inputs = InputDigests::new();
    let mut note = |name: &str, digest: String| drop(inputs.insert(name.into(), digest));
    note("training texts", of_texts(&data.train));
    note("texts to judge by", of_texts(&data.dev));
    if let Some(test) = &data.test {
        note("texts to answer", of_texts(test));
    }
    note("teacher's weights", of_weights(&teacher.weights)?);
    note("teacher's configuration", of_config(&teacher.config)?);
    note("teacher's tokenizer", of_tokenizer(teacher));
    if let Some(start) = start {
        note("student's weights", of_weights(&start.weights)?);
        note("student's configuration", of_config(&start.config)?);
    }
    Ok(inputs)
}

/// What has changed since a run was begun: `the training texts changed, and the teacher's weights changed`.
pub fn changes(before: &InputDigests, now: &InputDigests) -> String {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let change = |name: &String| match (before.get(name), now.get(name)) {
        (Some(was), Some(is)) if was == is => None,
        (Some(_), Some(_)) => Some(format!("the {name} changed")),
        (Some(_), None) => Some(format!("the {name} are gone")),
        (None, _) => Some(format!("the {name} came along")),
    };
    names.into_iter().filter_map(change).collect::<Vec<_>>().join(", ")
}

/// What a teacher's logits for texts depend on.
pub fn of_teacher_logits(teacher: &Folder, texts: &Samples) -> Result<String> {
    Ok(format!("{} {} {}", of_config(&teacher.config)?, of_weights(&teacher.weights)?, of_texts(texts)))
}

/// Every text's tokens, segments and label.
pub fn of_texts(samples: &Samples) -> String {
    let mut hash = Sha256::new();
    for index in 0..samples.len() {
        let (ids, segments) = samples.text(index);
        hash.update((ids.len() as u64).to_le_bytes());
        ids.iter().chain(segments).for_each(|number| hash.update(number.to_le_bytes()));
    }
    for label in samples.labels() {
        match label {
            Label::Class(class) => hash.update((*class as u64).to_le_bytes()),
            Label::Number(number) => hash.update(number.to_le_bytes()),
            Label::Set(holds) => holds.iter().for_each(|holds| hash.update([u8::from(*holds)])),
        }
    }
    hex::encode(hash.finalize())
}

/// Every weight's name, shape and numbers.
pub fn of_weights(weights: &Weights) -> Result<String> {
    let mut hash = Sha256::new();
    for (name, tensor) in weights.iter() {
        hash.update(format!("{name} {:?} ", tensor.dims()));
        let numbers = tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
        hash.update(bytemuck::cast_slice::<f32, u8>(&numbers));
    }
    Ok(hex::encode(hash.finalize()))
}

/// The keys that this program reads; others may change.
fn of_config(config: &Config) -> Result<String> {
    let known = Config { extra: BTreeMap::new(), ..config.clone() };
    Ok(hex::encode(Sha256::digest(serde_json::to_vec(&known)?)))
}

fn of_tokenizer(folder: &Folder) -> String {
    let mut hash = Sha256::new();
    for name in [TOKENIZER].into_iter().chain(BESIDE_TOKENIZER).chain([VOCABULARY]) {
        // what cannot be read was refused, or is not there
        let bytes = std::fs::read(folder.path.join(name)).unwrap_or_default();
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_said() {
        let inputs =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, digest)| ((*name).into(), (*digest).into())).collect();
        let before: InputDigests =
            inputs(&[("training texts", "1"), ("texts to answer", "2"), ("teacher's weights", "3")]);
        let now: InputDigests =
            inputs(&[("training texts", "9"), ("teacher's weights", "3"), ("student's weights", "4")]);
        let said = "the student's weights came along, the texts to answer are gone, the training texts changed";
        assert_eq!(changes(&before, &now), said);
        assert_eq!(changes(&now, &now), "");
    }
}
