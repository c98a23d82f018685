//! Damaged, swapped and forged parts are errors that say what is wrong, and never a panic.

use std::fs;
use std::path::{Path, PathBuf};

use bundle::{BundleError, ClientBundle, DealerBundle, Embedding, PartyBundle, spec_digest};
use serde_json::{Value, json};

use crate::small::Small;

struct Written {
    _root: tempfile::TempDir,
    folder: PathBuf,
    small: Small,
}

fn written(seed: u64, embedding: Embedding) -> Written {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(seed));
    let folder = root.path().join("b");
    small.write(&folder, embedding).unwrap();
    Written { _root: root, folder, small }
}

/// Opens the part that a file belongs to, and says the digest of its spec.
fn open(part: &Path) -> Result<[u8; 32], BundleError> {
    let spec = match part.file_name().unwrap().to_str().unwrap() {
        "party0" => PartyBundle::open(part, 0)?.spec,
        "party1" => PartyBundle::open(part, 1)?.spec,
        "dealer" => DealerBundle::open(part)?.spec,
        _ => ClientBundle::open(part)?.spec,
    };
    Ok(spec_digest(&spec))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let parts = ["party0", "party1", "dealer", "client"].map(|p| fs::read_dir(folder.join(p)).unwrap());
    let mut files: Vec<PathBuf> = parts.into_iter().flatten().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

fn refused(part: &Path, what: &str) {
    let error = open(part).map(|_| "accepted").unwrap_err().to_string();
    assert!(error.contains(what), "expected `{what}` in: {error}");
}

/// A fixed sequence of numbers.
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    }
}

#[test]
fn a_file_cut_short_anywhere_is_an_error() {
    let written = written(1, Embedding::Client);
    let mut random = numbers(1);
    for file in files(&written.folder) {
        let whole = fs::read(&file).unwrap();
        let lengths = (0..20).chain((0..20).map(|_| random(whole.len()))).chain(whole.len() - 20..whole.len());
        for length in lengths.filter(|n| *n < whole.len()) {
            fs::write(&file, &whole[..length]).unwrap();
            assert!(open(file.parent().unwrap()).is_err(), "{} cut to {length}", file.display());
        }
        fs::write(&file, [&whole[..], b"\0"].concat()).unwrap();
        assert!(open(file.parent().unwrap()).is_err(), "{} with a byte more", file.display());
        // the parties' weights are one file under two names: mended before the name goes
        fs::write(&file, &whole).unwrap();
        open(file.parent().unwrap()).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(matches!(open(file.parent().unwrap()), Err(BundleError::Read { .. })));
        fs::write(&file, &whole).unwrap();
    }
}

#[test]
fn a_changed_byte_is_an_error_or_changes_nothing_but_the_id() {
    let written = written(2, Embedding::Client);
    let digest = spec_digest(&written.small.spec);
    let mut random = numbers(2);
    for file in files(&written.folder) {
        let whole = fs::read(&file).unwrap();
        let is_manifest = file.ends_with("manifest.json");
        for _ in 0..60 {
            let (place, bit) = (random(whole.len()), random(8));
            let mut changed = whole.clone();
            changed[place] ^= 1 << bit;
            fs::write(&file, &changed).unwrap();
            match open(file.parent().unwrap()) {
                Ok(found) => assert!(is_manifest && found == digest, "{}: bit {bit} of byte {place}", file.display()),
                Err(error) => assert!(error.to_string().len() < 2000, "{error}"),
            }
        }
        fs::write(&file, &whole).unwrap();
    }
}

fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
}

