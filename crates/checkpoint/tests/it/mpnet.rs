//! An MPNet is read as a BERT whose scores have a bias by the distance of their tokens.

use model::{Functions, RELATIVE_BUCKETS, Shape, Tensors, Texts, fold, synthetic};
use ndarray::{Array1, Array2, ArrayD, Axis, Ix1, Ix2, concatenate, s};
use safetensors::Dtype;

use crate::folder::{CONFIG, Folder};

const POSITIONS: usize = 40;

/// The configuration of an MPNet, with more before its closing brace.
fn mpnet(more: &str) -> String {
    let text = CONFIG
        .replace(r#""model_type": "bert""#, r#""model_type": "mpnet", "relative_attention_num_buckets": 32"#)
        .replace("BertFor", "MPNetFor")
        .replace(r#""max_position_embeddings": 8"#, &format!(r#""max_position_embeddings": {}"#, POSITIONS + 2))
        .replace(r#""type_vocab_size": 1,"#, more);
    assert!(text.contains("mpnet") && text.contains("42"));
    text
}

fn folder(config: &str, tensors: &Tensors) -> Folder {
    let folder = Folder::bare(config);
    folder.tensors("model.safetensors", tensors, Dtype::F32);
    folder
}

/// Random weights as transformers names them.
fn file(seed: u64) -> Tensors {
    let config = checkpoint::read_config(Folder::bare(&mpnet("")).path()).unwrap();
    let rename = |(name, tensor): (String, ArrayD<f32>)| {
        let name = match name.as_str() {
            "embeddings.token_type_embeddings.weight" => return None,
            "pooler.dense.weight" | "pooler.dense.bias" => name.replace("pooler", "classifier"),
            "classifier.weight" | "classifier.bias" => name.replace("classifier", "classifier.out_proj"),
            _ => {
                let parts = [("self.query", "attn.q"), ("self.key", "attn.k"), ("self.value", "attn.v")];
                let parts = parts.into_iter().chain([("attention.output.dense", "attention.attn.o")]);
                let parts = parts.chain([("attention.output.LayerNorm", "attention.LayerNorm")]);
                format!("mpnet.{}", parts.fold(name.clone(), |name, (bert, own)| name.replace(bert, own)))
            }
        };
        if name != "mpnet.embeddings.position_embeddings.weight" {
            return Some((name, tensor));
        }
        let unread = ArrayD::from_elem(vec![2, tensor.shape()[1]], 1e3);
        Some((name, concatenate(Axis(0), &[unread.view(), tensor.view()]).unwrap()))
    };
    synthetic(&config, seed).into_iter().filter_map(rename).collect()
}

/// MPNetForSequenceClassification by its own definition, from the file's own tensors.
struct Published<'t>(&'t Tensors);

impl Published<'_> {
    fn matrix(&self, name: &str) -> Array2<f32> {
        self.0[name].clone().into_dimensionality::<Ix2>().unwrap()
    }

    fn vector(&self, name: &str) -> Array1<f32> {
        self.0[name].clone().into_dimensionality::<Ix1>().unwrap()
    }

    fn dense(&self, name: &str, x: &Array2<f32>) -> Array2<f32> {
        x.dot(&self.matrix(&format!("{name}.weight")).t()) + &self.vector(&format!("{name}.bias"))
    }

    fn norm(&self, name: &str, mut x: Array2<f32>) -> Array2<f32> {
        for mut row in x.rows_mut() {
            let mean = row.mean().unwrap();
            row -= mean;
            let deviation = (row.iter().map(|v| v * v).sum::<f32>() / row.len() as f32 + 1e-12).sqrt();
            row /= deviation;
        }
        x * &self.vector(&format!("{name}.weight")) + &self.vector(&format!("{name}.bias"))
    }

    /// `relative_position_bucket`, of the place that is looked at less the place that looks.
    fn bucket(relative: i64) -> usize {
        let (half, exact) = (16, 8);
        let offset = if relative > 0 { half } else { 0 };
        let n = relative.unsigned_abs() as usize;
        if n < exact {
            return offset + n;
        }
        let large = (n as f32 / exact as f32).ln() / (128.0f32 / exact as f32).ln() * (half - exact) as f32;
        offset + (exact + large as usize).min(half - 1)
    }

    fn logits(&self, ids: &[u32], heads: usize, layers: usize) -> Vec<f32> {
        let (words, positions) =
            ("mpnet.embeddings.word_embeddings.weight", "mpnet.embeddings.position_embeddings.weight");
        let (words, positions) = (self.matrix(words), self.matrix(positions));
        let mut x = Array2::zeros((ids.len(), words.ncols()));
        for (place, (id, mut row)) in ids.iter().zip(x.rows_mut()).enumerate() {
            row += &(&words.row(*id as usize) + &positions.row(2 + place));
        }
        x = self.norm("mpnet.embeddings.LayerNorm", x);
        let bias = self.matrix("mpnet.encoder.relative_attention_bias.weight");
        let size = x.ncols() / heads;
        for layer in 0..layers {
            let name = |part: &str| format!("mpnet.encoder.layer.{layer}.{part}");
            let [q, k, v] = ["q", "k", "v"].map(|part| self.dense(&name(&format!("attention.attn.{part}")), &x));
            let mut mixed = Array2::zeros(x.dim());
            for head in 0..heads {
                let columns = s![.., head * size..(head + 1) * size];
                let mut weights = q.slice(columns).dot(&k.slice(columns).t()) / (size as f32).sqrt();
                for ((i, j), score) in weights.indexed_iter_mut() {
                    *score = (*score + bias[(Self::bucket(j as i64 - i as i64), head)]).exp();
                }
                for mut row in weights.rows_mut() {
                    let sum = row.sum();
                    row /= sum;
                }
                mixed.slice_mut(columns).assign(&weights.dot(&v.slice(columns)));
            }
            let attended = self.dense(&name("attention.attn.o"), &mixed) + &x;
            x = self.norm(&name("attention.LayerNorm"), attended);
            let gelu = |v: f32| 0.5 * v * (1.0 + libm::erff(v / std::f32::consts::SQRT_2));
            let inner = self.dense(&name("intermediate.dense"), &x).mapv(gelu);
            x = self.norm(&name("output.LayerNorm"), self.dense(&name("output.dense"), &inner) + &x);
        }
        let first = x.slice(s![..1, ..]).to_owned();
        let pooled = self.dense("classifier.dense", &first).mapv(f32::tanh);
        self.dense("classifier.out_proj", &pooled).into_iter().collect()
    }
}

#[test]
fn the_network_is_the_same_function() {
    let mut worst = 0.0f32;
    for seed in 0..4 {
        let file = file(seed);
        let folder = folder(&mpnet(""), &file);
        let config = checkpoint::read_config(folder.path()).unwrap();
        let shape = Shape::of(&config);
        let folded = fold(&shape, &checkpoint::read(folder.path(), &config).unwrap().tensors).unwrap();
        for tokens in [1, 2, 9, 17, POSITIONS] {
            let ids: Vec<u32> = (0..tokens).map(|i| (i as u32 * 5 + seed as u32) % 19).collect();
            let texts = Texts::new(&[tokens], &shape).unwrap();
            let want = Published(&file).logits(&ids, 3, 2);
            for functions in [Functions::Exact, Functions::Series] {
                let got = folded.observed(functions, &mut (), &texts, &ids, &vec![0; tokens]).unwrap();
                let gap = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(gap < 1e-4, "seed {seed}, {tokens} tokens, {functions:?}: {gap}");
                worst = worst.max(gap);
            }
        }
        // texts of one batch do not see each other
        let both = Texts::new(&[9, 5], &shape).unwrap();
        let ids: Vec<u32> = (0..14).map(|i| i * 5 % 19).collect();
        let got = folded.logits(&both, &ids, &[0; 14]).unwrap();
        let want = [Published(&file).logits(&ids[..9], 3, 2), Published(&file).logits(&ids[9..], 3, 2)].concat();
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-4), "seed {seed}: {got:?}, {want:?}");
    }
    println!("largest difference {worst:.1e}");
}

