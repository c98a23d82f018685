//! Tokens are held against the model before anything is looked up.

use std::sync::Arc;

use model::{
    BertWeight, ClearError, Config, Folded, InputKind, Quantised, Sample, SampleError, Shape, Spec, Texts, calibrate,
    choose, clear_logits, clear_trace, fold, one_hot, quantise, synthetic,
};

const SEED: u64 = 41;

struct Small {
    folded: Folded,
    spec: Arc<Spec>,
    quantised: Quantised,
}

fn small() -> Small {
    eprintln!("seed {SEED}");
    let config = r#"{"vocab_size":31,"hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":24,
        "max_position_embeddings":12,"attention_softmax":"2quad"}"#;
    let config = Config::from_json(config).unwrap();
    let shape = Shape::of(&config);
    let folded = fold(&shape, &synthetic(&config, SEED)).unwrap();
    let sample = |i: u32| Sample { ids: (0..12).map(|j| (i * 7 + j * 5) % 31).collect(), segments: vec![i % 2; 12] };
    let ranges = calibrate(&folded, &Vec::from_iter((0..24).map(sample)), &|| ()).unwrap();
    let spec = Arc::new(choose(&shape, &ranges).unwrap().spec);
    let quantised = quantise(folded.matrices(), &spec.calibrated(InputKind::OneHot).scales).unwrap();
    Small { folded, spec, quantised }
}

/// Tokens and segments that are no text of a model with 31 words, 2 segments and 12 positions.
fn bad() -> Vec<(Vec<u32>, Vec<u32>, SampleError)> {
    let word = |place, got| SampleError::Word { place, got, words: 31 };
    let segment = |place, got| SampleError::Segment { place, got, segments: 2 };
    vec![
        // the first id beyond the words is the column of a segment
        (vec![3, 31], vec![0, 0], word(1, 31)),
        (vec![32, 3], vec![0, 0], word(0, 32)),
        (vec![3, 33], vec![0, 1], word(1, 33)),
        (vec![u32::MAX, 3], vec![0, 0], word(0, u32::MAX)),
        (vec![3, 4], vec![2, 0], segment(0, 2)),
        (vec![3, 4], vec![0, u32::MAX], segment(1, u32::MAX)),
        (vec![3, 4], vec![0], SampleError::Uneven { tokens: 2, segments: 1 }),
        (vec![3, 4], vec![0; 3], SampleError::Uneven { tokens: 2, segments: 3 }),
    ]
}

#[test]
fn tokens_that_the_model_does_not_have_are_refused_wherever_they_come_in() {
    let Small { folded, spec, quantised } = small();
    let shape = folded.shape.clone();
    let texts = Texts::new(&[2], &shape).unwrap();
    for (ids, segments, error) in bad() {
        assert_eq!(Sample::new(ids.clone(), segments.clone(), &shape).unwrap_err(), error);
        assert_eq!(one_hot(&shape, &texts, &ids, &segments).unwrap_err(), error);
        assert_eq!(folded.embed(&ids, &segments).unwrap_err(), error);
        assert_eq!(folded.logits(&texts, &ids, &segments).unwrap_err(), error);
        let clear = clear_logits(&spec, &quantised, &texts, &ids, &segments);
        assert_eq!(clear.unwrap_err(), ClearError::Sample(error.clone()));
        let clear = clear_trace(&spec, &quantised, &texts, &ids, &segments);
        assert_eq!(clear.unwrap_err(), ClearError::Sample(error.clone()));
        let good = Sample { ids: vec![1, 2, 3], segments: vec![0; 3] };
        let bad = Sample { ids: ids.clone(), segments: segments.clone() };
        assert_eq!(calibrate(&folded, &[good, bad], &|| ()).unwrap_err(), error);
    }
}

#[test]
fn a_text_has_one_token_to_all_positions() {
    let Small { folded, .. } = small();
    let shape = &folded.shape;
    assert_eq!(Sample::new(vec![], vec![], shape).unwrap_err(), SampleError::Empty);
    assert_eq!(Sample::new(vec![30; 12], vec![1; 12], shape).unwrap().ids.len(), 12);
    let long = SampleError::Length { got: 13, most: 12 };
    assert_eq!(Sample::new(vec![1; 13], vec![0; 13], shape).unwrap_err(), long);
    assert_eq!(folded.embed(&[1; 13], &[0; 13]).unwrap_err(), long);
    assert_eq!(calibrate(&folded, &[Sample { ids: vec![], segments: vec![] }], &|| ()), Err(SampleError::Empty));
}

#[test]
fn tokens_of_other_texts_are_refused() {
    let Small { folded, spec, quantised } = small();
    let shape = &folded.shape;
    let rows = SampleError::Rows { got: 4, expected: 5 };
    let texts = Texts::new(&[2, 3], shape).unwrap();
    assert_eq!(folded.logits(&texts, &[1; 4], &[0; 4]).unwrap_err(), rows);
    let clear = clear_logits(&spec, &quantised, &texts, &[1; 4], &[0; 4]);
    assert_eq!(clear.unwrap_err(), ClearError::Sample(rows));
    let longer = Texts::new(&[13], &Shape { positions: 13, ..shape.clone() }).unwrap();
    let long = SampleError::Length { got: 13, most: 12 };
    assert_eq!(folded.logits(&longer, &[1; 13], &[0; 13]).unwrap_err(), long);
}

#[test]
fn a_table_of_another_model_is_refused() {
    let Small { folded, .. } = small();
    let table = |weight| &folded.matrix(weight).weight;
    let (words, positions) = (table(BertWeight::Embedding), table(BertWeight::Position));
    let error = SampleError::Table { got: (12, 16), expected: (33, 16) };
    assert_eq!(model::embed(&folded.shape, positions, positions, &[1], &[0]).unwrap_err(), error);
    assert!(model::embed(&folded.shape, words, positions, &[1], &[0]).is_ok());
}

#[test]
fn weights_and_texts_are_not_printed() {
    let Small { folded, .. } = small();
    let sample = Sample { ids: vec![17, 18], segments: vec![0, 0] };
    assert_eq!(format!("{sample:?}"), "Sample { 2 tokens, secret }");
    let matrix = folded.matrix(BertWeight::Pooler);
    assert_eq!(format!("{matrix:?}"), "Matrix { weight: (16, 16) secret, bias: true }");
    assert!(format!("{folded:?}").ends_with("weights: 12 secret }"), "{folded:?}");
    let form = model::Form { rows: 1, cols: 2, frac: 3 };
    let value = format!("{:?}", model::Value { form, data: vec![12345u64] });
    assert!(value.ends_with("data: secret }") && !value.contains("12345"), "{value}");
}
