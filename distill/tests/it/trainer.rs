//! What people know from Hugging Face's Trainer and run_glue: steps, checkpoints, early ends, files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use datasets::{Source, Task};
use serde_json::Value;

use crate::program::{bare, json, refusal, succeed};
use crate::tiny::{self, Fixture};

/// The program on the tiny SST-2 with a log of every step.
fn on_sst2(fixture: &Fixture, teacher: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = bare(fixture, teacher, out);
    command.args(["--task", "sst2", "--logging-steps", "1", "--data-dir"]).arg(fixture.data()).args(more);
    command
}

/// The entries of a run's log that have a number called `name`.
fn logged(out: &Path, name: &str) -> Vec<Value> {
    let log = json(&out.join("trainer_state.json"))["log_history"].take();
    log.as_array().unwrap().iter().filter(|entry| entry[name].is_number()).cloned().collect()
}

fn numbers(entries: &[Value], name: &str) -> Vec<f64> {
    entries.iter().map(|entry| entry[name].as_f64().unwrap()).collect()
}

fn checkpoints(out: &Path) -> Vec<String> {
    let names = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> = names.filter(|name| name.starts_with("checkpoint-")).collect();
    found.sort_by_key(|name| name.trim_start_matches("checkpoint-").parse::<u64>().unwrap());
    found
}

fn model(out: &Path) -> Vec<u8> {
    fs::read(out.join("model.safetensors")).unwrap()
}

#[test]
fn two_batches_of_four_are_a_batch_of_eight() {
    let fixture = Fixture::new();
    let mut config = tiny::config(2);
    (config.hidden_dropout_prob, config.attention_probs_dropout_prob) = (0.0, 0.0);
    let teacher = fixture.write_model("encoder", &config, false);
    // no loss of these stages depends on the texts' lengths
    let common = ["--num-train-epochs", "1", "--stage1-epochs", "0", "--range-penalty", "0"];
    let run = |out: &str, more: &[&str]| {
        succeed(&mut on_sst2(&fixture, &teacher, out, &[&common[..], more].concat()));
        logged(&fixture.path(out), "loss")
    };
    let one = run("one", &[]);
    let two = run("two", &["--per-device-train-batch-size", "4", "--gradient_accumulation_steps", "2"]);
    assert_eq!((one.len(), two.len()), (16, 16));
    for (name, first, later) in [("loss", 1e-4, 0.02), ("grad_norm", 1e-3, 0.1)] {
        let (one, two) = (numbers(&one, name), numbers(&two, name));
        assert!((one[0] - two[0]).abs() < first * one[0], "{name}: {one:?} {two:?}");
        assert!(one.iter().zip(&two).all(|(a, b)| (a - b).abs() < later * a.max(0.1)), "{name}: {one:?} {two:?}");
    }
    // without clipping the same first gradient makes another step
    let free = run("free", &["--max-grad-norm", "0"]);
    let short = run("short", &["--max-grad-norm", "1e-6"]);
    let first = |entries: &[Value]| numbers(entries, "grad_norm")[0];
    assert_eq!((first(&free), first(&short)), (first(&one), first(&one)));
    assert_ne!(numbers(&free, "loss"), numbers(&short, "loss"));
}

#[test]
fn the_newest_checkpoints_stay_and_each_of_them_can_be_gone_on_from() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    let more = ["--num-train-epochs", "1", "--save-steps", "3", "--save-total-limit", "5"];
    succeed(&mut on_sst2(&fixture, &teacher, "out", &more));
    let out = fixture.path("out");
    assert_eq!(checkpoints(&out), [14, 16, 19, 22, 24].map(|step| format!("checkpoint-{step}")));
    let whole = model(&out);
    // checkpoint-14 is of a stage before the last
    let older = out.join("checkpoint-14");
    let again = [&more[..], &["--resume-from-checkpoint", older.to_str().unwrap()]].concat();
    succeed(&mut on_sst2(&fixture, &teacher, "out", &again));
    assert!(model(&out) == whole);
    // fewer are kept from here on
    fs::remove_file(out.join("model.safetensors")).unwrap();
    let last = out.join("checkpoint-22");
    let again = [&more[..4], &["--resume-from-checkpoint", last.to_str().unwrap()]].concat();
    succeed(&mut on_sst2(&fixture, &teacher, "out", &again));
    assert_eq!(checkpoints(&out), ["checkpoint-24"]);
    assert!(model(&out) == whole);
}

