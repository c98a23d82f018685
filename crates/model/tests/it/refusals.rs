//! Ranges, configurations and specs that cannot be run are refused by name.

use std::path::Path;

use model::{
    Activation, ChooseError, Config, InputKind, Opening, Ranges, Sample, Shape, Spec, SpecError, Texts, calibrate,
    choose, fold, restart_probability, synthetic,
};

const SEED: u64 = 43;
const CONFIG: &str = r#"{"vocab_size":31,"hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,
    "intermediate_size":24,"max_position_embeddings":12,"attention_softmax":"2quad"}"#;

fn observed() -> (Shape, Ranges) {
    eprintln!("seed {SEED}");
    let config = Config::from_json(CONFIG).unwrap();
    let shape = Shape::of(&config);
    let folded = fold(&shape, &synthetic(&config, SEED)).unwrap();
    let sample = |i: u32| Sample { ids: (0..12).map(|j| (i * 7 + j * 5) % 31).collect(), segments: vec![i % 2; 12] };
    let ranges = calibrate(&folded, &Vec::from_iter((0..24).map(sample)), &|| ()).unwrap();
    (shape, ranges)
}

/// Whether a spec can be run.
fn run(spec: &Spec, texts: &Texts) -> Result<f64, SpecError> {
    restart_probability(&spec.calibrated(InputKind::OneHot), texts)
}

fn spec() -> Spec {
    let (shape, ranges) = observed();
    choose(&shape, &ranges).unwrap().spec
}

#[test]
fn ranges_that_nobody_can_have_observed_are_refused_with_place_and_value() {
    type Place = fn(&mut Ranges) -> &mut f32;
    let places: [(&str, Place); 14] = [
        ("layer 0: query", |r| &mut r.layers[0].query),
        ("layer 0: key", |r| &mut r.layers[0].key),
        ("layer 0: value", |r| &mut r.layers[0].value),
        ("layer 0: scores", |r| &mut r.layers[0].scores),
        ("layer 0: attention output", |r| &mut r.layers[0].attention),
        ("layer 0: GeLU's output", |r| &mut r.layers[0].activation),
        ("layer 0: GeLU's input of neuron 7", |r| &mut r.layers[0].gelu[7]),
        ("layer 0 head 1: squares of shifted scores", |r| &mut r.layers[0].heads[1].squares),
        ("layer 0 head 1: squares times values", |r| &mut r.layers[0].heads[1].mixed),
        ("layer 0 head 1: mean square of shifted scores", |r| &mut r.layers[0].heads[1].sum.lo),
        ("layer 0 attention LayerNorm: input", |r| &mut r.norms[1].input),
        ("embedding LayerNorm: sum of squares", |r| &mut r.norms[0].square_sum.hi),
        ("pooler: input of tanh", |r| &mut r.pooler),
        ("classifier: logits", |r| &mut r.logits),
    ];
    let (shape, ranges) = observed();
    for (what, place) in places {
        for value in [-3.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            let mut ranges = ranges.clone();
            *place(&mut ranges) = value;
            let Err(error) = choose(&shape, &ranges) else { panic!("{what} of {value} accepted") };
            let said = error.to_string();
            assert!(matches!(error, ChooseError::Mismatch { .. }), "{said}");
            assert!(said.contains(what) && said.contains(&value.to_string()), "{what}, {value}: {said}");
        }
    }
}

#[test]
fn a_part_of_the_network_that_says_nothing_has_a_spec() {
    let (shape, mut ranges) = observed();
    ranges.layers[0].heads[1].mixed = 0.0;
    ranges.layers[0].value = 0.0;
    ranges.layers[0].attention = 0.0;
    ranges.layers[0].gelu[3] = 0.0;
    (ranges.pooler, ranges.logits) = (0.0, 0.0);
    let spec = choose(&shape, &ranges).unwrap().spec;
    run(&spec, &Texts::new(&[12], &shape).unwrap()).unwrap();
    // but one over a sum of squares is taken
    ranges.norms[1].square_sum.lo = 0.0;
    let error = choose(&shape, &ranges).map(|_| "accepted").unwrap_err().to_string();
    assert!(error.contains("layer 0 attention LayerNorm: sum of squares reaches 0.0"), "{error}");
}

/// A defect that is finer than its row cannot be opened: better no run than one whose check sees nothing.
#[test]
fn rows_too_fine_for_their_check_are_refused() {
    let mut spec = spec();
    let texts = Texts::new(&[12], &spec.shape).unwrap();
    let normal = spec.norms[1].normal;
    spec.norms[1].normal = Opening { frac: 24, bits: normal.bits + (24 - normal.frac) as u32 };
    let error = run(&spec, &texts).map(|_| "accepted").unwrap_err();
    assert!(matches!(&error, SpecError::Headroom { from: 68, to: 20, .. }), "{error}");
}

#[test]
fn every_class_of_gelu_and_every_period_of_tanh_is_within_its_limit() {
    let (shape, mut ranges) = observed();
    // one neuron of each class
    let mut neurons = ranges.clone();
    neurons.layers[0].gelu[..5].copy_from_slice(&[1.0, 8.0, 19.0, 42.0, 88.0]);
    for activation in [Activation::Gelu, Activation::GeluTanh] {
        let shape = Shape { activation, ..shape.clone() };
        assert_eq!(
            choose(&shape, &neurons).unwrap().spec.layers[0].function.gelu().unwrap().segments.len(),
            5,
            "{activation:?}"
        );
    }
    for pooler in [1.0, 8.0, 19.0, 42.0, 84.0] {
        ranges.pooler = pooler;
        if let Err(error) = choose(&shape, &ranges) {
            panic!("tanh up to {pooler}: {error}");
        }
    }
}

