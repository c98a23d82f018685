//! Files of weights: what is read, what is refused, and that no bytes make the reader panic.

use std::fs;

use model::Tensors;
use ndarray::{ArrayD, IxDyn};
use safetensors::Dtype;

use crate::folder::{Folder, config, prefixed, weights};

const FILE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

#[test]
fn all_precisions_are_read_with_prefix_and_without() {
    type Round = fn(f32) -> f32;
    let rounds: [(Dtype, Round); 3] = [
        (Dtype::F32, |v| v),
        (Dtype::F16, |v| half::f16::from_f32(v).to_f32()),
        (Dtype::BF16, |v| half::bf16::from_f32(v).to_f32()),
    ];
    let folder = Folder::whole();
    for (dtype, round) in rounds {
        let rounded: Tensors = weights().into_iter().map(|(name, tensor)| (name, tensor.mapv(round))).collect();
        for prefix in ["bert.", ""] {
            folder.tensors(FILE, &prefixed(&weights(), prefix), dtype);
            assert_eq!(folder.read().unwrap(), rounded, "{dtype} `{prefix}`");
        }
    }
}

#[test]
fn every_tensor_that_is_read_is_in_the_table_of_shapes() {
    let shapes = checkpoint::shapes(&config());
    let read = Folder::whole().read().unwrap();
    assert_eq!(shapes, read.iter().map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect());
}

#[test]
fn norms_have_an_old_name_too_but_not_both() {
    let folder = Folder::whole();
    let old =
        |name: &str| name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
    let mut tensors: Tensors = prefixed(&weights(), "bert.").into_iter().map(|(n, tensor)| (old(&n), tensor)).collect();
    assert!(tensors.contains_key("bert.encoder.layer.1.output.LayerNorm.gamma"));
    folder.tensors(FILE, &tensors, Dtype::F32);
    assert_eq!(folder.read().unwrap(), weights());
    tensors.insert("bert.embeddings.LayerNorm.bias".into(), ArrayD::zeros(IxDyn(&[12])));
    folder.tensors(FILE, &tensors, Dtype::F32);
    folder.refused(&[FILE, "bert.embeddings.LayerNorm.b", "twice"]);
}

#[test]
fn a_missing_pooler_or_head_is_not_the_readers_matter() {
    let folder = Folder::whole();
    let bare: Tensors = weights().into_iter().filter(|(name, _)| name.starts_with("e")).collect();
    folder.tensors(FILE, &prefixed(&bare, "bert."), Dtype::F32);
    assert_eq!(folder.read().unwrap(), bare);
}

#[test]
fn a_tensor_that_is_not_as_it_should_be_is_named() {
    let folder = Folder::whole();
    let with = |name: &str, shape: &[usize], dtype| {
        let mut tensors = prefixed(&weights(), "bert.");
        tensors.insert(name.into(), ArrayD::zeros(IxDyn(shape)));
        folder.tensors(FILE, &tensors, dtype);
        &folder
    };
    let up = "bert.encoder.layer.1.intermediate.dense.weight";
    with(up, &[12, 20], Dtype::F32).refused(&[FILE, up, "expected [20, 12]", "got [12, 20]"]);
    with(up, &[], Dtype::F32).refused(&[up, "expected [20, 12]", "got []"]);
    let deeper = "bert.encoder.layer.2.output.dense.bias";
    with(deeper, &[12], Dtype::F32).refused(&[deeper, "expected 2 layers", "got layer number 2"]);
    let relative = "bert.encoder.layer.0.attention.self.distance_embedding.weight";
    with(relative, &[15, 4], Dtype::F32).refused(&[relative, "not one of a BERT's", "[15, 4]"]);
    let mut renamed = prefixed(&weights(), "bert.");
    let bias = renamed.remove("bert.encoder.layer.1.output.dense.bias").unwrap();
    renamed.insert("bert.encoder.layer.1.output.dense.offset".into(), bias);
    folder.tensors(FILE, &renamed, Dtype::F32);
    folder.refused(&["output.dense.offset", "expected `encoder.layer.1.output.dense.bias`, which is missing"]);
    with("pooler.dense.bias", &[12], Dtype::F32).refused(&["pooler.dense.bias", "twice"]);
    with(up, &[20, 12], Dtype::F64).refused(&["F64", "F32, F16 or BF16"]);
    let mut missing = prefixed(&weights(), "bert.");
    missing.remove("bert.encoder.layer.1.output.dense.bias");
    folder.tensors(FILE, &missing, Dtype::F32);
    folder.refused(&[FILE, "`bert.encoder.layer.1.output.dense.bias` is missing", "[12]"]);
}

#[test]
fn a_number_that_is_none_is_named_with_its_tensor_and_place() {
    let folder = Folder::whole();
    let name = "bert.pooler.dense.weight";
    for (dtype, value, told) in [
        (Dtype::F32, f32::NAN, "NaN at place 13"),
        (Dtype::F16, f32::INFINITY, "inf at place 13"),
        (Dtype::BF16, f32::NEG_INFINITY, "-inf at place 13"),
    ] {
        let mut tensors = prefixed(&weights(), "bert.");
        tensors.get_mut(name).unwrap()[[1, 1]] = value;
        folder.tensors(FILE, &tensors, dtype);
        folder.refused(&[FILE, name, "not finite", told, "another copy"]);
        assert!(checkpoint::read_file(&folder.file(FILE), &config()).is_err());
    }
    // what is not read may be anything
    let mut tensors = prefixed(&weights(), "bert.");
    tensors.insert("cls.predictions.bias".into(), ArrayD::from_elem(IxDyn(&[3]), f32::NAN));
    folder.tensors(FILE, &tensors, Dtype::F32);
    assert_eq!(folder.read().unwrap(), weights());
}

