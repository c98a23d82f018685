//! SecFormer's own count of bytes at BERT-base, 512 tokens (its Table 3), from our engine's plan.

use std::sync::Arc;

use crate::world::{Network, config};
use model::{InputKind, Operation, Shape, Spec, Texts};
use mpc::beaver::{Options, Plan};

/// The shape of BERT-base under the spec of a small network: the plan needs scales, and any will do.
fn bert_base() -> Arc<Spec> {
    let small = Network::random(&config(1, 16, 2, 32, 12), 5).spec;
    let mut spec = Spec::clone(&small);
    let config = config(12, 768, 12, 3072, 512);
    spec.shape = Shape { words: 30_522, ..Shape::of(&config) };
    let (layer, norm) = (small.layers[0].clone(), small.norms[0].clone());
    spec.layers = vec![layer; 12];
    for layer in &mut spec.layers {
        layer.heads = vec![layer.heads[0].clone(); 12];
    }
    spec.norms = vec![norm; spec.shape.norms()];
    let tanh = spec.pooler.tanh_mut().unwrap();
    tanh.segments.truncate(1);
    tanh.segments[0].cols = 768;
    Arc::new(spec)
}

#[test]
fn published_bytes_are_reproduced_within_five_percent() {
    let spec = bert_base();
    let texts = Texts::new(&[512], &spec.shape).unwrap();
    let plan = Plan::new(&spec.calibrated(InputKind::OneHot), &[texts], Options::as_timed()).unwrap();
    let published = [17.8, 1.84, 0.47, 3.46];
    let mut total = 0.0;
    for (operation, published) in Operation::ALL.into_iter().zip(published) {
        let gigabytes = plan.published_bytes(operation) as f64 / 1e9;
        total += gigabytes;
        println!("{}: {gigabytes:.3} GB, published {published}", operation.name());
        assert!((gigabytes / published - 1.0).abs() < 0.05, "{}: {gigabytes} for {published}", operation.name());
    }
    println!("total: {total:.2} GB, published 23.6");
    assert!((total / 23.6 - 1.0).abs() < 0.05);
}
