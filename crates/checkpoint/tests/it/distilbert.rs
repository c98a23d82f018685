//! A DistilBERT is read as the BERT that computes the same.

use model::{AttentionKind, Config, Functions, Pooler, Shape, Tensors, Texts, fold, gelu, synthetic};
use ndarray::{Array1, Array2, Axis, Ix1, Ix2, s};
use safetensors::Dtype;

use crate::folder::Folder;

const CONFIG: &str = r#"{
  "architectures": ["DistilBertForSequenceClassification"], "model_type": "distilbert", "vocab_size": 19, "dim": 12,
  "n_layers": 2, "n_heads": 3, "hidden_dim": 20, "max_position_embeddings": 8, "activation": "gelu", "dropout": 0.1,
  "attention_dropout": 0.1, "seq_classif_dropout": 0.2, "sinusoidal_pos_embds": false, "pad_token_id": 0
}"#;

const NAMES: [(&str, &str); 8] = [
    ("attention.self.query", "attention.q_lin"),
    ("attention.self.key", "attention.k_lin"),
    ("attention.self.value", "attention.v_lin"),
    ("attention.output.dense", "attention.out_lin"),
    ("attention.output.LayerNorm", "sa_layer_norm"),
    ("intermediate.dense", "ffn.lin1"),
    ("output.dense", "ffn.lin2"),
    ("output.LayerNorm", "output_layer_norm"),
];

/// Random weights as transformers names them.
fn file() -> Tensors {
    let config = checkpoint::read_config(Folder::bare(CONFIG).path()).unwrap();
    let mut file = Tensors::new();
    for (name, tensor) in synthetic(&config, 5) {
        if name.starts_with("embeddings.token_type") {
            continue;
        }
        let mut name = name.replace("encoder.layer", "transformer.layer").replace("pooler.dense", "pre_classifier");
        for (of_bert, own) in NAMES {
            name = name.replace(&format!(".{of_bert}."), &format!(".{own}."));
        }
        let head = name.starts_with("pre_classifier") || name.starts_with("classifier");
        file.insert(if head { name } else { format!("distilbert.{name}") }, tensor);
    }
    file
}

#[test]
fn the_configuration_becomes_a_berts() {
    let got = checkpoint::read_config(Folder::bare(CONFIG).path()).unwrap();
    assert_eq!((got.hidden_size, got.intermediate_size, got.num_hidden_layers), (12, 20, 2));
    assert_eq!((got.num_attention_heads, got.type_vocab_size, got.pooler), (3, 2, Pooler::Relu));
    assert_eq!((got.model_type.as_str(), got.attention_softmax), ("bert", AttentionKind::Softmax));
    // what is written from it is read as a BERT, whose pooler takes a ReLU
    let text = serde_json::to_string(&got).unwrap();
    assert!(text.contains(r#""pooler_act":"relu""#) && Config::from_json(&text).unwrap() == got);
}

/// The network by DistilBERT's own definition, from the file's own tensors.
struct Reference(Tensors);

impl Reference {
    fn matrix(&self, name: &str) -> Array2<f32> {
        self.0[name].clone().into_dimensionality::<Ix2>().unwrap()
    }

    fn vector(&self, name: &str) -> Array1<f32> {
        self.0[name].clone().into_dimensionality::<Ix1>().unwrap()
    }

    fn dense(&self, x: &Array2<f32>, name: &str) -> Array2<f32> {
        x.dot(&self.matrix(&format!("{name}.weight")).t()) + self.vector(&format!("{name}.bias"))
    }

    fn norm(&self, mut x: Array2<f32>, name: &str) -> Array2<f32> {
        for mut row in x.rows_mut() {
            let mean = row.mean().unwrap();
            row -= mean;
            let deviation = (row.iter().map(|v| v * v).sum::<f32>() / row.len() as f32 + 1e-12).sqrt();
            row /= deviation;
        }
        x * self.vector(&format!("{name}.weight")) + self.vector(&format!("{name}.bias"))
    }

    fn logits(&self, ids: &[usize], heads: usize) -> Array2<f32> {
        let words = self.matrix("distilbert.embeddings.word_embeddings.weight").select(Axis(0), ids);
        let places = self.matrix("distilbert.embeddings.position_embeddings.weight");
        let mut x = self.norm(words + places.slice(s![..ids.len(), ..]), "distilbert.embeddings.LayerNorm");
        for layer in 0..2 {
            let name = |part: &str| format!("distilbert.transformer.layer.{layer}.{part}");
            let [q, k, v] = ["q_lin", "k_lin", "v_lin"].map(|lin| self.dense(&x, &name(&format!("attention.{lin}"))));
            let mut context = Array2::zeros(x.dim());
            let size = x.ncols() / heads;
            for head in 0..heads {
                let of = s![.., head * size..(head + 1) * size];
                let mut weights = q.slice(of).dot(&k.slice(of).t()) / (size as f32).sqrt();
                for mut row in weights.rows_mut() {
                    row.mapv_inplace(f32::exp);
                    let sum = row.sum();
                    row /= sum;
                }
                context.slice_mut(of).assign(&weights.dot(&v.slice(of)));
            }
            let attended = self.dense(&context, &name("attention.out_lin")) + &x;
            x = self.norm(attended, &name("sa_layer_norm"));
            let inner = self.dense(&x, &name("ffn.lin1")).mapv(|v| gelu(f64::from(v)) as f32);
            x = self.norm(self.dense(&inner, &name("ffn.lin2")) + &x, &name("output_layer_norm"));
        }
        let pooled = self.dense(&x.slice(s![..1, ..]).to_owned(), "pre_classifier").mapv(|v| v.max(0.0));
        self.dense(&pooled, "classifier")
    }
}

#[test]
fn the_network_is_the_same_function() {
    let folder = Folder::bare(CONFIG);
    folder.tensors("model.safetensors", &file(), Dtype::F32);
    let config = checkpoint::read_config(folder.path()).unwrap();
    let shape = Shape::of(&config);
    let folded = fold(&shape, &checkpoint::read(folder.path(), &config).unwrap().tensors).unwrap();
    let ids = [3u32, 5, 17, 9, 2];
    let texts = Texts::new(&[ids.len()], &shape).unwrap();
    let reference = Reference(file()).logits(&ids.map(|id| id as usize), 3);
    // the second text of a pair is numbered by tokenizers, and no segment is looked at
    for segments in [[0; 5], [0, 0, 1, 1, 1]] {
        let logits = folded.observed(Functions::Exact, &mut (), &texts, &ids, &segments).unwrap();
        let gap = (&logits - &reference).iter().fold(0.0f32, |most, v| most.max(v.abs()));
        assert!(gap < 1e-5, "{gap}: {logits} and {reference}");
    }
}

#[test]
fn what_is_missing_is_named_as_its_files_name_it() {
    let folder = Folder::bare(CONFIG);
    let mut tensors = file();
    tensors.remove("distilbert.transformer.layer.1.ffn.lin2.bias");
    folder.tensors("model.safetensors", &tensors, Dtype::F32);
    let config = checkpoint::read_config(folder.path()).unwrap();
    let error = checkpoint::read(folder.path(), &config).unwrap_err().to_string();
    assert!(error.contains("`distilbert.transformer.layer.1.ffn.lin2.bias` is missing"), "{error}");
}
