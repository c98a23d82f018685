//! Weights in files: what is read, what is refused, what is written.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use distill::folder::{Folder, ModelRole};
use distill::weights::{LoadedWeights, Weights};

use crate::tiny;

type Tensors = HashMap<String, Tensor>;

/// Writes a tiny model's tensors, after `change`, and reads them.
fn read(change: impl FnOnce(&mut Tensors)) -> anyhow::Result<LoadedWeights> {
    Weights::read(written(change).path(), &tiny::config(2), 7)
}

fn written(change: impl FnOnce(&mut Tensors)) -> tempfile::TempDir {
    let config = tiny::config(2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(folder.path().join("config.json"), serde_json::to_string(&config).unwrap()).unwrap();
    let weights = Weights::draw(&config, 3).unwrap();
    let mut tensors: Tensors = weights.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    folder
}

fn is_bad_file(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<cli::Coded>().map(|coded| coded.code);
    code == Some(cli::exit::BAD_INPUT) || error.is::<checkpoint::Error>()
}

fn refusal(change: impl FnOnce(&mut Tensors)) -> String {
    let error = read(change).unwrap_err();
    assert!(is_bad_file(&error), "{error}");
    error.to_string()
}

fn numbers(weights: &Weights, name: &str) -> Vec<f32> {
    weights.tensor(name).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

const QUERY: &str = "bert.encoder.layer.0.attention.self.query.weight";

#[test]
fn names_without_prefix_old_names_and_half_precisions_are_read() {
    let whole = read(|_| ()).unwrap();
    assert!(whole.drawn.is_empty());
    for dtype in [DType::F16, DType::BF16] {
        let halved = read(|tensors| {
            *tensors = std::mem::take(tensors)
                .into_iter()
                .map(|(name, tensor)| {
                    let name =
                        name.strip_prefix("bert.").unwrap_or(&name).replace("LayerNorm.weight", "LayerNorm.gamma");
                    (name.replace("LayerNorm.bias", "LayerNorm.beta"), tensor.to_dtype(dtype).unwrap())
                })
                .collect();
            tensors.insert("embeddings.position_ids".into(), Tensor::new(&[0i64, 1], &Device::Cpu).unwrap());
        });
        let halved = halved.unwrap();
        assert!(halved.drawn.is_empty());
        let pairs = numbers(&whole.weights, QUERY).into_iter().zip(numbers(&halved.weights, QUERY));
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 0.01 && a != 0.0));
    }
}

#[test]
fn a_missing_pooler_or_head_is_drawn_from_the_seed() {
    let without =
        || read(|tensors| tensors.retain(|name, _| !name.contains("pooler") && !name.starts_with("classifier")));
    let (one, two) = (without().unwrap(), without().unwrap());
    assert_eq!(one.drawn.len(), 4);
    assert_eq!(numbers(&one.weights, "classifier.weight"), numbers(&two.weights, "classifier.weight"));
    assert!(numbers(&one.weights, "bert.pooler.dense.bias").iter().all(|&b| b == 0.0));
    // half of a pooler is none
    let half = read(|tensors| drop(tensors.remove("bert.pooler.dense.bias"))).unwrap();
    assert_eq!(half.drawn, ["bert.pooler.dense.bias", "bert.pooler.dense.weight"]);
    let whole = read(|_| ()).unwrap();
    assert_ne!(numbers(&half.weights, "bert.pooler.dense.weight"), numbers(&whole.weights, "bert.pooler.dense.weight"));
}

#[test]
fn a_head_is_kept_without_its_bias_and_refused_where_labels_and_rows_differ() {
    let read_head = read(|tensors| drop(tensors.remove("classifier.bias"))).unwrap();
    assert!(read_head.drawn.is_empty() && read_head.notes[0].contains("classifier.bias"), "{read_head:?}");
    assert_eq!(numbers(&read_head.weights, "classifier.bias"), [0.0, 0.0]);
    let whole = read(|_| ()).unwrap();
    assert_eq!(numbers(&read_head.weights, "classifier.weight"), numbers(&whole.weights, "classifier.weight"));
    let other = refusal(|tensors| {
        tensors.insert("classifier.weight".into(), Tensor::zeros((3, 32), DType::F32, &Device::Cpu).unwrap());
    });
    for words in ["`classifier.weight`", "[3, 32]", "2 labels", "NEGATIVE, POSITIVE", "num_labels"] {
        assert!(other.contains(words), "{other}");
    }
}

#[test]
fn a_head_without_its_pooler_is_taught_anew_and_not_judged() {
    let whole = written(|_| ());
    assert!(Folder::read_as(ModelRole::Evaluated, whole.path(), 7).unwrap().has_head);
    for part in ["pooler", "classifier"] {
        let folder = written(|tensors| tensors.retain(|name, _| !name.contains(part)));
        for role in [ModelRole::Teacher, ModelRole::Start] {
            assert!(!Folder::read_as(role, folder.path(), 7).unwrap().has_head, "{part}");
        }
        let error = Folder::read_as(ModelRole::Evaluated, folder.path(), 7).unwrap_err();
        let missing = if part == "pooler" { "no pooler (bert.pooler.dense.bias" } else { "no head (classifier.bias" };
        assert!(is_bad_file(&error) && error.to_string().contains(missing), "{error}");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let missing = refusal(|tensors| drop(tensors.remove(QUERY)));
    assert!(missing.contains(QUERY) && missing.contains("[32, 32]"), "{missing}");
    let shape = refusal(|tensors| {
        tensors.insert(QUERY.into(), Tensor::zeros((32, 31), DType::F32, &Device::Cpu).unwrap());
    });
    assert!(shape.contains("expected [32, 32], as config.json says, got [32, 31]"), "{shape}");
    let kind = refusal(|tensors| {
        tensors.insert(QUERY.into(), Tensor::zeros((32, 32), DType::I64, &Device::Cpu).unwrap());
    });
    assert!(kind.contains("I64"), "{kind}");
    let nowhere = Weights::read(Path::new("/nowhere"), &tiny::config(2), 0).unwrap_err();
    assert!(nowhere.is::<checkpoint::Error>());
}

#[test]
fn kept_layers_move_down_and_written_weights_come_back() {
    let weights = Weights::draw(&tiny::config(4), 3).unwrap();
    let kept = weights.keep_layers(&[0, 3]);
    assert_eq!(
        numbers(&kept, "bert.encoder.layer.1.output.dense.weight"),
        numbers(&weights, "bert.encoder.layer.3.output.dense.weight")
    );
    assert!(kept.tensor("bert.encoder.layer.2.output.dense.weight").is_err());
    assert!(kept.has_embeddings_of(&weights).unwrap());
    assert!(!kept.has_embeddings_of(&Weights::draw(&tiny::config(4), 4).unwrap()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    kept.write(&path, false).unwrap();
    let back = Weights::read_file(&path, &tiny::config(2)).unwrap();
    assert!(kept.iter().all(|(name, _)| numbers(&kept, name) == numbers(&back, name)));
    // of what a run wrote itself, nothing is drawn
    let whole = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let headless: Tensors = whole.into_iter().filter(|(name, _)| !name.starts_with("classifier")).collect();
    candle_core::safetensors::save(&headless, &path).unwrap();
    let error = Weights::read_file(&path, &tiny::config(2)).unwrap_err();
    assert!(is_bad_file(&error) && error.to_string().contains("`classifier.bias` is missing"), "{error}");
}
