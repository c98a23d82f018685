//! Heads: how many labels there are, which heads are kept, and what is said of those that are not.

use checkpoint::{Header, check_headers, read_config};
use model::Tensors;
use ndarray::{ArrayD, IxDyn};
use safetensors::Dtype;

use crate::folder::{CONFIG, Folder, prefixed, weights};

const FILE: &str = "model.safetensors";
const NAMES: &str = r#", "id2label": {"0": "NO", "1": "YES"}"#;

/// A model that says this of its labels, with a head of so many rows.
fn model(labels: &str, rows: usize) -> Folder {
    assert!(CONFIG.contains(NAMES));
    let folder = Folder::bare(&CONFIG.replace(NAMES, labels));
    folder.tensors(FILE, &with_head(rows), Dtype::F32);
    folder
}

fn with_head(rows: usize) -> Tensors {
    let mut tensors = prefixed(&weights(), "bert.");
    let number = |place: usize| place as f32;
    let weight = (0..rows * 12).map(number).collect();
    tensors.insert("classifier.weight".into(), ArrayD::from_shape_vec(IxDyn(&[rows, 12]), weight).unwrap());
    tensors.insert(
        "classifier.bias".into(),
        ArrayD::from_shape_vec(IxDyn(&[rows]), (0..rows).map(number).collect()).unwrap(),
    );
    tensors
}

#[test]
fn a_head_has_as_many_labels_as_rows() {
    // said by num_labels, by nobody, or by names that num_labels overrules
    for labels in [
        r#", "num_labels": 3"#,
        "",
        r#", "id2label": null, "label2id": null"#,
        r#", "num_labels": 3, "id2label": {"0": "a"}"#,
    ] {
        let folder = model(labels, 3);
        let config = read_config(folder.path()).unwrap();
        assert_eq!(config.labels(), ["LABEL_0", "LABEL_1", "LABEL_2"], "{labels}");
        let read = folder.whole_read().unwrap();
        assert_eq!(read.tensors["classifier.weight"], with_head(3)["classifier.weight"]);
        assert_eq!(read.notes.len(), usize::from(labels.contains("\"a\"")), "{:?}", read.notes);
        // what is written from it says the same
        let again = model::Config::from_json(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }
    assert_eq!(read_config(model("", 1).path()).unwrap().labels(), ["LABEL_0"]);
    // without a head, transformers' two
    let bare = Folder::bare(&CONFIG.replace(NAMES, ""));
    assert_eq!(read_config(bare.path()).unwrap().num_labels(), 2);
}

#[test]
fn a_head_that_contradicts_the_labels_is_refused_with_both() {
    let folder = model(NAMES, 3);
    folder.refused(&[
        FILE,
        "`classifier.weight`",
        "got [3, 12]",
        "2 labels",
        "NO, YES",
        "correct `id2label` or `num_labels`",
    ]);
    model(r#", "num_labels": 2"#, 3).refused(&["`classifier.weight`", "LABEL_0, LABEL_1"]);
    let mut tensors = with_head(2);
    tensors.insert("classifier.bias".into(), ArrayD::zeros(IxDyn(&[3])));
    folder.tensors(FILE, &tensors, Dtype::F32);
    folder.refused(&["`classifier.bias`", "got [3]"]);
}

#[test]
fn a_head_without_bias_is_kept_and_half_a_head_is_none() {
    let folder = model(NAMES, 2);
    let mut tensors = with_head(2);
    let bias = tensors.remove("classifier.bias").unwrap();
    folder.tensors(FILE, &tensors, Dtype::F32);
    let read = folder.whole_read().unwrap();
    assert_eq!(read.tensors["classifier.weight"], tensors["classifier.weight"]);
    assert_eq!(read.tensors["classifier.bias"], ArrayD::<f32>::zeros(IxDyn(&[2])));
    assert!(read.notes[0].contains("no bias (`classifier.bias`)"), "{:?}", read.notes);
    tensors.remove("classifier.weight");
    tensors.insert("classifier.bias".into(), bias);
    folder.tensors(FILE, &tensors, Dtype::F32);
    let read = folder.whole_read().unwrap();
    assert!(!read.tensors.contains_key("classifier.bias"));
    assert!(read.notes[0].contains("not read") && read.notes[0].contains("classifier.bias"), "{:?}", read.notes);
}

#[test]
fn what_is_not_read_is_told_by_name() {
    let folder = Folder::whole();
    assert_eq!(folder.whole_read().unwrap().notes, Vec::<String>::new(), "buffers are no news");
    let mut tensors = prefixed(&weights(), "bert.");
    for name in ["cls.predictions.bias", "qa_outputs.weight", "classifier.extra.weight", "bert.classifier_2.bias", "z"]
    {
        tensors.insert(name.into(), ArrayD::zeros(IxDyn(&[3])));
    }
    folder.tensors(FILE, &tensors, Dtype::F32);
    let read = folder.whole_read().unwrap();
    assert_eq!(read.tensors, weights());
    let [note] = read.notes.as_slice() else { panic!("{:?}", read.notes) };
    assert!(note.starts_with(&folder.path().display().to_string()), "{note}");
    assert!(
        note.ends_with(
            "bert.classifier_2.bias, classifier.extra.weight, cls.predictions.bias, qa_outputs.weight, ... (5 in all)"
        ),
        "{note}"
    );
    // a head of tokens has the names of one of texts
    let folder = Folder::bare(&CONFIG.replace("ForSequenceClassification", "ForTokenClassification"));
    folder.tensors(FILE, &with_head(5), Dtype::F32);
    let read = folder.whole_read().unwrap();
    assert!(!read.tensors.contains_key("classifier.weight"));
    assert!(read.notes[0].contains("classifier.bias, classifier.weight"), "{:?}", read.notes);
}

#[test]
fn headers_alone_say_what_reading_would() {
    let check = |folder: &Folder| {
        let header = Header::parse(&folder.file(FILE), &folder.header(FILE))?;
        check_headers(folder.path(), &[header])
    };
    check(&Folder::whole()).unwrap();
    // where nothing else says how many labels there are, the header does
    check(&model("", 3)).unwrap();
    let cases: [(&str, &[usize], Dtype); 3] = [
        ("bert.encoder.layer.0.output.dense.bias", &[13], Dtype::F32),
        ("bert.encoder.layer.7.output.dense.bias", &[12], Dtype::F32),
        ("bert.encoder.layer.0.output.dense.bias", &[12], Dtype::F64),
    ];
    for (name, shape, dtype) in cases {
        let folder = Folder::whole();
        let mut tensors = prefixed(&weights(), "bert.");
        tensors.insert(name.into(), ArrayD::zeros(IxDyn(shape)));
        folder.tensors(FILE, &tensors, dtype);
        assert_eq!(check(&folder).unwrap_err().to_string(), folder.read().unwrap_err().to_string());
    }
    assert_eq!(
        check(&model(NAMES, 3)).unwrap_err().to_string().split_once(": ").unwrap().1,
        model(NAMES, 3).read().unwrap_err().to_string().split_once(": ").unwrap().1
    );
    for text in [&b"{"[..], b"[]", b"\xff", br#"{"a": 1}"#] {
        let error = Header::parse(&Folder::whole().file(FILE), text).unwrap_err().to_string();
        assert!(error.contains("not a safetensors file"), "{error}");
    }
}
