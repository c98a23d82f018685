//! Several processes that train one student together, on loopback.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use candle_core::{Device, safetensors::load};

use crate::free_port::free_port;
#[cfg(unix)]
use crate::program::lasting;
use crate::program::{bare, json, refusal, succeed};
use crate::tiny::Fixture;

/// A run on the tiny SST-2 whose last batches are short: 62 texts.
fn distill(fixture: &Fixture, teacher: &Path, out: &str, batch: &str, more: &[&str]) -> Command {
    let mut command = bare(fixture, teacher, out);
    command.args(["--task", "SST-2", "--data-dir"]).arg(fixture.data());
    command.args(["--max-train-samples", "62", "--num-train-epochs", "2", "--per-device-train-batch-size", batch]);
    // two processes and their threads on what may be two cores
    command.args(more).env("RAYON_NUM_THREADS", "1");
    command
}

/// The same command as each of `size` processes; all but rank 0 are given another output folder, which must stay empty.
fn launched(size: usize, command: impl Fn(&str) -> Command) -> Vec<Command> {
    let port = free_port();
    let launch = |rank: usize| {
        let mut command = command(if rank == 0 { "out" } else { "nothing" });
        command.envs([("RANK", rank.to_string()), ("WORLD_SIZE", size.to_string())]);
        command.envs([("MASTER_ADDR", "127.0.0.1".to_string()), ("MASTER_PORT", port.to_string())]);
        command
    };
    (0..size).map(launch).collect()
}

fn spawn(commands: Vec<Command>) -> Vec<Child> {
    commands.into_iter().map(|mut command| command.stderr(Stdio::piped()).spawn().unwrap()).collect()
}

fn ends(commands: Vec<Command>) -> Vec<Output> {
    spawn(commands).into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// How far two folders' weights are apart: the length of the difference over the length, of the weight where that is most.
fn distance(one: &Path, two: &Path) -> f64 {
    let read = |folder: &Path| load(folder.join("model.safetensors"), &Device::Cpu).unwrap();
    let (one, two) = (read(one), read(two));
    assert_eq!(one.len(), two.len());
    let numbers = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let apart = one.iter().map(|(name, tensor)| {
        let (a, b) = (numbers(tensor), numbers(&two[name]));
        let squares = |differs: bool| {
            let number = |(a, b): (&f32, &f32)| f64::from(if differs { a - b } else { *a }).powi(2);
            a.iter().zip(&b).map(number).sum::<f64>()
        };
        (squares(true) / squares(false).max(1e-12)).sqrt()
    });
    apart.fold(0.0, f64::max)
}

const NO_DROPOUT: [&str; 4] = ["--stage1-dropout", "0", "--stage2-dropout", "0"];

#[test]
fn two_processes_give_the_student_of_one_with_twice_the_batch() {
    let fixture = Fixture::new();
    let teacher = fixture.model("teacher", 2, true);
    let more = [&NO_DROPOUT[..], &["--gold-weight", "0.5", "--learning-rate", "1e-4"]].concat();
    succeed(&mut distill(&fixture, &teacher, "one", "8", &more));
    for output in ends(launched(2, |out| distill(&fixture, &teacher, out, "4", &more))) {
        assert!(output.status.success(), "{}", said(&output));
    }
    let apart = distance(&fixture.path("one"), &fixture.path("out"));
    assert!(apart < 1e-5, "{apart}");
    // that the tolerance can tell runs apart
    succeed(&mut distill(&fixture, &teacher, "other", "7", &more));
    assert!(distance(&fixture.path("one"), &fixture.path("other")) > 1e-4);
    assert!(!fixture.path("nothing").exists(), "only rank 0 writes");
    let [one, two] = ["one", "out"].map(|out| json(&fixture.path(out).join("trainer_state.json")));
    assert_eq!(one["global_step"], two["global_step"]);
    assert_eq!((&one["settings"]["WORLD_SIZE"], &two["settings"]["WORLD_SIZE"]), (&().into(), &2.into()));
}

#[test]
fn steps_of_several_batches_and_other_designs_are_shared_too() {
    let fixture = Fixture::new();
    let teacher = fixture.model("teacher", 2, true);
    let learned = "--gradient-accumulation-steps 3 --attention-loss weights --learning-rate 1e-4";
    let design = "--attention-shift fit --layer-norm linear --norm-drop 1 --early-stopping-patience 9";
    let more: Vec<&str> =
        NO_DROPOUT.into_iter().chain([learned, design].into_iter().flat_map(str::split_whitespace)).collect();
    succeed(&mut distill(&fixture, &teacher, "one", "8", &more));
    for output in ends(launched(2, |out| distill(&fixture, &teacher, out, "4", &more))) {
        assert!(output.status.success(), "{}", said(&output));
    }
    let apart = distance(&fixture.path("one"), &fixture.path("out"));
    assert!(apart < 1e-4, "{apart}");
    let [one, two] = ["one", "out"].map(|out| json(&fixture.path(out).join("config.json")));
    assert_eq!(
        (&one["attention_shift"], &one["linear_layer_norms"]),
        (&two["attention_shift"], &two["linear_layer_norms"])
    );
    assert_eq!(one["linear_layer_norms"], serde_json::json!([1, 0]));
    assert!(!fixture.path("nothing").exists(), "only rank 0 writes");
}

#[test]
fn a_teacher_learns_together_too_and_idle_processes_keep_step() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    // 62 texts in batches of 6 leave 2 texts for three processes; dropout is on, so that every rank draws its own.
    let outputs = ends(launched(3, |out| distill(&fixture, &teacher, out, "2", &["--eval-steps", "4"])));
    for (rank, output) in outputs.iter().enumerate() {
        assert!(output.status.success(), "rank {rank}: {}", said(output));
        assert_eq!(said(output).contains("stage 2"), rank == 0, "rank 0 alone speaks: {}", said(output));
    }
    let evaluated = json(&fixture.path("out/eval_results.json"));
    assert!(evaluated["eval_accuracy"].as_f64().unwrap() >= 0.5, "{evaluated}");
    assert!(fixture.path("out/teacher/model.safetensors").is_file() && !fixture.path("nothing").exists());
}