#[test]
fn a_stage_that_keeps_its_best_ends_when_nothing_gets_better() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    let common = ["--num-train-epochs", "2", "--learning-rate", "0", "--eval-steps", "2", "--save-steps", "1"];
    let more = [&common[..], &["--early-stopping-patience", "2"]].concat();
    let run = succeed(&mut on_sst2(&fixture, &teacher, "out", &more));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("teacher ends early: 2 evaluations without a better score"), "{said}");
    let out = fixture.path("out");
    // the first evaluation is the best, the second and the third are not; stage 1 keeps no best; stage 2's first is of what
    // it begins with
    assert_eq!(numbers(&logged(&out, "train_loss"), "step"), [6.0, 22.0, 26.0]);
    let state = json(&out.join("trainer_state.json"));
    assert_eq!((&state["early_stopping_patience_counter"], &state["best_global_step"]), (&2.into(), &22.into()));
    assert!(state["best_model_checkpoint"].as_str().unwrap().ends_with("best.safetensors"));
    // what is counted survives: after its fourth step the teacher has one evaluation left
    succeed(&mut on_sst2(&fixture, &teacher, "kept", &[&more[..], &["--save-total-limit", "100"]].concat()));
    let older = fixture.path("kept/checkpoint-4");
    assert_eq!(json(&older.join("trainer_state.json"))["early_stopping_patience_counter"], 1);
    let again = [&more[..], &["--resume-from-checkpoint", older.to_str().unwrap()]].concat();
    succeed(&mut on_sst2(&fixture, &teacher, "again", &again));
    assert_eq!(numbers(&logged(&fixture.path("again"), "train_loss"), "step"), [6.0, 22.0, 26.0]);
    // a checkpoint of a later stage finds the teacher that its run had made
    let weights = |out: &str| std::fs::read(fixture.path(out).join("model.safetensors")).unwrap();
    let later = fixture.path("kept/checkpoint-10");
    let elsewhere = [&more[..], &["--resume-from-checkpoint", later.to_str().unwrap()]].concat();
    succeed(&mut on_sst2(&fixture, &teacher, "elsewhere", &elsewhere));
    assert_eq!(weights("elsewhere"), weights("kept"));
    // a threshold that no score can pass counts every evaluation after the first
    let strict = ["--num-train-epochs", "2", "--eval-steps", "4", "--early-stopping-patience", "1"];
    let strict = [&strict[..], &["--early-stopping-threshold", "1"]].concat();
    succeed(&mut on_sst2(&fixture, &teacher, "strict", &strict));
    assert_eq!(numbers(&logged(&fixture.path("strict"), "train_loss"), "step"), [8.0, 24.0, 28.0]);
    let (code, said) = refusal(&mut on_sst2(&fixture, &teacher, "no", &["--early-stopping-threshold", "1"]));
    assert_eq!(code, 2, "{said}");
}

#[test]
fn files_have_trainers_keys_and_run_glues_format() {
    let fixture = Fixture::new();
    fixture.write("glue/SST-2/test.tsv", "index\tsentence\n0\ta lovely film\n1\tbleak\n2\twarm and fine\n");
    let teacher = fixture.model("encoder", 2, false);
    let more = ["--num-train-epochs", "6", "--do_predict", "--group-by-length"];
    succeed(&mut on_sst2(&fixture, &teacher, "out", &more));
    let out = fixture.path("out");
    let state = json(&out.join("trainer_state.json"));
    for (key, value) in [
        ("global_step", 144.0),
        ("max_steps", 144.0),
        ("epoch", 6.0),
        ("num_train_epochs", 6.0),
        ("train_batch_size", 8.0),
        ("eval_steps", 8.0),
        ("logging_steps", 1.0),
        ("save_steps", 500.0),
    ] {
        assert_eq!(state[key].as_f64(), Some(value), "{key}");
    }
    assert_eq!((&state["is_local_process_zero"], &state["is_world_process_zero"]), (&true.into(), &true.into()));
    let has = |value: &Value, keys: &str| {
        let lacks: Vec<_> = keys.split(' ').filter(|key| !value[key].is_number()).collect();
        assert!(lacks.is_empty(), "{lacks:?} in {value}");
    };
    let speeds = "train_runtime train_samples_per_second train_steps_per_second train_loss epoch";
    let judged = "eval_accuracy eval_loss eval_runtime eval_samples_per_second eval_steps_per_second epoch";
    has(&logged(&out, "loss")[0], "step epoch loss grad_norm learning_rate");
    has(&logged(&out, "eval_loss")[0], &format!("step {judged}"));
    has(&json(&out.join("train_results.json")), &format!("{speeds} train_samples train_steps"));
    has(&json(&out.join("eval_results.json")), &format!("{judged} eval_samples teacher_eval_accuracy"));
    let all = json(&out.join("all_results.json"));
    has(&all, &format!("{speeds} {judged} train_samples eval_samples"));
    assert_eq!((&all["task"], &all["options"]["group_by_length"]), (&"sst2".into(), &true.into()));
    let told = fs::read_to_string(out.join("predict_results_sst2.txt")).unwrap();
    assert_eq!(told, "index\tprediction\n0\tPOSITIVE\n1\tNEGATIVE\n2\tPOSITIVE\n");
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("](training_curves.svg)"), "{card}");
    let picture = fs::read_to_string(out.join("training_curves.svg")).unwrap();
    assert!(picture.contains("stage 1: loss") && picture.contains("stage 2: accuracy"));
    // the events lie where TensorBoard looks for them
    let runs = fs::read_dir(out.join("runs")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(runs.len(), 1);
    assert_eq!(fs::read_dir(&runs[0]).unwrap().count(), 1);
    // what cannot be answered is refused before anything is learned
    fs::remove_file(fixture.path("glue/SST-2/test.tsv")).unwrap();
    let (code, said) = refusal(&mut on_sst2(&fixture, &teacher, "new", &["--do-predict"]));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("test.tsv") && !fixture.path("new").exists(), "{said}");
}

