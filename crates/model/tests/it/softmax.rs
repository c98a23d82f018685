//! Softmax attention: shifts are fitted, series chosen, and a run in clear fixed point gives what softmax gives in floating point.

use std::sync::Arc;

use model::{
    BertWeight, Config, Folded, Functions, InputKind, Lengths, Quantised, Sample, Shape, Spec, Texts, batch_rows,
    calibrate, choose, clear_certified, fit_row_shifts, fold, quantise, synthetic,
};

use crate::engines::{config, sample};

struct Small {
    folded: Folded,
    spec: Arc<Spec>,
    quantised: Quantised,
}

/// A network whose scores, by layer, are so many times as large as those of random weights.
fn folded(dims: [usize; 4], positions: usize, seed: u64, sharper: impl Fn(usize) -> f32) -> (Folded, Shape) {
    let of = Config { max_position_embeddings: positions, ..config(dims, "gelu") };
    let of = Config { attention_softmax: model::AttentionKind::Softmax, ..of };
    let (shape, mut tensors) = (Shape::of(&of), synthetic(&of, seed));
    for layer in 0..shape.layers {
        let of_layer = format!("layer.{layer}.attention.self.query");
        let queries = tensors.iter_mut().filter(|(name, _)| name.contains(&of_layer));
        queries.for_each(|(_, tensor)| tensor.mapv_inplace(|v| v * sharper(layer)));
    }
    (fold(&shape, &tensors).unwrap(), shape)
}

impl Small {
    fn new(dims: [usize; 4], positions: usize, seed: u64, sharper: f32) -> Small {
        let (mut folded, _) = folded(dims, positions, seed, |_| sharper);
        // short texts as well as long ones
        let length = |i: usize| 2 + (i * 7) % if i.is_multiple_of(4) { 8 } else { positions - 1 };
        let samples: Vec<_> = (0..160).map(|i| sample(seed * 1000 + i as u64, length(i))).collect();
        fit_row_shifts(&mut folded, &samples, &|| ()).unwrap();
        let choice = choose(&folded.shape, &calibrate(&folded, &samples, &|| ()).unwrap()).unwrap();
        choice.orders.iter().enumerate().for_each(|(l, order)| folded.permute_neurons(l, order));
        let spec = Arc::new(choice.spec);
        let quantised = quantise(folded.matrices(), &spec.calibrated(InputKind::OneHot).scales).unwrap();
        Small { folded, spec, quantised }
    }

