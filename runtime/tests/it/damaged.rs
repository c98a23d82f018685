//! Bundles that are truncated, swapped, mixed or of another version; places that cannot be written to; a taken port.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::folder::Place;
use crate::sessions::{DEADLINE, PATIENCE, all_gone, convert, entries, program};
use bundle::Embedding;
use cli::exit::{BAD_INPUT, TAKEN, UNWRITABLE};
use serde_json::{Value, json};

fn runtime(args: &[&str], cache: &Path) -> Output {
    let mut command = Command::new(program());
    command.args(args).env("PRIVATE_BERT_CACHE", cache).stdin(Stdio::null()).output().unwrap()
}

/// `infer` on a bundle ends with code 3 and such a message, quickly, and leaves nothing running.
fn refused(bundle: &Path, parts: &[&str]) {
    let begin = Instant::now();
    let name = bundle.display().to_string();
    let deadline = DEADLINE.as_secs().to_string();
    let args = ["infer", "--bundle", &name, "--text", "w4", "-q", "--deadline", &deadline];
    let output = runtime(&args, Path::new("/"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(BAD_INPUT), "{parts:?}: {errors}");
    let own = errors.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    for part in parts {
        assert!(own.contains(part), "expected `{part}` in: {errors}");
    }
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(output.stdout.is_empty());
    assert!(begin.elapsed() < PATIENCE, "a refusal is no timeout: {:?}, {errors}", begin.elapsed());
    assert_eq!(all_gone(bundle), Ok(()));
}

/// A tiny student, and bundles of it.
struct Bundles {
    place: Place,
}

impl Bundles {
    fn new() -> Bundles {
        Bundles { place: Place::new() }
    }

    fn make(&self, name: &str) -> PathBuf {
        let folder = self.place.root.path().join(name);
        convert(&self.place.student(), Embedding::Client, &folder);
        folder
    }
}

const PARTS: [&str; 4] = ["party0", "party1", "dealer", "client"];

#[test]
fn every_file_cut_short_or_missing_is_named() {
    let bundles = Bundles::new();
    let bundle = bundles.make("bundle");
    let mut files = Vec::new();
    for part in PARTS {
        files.extend(entries(&bundle.join(part)));
    }
    assert_eq!(files.len(), 3 + 3 + 2 + 4, "{files:?}");
    for file in files {
        let whole = fs::read(&file).unwrap();
        // parties share a file of weights by a hard link: the other's must stay whole
        fs::remove_file(&file).unwrap();
        let name = file.strip_prefix(&bundle).unwrap().display().to_string();
        refused(&bundle, &[&name]);
        for left in [whole.len() / 2, 0] {
            fs::write(&file, &whole[..left]).unwrap();
            refused(&bundle, &[&name]);
        }
        fs::write(&file, &whole).unwrap();
    }
    let name = bundle.display().to_string();
    let output = runtime(&["infer", "--bundle", &name, "--text", "w4", "-q"], Path::new("/"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn swapped_parts_are_named_with_what_they_are() {
    let bundles = Bundles::new();
    let bundle = bundles.make("bundle");
    let spare = bundle.with_file_name("spare");
    for (at, one) in PARTS.iter().enumerate() {
        for other in &PARTS[at + 1..] {
            let swap = || {
                fs::rename(bundle.join(one), &spare).unwrap();
                fs::rename(bundle.join(other), bundle.join(one)).unwrap();
                fs::rename(&spare, bundle.join(other)).unwrap();
            };
            swap();
            let (said, folder) = (format!("the role is {other}; expected {one}"), bundle.join(one));
            refused(&bundle, &[&said, &folder.display().to_string(), "convert STUDENT -o BUNDLE"]);
            swap();
        }
    }
}

#[test]
fn a_missing_part_or_one_of_another_bundle_is_named() {
    let bundles = Bundles::new();
    let (bundle, other) = (bundles.make("one"), bundles.make("other"));
    let id = |bundle: &Path| -> String {
        let text = fs::read(bundle.join("client/manifest.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["id"].as_str().unwrap().to_string()
    };
    let (right, wrong) = (id(&bundle), id(&other));
    for part in PARTS {
        let (own, kept) = (bundle.join(part), bundle.with_file_name("kept"));
        let named = own.display().to_string();
        fs::rename(&own, &kept).unwrap();
        refused(&bundle, &[&named, "missing", "convert STUDENT -o BUNDLE"]);
        fs::rename(other.join(part), &own).unwrap();
        let said = format!("the bundle id is {wrong}; expected {right} as in");
        refused(&bundle, &[&named, &said, "convert STUDENT -o BUNDLE"]);
        fs::rename(&own, other.join(part)).unwrap();
        fs::rename(&kept, &own).unwrap();
    }
    for (folder, said) in [("one/party0", "one part; give the folder around it"), ("nowhere", "missing")] {
        refused(&bundle.with_file_name(folder), &[folder, said, "parts party0, party1, dealer and client"]);
    }
    let empty = tempfile::tempdir().unwrap();
    refused(empty.path(), &["without any of them", "convert STUDENT -o BUNDLE"]);
}

/// Changes a part's manifest while `then` runs.
fn forged(bundle: &Path, part: &str, edit: &dyn Fn(&mut Value), then: &dyn Fn()) {
    let path = bundle.join(part).join("manifest.json");
    let whole = fs::read(&path).unwrap();
    let mut manifest = serde_json::from_slice(&whole).unwrap();
    edit(&mut manifest);
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    then();
    fs::write(&path, &whole).unwrap();
}

#[test]
fn another_version_or_another_spec_is_named() {
    let bundles = Bundles::new();
    let bundle = bundles.make("bundle");
    for part in PARTS {
        let file = format!("{part}/manifest.json");
        forged(&bundle, part, &|m| m["version"] = json!(7), &|| {
            refused(&bundle, &[&file, "the format version is 7; expected 2", "convert STUDENT -o BUNDLE"]);
        });
        // a sound spec with a right digest and the right bundle id: only the others tell that it is another one
        let other_spec = |manifest: &mut Value| {
            let mut spec: model::Spec = serde_json::from_value(manifest["spec"].take()).unwrap();
            spec.shape.eps *= 2.0;
            manifest["spec_digest"] = json!(hex::encode(bundle::spec_digest(&spec)));
            manifest["spec"] = serde_json::to_value(&spec).unwrap();
        };
        let folder = bundle.join(part).display().to_string();
        forged(&bundle, part, &other_spec, &|| {
            refused(&bundle, &[&folder, "the digest of the spec", "as in", "convert STUDENT -o BUNDLE"]);
        });
    }
}

/// Runs `infer` on a student whose bundle has to be made, as a user whose files may not grow, or on a plain machine.
fn converting(student: &Path, cache: &Path, full: bool) -> Output {
    let limit = if full { "trap '' XFSZ; ulimit -f 8; " } else { "" };
    Command::new("sh")
        .args(["-c", &format!("{limit}exec \"$0\" \"$@\"")])
        .arg(program())
        .args(["infer", "--text", "w4", "-q", "--model"])
        .arg(student)
        .env("PRIVATE_BERT_CACHE", cache)
        .output()
        .unwrap()
}

#[test]
fn a_cache_that_cannot_be_written_to_is_said_and_nothing_half_written_stays() {
    let place = Place::new();
    let cache = place.root.path().join("cache");
    let below_a_file = place.student().join("config.json").join("cache");
    for (folder, full) in [(&cache, true), (&below_a_file, false), (&PathBuf::from("/proc/cache"), false)] {
        let output = converting(&place.student(), folder, full);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), None);
        assert_eq!(output.status.code(), Some(UNWRITABLE), "{errors}");
        assert!(errors.contains(&folder.display().to_string()), "{errors}");
        assert!(errors.contains("set PRIVATE_BERT_CACHE"), "{errors}");
        assert_eq!(entries(folder), Vec::<PathBuf>::new());
    }
    let output = converting(&place.student(), &cache, false);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(entries(&cache).len(), 1);
}

#[test]
fn an_output_that_cannot_be_written_is_said() {
    let bundles = Bundles::new();
    let bundle = bundles.make("bundle");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(program())
        .args(["infer", "--text", "w4", "--bundle"])
        .arg(&bundle)
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(UNWRITABLE), "{errors}");
    assert!(errors.contains("standard output cannot be written"), "{errors}");
    assert_eq!(all_gone(&bundle), Ok(()));
}

#[test]
fn a_taken_port_is_named_and_a_free_one_is_used() {
    let bundles = Bundles::new();
    let bundle = bundles.make("bundle").join("party1").display().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let party = |port: u16| {
        let port = port.to_string();
        let args = ["party", "--index", "1", "--insecure-local", "--bundle", &bundle, "--port", &port];
        // standard input must last until the port is bound
        Command::new(program())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut refused = party(address.port());
    let input = refused.stdin.take();
    let output = refused.wait_with_output().unwrap();
    drop(input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(TAKEN), "{errors}");
    assert!(errors.contains(&address.to_string()) && errors.contains("0 for any free one"), "{errors}");
    assert!(output.stdout.is_empty(), "a role is not ready without its port");

    // a port that was free a moment ago may be taken by anybody on this machine: another one is as good
    let used = (0..20).any(|_| {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut used = party(port);
        let mut line = String::new();
        let output = used.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        used.kill().unwrap();
        let ended = used.wait().unwrap();
        if line.is_empty() {
            assert_eq!(ended.code(), Some(TAKEN));
            return false;
        }
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), json!({ "ready": "party1", "port": port }));
        true
    });
    assert!(used, "twenty free ports, and none could be used");
}