#[test]
fn a_file_of_ones_own_is_answered_without_labels() {
    let fixture = Fixture::new().with_numbers();
    let rows = |name: &str| {
        let text = fs::read_to_string(fixture.path(name)).unwrap();
        text.replacen("sentence1\tsentence2\tscore", "text\ttext_pair\tlabel", 1)
    };
    let (train, dev) = (rows("glue/STS-B/train.tsv"), rows("glue/STS-B/dev.tsv"));
    let (train, dev) = (fixture.write("pairs.tsv", &train), fixture.write("dev.tsv", &dev));
    let test = fixture.write("test.jsonl", "{\"text\": \"fine\", \"text_pair\": \"great\"}\n");
    let teacher = fixture.model("encoder", 1, false);
    let mut command = bare(&fixture, &teacher, "out");
    command.arg("--train-file").arg(train).arg("--validation-file").arg(dev).arg("--test-file").arg(test);
    succeed(command.args(["--regression", "--num-train-epochs", "1"]));
    let told = fs::read_to_string(fixture.path("out/predict_results_pairs.txt")).unwrap();
    let (head, number) = told.trim_end().rsplit_once('\t').unwrap();
    assert_eq!(head, "index\tprediction\n0");
    assert!(number.parse::<f64>().is_ok() && number.split_once('.').unwrap().1.len() == 3, "{told}");
}

#[test]
fn test_sets_are_read_as_glue_has_them() {
    let root = tempfile::tempdir().unwrap();
    let texts = |task: Task, name: &str, table: &str| {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, table).unwrap();
        Source::Glue { task, folder: Some(root.path().into()) }.load_test(true).unwrap().texts
    };
    let pair = |a: &str, b: &str| (a.to_string(), Some(b.to_string()));
    let cola = texts(Task::Cola, "CoLA/test.tsv", "index\tsentence\n0\tBill ran.\n1\tJohn\n");
    assert_eq!(cola, [("Bill ran.".to_string(), None), ("John".to_string(), None)]);
    let mrpc = "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\ta\tb\n";
    assert_eq!(texts(Task::Mrpc, "MRPC/test.tsv", mrpc), [pair("a", "b")]);
    // no row is left out, not even an empty one
    let qqp = "id\tquestion1\tquestion2\n0\twhy\t\n1\thow\twho\n";
    assert_eq!(texts(Task::Qqp, "QQP/test.tsv", qqp), [pair("why", ""), pair("how", "who")]);
    let mnli = "index\tpairID\tsentence1\tsentence2\n0\tx\tc\td\n";
    assert_eq!(texts(Task::MnliMismatched, "MNLI/test_mismatched.tsv", mnli), [pair("c", "d")]);
    let torn = "index\tsentence\n0\n";
    fs::write(root.path().join("CoLA/test.tsv"), torn).unwrap();
    let error = Source::Glue { task: Task::Cola, folder: Some(PathBuf::from(root.path())) }.load_test(true);
    assert!(error.unwrap_err().to_string().contains("line 2"));
}
