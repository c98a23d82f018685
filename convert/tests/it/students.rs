//! The library: which students are read, and how a conversion is judged.

use convert::{ConvertError, Converted, Student, compare, convert as convert_student, encode};
use datasets::{Example, Length};
use model::{BertWeight, Folded, Tensors};
use ndarray::{ArrayD, IxDyn};
use safetensors::Dtype;

use crate::folder::{Place, examples, folded, samples, weights};

fn same(a: &Folded, b: &Folded) -> bool {
    a.matrices() == b.matrices()
}

#[track_caller]
fn refused(place: &Place, words: &[&str]) {
    let error = Student::read(&place.student()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let message = error.to_string();
    let folder = place.student().display().to_string();
    assert!(words.iter().chain([&folder.as_str()]).all(|w| message.contains(w)), "expected {words:?} in: {message}");
}

#[test]
fn a_student_is_read_in_half_precision_and_in_several_files() {
    let place = Place::without_calibration();
    let read = || Student::read(&place.student()).unwrap().folded;
    assert!(same(&read(), &folded(&weights())));
    let rounded = weights().into_iter().map(|(name, t)| (name, t.mapv(|v| half::f16::from_f32(v).to_f32()))).collect();
    place.write_weights(&rounded, Dtype::F16, "");
    assert!(same(&read(), &folded(&rounded)));
    // one file of several is one file with an index
    let file = place.student().join("model.safetensors");
    std::fs::rename(&file, place.student().join("model-00001-of-00001.safetensors")).unwrap();
    let map: serde_json::Map<_, _> =
        weights().into_keys().map(|name| (name, "model-00001-of-00001.safetensors".into())).collect();
    let index = serde_json::json!({"weight_map": map}).to_string();
    std::fs::write(place.student().join("model.safetensors.index.json"), index).unwrap();
    assert!(same(&read(), &folded(&rounded)));
}

/// What the reader refuses is tested with it; here, that its words and the exit code come through.
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
    let other_task = with(|t| drop(t.insert("classifier.weight".into(), ArrayD::zeros(IxDyn(&[3, 24])))));
    refused(other_task, &["classifier.weight", "[3, 24]", "[2, 24]"]);
    let infinite = with(|t| t.get_mut("embeddings.LayerNorm.bias").unwrap()[[3]] = f32::INFINITY);
    refused(infinite, &["embeddings.LayerNorm.bias", "not finite"]);
    let transposed = with(|t| {
        let tensor = t["encoder.layer.1.intermediate.dense.weight"].clone().reversed_axes();
        t.insert("encoder.layer.1.intermediate.dense.weight".into(), tensor.as_standard_layout().into_owned());
    });
    refused(transposed, &["model.safetensors", up, "[24, 48]", "[48, 24]"]);
    std::fs::remove_file(place.student().join("model.safetensors")).unwrap();
    std::fs::write(place.student().join("pytorch_model.bin"), b"x").unwrap();
    refused(&place, &["pytorch_model.bin", "safe_serialization=True"]);
    place.edit("config.json", r#""model_type": "bert""#, r#""model_type": "electra""#);
    refused(&place, &["`electra`", "use a `bert`"]);
}

#[test]
fn a_roberta_is_converted_as_the_bert_that_computes_the_same() {
    let place = Place::without_calibration();
    let bert = Student::read(&place.student()).unwrap();
    let rename = |(name, tensor): (String, ArrayD<f32>)| match name.split_once('.').unwrap() {
        ("pooler", rest) => (format!("classifier.{rest}"), tensor),
        ("classifier", rest) => (format!("classifier.out_proj.{rest}"), tensor),
        ("embeddings", "position_embeddings.weight") => {
            let unread = ArrayD::from_elem(IxDyn(&[2, 24]), 9.0);
            (
                format!("roberta.{name}"),
                ndarray::concatenate(ndarray::Axis(0), &[unread.view(), tensor.view()]).unwrap(),
            )
        }
        _ => (format!("roberta.{name}"), tensor),
    };
    place.write_weights(&weights().into_iter().map(rename).collect(), Dtype::F32, "");
    place.edit("config.json", r#""model_type": "bert""#, r#""model_type": "roberta""#);
    place.edit("config.json", r#""max_position_embeddings": 16"#, r#""max_position_embeddings": 18"#);
    let roberta = Student::read(&place.student()).unwrap();
    assert!(same(&roberta.folded, &bert.folded));
    // what a bundle takes along is the configuration of what it runs
    let stored = model::Config::from_json(std::str::from_utf8(&roberta.config_json).unwrap()).unwrap();
    assert_eq!(stored, roberta.config);
    let samples = samples(&roberta, &examples(20));
    let ranges = model::calibrate(&roberta.folded, &samples, &|| ()).unwrap();
    let converted = convert_student(&roberta, &ranges).unwrap();
    let options = bundle::WriteOptions { overwrite: false, progress: None };
    convert::write_bundle(&roberta, &converted, bundle::Embedding::Private, &place.bundle(), options).unwrap();
    assert!(bundle::ClientBundle::open(&place.bundle().join("client")).is_ok());
}

/// From the fewest layers to the most, and with every kind of head count.
#[test]
fn students_of_one_layer_and_of_24_are_converted() {
    for (layers, heads, act) in [(1, 1, "gelu"), (1, 12, "gelu_new"), (2, 3, "gelu_pytorch_tanh"), (24, 3, "gelu")] {
        let place = Place::without_calibration();
        place.edit("config.json", r#""num_hidden_layers": 2"#, &format!(r#""num_hidden_layers": {layers}"#));
        place.edit("config.json", r#""num_attention_heads": 2"#, &format!(r#""num_attention_heads": {heads}"#));
        // scores of random weights are a few units: a shift of eight keeps sums of their squares apart from zero
        place.edit(
            "config.json",
            r#""attention_shift": 5.0"#,
            &format!(r#""attention_shift": 8.0, "hidden_act": "{act}""#),
        );
        let config = checkpoint::read_config(&place.student()).unwrap();
        place.write_weights(&model::synthetic(&config, 5), Dtype::F32, "bert.");
        let student = Student::read(&place.student()).unwrap();
        let samples = samples(&student, &examples(40));
        let ranges = model::calibrate(&student.folded, &samples, &|| ()).unwrap();
        let converted = convert_student(&student, &ranges).unwrap();
        let comparison = compare(&converted, &samples[..8], &|| ()).unwrap();
        assert!(comparison.is_close(), "{layers} layers, {heads} heads, {act}: {comparison}");
    }
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
    let value = converted.quantised.get_mut(&student.folded.bert().weight(BertWeight::Value(1))).unwrap();
    value.weight[5] = value.weight[5].wrapping_add(3 << 16);
    let bad = compare(&converted, &samples, &|| ()).unwrap();
    assert!(!bad.is_close(), "{bad}");
    assert_eq!(bad.suspect.as_ref().map(|s| &*s.site), Some("layer 1: value"));
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
        let logits = |folded: &Folded| folded.logits(&texts, &sample.ids, &sample.segments).unwrap();
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