#[cfg(unix)]
#[test]
fn processes_interrupted_through_any_of_them_go_on_to_the_same_bits() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    let more = ["--logging-steps", "1", "--num-train-epochs", "10"];
    let launch = |parts: bool| {
        launched(2, |out| {
            let out = if parts && out == "out" { "parts" } else { out };
            distill(&fixture, &teacher, out, "4", &more)
        })
    };
    for output in ends(launch(false)) {
        assert!(output.status.success(), "{}", said(&output));
    }
    // Once in each stage, as soon as rank 0 logs its third step, through one rank or the other.
    for (mark, rank, signal) in [("teacher 3/", 1, "-TERM"), ("stage 1 3/", 0, "-INT"), ("stage 2 3/", 1, "-INT")] {
        let mut children = spawn(launch(true));
        let asked = children[rank].id().to_string();
        let mut sent = false;
        for line in BufReader::new(children[0].stderr.take().unwrap()).lines().map(Result::unwrap) {
            if line.starts_with(mark) && !sent {
                assert!(Command::new("kill").args([signal, &asked]).status().unwrap().success());
                sent = true;
            }
        }
        assert!(sent, "{mark} was never logged");
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(130), "{mark}: {}", said(&output));
        }
    }
    // Alone it is another run.
    let (code, refused) = refusal(&mut distill(&fixture, &teacher, "parts", "4", &more));
    assert_eq!(code, 3, "{refused}");
    assert!(refused.contains("WORLD_SIZE was 2, is now nothing"), "{refused}");
    for output in ends(launch(true)) {
        assert!(output.status.success(), "{}", said(&output));
    }
    let read = |run: &str| fs::read(fixture.path(run).join("model.safetensors")).unwrap();
    assert!(read("out") == read("parts"));
    let state = |run: &str| lasting(json(&fixture.path(run).join("trainer_state.json")));
    assert_eq!(state("out"), state("parts"));
}

#[cfg(unix)]
#[test]
fn a_process_that_is_killed_or_stands_still_ends_the_others() {
    let fixture = Fixture::new();
    let teacher = fixture.model("teacher", 2, true);
    let more = ["--logging-steps", "1", "--num-train-epochs", "500", "--ddp-timeout", "20"];
    for signal in ["-KILL", "-STOP"] {
        let out = format!("out{signal}");
        let mut children = spawn(launched(2, |name| {
            let name = if name == "out" { &out } else { name };
            distill(&fixture, &teacher, name, "4", &more)
        }));
        let victim = children[1].id().to_string();
        let mut lines = BufReader::new(children[0].stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.starts_with("stage 1 3/")));
        assert!(Command::new("kill").args([signal, &victim]).status().unwrap().success());
        let last = lines.last().unwrap();
        assert_eq!(children[0].wait().unwrap().code(), Some(6), "{last}");
        assert!(last.starts_with("error: rank 1: "), "{last}");
        children[1].kill().unwrap();
        children[1].wait().unwrap();
    }
}

#[test]
fn other_options_and_a_bad_environment_are_refused() {
    let fixture = Fixture::new();
    let teacher = fixture.model("teacher", 1, true);
    let mut commands = launched(2, |out| distill(&fixture, &teacher, out, "4", &[]));
    commands[1].args(["--seed", "43"]);
    for output in ends(commands) {
        assert_eq!(output.status.code(), Some(5), "{}", said(&output));
        assert!(said(&output).contains("--seed is 42, for rank 1 43"), "{}", said(&output));
    }
    for (name, value) in [("RANK", "2"), ("MASTER_PORT", "here"), ("WORLD_SIZE", "many")] {
        let mut command = launched(2, |out| distill(&fixture, &teacher, out, "4", &[])).remove(1);
        let (code, said) = refusal(command.env(name, value));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(name), "{said}");
    }
    assert!(!fixture.path("out").exists());
}
