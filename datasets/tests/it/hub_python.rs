//! The cache is shared with `huggingface_hub`: each finds what the other has fetched. Needs `HUB_PYTHON`, a Python that has it.

use std::path::{Path, PathBuf};
use std::process::Command;

use datasets::hub::{Hub, Settings};
use datasets::{Split, Task};

use crate::standin::{Kind, StandIn, glue};

const ID: &str = "bert-base-uncased";

fn world() -> Option<(PathBuf, StandIn, tempfile::TempDir)> {
    let Some(python) = std::env::var_os("HUB_PYTHON") else {
        eprintln!("skipped: HUB_PYTHON does not name a Python with huggingface_hub");
        return None;
    };
    let hub = StandIn::serve();
    let names = ["config.json", "tokenizer.json", "model.safetensors", "pytorch_model.bin"];
    let files = names.map(|name| (name, name.repeat(1000).into_bytes()));
    hub.add(Kind::Model, "google-bert/bert-base-uncased", "main", &files);
    hub.add(Kind::Model, "google-bert/bert-base-uncased", "refs/pr/1", &files[..3]);
    hub.rename(ID, "google-bert/bert-base-uncased");
    let file = glue::parquet("sst2", &[("a fine film", None, 1.0)]);
    hub.add(Kind::Dataset, "nyu-mll/glue", "main", &[("sst2/train-00000-of-00001.parquet", file)]);
    Some((python.into(), hub, tempfile::tempdir().unwrap()))
}

/// Runs a script and returns the lines it prints.
fn run(python: &Path, hub: &StandIn, cache: &Path, offline: bool, script: &str) -> Vec<String> {
    let mut command = Command::new(python);
    command.args(["-c", &format!("from huggingface_hub import *\n{script}")]);
    command.env("HF_ENDPOINT", hub.endpoint()).env("HF_HUB_CACHE", cache).env("HF_HOME", cache.join("home"));
    command.env("HF_HUB_DISABLE_TELEMETRY", "1").env("HF_HUB_OFFLINE", if offline { "1" } else { "0" });
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_string).collect()
}

#[test]
#[ignore = "needs HUB_PYTHON"]
fn python_finds_what_we_have_fetched() {
    let Some((python, hub, cache)) = world() else { return };
    let client = Hub::new(Settings::new(&hub.endpoint(), cache.path())).unwrap();
    let folder = client.model(ID, None).unwrap();
    let other = client.model(ID, Some("refs/pr/1")).unwrap();
    let file = client.glue(Task::Sst2, Split::Train).unwrap().remove(0);
    let script = format!(
        "print(snapshot_download('{ID}'))\n\
         print(hf_hub_download('{ID}', 'model.safetensors', local_files_only=True))\n\
         print(snapshot_download('{ID}', revision='refs/pr/1'))\n\
         print(hf_hub_download('nyu-mll/glue', 'sst2/train-00000-of-00001.parquet', repo_type='dataset'))\n\
         print(len(scan_cache_dir().repos), len(scan_cache_dir().warnings))"
    );
    hub.forget();
    let lines = run(&python, &hub, cache.path(), true, &script);
    let paths = [folder.clone(), folder.join("model.safetensors"), other, file];
    for (line, path) in lines.iter().zip(paths) {
        assert_eq!(Path::new(line), path);
    }
    assert_eq!((lines[4].as_str(), hub.seen().len()), ("2 0", 0));
    // and online: it fetches only what we left out
    run(&python, &hub, cache.path(), false, &format!("snapshot_download('{ID}')"));
    let bodies: Vec<String> = hub.bodies("").into_iter().map(|seen| seen.path).collect();
    assert!(bodies.iter().all(|path| path.contains("pytorch_model.bin")), "{bodies:?}");
}

#[test]
#[ignore = "needs HUB_PYTHON"]
fn we_find_what_python_has_fetched() {
    let Some((python, hub, cache)) = world() else { return };
    let script = format!(
        "print(snapshot_download('{ID}'))\n\
         print(hf_hub_download('nyu-mll/glue', 'sst2/train-00000-of-00001.parquet', repo_type='dataset'))"
    );
    let lines = run(&python, &hub, cache.path(), false, &script);
    hub.forget();
    for offline in [true, false] {
        let client = Hub::new(Settings { offline, ..Settings::new(&hub.endpoint(), cache.path()) }).unwrap();
        assert_eq!(client.model(ID, None).unwrap(), Path::new(&lines[0]));
        assert_eq!(client.glue(Task::Sst2, Split::Train).unwrap(), [PathBuf::from(&lines[1])]);
        assert!(hub.bodies("").is_empty());
    }
}