#[test]
fn no_cut_and_no_change_of_a_file_makes_the_reader_panic() {
    let folder = Folder::whole();
    let whole = fs::read(folder.file(FILE)).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for len in (0..16).chain([header / 2, header - 1, header, header + 5, whole.len() / 2, whole.len() - 1]) {
        folder.write(FILE, &whole[..len]);
        folder.refused(&[FILE, "not a safetensors file", "copy it again"]);
    }
    let mut long = whole.clone();
    long.push(0);
    folder.write(FILE, long);
    folder.refused(&["not a safetensors file"]);
    folder.write(FILE, [&u64::MAX.to_le_bytes()[..], &whole[8..]].concat());
    folder.refused(&["not a safetensors file", "header"]);
    folder.write(FILE, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n");
    folder.refused(&[FILE, "git lfs pull"]);
    // bytes of the header other ones: read or refused
    for place in (0..header).step_by(7) {
        let mut changed = whole.clone();
        changed[place] ^= 1 << (place % 8);
        folder.write(FILE, changed);
        drop(folder.read());
    }
}

/// Two files with half of the tensors each, and an index of them.
fn sharded() -> Folder {
    let folder = Folder::whole();
    folder.remove(FILE);
    let (mut parts, mut map) = ([Tensors::new(), Tensors::new()], serde_json::Map::new());
    for (number, (name, tensor)) in prefixed(&weights(), "bert.").into_iter().enumerate() {
        map.insert(name.clone(), format!("model-0000{}-of-00002.safetensors", 1 + number % 2).into());
        parts[number % 2].insert(name, tensor);
    }
    for (number, part) in parts.iter().enumerate() {
        let name = format!("model-0000{}-of-00002.safetensors", 1 + number);
        folder.tensors(&name, part, Dtype::F32);
    }
    folder.write(INDEX, serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string());
    folder
}

#[test]
fn weights_in_several_files_are_read_together() {
    let folder = sharded();
    assert_eq!(folder.read().unwrap(), weights());
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"].map(|name| folder.file(name));
    assert_eq!(checkpoint::weight_files(folder.path()).unwrap(), names);
    // a whole file goes before an index, as in transformers
    folder.tensors(FILE, &weights(), Dtype::F32);
    assert_eq!(checkpoint::weight_files(folder.path()).unwrap(), [folder.file(FILE)]);
}

#[test]
fn an_index_that_does_not_fit_its_files_is_refused() {
    let folder = sharded();
    let index = fs::read_to_string(folder.file(INDEX)).unwrap();
    let with = |from: &str, to: &str| {
        assert!(index.contains(from));
        folder.write(INDEX, index.replace(from, to));
        &folder
    };
    for name in
        ["../model-00002-of-00002.safetensors", "/etc/passwd", "..", "", "sub/model.safetensors", "C:model", "a\\\\b"]
    {
        with("model-00002-of-00002.safetensors", name).refused(&[INDEX, "not a file beside it"]);
    }
    with("model-00002-of-00002.safetensors", "model-2.safetensors").refused(&[
        INDEX,
        "`model-2.safetensors`",
        "missing",
    ]);
    let lost = with("bert.pooler.dense.bias", "bert.pooler.dense.b");
    lost.refused(&[INDEX, "`bert.pooler.dense.b`", "does not have it"]);
    with("weight_map", "map").refused(&[INDEX, "not an index", "weight_map"]);
    folder.write(INDEX, format!("\u{feff}{index}"));
    assert_eq!(folder.read().unwrap(), weights(), "a byte order mark is no fault");
    folder.write(INDEX, r#"{"weight_map": {}}"#);
    folder.refused(&[INDEX, "names no tensor"]);
    folder.write(INDEX, index);
    folder.tensors("model-00002-of-00002.safetensors", &prefixed(&weights(), "bert."), Dtype::F32);
    folder.refused(&["model-00002-of-00002.safetensors", "twice"]);
    folder.remove("model-00001-of-00002.safetensors");
    folder.refused(&[INDEX, "`model-00001-of-00002.safetensors`", "missing"]);
}

#[test]
fn weights_in_other_formats_are_named_with_the_way_out() {
    let folder = Folder::whole();
    folder.remove(FILE);
    folder.refused(&["has no weights", "model.safetensors.index.json"]);
    let formats = [
        ("model-q8.gguf", "made from"),
        ("model.onnx", "made from"),
        ("flax_model.msgpack", "from_flax=True"),
        ("tf_model.h5", "from_tf=True"),
        ("pytorch_model.bin.index.json", "safe_serialization=True"),
        ("pytorch_model.bin", ".save_pretrained(\""),
    ];
    for (name, cure) in formats {
        folder.write(name, "x");
        folder.refused(&[name, "model.safetensors only", "revision", cure]);
    }
    // beside what is read they do not matter
    folder.tensors(FILE, &weights(), Dtype::F32);
    assert_eq!(folder.read().unwrap(), weights());
}

#[test]
fn a_single_file_is_read_without_its_folder() {
    let folder = Folder::whole();
    folder.remove("config.json");
    assert_eq!(checkpoint::read_file(&folder.file(FILE), &config()).unwrap(), weights());
    assert!(matches!(checkpoint::read_file(&folder.file("best"), &config()), Err(checkpoint::Error::Io { .. })));
}
