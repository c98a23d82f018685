//! The hub as a client sees it, against a stand-in on loopback.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use datasets::hub::{Hub, Settings, Token};
use datasets::{Error, Split, Task};

use crate::standin::{Fault, Kind, StandIn, etag, glue};

const ID: &str = "bert-base-uncased";
const OFTEN: usize = usize::MAX;

/// Weights that a few pieces make up.
fn weights() -> Vec<u8> {
    (0..300_000u32).map(|n| (n % 251) as u8).collect()
}

/// The files of a model, and some that nobody needs.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("README.md", b"# a model".to_vec()),
        ("config.json", b"{}".to_vec()),
        ("model.safetensors", weights()),
        ("onnx/model.onnx.bin", b"unneeded".to_vec()),
        ("pytorch_model.bin", b"unneeded".to_vec()),
        ("tokenizer.json", b"{\"a\":1}".to_vec()),
        ("vocab.txt", b"[PAD]\n".to_vec()),
    ]
}

/// How long an answer may take: on a busy machine the stand-in's does take a while, and a second request would be counted.
const PATIENCE: Duration = Duration::from_secs(60);

/// A hub with one model, under its old name and its new one; an empty cache; settings that do not wait for ever.
fn world() -> (StandIn, tempfile::TempDir, Settings) {
    let hub = StandIn::serve();
    hub.add(Kind::Model, "google-bert/bert-base-uncased", "main", &files());
    hub.rename(ID, "google-bert/bert-base-uncased");
    let cache = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(&hub.endpoint(), cache.path());
    settings.timeout = PATIENCE;
    settings.pause = Duration::from_millis(5);
    (hub, cache, settings)
}

fn model(settings: &Settings) -> Result<PathBuf, Error> {
    Hub::new(settings.clone()).unwrap().model(ID, None)
}

/// The error of a run, its code looked at; it never tells a token.
fn refused(result: Result<impl std::fmt::Debug, Error>, code: i32) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.exit_code(), code, "{error}");
    assert!(!format!("{error} {error:?}").contains("hf_secret"), "{error:?}");
    error.to_string()
}

fn offline(settings: &Settings) -> Settings {
    Settings { offline: true, endpoint: "http://127.0.0.1:9".into(), ..settings.clone() }
}

#[test]
fn a_model_is_laid_out_as_the_python_tools_have_it() {
    let (hub, cache, settings) = world();
    let folder = model(&settings).unwrap();
    let commit = folder.file_name().unwrap().to_str().unwrap();
    let root = cache.path().join("models--bert-base-uncased");
    assert_eq!(folder, root.join("snapshots").join(commit));
    assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), commit);
    let mut names: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt"]);
    for name in names {
        let bytes = fs::read(folder.join(&name)).unwrap();
        let link = fs::read_link(folder.join(&name)).unwrap();
        assert_eq!(link, Path::new("../../blobs").join(etag(&name, &bytes)), "{name}");
    }
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
    assert!(hub.bodies("onnx").is_empty() && hub.bodies("pytorch").is_empty() && hub.bodies("README").is_empty());
    // again: one question, no content
    hub.forget();
    assert_eq!(model(&settings).unwrap(), folder);
    let paths: Vec<String> = hub.seen().into_iter().map(|seen| seen.path).collect();
    assert!(paths.iter().all(|path| path.starts_with("/api/")) && paths.len() == 2, "{paths:?}");
    // and without the hub, none
    hub.forget();
    assert_eq!(model(&offline(&settings)).unwrap(), folder);
    assert!(hub.seen().is_empty());
}

