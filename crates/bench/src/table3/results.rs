//! What is printed of all runs: costs by operation, and the published engine's over those of masked wires.

use bundle::Embedding;
use serde_json::{Value, json};

use super::published::AsPublished;
use super::run::Run;
use crate::options::Table3;

/// All runs on texts of one length.
pub(super) struct Length {
    pub(super) tokens: u32,
    /// One an engine: masked wires, then the published engine with each of its functions.
    pub(super) runs: Vec<Run>,
    pub(super) as_published: AsPublished,
}

/// All that is printed.
pub(super) struct Results<'a> {
    pub(super) options: &'a Table3,
    /// Layers that ran, and layers that costs are given for.
    pub(super) layers: [usize; 2],
    pub(super) pinned: bool,
    pub(super) lengths: Vec<Length>,
}

/// What the published engine takes of each for what masked wires take: seconds online, bytes between the parties, rounds,
/// bytes from the dealer.
pub(super) fn ratios(runs: &[Run]) -> Option<[(&'static str, f64); 4]> {
    let [masked, secformer, ..] = runs else { return None };
    let (masked, secformer) = (masked.total(), secformer.total());
    let of = |secformer: u64, masked: u64| secformer as f64 / masked as f64;
    Some([
        ("seconds", secformer.seconds / masked.seconds),
        ("online_bytes", of(secformer.online_bytes, masked.online_bytes)),
        ("rounds", of(secformer.rounds, masked.rounds)),
        ("dealt_bytes", of(secformer.dealt_bytes, masked.dealt_bytes)),
    ])
}

impl Results<'_> {
    pub(super) fn object(&self) -> Value {
        let Results { options, layers: [run, all], pinned, lengths } = self;
        let length = |length: &Length| {
            let ratios: Option<serde_json::Map<_, _>> = ratios(&length.runs)
                .map(|all| all.map(|(name, ratio)| (name.to_string(), json!(ratio))).into_iter().collect());
            json!({
                "tokens": length.tokens,
                "runs": length.runs.iter().map(Run::object).collect::<Vec<_>>(),
                "as_published": length.as_published.object(),
                "secformer_over_masked": ratios,
            })
        };
        json!({
            "model": options.model.name(),
            "layers_run": run,
            "layers": all,
            "extrapolated": all > run,
            "embedding": Embedding::from(options.embedding),
            "threads": options.threads,
            "one_core_a_party": pinned,
            "link": options.link.to_string(),
            "shaped": options.link.describe(),
            "repeats": options.repeat,
            "lengths": lengths.iter().map(length).collect::<Vec<_>>(),
        })
    }
}
