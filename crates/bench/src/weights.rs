//! Bundles of random weights in the cache folder.

use std::path::PathBuf;

use anyhow::Result;
use bundle::{Contents, Embedding, EmbeddingTable};
use cli::memory::{Memory, with_margin};
use local::cache;
use model::{InputKind, Sample, Shape, calibrate, choose, fold, quantise, stretched_count, synthetic};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::design::damp;
use crate::work::{Work, random_text};

/// The seed of all weights that are measured.
const SEED: u64 = 1;
/// Tokens of the texts that weights are calibrated on; `calibrate` adds shorter and longer ones.
const LENGTHS: [usize; 3] = [8, 32, 128];
/// Tokens of the longest text that must seldom restart.
const JUDGED: usize = 128;

const CURE: &str = "choose a smaller model or fewer --layers";

/// The bundle of random weights for that network; made if it is not there.
pub(crate) fn bundle(work: &Work, name: &str, embedding: Embedding, memory: Memory, quiet: bool) -> Result<PathBuf> {
    let bundle = cache::place(&format!("bench-{name}-{}-{embedding}", fingerprint(work)))?;
    if cache::is_whole(&bundle) {
        return Ok(bundle);
    }
    check_memory(work, memory)?;
    cache::make_room(&bundle)?;
    if !quiet {
        cli::log(&format!("drawing weights for {name} into {} (first use)", bundle.display()));
    }
    let texts: Vec<Sample> = (0..).zip(LENGTHS).map(|(seed, n)| random_text(&work.shape, n, seed)).collect();
    let bar = cli::bar(quiet, "drawing weights", (texts.len() + stretched_count(&texts, work.shape.positions)) as u64);
    let mut tensors = synthetic(&work.config, SEED);
    damp(&mut tensors, &work.config);
    let mut folded = fold(&work.shape, &tensors)?;
    drop(tensors);
    bar.set_message("calibrating");
    let ranges = calibrate(&folded, &texts, &|| bar.inc(1))?;
    bar.set_message("fitting");
    // scales are the same for any longest text, but refused where it would often restart: here restarts are measured
    let mut choice = choose(&Shape { positions: JUDGED, ..work.shape.clone() }, &ranges)?;
    choice.spec.shape.positions = work.shape.positions;
    for (layer, order) in choice.orders.iter().enumerate() {
        folded.permute_neurons(layer, order);
    }
    let quantised = quantise(folded.matrices(), &choice.spec.calibrated(InputKind::OneHot).scales)?;
    let table = (embedding == Embedding::Client).then(|| EmbeddingTable::of(&folded));
    drop(folded);
    let tokenizer = tokenizer(work.shape.words).to_string();
    let contents = Contents {
        spec: &choice.spec,
        quantised: &quantised,
        embedding,
        config_json: work.config_json.as_bytes(),
        tokenizer_json: tokenizer.as_bytes(),
        table: table.as_ref(),
    };
    cache::write(&bundle, &bar, |options| Ok(bundle::write(&bundle, &contents, options)?))?;
    bar.finish_and_clear();
    Ok(bundle)
}

/// A name for all that the weights and their scales follow from, this program's way of choosing them included.
fn fingerprint(work: &Work) -> String {
    let hash = Sha256::digest(format!("{SEED} {LENGTHS:?} {} {}", env!("CARGO_PKG_VERSION"), work.config_json));
    hex::encode(&hash[..6])
}

fn check_memory(work: &Work, memory: Memory) -> Result<()> {
    let shape = &work.shape;
    let layer = 4 * shape.width * shape.width + 2 * shape.width * shape.inner;
    let words = (shape.one_hot() + shape.positions) * shape.width + shape.layers * layer;
    // as drawn beside folded; folded beside words of the ring; those beside a table in clear and the largest part's mask
    memory.check(&[("weights", with_margin(16 * words as u64))], CURE)
}

/// A tokenizer of so many words: it is part of a bundle, though nothing here is read by it.
fn tokenizer(words: usize) -> Value {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(String::from);
    let names = special.into_iter().chain((4..words).map(|word| format!("w{word}")));
    let vocab: Map<String, Value> = names.enumerate().map(|(id, name)| (name, id.into())).collect();
    json!({
        "version": "1.0",
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": vocab},
    })
}
