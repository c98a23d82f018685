//! Folders of tiny models with random weights.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use model::{Config, Tensors, synthetic};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

pub(crate) const CONFIG: &str = r#"{
  "architectures": ["BertForSequenceClassification"], "model_type": "bert", "vocab_size": 19, "hidden_size": 12,
  "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20, "max_position_embeddings": 8,
  "type_vocab_size": 1, "id2label": {"0": "NO", "1": "YES"}
}"#;

pub(crate) fn config() -> Config {
    Config::from_json(CONFIG).unwrap()
}

pub(crate) fn weights() -> Tensors {
    synthetic(&config(), 7)
}

/// A temporary folder with a model.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    /// `config.json` only.
    pub(crate) fn bare(config: &str) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write("config.json", config);
        folder
    }

    /// An ordinary BERT classifier.
    pub(crate) fn whole() -> Folder {
        let folder = Folder::bare(CONFIG);
        folder.tensors("model.safetensors", &prefixed(&weights(), "bert."), Dtype::F32);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.file(name), content).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.file(name)).unwrap();
    }

    pub(crate) fn tensors(&self, name: &str, tensors: &Tensors, dtype: Dtype) {
        let bytes: BTreeMap<_, Vec<u8>> = tensors
            .iter()
            .map(|(name, tensor)| (name, tensor.iter().flat_map(|v| encode(*v, dtype)).collect()))
            .collect();
        let view = |name: &String| TensorView::new(dtype, tensors[name].shape().to_vec(), &bytes[name]).unwrap();
        let ids: Vec<u8> = (0..8i64).flat_map(i64::to_le_bytes).collect();
        let ids = TensorView::new(Dtype::I64, vec![1, 8], &ids).unwrap();
        let buffers =
            ["bert.embeddings.position_ids", "embeddings.token_type_ids"].map(|name| (name.into(), ids.clone()));
        let views = tensors.keys().map(|name| (name.clone(), view(name))).chain(buffers);
        safetensors::serialize_to_file(views, None, &self.file(name)).unwrap();
    }

    /// The folder's weights, with the configuration that it says.
    pub(crate) fn read(&self) -> Result<Tensors, checkpoint::Error> {
        Ok(self.whole_read()?.tensors)
    }

    /// The same with what is said about it.
    pub(crate) fn whole_read(&self) -> Result<checkpoint::Read, checkpoint::Error> {
        checkpoint::read(self.path(), &checkpoint::read_config(self.path())?)
    }

    /// The text of a file's header.
    pub(crate) fn header(&self, name: &str) -> Vec<u8> {
        let bytes = fs::read(self.file(name)).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8..8 + length].to_vec()
    }

    /// What reading says.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[&str]) {
        let message = self.read().map(|_| "read").unwrap_err().to_string();
        let folder = self.path().display().to_string();
        assert!(
            words.iter().chain([&folder.as_str()]).all(|w| message.contains(w)),
            "expected {words:?} in: {message}"
        );
    }
}

/// The names of a classifier's file: the head has no prefix.
pub(crate) fn prefixed(tensors: &Tensors, prefix: &str) -> Tensors {
    let name = |name: &str| if name.starts_with("classifier") { name.into() } else { format!("{prefix}{name}") };
    tensors.iter().map(|(n, tensor)| (name(n), tensor.clone())).collect()
}

fn encode(value: f32, dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F32 => value.to_le_bytes().to_vec(),
        Dtype::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
        Dtype::BF16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
        Dtype::F64 => f64::from(value).to_le_bytes().to_vec(),
        other => panic!("{other} is not written here"),
    }
}