#[test]
fn a_manifest_that_says_something_else_is_refused() {
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 12] = [
        ("the format is gguf", |m| m["format"] = json!("gguf")),
        ("the format version is 3; expected 2", |m| m["version"] = json!(3)),
        ("the role is party0; expected dealer", |m| m["role"] = json!("party0")),
        ("bundle id", |m| m["id"] = json!("00")),
        ("bundle id", |m| m["id"] = json!("zz".repeat(16))),
        ("unknown field", |m| m["more"] = json!(1)),
        ("the digest of the spec", |m| m["spec"]["pooled"]["bits"] = json!(15)),
        ("the spec is the spec's number of layers", |m| m["spec"]["shape"]["layers"] = json!(0)),
        ("the spec is the spec has version 99", |m| m["spec"]["version"] = json!(99)),
        ("number of seeds is 1; expected 2", |m| drop(m["seeds"].as_array_mut().unwrap().pop())),
        ("list of digests", |m| m["tensors"] = json!({"pooler": "00"})),
        ("manifest in JSON", |m| m["spec"] = json!(null)),
    ];
    let written = written(3, Embedding::Private);
    let path = written.folder.join("dealer/manifest.json");
    let whole = fs::read(&path).unwrap();
    for (what, edit) in edits {
        edit_json(&path, edit);
        refused(&written.folder.join("dealer"), what);
        fs::write(&path, &whole).unwrap();
    }
    // another version is named even where nothing else can be read
    fs::write(&path, r#"{"format":"private-bert-bundle","version":7,"role":["new"]}"#).unwrap();
    refused(&written.folder.join("dealer"), "version is 7; expected 2");
}

/// Puts another spec into each part in turn, with a right digest, and lets its reader see it.
fn forged(written: &Written, spec: &model::Spec) -> [Result<[u8; 32], BundleError>; 4] {
    ["party0", "party1", "dealer", "client"].map(|part| {
        let path = written.folder.join(part).join("manifest.json");
        let whole = fs::read(&path).unwrap();
        edit_json(&path, |m| {
            m["spec_digest"] = json!(spec_digest(spec).iter().map(|b| format!("{b:02x}")).collect::<String>());
            m["spec"] = serde_json::to_value(spec).unwrap();
        });
        let result = open(path.parent().unwrap());
        fs::write(&path, &whole).unwrap();
        result
    })
}

#[test]
fn a_forged_spec_with_a_right_digest_cannot_make_a_reader_overflow() {
    type Edit = fn(&mut model::Spec);
    let edits: [(&str, Edit); 24] = [
        ("scale of weights", |s| s.weight_frac = i32::MAX),
        ("scale of one-hot rows", |s| s.one_hot.frac = i32::MIN),
        ("opening of one-hot rows", |s| s.one_hot.frac = 1),
        ("opening of one-hot rows", |s| s.one_hot.bits = 3),
        ("range of a head", |s| s.layers[0].heads[0].mixed[3].bits = u32::MAX),
        ("bits of head-room", |s| s.layers[0].heads[0].mixed[3].bits = 64),
        ("scale of a head", |s| s.layers[1].heads[1].reciprocal_out.frac = i32::MAX),
        ("scale of a LayerNorm", |s| s.norms[0].division.as_mut().unwrap().inverse_root.frac = i32::MIN),
        ("range of logits", |s| s.logits.bits = 0),
        ("scale of the logits", |s| s.logits.bits = 64),
        ("scale of the logits", |s| s.logits.frac = 64),
        ("scale of the logits", |s| s.logits.frac = -64),
        ("bits of head-room", |s| s.layers[0].scores.bits = 63),
        // the curve of GeLU in units of 2^34, the straight half at 31 fractional bits: a shift by 65
        ("they may be at most 63 apart", |s| {
            s.layers[0].function.gelu_mut().unwrap().segments.iter_mut().for_each(|s| s.series.exponent = 64);
            s.norms[1].normal.frac = 14;
        }),
        ("columns", |s| s.pooler.tanh_mut().unwrap().segments[0].cols = usize::MAX),
        ("a period of 2^41 units", |s| s.pooler.tanh_mut().unwrap().segments[0].series.modulus_bits = 41),
        ("fractional bits of the input", |s| s.input_extra = u32::MAX),
        ("attention shift", |s| s.shape.shifts[1][0] = f32::MAX),
        ("epsilon", |s| s.shape.eps = -1.0),
        ("number of layers is 0", |s| s.shape.layers = 0),
        ("number of words", |s| s.shape.words = usize::MAX),
        ("number of positions", |s| s.shape.positions = 1 << 40),
        ("width modulo heads", |s| s.shape.heads = 3),
        ("number of labels", |s| s.shape.labels = usize::MAX),
    ];
    let written = written(4, Embedding::Private);
    for (what, edit) in edits {
        let mut spec = (*written.small.spec).clone();
        edit(&mut spec);
        for result in forged(&written, &spec) {
            let error = result.map(|_| what).unwrap_err().to_string();
            assert!(error.contains("the spec is") && error.contains(what), "expected `{what}` in: {error}");
        }
    }
}