#[test]
fn branches_tags_pull_requests_and_commits_are_revisions() {
    let (hub, cache, settings) = world();
    let commits = ["v1", "refs/pr/7"].map(|revision| {
        let mut files = files();
        files[1].1 = format!("{{\"at\":\"{revision}\"}}").into_bytes();
        (revision, hub.add(Kind::Model, "google-bert/bert-base-uncased", revision, &files))
    });
    let client = Hub::new(settings.clone()).unwrap();
    for (revision, commit) in &commits {
        let folder = client.model(ID, Some(revision)).unwrap();
        assert!(folder.ends_with(commit));
        assert!(fs::read_to_string(folder.join("config.json")).unwrap().contains(revision));
        let reference = cache.path().join("models--bert-base-uncased/refs").join(revision);
        assert_eq!(&fs::read_to_string(reference).unwrap(), commit);
    }
    assert_eq!(hub.bodies("model.safetensors").len(), 1, "the same content is fetched once");
    // a commit that is there needs no hub at all
    hub.forget();
    let folder = client.model(ID, Some(&commits[0].1)).unwrap();
    assert!(folder.ends_with(&commits[0].1) && hub.seen().is_empty());
    let error = refused(client.model(ID, Some("nothing")), 8);
    assert!(error.contains("there is no such revision") && error.contains("revision nothing"), "{error}");
    assert!(refused(client.model(ID, Some("../../x")), 2).contains("is no revision"));
    assert!(refused(client.model("a/b/c", None), 3).contains("a/b/c: neither a folder"));
}

#[test]
fn a_moved_branch_is_followed_and_half_an_update_harms_nothing() {
    let (hub, _cache, settings) = world();
    let old = model(&settings).unwrap();
    let mut files = files();
    files[2].1.reverse();
    let new = hub.add(Kind::Model, "google-bert/bert-base-uncased", "main", &files);
    hub.fault("model.safetensors", OFTEN, Fault::Status(404, None));
    refused(model(&settings), 8);
    assert_eq!(model(&offline(&settings)).unwrap(), old, "the reference still points to what is whole");
    hub.heal();
    let folder = model(&settings).unwrap();
    assert!(folder.ends_with(new) && fs::read(folder.join("model.safetensors")).unwrap() == files[2].1);
}

#[test]
fn what_is_broken_off_is_resumed() {
    let (hub, _cache, settings) = world();
    hub.fault("model.safetensors", 3, Fault::BreakOff(70_000));
    let folder = model(&settings).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
    let pieces = hub.bodies("model.safetensors");
    let from: Vec<u64> = pieces.iter().map(|piece| piece.from).collect();
    assert_eq!(from, [0, 70_000, 140_000, 210_000]);
    assert_eq!(pieces.iter().map(|piece| piece.sent).sum::<u64>(), 300_000, "no byte comes twice");
}

#[test]
fn what_stays_broken_off_is_told_and_the_next_run_goes_on() {
    let (hub, cache, settings) = world();
    hub.fault("model.safetensors", OFTEN, Fault::BreakOff(20_000));
    let error = refused(model(&settings), 8);
    assert!(error.contains("broken off 5 times") && error.contains("100000 of 300000 bytes are there"), "{error}");
    assert!(refused(model(&offline(&settings)), 8).contains("not in the cache"), "half a model is none");
    hub.heal();
    hub.forget();
    let folder = model(&settings).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
    let pieces = hub.bodies("model.safetensors");
    assert_eq!((pieces.len(), pieces[0].from, pieces[0].sent), (1, 100_000, 200_000));
    let blobs = fs::read_dir(cache.path().join("models--bert-base-uncased/blobs")).unwrap();
    assert!(blobs.flatten().all(|entry| !entry.file_name().to_string_lossy().contains("incomplete")));
}

#[test]
fn a_server_without_ranges_is_asked_again_from_the_start() {
    let (hub, _cache, settings) = world();
    hub.fault("model.safetensors", 1, Fault::BreakOff(100_000));
    hub.fault("model.safetensors", 1, Fault::IgnoreRange);
    let folder = model(&settings).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
    assert_eq!(hub.bodies("model.safetensors").last().unwrap().sent, 300_000);
}

