//! BERT-base in shapes: what a layer costs at 128 tokens, how often a run restarts. Nothing is evaluated but a float
//! network of two layers with random weights, whose ranges stand for those of all twelve.

use std::sync::{Arc, LazyLock};

use crate::world::sample;
use model::{Config, InputKind, NormRanges, Ranges, Shape, Span, Spec, Texts, calibrate, choose, fold, synthetic};
use mpc::Planned;
use mpc::masked::{Demand, Plan};

const SEED: u64 = 1;

fn shape(layers: usize, words: usize) -> (Config, Shape) {
    let text = format!(
        r#"{{"vocab_size":{words},"hidden_size":768,"num_hidden_layers":{layers},"num_attention_heads":12,
        "intermediate_size":3072,"max_position_embeddings":512,"attention_softmax":"2quad"}}"#
    );
    let config = Config::from_json(&text).unwrap();
    let shape = Shape::of(&config);
    (config, shape)
}

/// Ranges of two layers, over texts of up to 512 tokens.
static RANGES: LazyLock<Ranges> = LazyLock::new(|| {
    let (config, two) = shape(2, crate::world::WORDS as usize);
    let folded = fold(&two, &synthetic(&config, SEED)).unwrap();
    let samples = [5, 17, 40, 128].map(|n| sample(SEED + n as u64, n));
    calibrate(&folded, &samples, &|| ()).unwrap()
});

/// The spec of twelve layers: the second of two stands for the ten after it. The vocabulary is the real one, because the
/// openings of the embedding count for restarts.
fn spec(ranges: &Ranges) -> Arc<Spec> {
    let mut spec = choose(&shape(2, 30_522).1, ranges).unwrap().spec;
    let (layer, norms) = (spec.layers[1].clone(), spec.norms[3..].to_vec());
    spec.layers.resize(12, layer);
    (0..10).for_each(|_| spec.norms.extend(norms.iter().cloned()));
    spec.shape = shape(12, 30_522).1;
    spec.check().unwrap();
    Arc::new(spec)
}

fn plan(spec: &Arc<Spec>, tokens: usize, kind: InputKind) -> Plan {
    Plan::new(&spec.calibrated(kind), &[Texts::new(&[tokens], &spec.shape).unwrap()]).unwrap()
}

/// Opened bytes of each round, by name: openings of one round follow one another in a plan, with other demands between.
fn rounds(plan: &Plan) -> Vec<(&str, usize)> {
    let mut bytes = Vec::new();
    let mut fresh = true;
    for demand in &plan.demands {
        let opening = matches!(demand, Demand::Wire { .. } | Demand::Phase { .. });
        if opening && fresh {
            bytes.push(0);
        }
        if opening {
            *bytes.last_mut().unwrap() += demand.opened_bytes();
        }
        fresh = !opening;
    }
    assert_eq!(bytes.len(), plan.rounds.len());
    plan.rounds.iter().map(String::as_str).zip(bytes).collect()
}

/// Rounds of one layer.
fn layer<'a>(rounds: &'a [(&'a str, usize)], layer: usize) -> &'a [(&'a str, usize)] {
    let start = |l: usize| rounds.iter().position(|(name, _)| *name == format!("layer {l}: query")).unwrap();
    &rounds[start(layer)..start(layer + 1)]
}

fn mega(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

#[test]
fn a_layer_of_bert_base_stays_below_its_budget_at_128_tokens() {
    println!("seed {SEED}");
    let spec = spec(&RANGES);
    let harmonics =
        |curve: &model::Curve| curve.segments.iter().map(|s| (s.cols, s.series.harmonics.len())).collect::<Vec<_>>();
    println!(
        "GeLU's neurons and harmonics {:?}, 1/D {:?}",
        harmonics(spec.layers[1].function.gelu().unwrap()),
        harmonics(&spec.layers[1].heads[0].reciprocal)
    );
    for kind in [InputKind::OneHot, InputKind::Embedded] {
        let plan = plan(&spec, 128, kind);
        let (cost, rounds) = (plan.cost(), rounds(&plan));
        assert_eq!(rounds.iter().map(|(_, bytes)| bytes).sum::<usize>(), cost.opened_bytes);
        for number in 0..11 {
            let layer = layer(&rounds, number);
            let bytes: usize = layer.iter().map(|(_, bytes)| bytes).sum();
            if number == 1 && kind == InputKind::Embedded {
                layer.iter().for_each(|(name, bytes)| println!("  {name}: {:.3} MB", mega(*bytes)));
                println!("  a layer: {} rounds, {:.2} MB each way", layer.len(), mega(bytes));
            }
            assert!(layer.len() <= 16 && mega(bytes) <= 11.5, "layer {number}: {} rounds, {bytes} bytes", layer.len());
        }
        println!(
            "{kind:?}, 128 tokens: {} rounds, {:.1} MB each way, {:.1} MB dealt, restarts {:.2} %",
            cost.rounds,
            mega(cost.opened_bytes),
            mega(cost.dealt_bytes),
            100.0 * cost.restart_probability
        );
        assert!(cost.rounds <= 16 * 12 + 8);
    }
}

#[test]
fn restarts_stay_rare_up_to_512_tokens() {
    println!("seed {SEED}");
    let spec = spec(&RANGES);
    for (tokens, limit) in [(1, 0.05), (16, 0.05), (128, 0.05), (256, 0.2), (512, 0.2)] {
        let cost = plan(&spec, tokens, InputKind::OneHot).cost();
        let restarts = cost.restart_probability;
        println!("{tokens} tokens: restarts {:.2} %, {:.1} MB each way", 100.0 * restarts, mega(cost.opened_bytes));
        assert!(restarts <= limit, "{tokens} tokens: {restarts}");
    }
}

/// Trained encoders have single positions whose LayerNorm inputs are a hundred times the others: the price in restarts.
#[test]
fn massive_activations_cost_restarts_and_not_more() {
    println!("seed {SEED}");
    let mut ranges = RANGES.clone();
    for norm in &mut ranges.norms[1..] {
        *norm = NormRanges { input: 340.0, square_sum: Span { lo: 1200.0, hi: 120_000.0 } };
    }
    let spec = spec(&ranges);
    for tokens in [128, 512] {
        let restarts = plan(&spec, tokens, InputKind::OneHot).cost().restart_probability;
        println!("massive activations, {tokens} tokens: restarts {:.2} %", 100.0 * restarts);
        assert!(restarts <= if tokens == 128 { 0.10 } else { 0.35 });
    }
}

/// A plan is the cost of nothing else than its demands: bits above the dropped ones each way, dropped ones dealt.
#[test]
fn an_opened_element_costs_sixty_four_bits_in_all() {
    let spec = spec(&RANGES);
    for demand in &plan(&spec, 64, InputKind::OneHot).demands {
        match demand {
            // eight elements of any width fill whole bytes
            Demand::Wire { count, .. } if count % 8 == 0 => {
                assert_eq!(demand.opened_bytes() + demand.dealt_bytes(), 8 * count);
            }
            _ => {}
        }
    }
}
