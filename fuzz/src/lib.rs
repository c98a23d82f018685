//! What outsiders may send, and what may lie on a disk: each function takes any bytes. None may panic, hang, or take memory that
//! the bytes do not justify. The gate runs the same functions over the corpus (`runtime/tests/it/fuzzed.rs`).

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use bundle::{DealerBundle, PartyBundle};
use config::Config;
use net::Limits;
use net::testing::read_frame_of;
use roles::message::{DealRequest, Hello, Refusal, Report, Request, parse};
use roles::service::status::Status;

/// A stream of frames, as a stranger may send it.
pub fn frame(bytes: &[u8]) {
    let mut rest = bytes;
    for sequence in 0.. {
        match read_frame_of(&mut rest, Limits::STRANGER.max_frame, sequence) {
            Ok(frame) => assert!(frame.payload.len() as u64 <= Limits::STRANGER.max_frame),
            Err(_) => break,
        }
    }
}

/// Every control message.
pub fn control(bytes: &[u8]) {
    // one that is read says the same when it is written and read again
    fn both<T: serde::Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) {
        if let Ok(message) = parse::<T>("peer", "message", bytes) {
            let written = serde_json::to_vec(&message).unwrap_or_default();
            assert!(parse::<T>("peer", "message", &written).is_ok());
        }
    }
    both::<Hello>(bytes);
    both::<Refusal>(bytes);
    both::<Request>(bytes);
    both::<DealRequest>(bytes);
    both::<Report>(bytes);
    both::<Status>(bytes);
    both::<String>(bytes);
}

/// A manifest beside seeds that fit nothing.
pub fn manifest(bytes: &[u8]) {
    let folder = scratch();
    let part = folder.join("manifest");
    let written = fs::create_dir_all(&part)
        .and_then(|()| fs::write(part.join("manifest.json"), bytes))
        .and_then(|()| fs::write(part.join("seeds"), [0; 64]));
    if written.is_ok() {
        let _ = DealerBundle::open(&part);
    }
}

/// The header of a party's weights, beside a manifest that is in order.
pub fn weights(bytes: &[u8]) {
    let folder = scratch().join("weights");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/part");
    let copy = |name: &str| fs::copy(from.join(name), folder.join(name)).map(|_| ());
    let written = fs::create_dir_all(&folder)
        .and_then(|()| copy("manifest.json"))
        .and_then(|()| copy("seed"))
        .and_then(|()| fs::write(folder.join("weights.safetensors"), bytes));
    if written.is_ok() {
        let _ = PartyBundle::open(&folder, 0);
    }
}

/// A configuration.
pub fn config(bytes: &[u8]) {
    let path = scratch().join("config.toml");
    if fs::write(&path, bytes).is_ok() {
        let _ = Config::read(&path, &[], []);
    }
}

/// A folder of this process, in memory where the system has such.
fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<std::path::PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let folder = root.join(format!("private-bert-fuzz-{}", std::process::id()));
        let _ = fs::create_dir_all(&folder);
        folder
    })
}