#[test]
fn a_stalled_and_a_silent_server_are_not_waited_for_for_ever() {
    let (hub, _cache, mut settings) = world();
    settings.timeout = Duration::from_secs(5);
    hub.fault("model.safetensors", 1, Fault::Stall(50_000));
    hub.fault("config.json", 1, Fault::Silent);
    let start = Instant::now();
    model(&settings).unwrap();
    assert!(start.elapsed() < Duration::from_secs(60), "the stand-in itself ends a stall after a minute");
    assert_eq!(hub.bodies("model.safetensors").last().unwrap().from, 50_000);
    let (hub, _cache, mut settings) = world();
    settings.timeout = Duration::from_millis(500);
    hub.fault("", OFTEN, Fault::Silent);
    let error = refused(model(&settings), 8);
    assert!(error.contains("no answer within 0.5 s") && error.contains(&hub.endpoint()), "{error}");
}

#[test]
fn a_slow_server_is_no_stalled_one() {
    let (hub, _cache, mut settings) = world();
    settings.timeout = Duration::from_secs(3);
    hub.fault("model.safetensors", 1, Fault::Slow(80_000));
    let start = Instant::now();
    model(&settings).unwrap();
    assert!(start.elapsed() > Duration::from_secs(3), "slower than the timeout");
    assert_eq!(hub.bodies("model.safetensors").len(), 1);
}

#[test]
fn a_wrong_digest_is_found_and_the_file_deleted() {
    let (hub, cache, settings) = world();
    hub.fault("model.safetensors", 1, Fault::Corrupt);
    let error = refused(model(&settings), 8);
    assert!(error.contains("model.safetensors") && error.contains("not the digest"), "{error}");
    let blobs = cache.path().join("models--bert-base-uncased/blobs");
    assert!(fs::read_dir(blobs).unwrap().flatten().all(|entry| entry.metadata().unwrap().len() < 1000));
    let folder = model(&settings).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
}

#[test]
fn a_busy_hub_is_given_the_time_it_asks_for() {
    let (hub, _cache, settings) = world();
    hub.fault("config.json", 1, Fault::Status(429, Some(1)));
    hub.fault("/api/", 2, Fault::Status(503, None));
    let start = Instant::now();
    model(&settings).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    // more than there is patience for
    let (hub, _cache, settings) = world();
    hub.fault("config.json", OFTEN, Fault::Status(429, Some(600)));
    let error = refused(model(&settings), 8);
    assert!(error.contains("too many requests") && error.contains("in 600 s") && error.contains("HF_TOKEN"), "{error}");
    let (hub, _cache, settings) = world();
    hub.fault("config.json", OFTEN, Fault::Status(500, None));
    let error = refused(model(&settings), 8);
    assert!(error.contains("status 500") && error.contains("config.json"), "{error}");
    assert_eq!(hub.seen().iter().filter(|seen| seen.status == 500).count(), 5);
}

#[test]
fn private_and_gated_repositories_ask_for_a_token() {
    let (hub, _cache, open) = world();
    let known = "google-bert/bert-base-uncased";
    hub.gate(Kind::Model, known, "hf_secret");
    let with = |token: &str| Settings { token: Some(Token::new(token, "").unwrap()), ..open.clone() };
    let page = format!("accept its terms at {}/bert-base-uncased", hub.endpoint());
    let error = refused(model(&open), 8);
    assert!(error.contains("401") && error.contains(&page) && error.contains("HF_TOKEN"), "{error}");
    let error = refused(model(&with("hf_secret_other")), 8);
    assert!(error.contains("403") && error.contains(&page), "{error}");
    hub.forget();
    model(&with("hf_secret")).unwrap();
    for seen in hub.seen() {
        let expected = (!seen.content).then_some("hf_secret");
        assert_eq!(seen.token.as_deref(), expected, "{}: the token goes to the hub only", seen.path);
    }
    assert!(hub.seen().iter().any(|seen| seen.content));

    let (hub, _cache, open) = world();
    hub.hide(Kind::Model, known, "hf_secret");
    let error = refused(model(&open), 8);
    assert!(error.contains("no such repository, or it is private") && error.contains("HF_TOKEN"), "{error}");
    let with = |token: &str| Settings { token: Some(Token::new(token, "").unwrap()), ..open.clone() };
    let error = refused(model(&with("hf_secret_other")), 8);
    assert!(error.contains("not found on the hub") && error.contains("spelling"), "{error}");
    model(&with("hf_secret")).unwrap();
    hub.fault("/api/", OFTEN, Fault::Status(401, None));
    assert!(refused(model(&with("hf_secret")), 8).contains("refuses the token"));
}

