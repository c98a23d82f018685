//! Folders of small students with random weights, as `distill` would leave them, and of small tasks.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use datasets::{Example, Label, Length};
use model::{Config, Sample, Shape, Tensors, calibrate, fold, synthetic};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// A temporary folder that holds `student` and `glue/SST-2`.
pub(crate) struct Place {
    pub(crate) root: tempfile::TempDir,
}

impl Place {
    /// A student that can be converted.
    pub(crate) fn new() -> Place {
        let place = Place::without_calibration();
        place.calibrate();
        place
    }

    /// A student whose outputs have these names, and mean what `problem_type` says, or what their number says.
    pub(crate) fn answering(labels: &[&str], problem_type: Option<&str>) -> Place {
        let place = Place::without_calibration();
        let mut json: serde_json::Value = serde_json::from_str(CONFIG).unwrap();
        json["id2label"] =
            labels.iter().enumerate().map(|(id, name)| (id.to_string(), serde_json::Value::from(*name))).collect();
        if let Some(problem_type) = problem_type {
            json["problem_type"] = problem_type.into();
        }
        let json = json.to_string();
        place.write_weights(&synthetic(&Config::from_json(&json).unwrap(), 5), Dtype::F32, "bert.");
        fs::write(place.student().join("config.json"), json).unwrap();
        place.calibrate();
        place
    }

    fn calibrate(&self) {
        let student = convert::Student::read(&self.student()).unwrap();
        let ranges = calibrate(&student.folded, &samples(&student, &[examples(40), pairs(40)].concat()), &|| ());
        fs::write(self.student().join("calibration.json"), serde_json::to_vec(&ranges.unwrap()).unwrap()).unwrap();
    }

    pub(crate) fn without_calibration() -> Place {
        let place = Place { root: tempfile::tempdir().unwrap() };
        fs::create_dir_all(place.student()).unwrap();
        fs::create_dir_all(place.glue().join("SST-2")).unwrap();
        fs::write(place.student().join("config.json"), CONFIG).unwrap();
        fs::write(place.student().join("tokenizer.json"), tokenizer(29)).unwrap();
        place.write_weights(&weights(), Dtype::F32, "bert.");
        place.write_task(40, 30);
        place
    }

    pub(crate) fn student(&self) -> PathBuf {
        self.root.path().join("student")
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.root.path().join("bundle")
    }

    pub(crate) fn glue(&self) -> PathBuf {
        self.root.path().join("glue")
    }

    pub(crate) fn write_task(&self, train: usize, dev: usize) {
        for (file, count) in [("train.tsv", train), ("dev.tsv", dev)] {
            let lines = examples(count).into_iter().map(|e| format!("{}\t{}\n", e.text, class(&e)));
            let text = format!("sentence\tlabel\n{}", lines.collect::<String>());
            fs::write(self.glue().join("SST-2").join(file), text).unwrap();
        }
    }

    /// MRPC and STS-B over the same pairs.
    pub(crate) fn write_pair_tasks(&self, train: usize, dev: usize) {
        for (file, count) in [("train.tsv", train), ("dev.tsv", dev)] {
            let mut mrpc = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n".to_string();
            let mut stsb = "index\tgenre\tsentence1\tsentence2\tscore\n".to_string();
            for (i, pair) in pairs(count).iter().enumerate() {
                let (a, b) = (&pair.text, pair.text_pair.as_deref().unwrap());
                mrpc += &format!("{}\t{i}\t{i}\t{a}\t{b}\n", class(pair));
                stsb += &format!("{i}\tx\t{a}\t{b}\t{:.2}\n", score(i));
            }
            for (task, text) in [("MRPC", mrpc), ("STS-B", stsb)] {
                fs::create_dir_all(self.glue().join(task)).unwrap();
                fs::write(self.glue().join(task).join(file), text).unwrap();
            }
        }
    }

