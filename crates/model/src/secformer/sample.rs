//! A spec for tests, chosen from ranges that are written down.

use std::sync::OnceLock;

use crate::calibrate::{CALIBRATION_VERSION, HeadRanges, LayerRanges, NormRanges, Ranges};
use crate::choose::choose;
use crate::config::Config;
use crate::shape::Shape;
use crate::span::Span;
use crate::spec::Spec;

/// Mean over a row of squared, shifted scores: head 0 spans 20 times, head 1 is narrow.
pub(super) const MEANS: [Span; 2] = [Span { lo: 5.0, hi: 100.0 }, Span { lo: 20.0, hi: 31.0 }];
/// Sums of squares of the three LayerNorms.
pub(super) const SUMS: [Span; 3] =
    [Span { lo: 100.0, hi: 900.0 }, Span { lo: 300.0, hi: 4000.0 }, Span { lo: 0.5, hi: 2.0 }];

/// One layer, two heads, texts up to 512 tokens.
pub(super) fn spec() -> &'static Spec {
    static SPEC: OnceLock<Spec> = OnceLock::new();
    SPEC.get_or_init(|| {
        let config = r#"{"vocab_size":9,"hidden_size":64,"num_hidden_layers":1,"num_attention_heads":2,
            "intermediate_size":8,"max_position_embeddings":512,"attention_softmax":"2quad"}"#;
        let shape = Shape::of(&Config::from_json(config).unwrap());
        let head = |sum: Span| HeadRanges { squares: 100.0, sum, mixed: 100.0 };
        let norm = |square_sum: Span| NormRanges { input: 10.0, square_sum };
        let layer = LayerRanges {
            query: 4.0,
            key: 4.0,
            value: 4.0,
            scores: 5.0,
            softmax: Vec::new(),
            heads: MEANS.map(head).to_vec(),
            attention: 4.0,
            gelu: vec![8.0; 8],
            activation: 8.0,
        };
        let ranges = Ranges {
            version: CALIBRATION_VERSION,
            texts: 1,
            tokens: (8, 512),
            norms: SUMS.map(norm).to_vec(),
            layers: vec![layer],
            pooler: 4.0,
            logits: 4.0,
            unusual: None,
        };
        choose(&shape, &ranges).unwrap().spec
    })
}