#[test]
fn what_is_not_there_is_said_with_a_cure() {
    let (hub, _cache, settings) = world();
    let client = Hub::new(settings.clone()).unwrap();
    let error = refused(client.model("bert-bas-uncased", None), 8);
    assert!(error.contains("bert-bas-uncased") && error.contains("check the spelling"), "{error}");
    let only = ["config.json", "tokenizer.json", "pytorch_model.bin"].map(|name| (name, b"{}".to_vec()));
    hub.add(Kind::Model, "old/model", "main", &only);
    hub.forget();
    let error = refused(client.model("old/model", None), 8);
    assert!(error.contains("pytorch_model.bin") && error.contains("from_pretrained"), "{error}");
    assert!(hub.bodies("").is_empty(), "nothing is fetched in vain");
    hub.add(Kind::Model, "no/config", "main", &[("a.txt", vec![])]);
    assert!(refused(client.model("no/config", None), 8).contains("holds no config.json"));
    // a proxy's page in the place of the hub's answer
    let page = Settings { endpoint: format!("{}/datasets/x/resolve/main", hub.endpoint()), ..settings };
    hub.add(Kind::Dataset, "x", "main", &[("api/models/bert-base-uncased/revision/main", b"<html>".to_vec())]);
    assert!(refused(model(&page), 8).contains("no list of files"));
}

#[test]
fn weights_in_several_files_come_by_their_index() {
    let (hub, _cache, settings) = world();
    let index = |name: &str| {
        let text = format!("{{\"weight_map\":{{\"a\":\"model-1.safetensors\",\"b\":\"{name}\"}}}}");
        ("model.safetensors.index.json", text.into_bytes())
    };
    let mut files: Vec<(&str, Vec<u8>)> =
        ["config.json", "tokenizer.json", "model-1.safetensors", "model-2.safetensors"]
            .map(|name| (name, name.as_bytes().to_vec()))
            .into();
    files.push(("model-3.safetensors", vec![3]));
    files.push(index("model-2.safetensors"));
    hub.add(Kind::Model, "a/shards", "main", &files);
    let client = Hub::new(settings.clone()).unwrap();
    let folder = client.model("a/shards", None).unwrap();
    assert!(folder.join("model-2.safetensors").is_file() && !folder.join("model-3.safetensors").exists());
    fs::remove_file(folder.join("model-2.safetensors")).unwrap();
    let error = refused(Hub::new(offline(&settings)).unwrap().model("a/shards", None), 8);
    assert!(error.contains("model-2.safetensors"), "{error}");
    for name in ["../../../x", "model-9.safetensors"] {
        files.pop();
        files.push(index(name));
        hub.add(Kind::Model, "a/shards", "main", &files);
        assert!(refused(client.model("a/shards", None), 8).contains(name));
    }
}

#[test]
fn offline_says_what_is_missing_and_where() {
    let (hub, cache, settings) = world();
    let error = refused(model(&offline(&settings)), 8);
    let root = cache.path().join("models--bert-base-uncased");
    assert!(error.starts_with("offline, and not in the cache: bert-base-uncased, main"), "{error}");
    assert!(error.contains(&root.display().to_string()) && error.contains("HF_HUB_OFFLINE"), "{error}");
    let folder = model(&settings).unwrap();
    fs::remove_file(fs::canonicalize(folder.join("model.safetensors")).unwrap()).unwrap();
    assert!(refused(model(&offline(&settings)), 8).contains("model.safetensors"), "a link to nothing is nothing");
    model(&settings).unwrap();
    assert_eq!(hub.bodies("model.safetensors").len(), 2, "and is mended");
}