#[test]
fn a_forged_shape_cannot_make_a_reader_allocate() {
    let written = written(11, Embedding::Private);
    // every number is within its own bound; together they are more than 2^33 words
    let mut spec = (*written.small.spec).clone();
    (spec.shape.words, spec.shape.width) = (1 << 20, 8192);
    spec.pooler.tanh_mut().unwrap().segments[0].cols = 8192;
    for result in forged(&written, &spec) {
        let error = result.map(|_| "accepted").unwrap_err().to_string();
        assert!(
            error.contains("the number of the model's words is 9194987570") && error.contains("2147483648"),
            "{error}"
        );
    }
}

#[test]
fn parts_in_the_wrong_place_are_refused() {
    let written = written(5, Embedding::Private);
    let part = |name: &str| written.folder.join(name);
    let error = |result: Result<PartyBundle, BundleError>| result.map(|_| "accepted").unwrap_err().to_string();
    assert!(error(PartyBundle::open(&part("party0"), 1)).contains("the role is party0; expected party1"));
    assert!(error(PartyBundle::open(&part("dealer"), 0)).contains("the role is dealer"));
    assert!(error(PartyBundle::open(&part("party0"), 2)).contains("expected 0 or 1"));
    assert!(error(PartyBundle::open(&written.folder, 0)).contains("manifest.json"));
    assert!(DealerBundle::open(&part("client")).unwrap_err().to_string().contains("expected dealer"));
    assert!(ClientBundle::open(&part("party0")).unwrap_err().to_string().contains("expected client"));
    let (a, b) = (part("party0").join("seed"), part("party1").join("seed"));
    let (seed, other) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
    fs::write(&a, &other).unwrap();
    refused(&part("party0"), "a seed is another one");
    fs::write(&a, &seed[..31]).unwrap();
    refused(&part("party0"), "the number of bytes is 31; expected 32");
    fs::write(part("dealer").join("seeds"), [other, seed].concat()).unwrap();
    refused(&part("dealer"), "a seed is another one");
}

#[test]
fn files_of_another_bundle_are_refused() {
    let (one, two) = (written(6, Embedding::Private), written(7, Embedding::Private));
    let copy = |name: &str| fs::copy(two.folder.join(name), one.folder.join(name)).unwrap();
    copy("party1/weights.safetensors");
    refused(&one.folder.join("party1"), "the digest of tensor");
    copy("party1/seed");
    refused(&one.folder.join("party1"), "a seed is another one");
    copy("party1/manifest.json");
    open(&one.folder.join("party1")).unwrap();
    let path = one.folder.join("client/config.json");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("NEGATIVE", "BAD")).unwrap();
    refused(&one.folder.join("client"), "the file's digest");
}

/// Changes the header of a safetensors file, and its length with it.
fn edit_header(path: &Path, edit: impl FnOnce(&mut Value)) {
    let whole = fs::read(path).unwrap();
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&whole[8..8 + length]).unwrap();
    edit(&mut header);
    let header = serde_json::to_vec(&header).unwrap();
    fs::write(path, [&(header.len() as u64).to_le_bytes()[..], &header, &whole[8 + length..]].concat()).unwrap();
}

