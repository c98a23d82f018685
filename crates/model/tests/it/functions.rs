//! Students of other functions than 2Quad and GeLU: a run in clear fixed point gives what their functions give in floating point.

use std::sync::Arc;

use model::{
    ActivationSpec, AttentionKind, AttentionShift, Bert, BertFunction, Config, Folded, Function, Functions, InputKind,
    Lengths, Observer, Pooler, Quantised, ReluSpec, Sample, Shape, Site, Spec, Texts, batch_rows, calibrate, choose,
    clear_certified, fold, quantise, synthetic,
};
use ndarray::Array2;

use crate::engines::{config, sample};

/// The functions of a student.
#[derive(Clone, Copy, Debug)]
struct Design {
    attention: AttentionKind,
    act: &'static str,
    linear: &'static [usize],
    pooler: Pooler,
}

const USUAL: Design = Design { attention: AttentionKind::TwoQuad, act: "gelu", linear: &[], pooler: Pooler::Tanh };

/// Each substitution alone, and all of them.
const DESIGNS: [Design; 8] = [
    Design { act: "relu", ..USUAL },
    Design { act: "quad", ..USUAL },
    Design { linear: &[1], ..USUAL },
    Design { linear: &[0, 1], ..USUAL },
    Design { attention: AttentionKind::TwoRelu, ..USUAL },
    Design { pooler: Pooler::Relu, ..USUAL },
    Design { attention: AttentionKind::TwoRelu, act: "relu", linear: &[0, 1], pooler: Pooler::Relu },
    Design { attention: AttentionKind::TwoRelu, act: "quad", linear: &[0], pooler: Pooler::Tanh },
];

/// Largest difference of a logit to floating point.
const TO_FLOAT: f64 = 0.02;

struct Small {
    folded: Folded,
    spec: Arc<Spec>,
    quantised: Quantised,
}

impl Design {
    fn config(self, dims: [usize; 4]) -> Config {
        Config {
            attention_softmax: self.attention,
            linear_layer_norms: self.linear.to_vec(),
            pooler: self.pooler,
            attention_shift: AttentionShift::Uniform(8.0),
            ..config(dims, self.act)
        }
    }

    fn small(self, dims: [usize; 4], seed: u64) -> Small {
        let config = self.config(dims);
        let shape = Shape::of(&config);
        let mut folded = fold(&shape, &synthetic(&config, seed)).unwrap();
        let samples: Vec<_> = (0..48).map(|i| sample(seed * 100 + i, 1 + (i as usize * 7) % 24)).collect();
        let choice = choose(&shape, &calibrate(&folded, &samples, &|| ()).unwrap()).unwrap();
        choice.orders.iter().enumerate().for_each(|(l, order)| folded.permute_neurons(l, order));
        let spec = Arc::new(choice.spec);
        spec.check().unwrap();
        let quantised = quantise(folded.matrices(), &spec.calibrated(InputKind::OneHot).scales).unwrap();
        Small { folded, spec, quantised }
    }
}

impl Small {
    /// Largest difference of a logit to floating point, and whether all texts are certified.
    fn run(&self, batch: &[Sample], texts: &Texts, float: &[f64]) -> (f64, bool) {
        let (ids, segments) = batch_rows(&self.spec.shape, texts, batch).unwrap();
        let clear = clear_certified(&self.spec, &self.quantised, texts, &ids, &segments).unwrap();
        let logits: Vec<f64> = clear.iter().flat_map(|(logits, _)| logits.clone()).collect();
        let certified = clear.iter().zip(texts.lengths()).all(|((_, total), rows)| {
            let certificate = self.spec.certificate(texts.class(*rows, &self.spec.shape), *total);
            if !certificate.holds() {
                println!("  {rows} rows: {certificate:?}");
            }
            certificate.holds()
        });
        (float.iter().zip(&logits).map(|(f, c)| (f - c).abs()).fold(0.0, f64::max), certified)
    }

    fn float(&self, batch: &[Sample]) -> Vec<f64> {
        let texts = Texts::new(&batch.iter().map(|s| s.ids.len()).collect::<Vec<_>>(), &self.spec.shape).unwrap();
        let (ids, segments) = batch_rows(&self.spec.shape, &texts, batch).unwrap();
        self.folded.logits(&texts, &ids, &segments).unwrap().iter().map(|v| f64::from(*v)).collect()
    }
}

