//! Models and data small enough for a test: a dozen words, a BERT of 2 layers x 32, a GLUE folder of a few sentences.

use std::fs;
use std::path::{Path, PathBuf};

use distill::folder;
use distill::weights::Weights;
use model::Config;
use serde_json::json;

const SPECIAL: [&str; 4] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];
const GOOD: [&str; 4] = ["fine", "warm", "great", "lovely"];
const BAD: [&str; 4] = ["dull", "cold", "awful", "bleak"];
const OTHER: [&str; 4] = ["a", "film", "plot", "and"];

/// A temporary folder with them, removed when dropped.
pub(crate) struct Fixture {
    root: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        let fixture = Fixture { root: tempfile::tempdir().unwrap() };
        fs::create_dir_all(fixture.data().join("SST-2")).unwrap();
        fs::write(fixture.data().join("SST-2/train.tsv"), sentences(64, 0)).unwrap();
        fs::write(fixture.data().join("SST-2/dev.tsv"), sentences(24, 1)).unwrap();
        fixture
    }

    /// Writes MRPC's files: the second text of a pair decides.
    pub(crate) fn with_pairs(self) -> Fixture {
        let header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String";
        self.write(
            "glue/MRPC/train.tsv",
            &lines(header, pairs(256, 0).map(|(a, b, _, y)| format!("{y}\t0\t0\t{a}\t{b}"))),
        );
        self.write(
            "glue/MRPC/dev.tsv",
            &lines(header, pairs(24, 1).map(|(a, b, _, y)| format!("{y}\t0\t0\t{a}\t{b}"))),
        );
        self
    }

    /// Writes STS-B's files: the number of good texts in a pair decides.
    pub(crate) fn with_numbers(self) -> Fixture {
        let row = |(a, b, x, y): (String, String, usize, usize)| format!("0\t{a}\t{b}\t{:.3}", 2.5 * (x + y) as f64);
        for (name, rows) in [("glue/STS-B/train.tsv", pairs(96, 0)), ("glue/STS-B/dev.tsv", pairs(24, 1))] {
            self.write(name, &lines("index\tsentence1\tsentence2\tscore", rows.map(row)));
        }
        self
    }

    /// Writes a file and the folders above it.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().join("glue")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a random encoder with a tokenizer; without `head`, as pretrained encoders are: no prefix, no head.
    pub(crate) fn model(&self, name: &str, layers: usize, head: bool) -> PathBuf {
        self.write_model(name, &config(layers), head)
    }

    /// The same for any configuration.
    pub(crate) fn write_model(&self, name: &str, config: &Config, head: bool) -> PathBuf {
        let folder = self.path(name);
        let tokenizer = self.path("tokenizer");
        fs::create_dir_all(&tokenizer).unwrap();
        write_tokenizer(&tokenizer);
        folder::write(&folder, config, &Weights::draw(config, 5).unwrap(), &tokenizer, false).unwrap();
        if !head {
            let path = folder.join("model.safetensors");
            let tensors = candle_core::safetensors::load(&path, &candle_core::Device::Cpu).unwrap();
            let encoder: std::collections::HashMap<String, candle_core::Tensor> = tensors
                .into_iter()
                .filter_map(|(name, tensor)| Some((name.strip_prefix("bert.")?.to_string(), tensor)))
                .filter(|(name, _)| !name.starts_with("pooler"))
                .collect();
            candle_core::safetensors::save(&encoder, &path).unwrap();
        }
        folder
    }
}

/// Two layers x 32, or more layers.
pub(crate) fn config(layers: usize) -> Config {
    Config::from_json(
        &json!({
            "model_type": "bert", "vocab_size": words().len(), "hidden_size": 32, "num_hidden_layers": layers,
            "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 32, "initializer_range": 0.2,
            "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}, "label2id": {"NEGATIVE": 0, "POSITIVE": 1},
        })
        .to_string(),
    )
    .unwrap()
}

fn words() -> Vec<&'static str> {
    [SPECIAL, GOOD, BAD, OTHER].concat()
}

fn write_tokenizer(folder: &Path) {
    let vocab: serde_json::Map<String, serde_json::Value> =
        words().iter().enumerate().map(|(id, word)| (word.to_string(), id.into())).collect();
    let tokenizer = json!({
        "version": "1.0",
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
            "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab},
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    fs::write(folder.join("vocab.txt"), words().join("\n")).unwrap();
}

/// A table of sentences whose label is that of their one telling word.
fn sentences(count: usize, shift: usize) -> String {
    lines("sentence\tlabel", labelled(count, shift).map(|(text, label)| format!("{text} \t{label}")))
}

/// Sentences whose label is that of their one telling word.
pub(crate) fn labelled(count: usize, shift: usize) -> impl Iterator<Item = (String, usize)> {
    (0..count).map(move |i| (sentence(i, i % 2, shift), i % 2))
}

/// Pairs of sentences, each with its own label, all four combinations alike often.
fn pairs(count: usize, shift: usize) -> impl Iterator<Item = (String, String, usize, usize)> {
    (0..count).map(move |i| {
        let (x, y) = (i % 2, i / 2 % 2);
        (sentence(i / 4, x, shift), sentence(i / 7 + 1, y, shift), x, y)
    })
}

fn sentence(i: usize, label: usize, shift: usize) -> String {
    let telling = [BAD, GOOD][label][(i / 2 + shift) % 4];
    let others = (0..i % 5).map(|j| OTHER[(i + j) % 4]);
    others.chain([telling]).collect::<Vec<_>>().join(" ")
}

fn lines(header: &str, rows: impl Iterator<Item = String>) -> String {
    [header.to_string()].into_iter().chain(rows).map(|line| line + "\n").collect()
}