    /// Writes a file beside the student, and returns its path.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.root.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Writes `model.safetensors`; the classifier never has a prefix.
    pub(crate) fn write_weights(&self, tensors: &Tensors, dtype: Dtype, prefix: &str) {
        let bytes: BTreeMap<String, (Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .map(|(name, tensor)| {
                let full = if name.starts_with("classifier") { name.clone() } else { format!("{prefix}{name}") };
                let bytes = tensor.iter().flat_map(|v| encode(*v, dtype)).collect();
                (full, (tensor.shape().to_vec(), bytes))
            })
            .collect();
        let mut views: Vec<(String, TensorView<'_>)> = bytes
            .iter()
            .map(|(name, (shape, data))| (name.clone(), TensorView::new(dtype, shape.clone(), data).unwrap()))
            .collect();
        let ids: Vec<u8> = (0..16i64).flat_map(i64::to_le_bytes).collect();
        let ids = TensorView::new(Dtype::I64, vec![1, 16], &ids).unwrap();
        views.push((format!("{prefix}embeddings.position_ids"), ids));
        safetensors::serialize_to_file(views, None, &self.student().join("model.safetensors")).unwrap();
    }

    /// Changes a text file of the student.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        edit(&self.student().join(file), from, to);
    }
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} has no `{from}`", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

fn encode(value: f32, dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F32 => value.to_le_bytes().to_vec(),
        Dtype::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
        Dtype::BF16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
        _ => f64::from(value).to_le_bytes().to_vec(),
    }
}

pub(crate) const CONFIG: &str = r#"{
  "architectures": ["BertForSequenceClassification"], "model_type": "bert", "vocab_size": 29, "hidden_size": 24,
  "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 16,
  "attention_softmax": "2quad", "attention_shift": 5.0, "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}
}"#;

pub(crate) fn config() -> Config {
    Config::from_json(CONFIG).unwrap()
}

pub(crate) fn weights() -> Tensors {
    synthetic(&config(), 5)
}

/// What folding these weights gives.
pub(crate) fn folded(tensors: &Tensors) -> model::Folded {
    fold(&Shape::of(&config()), tensors).unwrap()
}

/// A tokenizer of four special tokens and the words `w4`, `w5`, ...
pub(crate) fn tokenizer(words: usize) -> String {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(String::from);
    let vocab: serde_json::Map<String, serde_json::Value> = special
        .into_iter()
        .chain((4..words).map(|i| format!("w{i}")))
        .enumerate()
        .map(|(id, word)| (word, id.into()))
        .collect();
    let json = serde_json::json!({
        "version": "1.0",
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab},
    });
    json.to_string()
}

/// Texts of 1 to 20 words.
pub(crate) fn examples(count: usize) -> Vec<Example> {
    let one = |i| Example { text: words(i, 1 + i * 7 % 20), text_pair: None, label: Label::Class(i % 2) };
    (0..count).map(one).collect()
}

/// Pairs of 1 to 5 and 1 to 6 words; a third is of class 0.
pub(crate) fn pairs(count: usize) -> Vec<Example> {
    let one = |i| {
        let (text, second) = (words(i, 1 + i * 3 % 5), words(2 * i + 1, 1 + i * 5 % 6));
        Example { text, text_pair: Some(second), label: Label::Class(usize::from(i % 3 > 0)) }
    };
    (0..count).map(one).collect()
}

/// The number that belongs to a pair.
pub(crate) fn score(pair: usize) -> f32 {
    (pair * 7 % 21) as f32 / 4.0
}

/// The number of an example's class.
pub(crate) fn class(example: &Example) -> usize {
    match example.label {
        Label::Class(class) => class,
        Label::Set(_) | Label::Number(_) => panic!("a set or a number is no class"),
    }
}

/// As the student takes them, cut where they are too long.
pub(crate) fn samples(student: &convert::Student, examples: &[Example]) -> Vec<Sample> {
    let texts = examples.iter().map(Example::texts);
    convert::encode(&student.tokenizer, student.shape(), texts, Length::default()).unwrap().samples
}

fn words(i: usize, count: usize) -> String {
    let words = (0..count).map(|j| format!("w{}", 4 + (i * 11 + j * 5) % 25));
    words.collect::<Vec<_>>().join(" ")
}
