//! The library: which students are read, and how a conversion is judged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod folder;

use convert::{ConvertError, Converted, Student, compare, convert as convert_student, encode};
use datasets::{Example, Length};
use folder::{Place, examples, folded, samples, weights};
use model::{Folded, Site, Tensors, Weight};
use ndarray::{ArrayD, IxDyn};
use safetensors::Dtype;

fn same(a: &Folded, b: &Folded) -> bool {
    a.matrices().all(|(weight, matrix)| matrix == b.matrix(weight))
}

#[test]
fn half_precision_is_read_as_the_rounded_numbers() {
    let place = Place::without_calibration();
    let read = || Student::read(&place.student()).unwrap().folded;
    let rounded = |round: fn(f32) -> f32| -> Tensors {
        weights().into_iter().map(|(name, tensor)| (name, tensor.mapv(round))).collect()
    };
    assert!(same(&read(), &folded(&weights())));
    place.write_weights(&weights(), Dtype::F16, "bert.");
    assert!(same(&read(), &folded(&rounded(|v| half::f16::from_f32(v).to_f32()))));
    assert!(!same(&read(), &folded(&weights())));
    place.write_weights(&weights(), Dtype::BF16, "");
    assert!(same(&read(), &folded(&rounded(|v| half::bf16::from_f32(v).to_f32()))));
}

#[track_caller]
fn refused(place: &Place, words: &[&str]) {
    let error = Student::read(&place.student()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let message = error.to_string();
    let file = place.student().join("model.safetensors").display().to_string();
    assert!(words.iter().chain([&file.as_str()]).all(|w| message.contains(w)), "expected {words:?} in: {message}");
}

#[test]
fn a_tensor_that_is_not_as_it_should_be_is_named() {
    let place = Place::without_calibration();
    let with = |edit: fn(&mut Tensors)| {
        let mut tensors = weights();
        edit(&mut tensors);
        place.write_weights(&tensors, Dtype::F32, "bert.");
        &place
    };
    let up = "encoder.layer.1.intermediate.dense.weight";
    refused(with(|t| drop(t.remove("encoder.layer.1.intermediate.dense.weight"))), &[up, "missing"]);
    refused(with(|t| drop(t.remove("classifier.weight"))), &["classifier.weight", "without a trained head", "distill"]);
    refused(with(|t| drop(t.remove("pooler.dense.bias"))), &["pooler.dense.bias", "without a trained head"]);
    let transposed = with(|t| {
        let tensor = t["encoder.layer.1.intermediate.dense.weight"].clone().reversed_axes();
        t.insert("encoder.layer.1.intermediate.dense.weight".into(), tensor.as_standard_layout().into_owned());
    });
    refused(transposed, &[up, "[24, 48]", "[48, 24]"]);
    let infinite = with(|t| t.get_mut("embeddings.LayerNorm.bias").unwrap()[[3]] = f32::INFINITY);
    refused(infinite, &["embeddings.LayerNorm.bias", "not finite"]);
    let deeper = with(|t| drop(t.insert("encoder.layer.2.output.dense.bias".into(), ArrayD::zeros(IxDyn(&[24])))));
    refused(deeper, &["encoder.layer.2.output.dense.bias", "expected 2 layers", "layer number 2"]);
    let mut twice = weights();
    twice.insert("bert.pooler.dense.bias".into(), ArrayD::zeros(IxDyn(&[24])));
    place.write_weights(&twice, Dtype::F32, "");
    refused(&place, &["pooler.dense.bias", "twice"]);
    place.write_weights(&weights(), Dtype::F64, "bert.");
    refused(&place, &["F64", "F32, F16 or BF16"]);
    std::fs::write(place.student().join("model.safetensors"), b"not safetensors at all").unwrap();
    refused(&place, &["not a safetensors file"]);
}

#[test]
fn heads_of_other_tasks_are_left_alone() {
    let place = Place::without_calibration();
    let mut tensors = weights();
    tensors.insert("cls.predictions.bias".into(), ArrayD::zeros(IxDyn(&[29])));
    place.write_weights(&tensors, Dtype::F32, "");
    assert!(same(&Student::read(&place.student()).unwrap().folded, &folded(&weights())));
}

fn converted(place: &Place) -> (Student, Converted) {
    let student = Student::read(&place.student()).unwrap();
    let converted = convert_student(&student, &student.stored_ranges().unwrap()).unwrap();
    (student, converted)
}

#[test]
fn a_comparison_names_the_first_layer_out_of_line() {
    let place = Place::new();
    let (student, mut converted) = converted(&place);
    let samples = samples(&student, &examples(12));
    let good = compare(&converted, &samples, &|| ()).unwrap();
    assert!(good.is_close() && good.suspect.is_none() && good.same_label == Some(12), "{good}");
    assert!(good.rms_difference <= good.max_difference);
    // one wrong word in the value of layer 1: everything before it is still in line
    let value = converted.quantised.get_mut(&Weight::Value(1)).unwrap();
    value.weight[5] = value.weight[5].wrapping_add(3 << 16);
    let bad = compare(&converted, &samples, &|| ()).unwrap();
    assert!(!bad.is_close(), "{bad}");
    assert_eq!(bad.suspect.as_ref().map(|s| s.site), Some(Site::Value { layer: 1 }));
    assert!(bad.to_string().starts_with("-[x] logits are not close (atol 2e-2), max diff "), "{bad}");
    assert!(bad.to_string().contains("first out of line: layer 1: value"), "{bad}");
}

#[test]
fn a_converted_network_is_the_same_function() {
    let place = Place::new();
    let (student, converted) = converted(&place);
    assert!(!same(&student.folded, &converted.folded), "no neuron was moved: the test shows nothing");
    for sample in samples(&student, &examples(8)) {
        let texts = model::Texts::new(&[sample.ids.len()], student.shape()).unwrap();
        let logits = |folded| model::Float::new(folded, ()).logits(&texts, &sample.ids, &sample.segments).unwrap();
        let (a, b) = (logits(&student.folded), logits(&converted.folded));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4), "{a} {b}");
    }
}

#[test]
fn a_missing_calibration_is_said_when_it_is_asked_for() {
    let place = Place::without_calibration();
    let student = Student::read(&place.student()).unwrap();
    assert!(matches!(student.stored_ranges(), Err(ConvertError::NoRanges { .. })));
}

#[test]
fn a_token_beyond_the_model_is_refused_when_a_tokenizer_is_read_and_when_a_text_is() {
    let place = Place::without_calibration();
    let student = Student::read(&place.student()).unwrap();
    let texts = examples(12);
    let encoded = |shape| encode(&student.tokenizer, shape, texts.iter().map(Example::texts), Length::default());
    let shape = model::Shape { words: 20, ..student.shape().clone() };
    let error = encoded(&shape).unwrap_err();
    assert!(matches!(error, ConvertError::Sample(model::SampleError::Word { words: 20, .. })), "{error}");
    let shape = model::Shape { positions: 4, ..student.shape().clone() };
    let error = encoded(&shape).unwrap_err();
    assert!(matches!(error, ConvertError::Sample(model::SampleError::Length { most: 4, .. })), "{error}");
    // as many words as the model, but numbers with a gap
    place.edit("tokenizer.json", "\"w28\":28", "\"w28\":40");
    let error = Student::read(&place.student()).unwrap_err();
    assert!(matches!(error, ConvertError::Vocabulary { expected: 29, got: 40, .. }), "{error}");
}