#[test]
fn a_forged_header_is_refused() {
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 12] = [
        ("`pooler` is missing; expected in the file", |h| {
            let pooler = h.as_object_mut().unwrap().remove("pooler").unwrap();
            h["poolers"] = pooler;
        }),
        ("safetensors header", |h| drop(h.as_object_mut().unwrap().remove("pooler"))),
        ("the type of tensor `pooler` is I64; expected U64", |h| h["pooler"]["dtype"] = json!("I64")),
        ("safetensors header", |h| h["pooler"]["dtype"] = json!("F16")),
        ("safetensors header", |h| h["pooler"]["dtype"] = json!("X99")),
        ("the shape of tensor `layer.0.up` is [24, 16]; expected [16, 24]", |h| {
            h["layer.0.up"]["shape"] = json!([24, 16])
        }),
        ("safetensors header", |h| h["layer.0.up"]["shape"] = json!([u64::MAX, 2])),
        ("safetensors header", |h| h["layer.0.up"]["shape"] = json!([1u64 << 32, 1u64 << 32])),
        ("safetensors header", |h| h["pooler"]["data_offsets"] = h["layer.0.query"]["data_offsets"].clone()),
        ("safetensors header", |h| h["pooler"]["data_offsets"] = json!([u64::MAX, 0])),
        ("safetensors header", |h| h["pooler"]["data_offsets"] = json!([-8, 8])),
        ("a tensor is `extra`; expected one of this model's", |h| {
            let end = h.as_object().unwrap().values().filter_map(|t| t["data_offsets"][1].as_u64()).max().unwrap();
            h["extra"] = json!({"dtype": "U64", "shape": [0], "data_offsets": [end, end]});
        }),
    ];
    let written = written(8, Embedding::Private);
    let path = written.folder.join("party0/weights.safetensors");
    let whole = fs::read(&path).unwrap();
    for (what, edit) in edits {
        edit_header(&path, edit);
        match what {
            "`pooler` is missing; expected in the file" => refused(&written.folder.join("party0"), "`poolers`"),
            what => refused(&written.folder.join("party0"), what),
        }
        fs::write(&path, &whole).unwrap();
    }
    for length in [u64::MAX, 1 << 40, 100_000_000, whole.len() as u64, whole.len() as u64 - 7] {
        fs::write(&path, [&length.to_le_bytes()[..], &whole[8..]].concat()).unwrap();
        refused(&written.folder.join("party0"), "the length of the header");
    }
    fs::write(&path, [&0u64.to_le_bytes()[..], &whole[8..]].concat()).unwrap();
    refused(&written.folder.join("party0"), "safetensors header");
}

#[test]
fn tensors_in_another_order_are_the_same_file() {
    let written = written(9, Embedding::Client);
    let path = written.folder.join("client/table.safetensors");
    let whole = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let data = &whole[8 + length..];
    let first = 33 * 16 * 4;
    let header = json!({
        "position": {"dtype": "F32", "shape": [12, 16], "data_offsets": [0, data.len() - first]},
        "embedding": {"dtype": "F32", "shape": [33, 16], "data_offsets": [data.len() - first, data.len()]},
    });
    let header = serde_json::to_vec(&header).unwrap();
    let moved = [&(header.len() as u64).to_le_bytes()[..], &header, &data[first..], &data[..first]].concat();
    let before = ClientBundle::open(&written.folder.join("client")).unwrap().table.unwrap();
    fs::write(&path, moved).unwrap();
    assert!(ClientBundle::open(&written.folder.join("client")).unwrap().table.unwrap() == before);
}

#[test]
fn a_folder_in_the_place_of_a_file_is_an_error() {
    let written = written(10, Embedding::Private);
    for name in ["party0/weights.safetensors", "party0/seed", "party0/manifest.json"] {
        let path = written.folder.join(name);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused(&written.folder.join("party0"), "expected a file");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, kept).unwrap();
    }
}
