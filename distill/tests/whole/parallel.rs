//! Several processes that train one student together, on loopback.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use candle_core::{Device, safetensors::load};

use crate::program::{bare, json, refusal, succeed};
use crate::tiny::World;

/// A run on the tiny SST-2 whose last batches are short: 62 texts.
fn distill(world: &World, teacher: &Path, out: &str, batch: &str, more: &[&str]) -> Command {
    let mut command = bare(world, teacher, out);
    command.args(["--task", "SST-2", "--data-dir"]).arg(world.data());
    command.args(["--max-train-samples", "62", "--num-train-epochs", "2", "--per-device-train-batch-size", batch]);
    // two processes and their threads on what may be two cores
    command.args(more).env("RAYON_NUM_THREADS", "1");
    command
}

/// The same command as each of `size` processes; all but rank 0 are given another output folder, which must stay empty.
fn launched(size: usize, command: impl Fn(&str) -> Command) -> Vec<Command> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
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
    let world = World::new();
    let teacher = world.model("teacher", 2, true);
    let more = [&NO_DROPOUT[..], &["--gold-weight", "0.5", "--learning-rate", "1e-4"]].concat();
    succeed(&mut distill(&world, &teacher, "one", "8", &more));
    for output in ends(launched(2, |out| distill(&world, &teacher, out, "4", &more))) {
        assert!(output.status.success(), "{}", said(&output));
    }
    let apart = distance(&world.path("one"), &world.path("out"));
    assert!(apart < 1e-5, "{apart}");
    // that the tolerance can tell runs apart
    succeed(&mut distill(&world, &teacher, "other", "7", &more));
    assert!(distance(&world.path("one"), &world.path("other")) > 1e-4);
    assert!(!world.path("nothing").exists(), "only rank 0 writes");
    let [one, two] = ["one", "out"].map(|out| json(&world.path(out).join("trainer_state.json")));
    assert_eq!(one["global_step"], two["global_step"]);
    assert_eq!((&one["settings"]["WORLD_SIZE"], &two["settings"]["WORLD_SIZE"]), (&().into(), &2.into()));
}