#[test]
fn the_shipped_student_has_a_spec() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/sst2-minilm-l4-2quad");
    let Ok(config) = std::fs::read_to_string(folder.join("config.json")) else {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    };
    let config = Config::from_json(&config).unwrap();
    let ranges: Ranges = serde_json::from_slice(&std::fs::read(folder.join("calibration.json")).unwrap()).unwrap();
    let spec = choose(&Shape::of(&config), &ranges).unwrap().spec;
    spec.check().unwrap();
}

#[test]
fn an_attention_shift_is_a_number_of_ordinary_size() {
    let with = |shift: &str| {
        let text = CONFIG.replace("\"2quad\"", &format!("\"2quad\",\"attention_shift\":{shift}"));
        Config::from_json(&text).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(with("-100.0"), Ok(()));
    assert_eq!(with("[[5, 100]]"), Ok(()));
    for shift in ["100.5", "-101", "1e39", "-1e300", "[[5, 1e6]]", "[[-1e39, 5]]"] {
        let error = with(shift).unwrap_err();
        assert!(error.contains("attention_shift") && error.contains("-100 to 100"), "{shift}: {error}");
    }
    let mut config = Config::from_json(CONFIG).unwrap();
    config.attention_shift = model::AttentionShift::Uniform(f32::NAN);
    assert!(config.check().is_err());
}

#[test]
fn the_names_of_activations_are_known_and_others_refused_with_all_of_them() {
    let with =
        |act: &str| Config::from_json(&CONFIG.replace("\"2quad\"", &format!("\"2quad\",\"hidden_act\":\"{act}\"")));
    assert_eq!(with("gelu").unwrap().activation(), Activation::Gelu);
    for name in ["gelu_new", "gelu_pytorch_tanh"] {
        assert_eq!(with(name).unwrap().activation(), Activation::GeluTanh);
    }
    for (name, activation) in [("quad", Activation::Quad), ("relu", Activation::Relu)] {
        let config = with(name).unwrap();
        assert_eq!(config.activation(), activation);
    }
    for name in ["silu", "GELU", "gelu_fast", ""] {
        let error = with(name).unwrap_err().to_string();
        assert!(error.contains(&format!("`hidden_act` is {name};")), "{error}");
        assert!(error.ends_with("gelu, gelu_new, gelu_pytorch_tanh, quad, relu"), "{error}");
    }
}

#[test]
fn layers_without_a_division_are_layers_of_the_model() {
    let with = |from: &str, to: &str| Config::from_json(&CONFIG.replace(from, to));
    let linear = with("\"2quad\"", "\"2quad\",\"linear_layer_norms\":[0]").unwrap();
    assert_eq!(linear.linear_layer_norms, [0]);
    let error = with("\"2quad\"", "\"2quad\",\"linear_layer_norms\":[99]").unwrap_err().to_string();
    assert!(error.contains("linear_layer_norms"), "{error}");
}

#[test]
fn the_exact_gelu_is_not_written_so_that_older_specs_keep_their_digest() {
    let exact = Shape::of(&Config::from_json(CONFIG).unwrap());
    let text = serde_json::to_string(&exact).unwrap();
    assert!(!text.contains("activation"), "{text}");
    assert_eq!(serde_json::from_str::<Shape>(&text).unwrap(), exact);
    let other = Shape { activation: Activation::GeluTanh, ..exact };
    let text = serde_json::to_string(&other).unwrap();
    assert!(text.contains(r#""activation":"gelu_tanh""#), "{text}");
    assert_eq!(serde_json::from_str::<Shape>(&text).unwrap(), other);
}

#[test]
fn scales_a_word_apart_cannot_be_added() {
    let mut spec = spec();
    // the curve of GeLU in units of 2^34, the straight half at 31 fractional bits
    spec.layers[0].function.gelu_mut().unwrap().segments.iter_mut().for_each(|s| s.series.exponent = 64);
    spec.norms[1].normal.frac = 14;
    spec.check().unwrap();
    let texts = Texts::new(&[3], &spec.shape).unwrap();
    let error = run(&spec, &texts).unwrap_err();
    assert_eq!(error, SpecError::Sum { one: -34, other: 31 });
}

#[test]
fn the_openings_of_input_and_output_are_bound() {
    type Edit = fn(&mut Spec);
    let edits: [(&str, Edit); 5] = [
        ("one-hot", |s| s.one_hot.bits = 20),
        ("one-hot", |s| s.one_hot.frac = -1),
        ("scale of the logits", |s| s.logits.frac = s.pooled.frac + s.weight_frac + 1),
        ("scale of the logits", |s| s.logits.bits = 48),
        ("attention shift", |s| s.shape.shifts[0][1] = f32::NAN),
    ];
    let good = spec();
    for (what, edit) in edits {
        let mut spec = good.clone();
        edit(&mut spec);
        let error = spec.check().unwrap_err().to_string();
        assert!(error.contains(what), "expected `{what}` in: {error}");
    }
    let mut spec = good;
    spec.logits.frac = spec.pooled.frac + spec.weight_frac;
    spec.logits.bits = 63;
    spec.check().unwrap();
}
