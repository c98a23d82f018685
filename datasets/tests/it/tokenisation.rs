//! Token numbers against those of transformers: 3,000 texts, a quarter of them pairs, in each of the folders of
//! `tokenisation/folders`, which contradict themselves, leave things out or add them. `tokenisation/make.py` made all of it, and
//! with `PYTHON` naming a Python that has transformers (`python3` otherwise) it is asked anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use datasets::Tokenizer;
use sha2::{Digest, Sha256};

/// Longer than any of the texts.
const LENGTH: usize = 2048;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokenisation")
}

fn texts() -> Vec<Vec<String>> {
    serde_json::from_slice(&fs::read(here().join("texts.json")).unwrap()).unwrap()
}

fn folders() -> Vec<String> {
    let names =
        fs::read_dir(here().join("folders")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// The numbers and segments of a text, and their digest.
fn encoded(tokenizer: &Tokenizer, text: &[String]) -> (String, String) {
    let encoding = tokenizer.encode(&text[0], text.get(1).map(String::as_str)).unwrap();
    let written = serde_json::to_string(&(encoding.ids, encoding.type_ids)).unwrap();
    let digest = hex::encode(&Sha256::digest(&written)[..3]);
    (digest, written)
}

/// Holds every text in a folder to the lines of a file, of which each begins with a digest.
fn hold(tokenizer: &Tokenizer, expected: &Path, texts: &[Vec<String>]) -> Vec<String> {
    let lines = fs::read_to_string(expected).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), texts.len(), "{}", expected.display());
    let mut wrong = Vec::new();
    for (text, line) in texts.iter().zip(lines) {
        let (digest, written) = encoded(tokenizer, text);
        if !line.starts_with(&digest) {
            wrong.push(format!("{text:?}: got {written}, expected {line}"));
        }
    }
    wrong
}

/// Every folder as it is, and as it is written for a bundle.
fn hold_all(expected: &Path) {
    let (texts, folders) = (texts(), folders());
    assert!(texts.len() >= 3000 && folders.len() >= 8 && texts.iter().any(|text| text.len() == 2));
    let written = tempfile::tempdir().unwrap();
    for name in &folders {
        let folder = here().join("folders").join(name);
        let tokenizer = Tokenizer::load(&folder, LENGTH).unwrap();
        let path = written.path().join("tokenizer.json");
        fs::write(&path, tokenizer.to_json().unwrap()).unwrap();
        let again = Tokenizer::read(&path, LENGTH).unwrap();
        for (how, tokenizer) in [("as it is", tokenizer), ("as written", again)] {
            let wrong = hold(&tokenizer, &expected.join(format!("{name}.txt")), &texts);
            let shown = wrong.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
            assert!(wrong.is_empty(), "{name} {how}: {} of {} texts differ:\n{shown}", wrong.len(), texts.len());
        }
    }
}

#[test]
fn every_text_has_the_numbers_that_transformers_gives_it() {
    hold_all(&here().join("expected"));
}

#[test]
fn and_those_that_it_gives_today() {
    let python = std::env::var("PYTHON").unwrap_or("python3".into());
    let there =
        Command::new(&python).args(["-c", "import transformers; assert transformers.__version__ < '5'"]).output();
    if !there.is_ok_and(|done| done.status.success()) {
        eprintln!(
            "skipped: {python} has no transformers before 5; set PYTHON to one that has (pip install 'transformers==4.57.6')"
        );
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let script = here().join("make.py");
    let made = Command::new(python).arg(script).arg("--only-ids").arg(out.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    hold_all(out.path());
}
