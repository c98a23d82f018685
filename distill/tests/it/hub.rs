//! A teacher and a task from the hub, here a stand-in on loopback.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::program::{json, refusal, succeed};
use crate::standin::{Fault, Kind, StandIn, glue};
use crate::tiny::{Fixture, labelled};

/// The program in the fixture's folder, with that hub and a cache of its own.
fn distill(fixture: &Fixture, hub: &StandIn) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distill"));
    command.current_dir(fixture.path("")).env("HF_ENDPOINT", hub.endpoint()).env("HF_HOME", fixture.path("home"));
    for name in ["HF_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"] {
        command.env_remove(name);
    }
    command
}

fn read(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let names = ["config.json", "model.safetensors", "tokenizer.json"];
    names.map(|name| (name, fs::read(folder.join(name)).unwrap())).into()
}

fn table(count: usize, shift: usize) -> Vec<u8> {
    let texts: Vec<(String, usize)> = labelled(count, shift).collect();
    let rows: Vec<glue::Row<'_>> = texts.iter().map(|(text, label)| (text.as_str(), None, *label as f32)).collect();
    glue::parquet("sst2", &rows)
}

#[test]
fn a_teacher_and_a_task_from_the_hub_need_no_files_here() {
    let fixture = Fixture::new();
    let hub = StandIn::serve();
    hub.add(Kind::Model, "tiny/bert-base", "main", &read(&fixture.model("one", 2, false)));
    hub.add(Kind::Model, "tiny/bert-base", "short", &read(&fixture.model("two", 1, false)));
    let tables =
        [("sst2/train-00000-of-00001.parquet", table(64, 0)), ("sst2/validation-00000-of-00001.parquet", table(24, 1))];
    hub.add(Kind::Dataset, "nyu-mll/glue", "main", &tables);
    let fast = ["--per-device-train-batch-size", "8", "--learning-rate", "2e-3", "--num-train-epochs", "6", "--quiet"];
    succeed(distill(&fixture, &hub).args(["--teacher", "tiny/bert-base", "--task", "sst2"]).args(fast));
    let out = fixture.path("outputs/sst2-bert-base");
    let accuracy = json(&out.join("eval_results.json"))["eval_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
    assert_eq!(json(&out.join("config.json"))["num_hidden_layers"], 2);

    let dry = |more: &[&str]| {
        let mut command = distill(&fixture, &hub);
        command.args(["--dry-run", "--task", "sst2"]).args(more);
        command
    };
    let output = succeed(&mut dry(&["--teacher", "tiny/bert-base", "--revision", "short"]));
    assert!(String::from_utf8_lossy(&output.stdout).contains("student: 1 layers"), "{output:?}");
    // A folder of that name comes before the hub, and has no revisions.
    let (code, said) = refusal(&mut dry(&["--teacher", "one", "--revision", "main"]));
    assert!(code == 2 && said.contains("one is a folder"), "{said}");
    let (code, said) = refusal(&mut dry(&["--teacher", "tiny/no-such"]));
    assert!(code == 8 && said.contains("is not a folder here, so it was looked for on the hub"), "{said}");
    let (code, said) = refusal(&mut dry(&["--teacher", "./no/such/place"]));
    assert!(code == 3 && said.contains("neither a folder") && said.contains("owner/name"), "{said}");
}

#[test]
fn a_teacher_that_will_be_refused_is_refused_before_its_weights_come() {
    let fixture = Fixture::new();
    let hub = StandIn::serve();
    let files = read(&fixture.model("one", 2, true));
    let changed = |name: &str, change: &dyn Fn(String) -> String| {
        let mut files = files.clone();
        let file = files.iter_mut().find(|(file, _)| *file == name).unwrap();
        file.1 = change(String::from_utf8(file.1.clone()).unwrap()).into_bytes();
        files
    };
    let cases = [
        (changed("config.json", &|text| text.replace("\"bert\"", "\"albert\"")), 3, "`albert`"),
        (
            changed("config.json", &|text| text.replace("\"hidden_size\"", "\"num_labels\":3,\"hidden_size\"")),
            3,
            "`classifier.weight`",
        ),
        (changed("tokenizer.json", &|text| text.replace("\"dull\":8", "\"dull\":800")), 3, "a token 800"),
        (files.clone(), 7, "not enough memory"),
    ];
    for (number, (files, wanted, words)) in cases.into_iter().enumerate() {
        let id = format!("tiny/bert-{number}");
        hub.add(Kind::Model, &id, "main", &files);
        let mut command = distill(&fixture, &hub);
        command.args(["--teacher", &id, "--task", "sst2", "--data-dir"]).arg(fixture.data());
        if wanted == 7 {
            command.args(["--memory", "1M"]);
        }
        let (code, said) = refusal(&mut command);
        assert!(code == wanted && said.contains(words), "{said}");
        let snapshots = fixture.path(&format!("home/hub/models--tiny--bert-{number}/snapshots"));
        for commit in fs::read_dir(snapshots).unwrap() {
            assert!(!commit.unwrap().path().join("model.safetensors").exists(), "{words}");
        }
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_download_at_once() {
    let fixture = Fixture::new();
    let hub = StandIn::serve();
    hub.add(Kind::Model, "tiny/bert-base", "main", &read(&fixture.model("one", 1, false)));
    hub.fault("model.safetensors", 99, Fault::Stall(100));
    let mut command = distill(&fixture, &hub);
    // the hub stalls for a minute, which is less than the program would wait
    command.env("HF_HUB_DOWNLOAD_TIMEOUT", "600");
    let mut child = command.args(["--teacher", "tiny/bert-base", "--task", "sst2"]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !hub.seen().iter().any(|request| request.path.contains("model.safetensors")) {
        assert!(Instant::now() < deadline, "the weights were never asked for");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let begin = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(begin.elapsed() < Duration::from_secs(60), "before the hub hangs up, let alone is given up");
}
