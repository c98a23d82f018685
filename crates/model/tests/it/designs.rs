//! Folded networks against the networks by their own definition, for each function that a student may have.

use model::{AttentionKind, Config, Shape, Tensors, Texts, fold, gelu, synthetic};
use ndarray::{Array1, Array2, Axis, Ix1, Ix2, s};

use crate::engines::{config, sample};

/// A BERT by its definition, from its own tensors: nothing is folded.
struct Plain<'t> {
    tensors: &'t Tensors,
    config: &'t Config,
}

impl Plain<'_> {
    fn matrix(&self, name: &str) -> Array2<f32> {
        self.tensors[name].clone().into_dimensionality::<Ix2>().unwrap()
    }

    fn vector(&self, name: &str) -> Array1<f32> {
        self.tensors[name].clone().into_dimensionality::<Ix1>().unwrap()
    }

    fn dense(&self, x: &Array2<f32>, name: &str) -> Array2<f32> {
        x.dot(&self.matrix(&format!("{name}.weight")).t()) + self.vector(&format!("{name}.bias"))
    }

    fn norm(&self, mut x: Array2<f32>, name: &str, divides: bool) -> Array2<f32> {
        for mut row in x.rows_mut() {
            let mean = row.mean().unwrap();
            row -= mean;
            let variance = row.iter().map(|v| v * v).sum::<f32>() / row.len() as f32;
            if divides {
                row /= (variance + self.config.layer_norm_eps as f32).sqrt();
            }
        }
        x * self.vector(&format!("{name}.weight")) + self.vector(&format!("{name}.bias"))
    }

    fn weight(&self, score: f32, shift: f32) -> f32 {
        match self.config.attention_softmax {
            AttentionKind::Softmax => score.exp(),
            AttentionKind::TwoQuad => (score + shift).powi(2),
            AttentionKind::TwoRelu => score.max(0.0),
        }
    }

    fn activation(&self, v: f32) -> f32 {
        match self.config.hidden_act.as_str() {
            "relu" => v.max(0.0),
            "quad" => 0.125 * v * v + 0.25 * v + 0.5,
            _ => gelu(f64::from(v)) as f32,
        }
    }

    fn logits(&self, ids: &[usize], segments: &[usize]) -> Array2<f32> {
        let table = |name: &str| self.matrix(&format!("embeddings.{name}_embeddings.weight"));
        let places = table("position").slice(s![..ids.len(), ..]).to_owned();
        let sum = table("word").select(Axis(0), ids) + places + table("token_type").select(Axis(0), segments);
        let mut x = self.norm(sum, "embeddings.LayerNorm", true);
        for layer in 0..self.config.num_hidden_layers {
            let divides = !self.config.linear_layer_norms.contains(&layer);
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let [q, k, v] = ["query", "key", "value"].map(|of| self.dense(&x, &name(&format!("attention.self.{of}"))));
            let (mut context, size) = (Array2::zeros(x.dim()), self.config.head_size());
            for head in 0..self.config.num_attention_heads {
                let of = s![.., head * size..(head + 1) * size];
                let mut weights = q.slice(of).dot(&k.slice(of).t()) / (size as f32).sqrt();
                for mut row in weights.rows_mut() {
                    row.mapv_inplace(|score| self.weight(score, self.config.shift(layer, head)));
                    let spare = if self.config.attention_softmax == AttentionKind::TwoRelu { 1e-4 } else { 0.0 };
                    let sum = row.sum() + spare;
                    row /= sum;
                }
                context.slice_mut(of).assign(&weights.dot(&v.slice(of)));
            }
            let attended = self.dense(&context, &name("attention.output.dense")) + &x;
            x = self.norm(attended, &name("attention.output.LayerNorm"), divides);
            let inner = self.dense(&x, &name("intermediate.dense")).mapv(|v| self.activation(v));
            x = self.norm(self.dense(&inner, &name("output.dense")) + &x, &name("output.LayerNorm"), divides);
        }
        let pooled = self.dense(&x.slice(s![..1, ..]).to_owned(), "pooler.dense").mapv(f32::tanh);
        self.dense(&pooled, "classifier")
    }
}

#[test]
fn folded_networks_are_the_same_function() {
    let usual = || config([2, 32, 4, 64], "gelu");
    let with = |act: &str, attention_softmax, linear_layer_norms: Vec<usize>| Config {
        hidden_act: act.into(),
        attention_softmax,
        linear_layer_norms,
        ..usual()
    };
    let designs = [
        usual(),
        with("relu", AttentionKind::TwoQuad, vec![]),
        with("quad", AttentionKind::TwoQuad, vec![]),
        with("gelu", AttentionKind::TwoRelu, vec![]),
        with("gelu", AttentionKind::TwoQuad, vec![1]),
        with("relu", AttentionKind::TwoRelu, vec![0, 1]),
        with("quad", AttentionKind::Softmax, vec![0]),
    ];
    for (seed, config) in designs.iter().enumerate() {
        let (shape, tensors) = (Shape::of(config), synthetic(config, seed as u64));
        let folded = fold(&shape, &tensors).unwrap();
        let text = sample(seed as u64, 11);
        let texts = Texts::new(&[11], &shape).unwrap();
        let got = folded.logits(&texts, &text.ids, &text.segments).unwrap();
        let of = |ids: &[u32]| ids.iter().map(|id| *id as usize).collect::<Vec<_>>();
        let want = Plain { tensors: &tensors, config }.logits(&of(&text.ids), &of(&text.segments));
        let gap = (&got - &want).iter().fold(0.0f32, |most, v| most.max(v.abs()));
        let largest = want.iter().fold(1.0f32, |most, v| most.max(v.abs()));
        println!("design {seed}: {gap:.1e} of {largest}");
        assert!(gap < 1e-4 * largest, "design {seed}: {got} and {want}");
    }
}