#[test]
fn without_an_answer_the_cache_answers() {
    let (hub, _cache, settings) = world();
    let down = Settings { endpoint: "http://127.0.0.1:9".into(), ..settings.clone() };
    let error = refused(model(&down), 8);
    assert!(
        error.contains("cannot reach the hub at http://127.0.0.1:9") && error.contains("HF_HUB_OFFLINE"),
        "{error}"
    );
    let folder = model(&settings).unwrap();
    assert_eq!(model(&down).unwrap(), folder);
    hub.fault("/api/", OFTEN, Fault::Status(502, None));
    assert_eq!(model(&settings).unwrap(), folder);
    let odd = Settings { endpoint: "huggingface.co".into(), ..settings };
    assert!(refused(Hub::new(odd), 2).contains("HF_ENDPOINT"));
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let (_hub, cache, settings) = world();
    let file = cache.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refused(model(&Settings { cache: file.clone(), ..settings.clone() }), 9);
    assert!(error.contains(&file.display().to_string()) && error.contains("HF_HUB_CACHE"), "{error}");
    // a disk that is full
    #[cfg(target_os = "linux")]
    {
        let blobs = cache.path().join("models--bert-base-uncased/blobs");
        fs::create_dir_all(&blobs).unwrap();
        let part = blobs.join(format!("{}.incomplete", etag("model.safetensors", &weights())));
        std::os::unix::fs::symlink("/dev/full", part).unwrap();
        let error = refused(model(&settings), 9);
        assert!(error.contains("cannot write"), "{error}");
    }
}

#[test]
fn many_at_once_fetch_a_file_once() {
    let (hub, _cache, settings) = world();
    hub.fault("model.safetensors", 1, Fault::Slow(600_000));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let settings = settings.clone();
            std::thread::spawn(move || model(&settings).unwrap())
        })
        .collect();
    let folders: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(folders.iter().all(|folder| *folder == folders[0]), "{folders:?}");
    assert_eq!(hub.bodies("model.safetensors").len(), 1);
}

#[test]
fn a_task_comes_as_its_parquet_files() {
    let (hub, cache, settings) = world();
    let rows = [("a fine film", None, 1.0), ("a dull one", None, 0.0)];
    let one = glue::parquet("sst2", &rows);
    hub.add(
        Kind::Dataset,
        "nyu-mll/glue",
        "main",
        &[
            ("README.md", vec![]),
            ("sst2/train-00000-of-00002.parquet", one.clone()),
            ("sst2/train-00001-of-00002.parquet", glue::parquet("sst2", &rows[..1])),
            ("sst2/validation-00000-of-00001.parquet", one),
        ],
    );
    let client = Hub::new(settings.clone()).unwrap();
    let files = client.glue(Task::Sst2, Split::Train).unwrap();
    let root = cache.path().join("datasets--nyu-mll--glue");
    assert_eq!(files.len(), 2);
    assert!(files[0].starts_with(root.join("snapshots")) && files[1].ends_with("sst2/train-00001-of-00002.parquet"));
    let link = fs::read_link(&files[0]).unwrap();
    assert!(link.starts_with("../../../blobs"), "{link:?}");
    let later = Hub::new(offline(&settings)).unwrap();
    assert_eq!(later.glue(Task::Sst2, Split::Train).unwrap(), files);
    let error = refused(later.glue(Task::Sst2, Split::Dev), 8);
    assert!(error.contains("not in the cache") && error.contains("sst2/validation-"), "{error}");
    let error = refused(client.glue(Task::Rte, Split::Dev), 8);
    assert!(error.contains("rte/validation-*.parquet") && error.contains("--data-dir"), "{error}");
}
