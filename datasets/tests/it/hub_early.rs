//! A model that will be refused is refused before its weights are fetched, against a stand-in on loopback.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use datasets::Error;
use datasets::hub::{Hub, Part, Settings};

use crate::standin::{Fault, Kind, StandIn};

const ID: &str = "tiny/bert";
/// No more than that is asked for of a file whose header alone is wanted.
const FIRST: u64 = 1 << 16;
const BODY: usize = 300_000;

/// A file of weights with this text for its header.
fn weights(header: &str) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), &vec![7; BODY]].concat()
}

/// A header so long.
fn header(length: usize) -> String {
    format!("{{\"a\":1}}{}", " ".repeat(length - 7))
}

fn world(weights: &[(&str, Vec<u8>)]) -> (StandIn, tempfile::TempDir, Hub) {
    let hub = StandIn::serve();
    let mut files = vec![("config.json", b"{}".to_vec()), ("tokenizer.json", b"{\"a\":1}".to_vec())];
    files.extend_from_slice(weights);
    hub.add(Kind::Model, ID, "main", &files);
    let cache = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(&hub.endpoint(), cache.path());
    settings.timeout = Duration::from_secs(60);
    settings.pause = Duration::from_millis(5);
    (hub, cache, Hub::new(settings).unwrap())
}

/// What has come, part by part, until `no` of them have.
struct Look {
    seen: RefCell<Vec<String>>,
    no: usize,
}

impl Look {
    fn at(client: &Hub, no: usize) -> (Result<PathBuf, Error>, Vec<String>) {
        let look = Look { seen: RefCell::default(), no };
        let answer = client.model_if(ID, None, &|part| look.part(part));
        (answer, look.seen.into_inner())
    }

    fn part(&self, part: Part<'_>) -> Result<(), Error> {
        let told = match part {
            Part::Config(folder) => {
                assert!(folder.join("config.json").is_file() && !folder.join("model.safetensors").exists());
                "config".into()
            }
            Part::Tokenizer(folder) => {
                assert!(folder.join("tokenizer.json").is_file());
                "tokenizer".into()
            }
            Part::Headers(_, headers) => headers
                .iter()
                .map(|(name, text)| format!("{name} {}", String::from_utf8_lossy(text).trim_end().len() + text.len()))
                .collect::<Vec<_>>()
                .join(", "),
        };
        self.seen.borrow_mut().push(told);
        match self.seen.borrow().len() == self.no {
            true => Err(Error::Usage("not this one".into())),
            false => Ok(()),
        }
    }
}

fn sent(hub: &StandIn, name: &str) -> u64 {
    hub.bodies(name).iter().map(|seen| seen.sent).sum()
}

#[test]
fn nothing_more_is_fetched_than_what_the_refusal_needs() {
    let (hub, cache, client) = world(&[("model.safetensors", weights(&header(500)))]);
    for (no, fetched) in
        [(1, &["config"][..]), (2, &["config", "tokenizer"]), (3, &["config", "tokenizer", "model.safetensors 507"])]
    {
        let (answer, seen) = Look::at(&client, no);
        assert!(answer.unwrap_err().to_string().contains("not this one"));
        assert_eq!(seen, fetched);
        assert_eq!(hub.bodies("tokenizer.json").is_empty(), no == 1);
        // a peer that hears no more has been sent more than it took
        assert_eq!(hub.bodies("model.safetensors").len(), usize::from(no == 3));
        assert!(sent(&hub, "model.safetensors") <= FIRST);
    }
    let blobs = std::fs::read_dir(cache.path().join("models--tiny--bert/blobs")).unwrap();
    assert!(blobs.flatten().all(|entry| entry.metadata().unwrap().len() < 1000), "nothing of the weights is kept");
}

#[test]
fn what_is_accepted_is_fetched_whole_and_not_looked_at_again() {
    let (hub, _cache, client) = world(&[("model.safetensors", weights(&header(500)))]);
    let (answer, seen) = Look::at(&client, 0);
    let folder = answer.unwrap();
    assert_eq!(seen.len(), 3);
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), weights(&header(500)));
    assert_eq!(hub.bodies("model.safetensors").len(), 2, "the header, and the whole");
    hub.forget();
    let (answer, seen) = Look::at(&client, 1);
    assert_eq!((answer.unwrap(), seen), (folder, vec![]));
    assert!(hub.bodies("").is_empty());
}

#[test]
fn a_long_header_is_fetched_whole() {
    let (hub, _cache, client) = world(&[("model.safetensors", weights(&header(100_000)))]);
    let (_, seen) = Look::at(&client, 3);
    assert_eq!(seen[2], "model.safetensors 100007");
    let asked: Vec<u64> = hub.bodies("model.safetensors").iter().map(|seen| seen.from).collect();
    assert_eq!((asked, sent(&hub, "model.safetensors")), (vec![0, FIRST], 100_008));
}

#[test]
fn of_weights_in_several_files_all_headers_are_looked_at() {
    let index = r#"{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}"#;
    let (hub, _cache, client) = world(&[
        ("model-1.safetensors", weights(&header(50))),
        ("model-2.safetensors", weights(&header(60))),
        ("model.safetensors.index.json", format!("\u{feff}{index}").into_bytes()),
    ]);
    // the second time the index is in the cache, the files are not
    for _ in 0..2 {
        let (answer, seen) = Look::at(&client, 3);
        assert!(answer.is_err());
        assert_eq!(seen[2], "model-1.safetensors 57, model-2.safetensors 67");
    }
    assert!(hub.bodies("model-").iter().all(|seen| seen.sent <= FIRST));
    let (answer, _) = Look::at(&client, 0);
    assert!(answer.unwrap().join("model-2.safetensors").is_file());
}

#[test]
fn where_a_header_cannot_be_had_the_file_is_fetched() {
    // a server that knows no ranges sends the whole, of which the beginning is read
    let (hub, _cache, client) = world(&[("model.safetensors", weights(&header(500)))]);
    hub.fault("model.safetensors", 1, Fault::IgnoreRange);
    assert_eq!(Look::at(&client, 3).1[2], "model.safetensors 507");
    // its second piece cannot be told from the first
    let (hub, _cache, client) = world(&[("model.safetensors", weights(&header(100_000)))]);
    hub.fault("model.safetensors", 2, Fault::IgnoreRange);
    let (answer, seen) = Look::at(&client, 3);
    assert!(answer.is_ok() && seen.len() == 2, "{seen:?}");
    // and what is no file of weights is for its reader to say
    let (_hub, _cache, client) = world(&[("model.safetensors", b"<html>".to_vec())]);
    let (answer, seen) = Look::at(&client, 3);
    assert!(answer.is_ok() && seen.len() == 2, "{seen:?}");
}