    fn float(&self, texts: &Texts, text: &Sample, functions: Functions) -> Vec<f64> {
        let logits = self.folded.observed(functions, &mut (), texts, &text.ids, &text.segments).unwrap();
        logits.iter().map(|v| f64::from(*v)).collect()
    }
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn softmax_in_clear_gives_what_it_gives_in_floating_point_and_is_certified() {
    for (seed, (dims, sharper)) in
        [([1, 32, 2, 64], 1.0), ([2, 32, 4, 128], 1.6), ([3, 48, 3, 96], 2.0), ([2, 64, 4, 64], 2.0)]
            .into_iter()
            .enumerate()
    {
        let small = Small::new(dims, 60, seed as u64, sharper);
        let heads: Vec<_> = small.spec.layers.iter().flat_map(|layer| &layer.softmax).collect();
        let two = heads.iter().filter(|head| head.two_steps.is_some()).count();
        let harmonics = |head: &&model::SoftmaxSpec| head.exponential.segments[0].series.harmonics.len();
        println!(
            "{dims:?} times {sharper}: {two} of {} heads in two steps, {:?} harmonics, weights {:?}",
            heads.len(),
            heads.iter().map(harmonics).collect::<Vec<_>>(),
            small.spec.defect_weights
        );
        let (mut worst, mut largest) = (0.0f64, 0.0f64);
        for tokens in [2, 3, 7, 15, 16, 31, 60] {
            let text = sample(seed as u64 * 77 + tokens as u64, tokens);
            let texts = Texts::new(&[tokens], &small.spec.shape).unwrap();
            let exact = small.float(&texts, &text, Functions::Exact);
            let shifted = small.float(&texts, &text, Functions::Series);
            assert!(apart(&exact, &shifted) < 1e-4, "{exact:?} and {shifted:?}");
            let clear = clear_certified(&small.spec, &small.quantised, &texts, &text.ids, &text.segments).unwrap();
            let (logits, total) = &clear[0];
            let certificate = small.spec.certificate(texts.class(tokens, &small.spec.shape), *total);
            println!(
                "  {tokens} tokens: {:.5} off, {:.2e} of {:.2e}",
                apart(logits, &exact),
                certificate.total,
                certificate.limit
            );
            assert!(certificate.holds(), "{tokens} tokens: {certificate:?}");
            worst = worst.max(apart(logits, &exact));
            largest = largest.max(exact.iter().fold(0.0, |most, v| most.max(v.abs())));
        }
        assert!(worst < 0.02, "{dims:?} times {sharper}: {worst} of {largest}");
    }
}

/// Of each class and of its ends, and three texts of different classes together.
#[test]
fn padded_texts_of_softmax_give_what_they_give_alone() {
    for (seed, (dims, sharper)) in
        [([1, 32, 2, 64], 1.0), ([2, 32, 4, 128], 1.6), ([3, 48, 3, 96], 2.0), ([2, 64, 4, 64], 2.0)]
            .into_iter()
            .enumerate()
    {
        let small = Small::new(dims, 60, seed as u64, sharper);
        let shape = &small.spec.shape;
        let text = |tokens: usize| sample(seed as u64 * 77 + tokens as u64, tokens);
        let mut batches: Vec<Vec<Sample>> = [2, 3, 7, 15, 16, 17, 31, 32, 33, 60].map(|n| vec![text(n)]).into();
        batches.push([20, 3, 50].map(text).into());
        let (mut of_float, mut of_clear) = (0.0f64, 0.0f64);
        for batch in batches {
            let tokens: Vec<usize> = batch.iter().map(|sample| sample.ids.len()).collect();
            let padded = small.spec.texts(&tokens, Lengths::Padded).unwrap();
            let alone = |sample: &Sample| {
                let texts = Texts::new(&[sample.ids.len()], shape).unwrap();
                small.float(&texts, sample, Functions::Exact)
            };
            let exact: Vec<f64> = batch.iter().flat_map(alone).collect();
            let (ids, segments) = batch_rows(shape, &padded, &batch).unwrap();
            let together = Sample { ids, segments };
            of_float = of_float.max(apart(&small.float(&padded, &together, Functions::Series), &exact));
            let clear =
                clear_certified(&small.spec, &small.quantised, &padded, &together.ids, &together.segments).unwrap();
            for ((_, total), rows) in clear.iter().zip(padded.lengths()) {
                let certificate = small.spec.certificate(padded.class(*rows, shape), *total);
                assert!(certificate.holds(), "{dims:?}, {tokens:?} tokens: {certificate:?}");
            }
            let logits: Vec<f64> = clear.into_iter().flat_map(|(logits, _)| logits).collect();
            println!("  {tokens:?} tokens: {:.5} off", apart(&logits, &exact));
            of_clear = of_clear.max(apart(&logits, &exact));
        }
        println!("{dims:?} times {sharper}: {of_float:.6} in floating point, {of_clear:.5} in clear");
        assert!(of_float < 1e-4, "{dims:?}: {of_float}");
        assert!(of_clear < 0.02, "{dims:?}: {of_clear}");
    }
}

/// Queries that are so many times as large as in the calibration: scores leave the period of the exponentials, which sums do not show
/// where one of a row leaves it alone. What is certified all the same is right.
#[test]
fn scores_beyond_the_exponentials_are_right_or_not_certified() {
    let (dims, positions, seed, sharper) = ([2, 32, 4, 128], 60, 1, 1.6);
    let small = Small::new(dims, positions, seed, sharper);
    let mut refused = Vec::new();
    for times in [1, 2, 4] {
        let mut quantised = small.quantised.clone();
        let query = quantised.get_mut(&small.folded.bert().weight(BertWeight::Query(0))).unwrap();
        let words = query.weight.iter_mut().chain(query.bias.iter_mut().flatten());
        words.for_each(|word| *word = word.wrapping_mul(times));
        let (folded, _) =
            folded(dims, positions, seed, |layer| if layer == 0 { sharper * times as f32 } else { sharper });
        let reference = Small { folded, spec: small.spec.clone(), quantised };
        for tokens in [7, 16] {
            let text = sample(177 + tokens as u64, tokens);
            let texts = Texts::new(&[tokens], &small.spec.shape).unwrap();
            let exact = reference.float(&texts, &text, Functions::Exact);
            let clear = clear_certified(&small.spec, &reference.quantised, &texts, &text.ids, &text.segments).unwrap();
            let (logits, total) = &clear[0];
            let certificate = small.spec.certificate(texts.class(tokens, &small.spec.shape), *total);
            println!("times {times}, {tokens} tokens: {:.5} off, {certificate:?}", apart(logits, &exact));
            match certificate.holds() {
                true => assert!(apart(logits, &exact) < 0.02, "times {times}, {tokens} tokens: certified and wrong"),
                false => refused.push((times, tokens)),
            }
        }
    }
    // twice as large some are right and some are not: which ones is a matter of roundings
    refused.retain(|(times, _)| *times != 2);
    assert_eq!(refused, [(4, 7), (4, 16)]);
}
