//! Padded texts: a text in a larger class gives what it gives alone, in floating point and in clear.

use std::sync::Arc;

use model::{
    Config, Folded, InputKind, Lengths, PADDING, Quantised, SHORTEST_CLASS, Sample, SampleError, Shape, Spec, Texts,
    TextsError, batch_rows, calibrate, choose, clear_certified, fold, quantise, synthetic,
};

use crate::engines::{config, sample};

const SHAPES: [[usize; 4]; 3] = [[1, 32, 2, 64], [2, 32, 4, 128], [3, 48, 3, 96]];

struct Small {
    folded: Folded,
    spec: Arc<Spec>,
    quantised: Quantised,
}

impl Small {
    fn new(dims: [usize; 4], positions: usize, seed: u64) -> Small {
        let config = Config { max_position_embeddings: positions, ..config(dims, "gelu") };
        let shape = Shape::of(&config);
        let mut folded = fold(&shape, &synthetic(&config, seed)).unwrap();
        let length = |i: usize| 2 + (i * 7) % (positions - 1);
        let samples: Vec<_> = (0..24).map(|i| sample(seed * 100 + i as u64, length(i))).collect();
        let choice = choose(&shape, &calibrate(&folded, &samples, &|| ()).unwrap()).unwrap();
        choice.orders.iter().enumerate().for_each(|(l, order)| folded.permute_neurons(l, order));
        let spec = Arc::new(choice.spec);
        let quantised = quantise(folded.matrices(), &spec.calibrated(InputKind::OneHot).scales).unwrap();
        Small { folded, spec, quantised }
    }

    fn float(&self, texts: &Texts, batch: &[Sample]) -> Vec<f64> {
        let (ids, segments) = batch_rows(&self.spec.shape, texts, batch).unwrap();
        self.folded.logits(texts, &ids, &segments).unwrap().iter().map(|v| f64::from(*v)).collect()
    }

    /// Logits, and whether each text is certified.
    fn clear(&self, texts: &Texts, batch: &[Sample]) -> (Vec<f64>, Vec<bool>) {
        let (ids, segments) = batch_rows(&self.spec.shape, texts, batch).unwrap();
        let clear = clear_certified(&self.spec, &self.quantised, texts, &ids, &segments).unwrap();
        let (logits, totals): (Vec<_>, Vec<f64>) = clear.into_iter().unzip();
        let certified =
            |(total, rows): (&f64, &usize)| self.spec.certificate(texts.class(*rows, &self.spec.shape), *total).holds();
        (logits.concat(), totals.iter().zip(texts.lengths()).map(certified).collect())
    }

    fn batch(&self, batch: &[Sample], lengths: Lengths) -> Texts {
        self.spec.texts(&batch.iter().map(|s| s.ids.len()).collect::<Vec<_>>(), lengths).unwrap()
    }
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Of every class and of its ends; three texts of different classes in a batch, too.
#[test]
fn padding_changes_no_logit() {
    let mut worst = [0.0f64; 2];
    for (seed, dims) in SHAPES.into_iter().enumerate() {
        let small = Small::new(dims, 100, seed as u64);
        let fewest = small.spec.padded.unwrap().fewest;
        assert!(fewest <= 3, "texts of {fewest} tokens on");
        let text = |tokens: usize| sample(seed as u64 * 31 + tokens as u64, tokens);
        let mut batches: Vec<_> = [fewest, 8, 9, 15, 16, 17, 32, 33, 64, 65, 99, 100].map(|n| vec![text(n)]).into();
        batches.push([20, 3, 70].map(text).into());
        for batch in batches {
            let [padded, exact] = [Lengths::Padded, Lengths::Exact].map(|lengths| small.batch(&batch, lengths));
            let float = small.float(&exact, &batch);
            let of_float = apart(&small.float(&padded, &batch), &float);
            let (clear, certified) = small.clear(&padded, &batch);
            let of_clear = apart(&clear, &float);
            let tokens: Vec<_> = batch.iter().map(|s| s.ids.len()).collect();
            assert!(of_float < 2e-5, "{dims:?}, {tokens:?} tokens: {of_float} in floating point");
            assert!(of_clear < 0.02, "{dims:?}, {tokens:?} tokens: {of_clear} in clear");
            assert!(certified.iter().all(|certified| *certified), "{dims:?}, {tokens:?} tokens: {certified:?}");
            worst = [worst[0].max(of_float), worst[1].max(of_clear)];
        }
    }
    println!("largest differences {worst:?}");
}

#[test]
fn texts_have_classes_by_powers_of_two_from_sixteen_rows_up_to_all_positions() {
    let small = Small::new(SHAPES[0], 100, 7);
    let shape = &small.spec.shape;
    let classes = [1, 15, 16, 17, 32, 33, 64, 65, 100].map(|tokens| shape.padded_length(tokens));
    assert_eq!(classes, [16, 16, 16, 32, 32, 64, 64, 100, 100]);
    assert_eq!(shape.class_exponent(SHORTEST_CLASS), 4);
    let texts = small.spec.texts(&[3, 100], Lengths::Padded).unwrap();
    assert_eq!((texts.lengths(), texts.rows()), (&[16, 100][..], 116));
    assert_eq!(texts.class(16, shape), SHORTEST_CLASS);
    assert_eq!(Texts::new(&[16], shape).unwrap().class(16, shape), 4);
    assert_eq!(Texts::padded(&[17], shape), Err(TextsError::Class { got: 17, least: 16, most: 100 }));
    assert_eq!(small.spec.texts(&[101], Lengths::Padded), Err(TextsError::Length { got: 101, most: 100 }));
    let fewest = small.spec.padded.unwrap().fewest;
    let short = TextsError::Short { got: fewest - 1, fewest };
    assert_eq!(small.spec.texts(&[fewest - 1], Lengths::Padded), Err(short));
    // a word that stands for padding is no word: it would make a token vanish
    let word = Sample { ids: vec![3, PADDING, 5], segments: vec![0; 3] };
    let refused = batch_rows(shape, &small.spec.texts(&[3], Lengths::Padded).unwrap(), &[word]);
    assert_eq!(refused, Err(SampleError::Word { place: 1, got: PADDING, words: 97 }));
    let mut without = Spec::clone(&small.spec);
    without.give_up_padding();
    assert_eq!(without.texts(&[20], Lengths::Padded), Err(TextsError::Unpadded));
    assert!(without.check().is_ok() && without.texts(&[20], Lengths::Exact).is_ok());
    let mut half = Spec::clone(&small.spec);
    half.layers[0].heads[0].padded = None;
    assert!(half.check().is_err(), "a head without openings of padded texts");
}
