//! The hub as the environment names it. A child process has an environment of its own, and it is this program with one test
//! asked for by its name: so it stays apart from `it`.
#![allow(clippy::unwrap_used)]

mod standin;

use std::process::{Command, Output};

use datasets::{Source, Split, Task};
use standin::{Kind, StandIn, glue};

/// Does nothing unless it is the child of the other test.
#[test]
fn child() {
    if std::env::var_os("DATASETS_TEST_CHILD").is_none() {
        return;
    }
    let source = Source::Glue { task: Task::Mrpc, folder: None };
    match source.load(Split::Dev, &Task::Mrpc.target()) {
        Ok(loaded) => println!("{} examples", loaded.examples.len()),
        Err(error) => println!("code {}: {error}", error.exit_code()),
    }
}

fn run(variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env("DATASETS_TEST_CHILD", "1");
    for name in [
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_TOKEN_PATH",
        "HF_ENDPOINT",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
    ] {
        command.env_remove(name);
    }
    let Output { stdout, stderr, .. } = command.envs(variables.iter().copied()).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
}

#[test]
fn a_task_without_a_folder_comes_from_the_hub_of_the_environment() {
    let hub = StandIn::serve();
    let rows = [("a", Some("b"), 1.0), ("c", Some("d"), 0.0)];
    let file = glue::parquet("mrpc", &rows);
    hub.add(Kind::Dataset, "nyu-mll/glue", "main", &[("mrpc/validation-00000-of-00001.parquet", file)]);
    hub.gate(Kind::Dataset, "nyu-mll/glue", "hf_secret");
    let home = tempfile::tempdir().unwrap();
    let (endpoint, folder) = (hub.endpoint(), home.path().to_str().unwrap());
    let here = [("HF_ENDPOINT", endpoint.as_str()), ("HF_HOME", folder)];
    let said = run(&here);
    assert!(said.contains("code 8") && said.contains("/datasets/nyu-mll/glue"), "{said}");
    std::fs::write(home.path().join("token"), "hf_secret\n").unwrap();
    let said = run(&here);
    assert!(said.contains("2 examples") && !said.contains("hf_secret"), "{said}");
    hub.forget();
    let said = run(&[here[0], here[1], ("HF_HUB_OFFLINE", "1")]);
    assert!(said.contains("2 examples") && hub.seen().is_empty(), "{said}");
    let said =
        run(&[here[0], ("HF_HUB_CACHE", home.path().join("empty").to_str().unwrap()), ("HF_HUB_OFFLINE", "yes")]);
    assert!(said.contains("code 8: offline, and not in the cache"), "{said}");
}
