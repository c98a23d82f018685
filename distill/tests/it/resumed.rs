//! Runs that are taken up with other texts or models, and two runs in one folder.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::{bare, json, refusal, succeed};
use crate::tiny::Fixture;

fn on_sst2(fixture: &Fixture, teacher: &Path, more: &[&str]) -> Command {
    let mut command = bare(fixture, teacher, "out");
    command
        .args(["--task", "sst2", "--num-train-epochs", "1", "--logging-steps", "1", "--data-dir"])
        .arg(fixture.data())
        .args(more);
    command
}

#[test]
fn a_run_whose_texts_or_models_changed_is_not_taken_up() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    succeed(&mut on_sst2(&fixture, &teacher, &[]));
    let changed = |what: &str| {
        let (code, said) = refusal(&mut on_sst2(&fixture, &teacher, &[]));
        assert_eq!(code, 3, "{said}");
        let expected = format!("since the run was begun, the {what} changed; choose another --output-dir");
        assert!(said.contains(&expected), "{said}");
    };
    let train = fixture.data().join("SST-2/train.tsv");
    let text = fs::read_to_string(&train).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let reversed: Vec<&str> = rows.lines().rev().collect();
    fs::write(&train, format!("{header}\n{}\n", reversed.join("\n"))).unwrap();
    changed("training texts");
    fs::write(&train, &text).unwrap();
    let other = fixture.write_model("other", &crate::tiny::config(2), false);
    let model = teacher.join("model.safetensors");
    let mine = fs::read(&model).unwrap();
    let mut tensors =
        candle_core::safetensors::load(other.join("model.safetensors"), &candle_core::Device::Cpu).unwrap();
    let name = "embeddings.LayerNorm.bias";
    tensors.insert(name.into(), (&tensors[name] + 0.5).unwrap());
    candle_core::safetensors::save(&tensors, &model).unwrap();
    changed("teacher's weights");
    fs::write(&model, mine).unwrap();
    // the same again is the same run, which is over
    succeed(&mut on_sst2(&fixture, &teacher, &[]));
    // a checkpoint of a release that noted no inputs cannot be known to be of these
    for entry in fs::read_dir(fixture.path("out")).unwrap() {
        let path = entry.unwrap().path().join("trainer_state.json");
        if path.is_file() {
            let mut state = json(&path);
            state.as_object_mut().unwrap().remove("inputs").unwrap();
            fs::write(path, state.to_string()).unwrap();
        }
    }
    let (code, said) = refusal(&mut on_sst2(&fixture, &teacher, &[]));
    assert!(code == 3 && said.contains("earlier release") && said.contains("--overwrite-output-dir"), "{said}");
    succeed(&mut on_sst2(&fixture, &teacher, &["--overwrite-output-dir"]));
}

#[cfg(unix)]
#[test]
fn a_second_run_in_the_same_folder_is_refused_at_once_and_the_first_goes_on() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    let long = ["--num-train-epochs", "20"];
    let mut first = on_sst2(&fixture, &teacher, &long).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("teacher 3/")), "it never began");
    // it stands still while others try, so that it cannot be over before
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &first.id().to_string()]).status().unwrap().success());
    };
    signal("-STOP");
    for more in [&long[..], &["--num-train-epochs", "20", "--overwrite-output-dir"]] {
        let (code, said) = refusal(&mut on_sst2(&fixture, &teacher, more));
        assert!(code == 2 && said.contains("another run of distill works in") && said.contains("out"), "{said}");
    }
    signal("-CONT");
    lines.for_each(drop);
    assert!(first.wait().unwrap().success());
    assert!(!fixture.path("out/.distill.lock").exists());
    assert!(fixture.path("out/model.safetensors").is_file());
}