#[test]
fn what_is_read_is_a_bert_with_relative_positions_and_one_segment_of_zeros() {
    let folder = folder(&mpnet(""), &file(3));
    let config = checkpoint::read_config(folder.path()).unwrap();
    assert!(config.relative_positions);
    assert_eq!(
        (config.model_type.as_str(), config.type_vocab_size, config.max_position_embeddings),
        ("bert", 1, POSITIONS)
    );
    // what is written from it is read as the same
    assert_eq!(model::Config::from_json(&serde_json::to_string(&config).unwrap()).unwrap(), config);
    let read = folder.read().unwrap();
    assert_eq!(read["encoder.relative_attention_bias.weight"].shape(), [RELATIVE_BUCKETS, 3]);
    assert!(read["embeddings.token_type_embeddings.weight"].iter().all(|v| *v == 0.0));
}

#[test]
fn what_would_be_another_function_is_refused() {
    let refused = |more: &str, words: &[&str]| {
        let error = checkpoint::read_config(Folder::bare(&mpnet(more)).path()).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{words:?} in {error}");
    };
    refused(r#""attention_softmax": "2quad","#, &["attention_softmax", "2quad", "relative positions"]);
    let buckets = mpnet("").replace(r#"num_buckets": 32"#, r#"num_buckets": 64"#);
    let error = checkpoint::read_config(Folder::bare(&buckets).path()).unwrap_err().to_string();
    assert!(error.contains("relative_attention_num_buckets") && error.contains("64"), "{error}");
    let without = |name: &str| {
        let mut file = file(3);
        assert!(file.remove(name).is_some(), "{name}");
        folder(&mpnet(""), &file)
    };
    without("mpnet.encoder.relative_attention_bias.weight").refused(&["relative_attention_bias", "is missing"]);
    without("mpnet.encoder.layer.1.attention.attn.o.weight").refused(&["is missing"]);
    // a BERT with such a bias is no BERT
    let plain = Folder::whole();
    let mut tensors = crate::folder::prefixed(&crate::folder::weights(), "bert.");
    tensors.insert("bert.encoder.relative_attention_bias.weight".into(), ArrayD::zeros(vec![32, 3]));
    plain.tensors("model.safetensors", &tensors, Dtype::F32);
    plain.refused(&["relative_attention_bias", "is not one of a BERT's"]);
}
