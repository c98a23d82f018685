//! `calibration.json`: the ranges of every value that a private run opens, so that `convert` needs no data set.

use anyhow::Result;
use datasets::{Empty, Length, Tokenizer, encode_all, unusual_texts};
use model::{Folded, Ranges, Sample, Shape, Tensors, calibrate, calibrate_unusual, fold, stretched_count};
use ndarray::ArrayD;

use crate::atomic;
use crate::folder::Folder;
use crate::progress::over;
use crate::samples::Samples;

/// Texts that are observed, evenly spread over the set.
const TEXTS: usize = 2000;

/// Observes the stored model over training texts and writes the ranges beside it.
pub fn write_calibration(folder: &Folder, samples: &Samples, quiet: bool) -> Result<()> {
    let count = samples.len().min(TEXTS);
    let texts: Vec<Sample> = (0..count)
        .map(|i| {
            let (ids, segments) = samples.text(i * samples.len() / count);
            Sample { ids: ids.to_vec(), segments: segments.to_vec() }
        })
        .collect();
    let folded = folded(folder)?;
    let ranges =
        over(quiet, "observing what is opened", count + stretched_count(&texts, folded.shape.positions), |step| {
            calibrate(&folded, &texts, &|| step(1))
        })?;
    let unusual = unusual(folder, &folded)?;
    let beyond = over(quiet, "observing texts unlike these", unusual.len(), |step| {
        calibrate_unusual(&folded, &unusual, &|| step(1))
    })?;
    let ranges = Ranges { unusual: Some(Box::new(beyond)), ..ranges };
    atomic::write_json(&folder.path.join("calibration.json"), &ranges)
}

/// Encoded texts unlike those of the training set; pairs where the student was trained on pairs.
fn unusual(folder: &Folder, folded: &Folded) -> Result<Vec<Sample>> {
    let shape = &folded.shape;
    let tokenizer = Tokenizer::load(&folder.path, shape.positions)?;
    let texts = unusual_texts(folder.config.text_pair() == Some(true));
    let texts = texts.iter().map(|(text, second)| (text.as_str(), second.as_deref()));
    let encoded = encode_all(&tokenizer, texts, Length::default(), Empty::Taken, &|| ())?.texts;
    encoded.into_iter().map(|text| Ok(Sample::new(text.ids, text.type_ids, shape)?)).collect()
}

/// The model in the folded form that private inference takes.
pub fn folded(folder: &Folder) -> Result<Folded> {
    let mut tensors = Tensors::new();
    for (name, tensor) in folder.weights.iter() {
        let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
        let name = name.strip_prefix("bert.").unwrap_or(name);
        tensors.insert(name.to_string(), ArrayD::from_shape_vec(tensor.dims(), numbers)?);
    }
    Ok(fold(&Shape::of(&folder.config), &tensors)?)
}