/// Each text alone and padded, where texts of their lengths are: the largest difference to floating point, and whether all are
/// certified.
fn largest(small: &Small, seed: u64) -> (f64, bool) {
    let (mut worst, mut all) = (0.0f64, true);
    for lengths in [&[2, 3][..], &[7, 24], &[16]] {
        let batch: Vec<Sample> = lengths.iter().map(|n| sample(seed * 31 + *n as u64, *n)).collect();
        let float = small.float(&batch);
        for of in [Lengths::Exact, Lengths::Padded] {
            let Ok(texts) = small.spec.texts(lengths, of) else { continue };
            let (off, certified) = small.run(&batch, &texts, &float);
            (worst, all) = (worst.max(off), all && certified);
        }
    }
    (worst, all)
}

#[test]
fn every_design_in_clear_gives_what_it_gives_in_floating_point_and_is_certified() {
    for (seed, design) in DESIGNS.into_iter().enumerate() {
        let small = design.small([2, 32, 2, 64], seed as u64);
        assert!(small.spec.padded.is_some(), "{design:?}");
        let (worst, certified) = largest(&small, seed as u64);
        println!("{design:?}: {worst:.5} off");
        assert!(worst < TO_FLOAT && certified, "{design:?}: {worst} off, certified: {certified}");
    }
}

/// Of random texts of a few tokens many rows have hardly any score above zero, or none, and then no weights at all: sums of all sizes
/// are right.
#[test]
fn rows_that_attend_to_next_to_nothing_are_right_and_certified() {
    let design = Design { attention: AttentionKind::TwoRelu, linear: &[0], ..USUAL };
    let small = design.small([2, 32, 2, 64], 4);
    let mut smallest = Smallest { bert: small.folded.bert(), sums: Vec::new() };
    let mut worst = 0.0f64;
    for tokens in [2, 3, 2, 3, 2, 4, 5] {
        let batch = [sample(worst.to_bits() + tokens as u64, tokens)];
        let texts = Texts::new(&[tokens], &small.spec.shape).unwrap();
        let (ids, segments) = (&batch[0].ids, &batch[0].segments);
        small.folded.observed(Functions::Series, &mut smallest, &texts, ids, segments).unwrap();
        let (off, certified) = small.run(&batch, &texts, &small.float(&batch));
        assert!(certified && off < TO_FLOAT, "{tokens} tokens: {off}");
        worst = worst.max(off);
    }
    let below = |limit: f32| smallest.sums.iter().filter(|sum| **sum < limit).count();
    println!(
        "{worst:.5} off; of {} sums {} of nothing, {} below a tenth",
        smallest.sums.len(),
        below(1e-3),
        below(0.1)
    );
    assert!(below(1e-3) > 5 && below(0.1) > below(1e-3));
}

/// What would compute other functions than the student's, or compare fewer bits than a value has, is refused by name.
#[test]
fn specs_of_other_functions_are_checked() {
    type Edit = fn(&mut Spec);
    let edits: [(&str, Edit); 9] = [
        ("layer 0: ReLU: compared bits is 15", |s| relu(s).compared.bits = 15),
        ("layer 0: ReLU: compared bits is 20 but the lowest 3", |s| relu(s).compared.cut = 3),
        ("layer 0: ReLU: compared on 40 bits", |s| relu(s).compared.bits = 40),
        ("layer 0: activation is a square", |s| s.layers[0].function = ActivationSpec::Quad(relu(s).input)),
        ("layer 1: comparisons of scores is 0", |s| s.layers[1].compared = None),
        ("layer 1: scores: compared bits is 4", |s| s.layers[1].compared.as_mut().unwrap().bits = 4),
        ("thresholds of sums is 5", |s| s.layers[0].heads[1].raised.as_mut().unwrap().steps = 5),
        ("norm 1: divisions is 0", |s| s.shape.linear_norms.clear()),
        ("pooler is a comparison", |s| s.shape.pooler = Pooler::Tanh),
    ];
    let good = DESIGNS[6].small([2, 32, 2, 64], 9).spec;
    assert_eq!(serde_json::from_str::<Spec>(&serde_json::to_string(&*good).unwrap()).unwrap(), *good);
    for (what, edit) in edits {
        let mut spec = (*good).clone();
        edit(&mut spec);
        let error = spec.check().unwrap_err().to_string();
        assert!(error.contains(what), "expected `{what}` in: {error}");
    }
}

fn relu(spec: &mut Spec) -> &mut ReluSpec {
    match &mut spec.layers[0].function {
        ActivationSpec::Relu(relu) => relu,
        other => panic!("{other:?}"),
    }
}

/// Sums of positive scores.
struct Smallest<'b> {
    bert: &'b Bert,
    sums: Vec<f32>,
}

impl Observer for Smallest<'_> {
    fn wire(&mut self, _: Site, _: &Array2<f32>) {}

    fn phase(&mut self, function: Function, value: &Array2<f32>) {
        if matches!(self.bert.function_of(function), BertFunction::Reciprocal { .. }) {
            self.sums.extend(value.iter());
        }
    }
}
