//! Recipes: the published numbers, what goes over what, and what is refused.

use std::ffi::OsString;
use std::fs;
use std::process::Command;

use distill::options::Options;

use crate::program::{bare, json, refusal, succeed};
use crate::tiny::Fixture;

/// The options of a command line, words between spaces.
fn options(line: &str) -> Options {
    Options::from_args(words(line)).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn words(line: &str) -> impl Iterator<Item = OsString> {
    ["distill", "--teacher", "t"].into_iter().chain(line.split_whitespace()).map(OsString::from)
}

#[test]
fn every_task_has_the_published_numbers() {
    let tasks = [
        ("cola", 50, Some(8)),
        ("mnli", 5, None),
        ("mnli-mm", 5, None),
        ("mrpc", 20, Some(8)),
        ("qnli", 10, None),
        ("qqp", 5, None),
        ("rte", 50, Some(8)),
        ("sst2", 10, None),
        ("stsb", 50, None),
        ("wnli", 50, Some(8)),
    ];
    assert_eq!(tasks.len(), datasets::Task::ALL.len());
    for (task, epochs, batch) in tasks {
        let options = options(&format!("--task {task}"));
        assert_eq!((options.stage1_epochs, options.stage1_batch_size), (Some(epochs), batch), "{task}");
        assert_eq!((options.teacher_epochs, options.teacher_learning_rate), (Some(3), Some(5e-5)), "{task}");
        assert_eq!((options.stage1_learning_rate, options.stage1_linear_decay), (Some(5e-5), false), "{task}");
        assert_eq!((options.stage2_epochs, options.stage2_learning_rate), (Some(5), Some(1e-5)), "{task}");
        assert_eq!((options.per_device_train_batch_size, options.stage2_eval_steps), (32, Some(100)), "{task}");
        assert_eq!((options.warmup_ratio, options.weight_decay), (0.1, 0.01), "{task}");
        let weights = if task == "stsb" { (0.0, 1.0) } else { (1.0, 0.0) };
        assert_eq!((options.objectives.soft_weight, options.objectives.gold_weight), weights, "{task}");
    }
}

#[test]
fn ours_is_one_for_all_tasks() {
    for task in ["sst2", "stsb"] {
        let options = options(&format!("--task {task} --recipe ours --stage1-epochs 2"));
        assert_eq!(options.objectives.attention_loss, distill::objectives::AttentionLoss::Weights);
        assert_eq!((options.stage1_epochs, options.stage1_learning_rate), (Some(2), Some(5e-4)));
        assert_eq!((options.stage1_dropout, options.stage2_dropout), (Some(0.0), Some(0.0)));
        assert_eq!((options.objectives.soft_weight, options.objectives.gold_weight), (1.0, 0.0));
        assert_eq!((options.range_penalty, options.objectives.short_texts), (0.1, 0.1));
    }
}

#[test]
fn the_command_line_goes_over_a_file_over_the_tasks_recipe_over_the_defaults() {
    let fixture = Fixture::new();
    let file = fixture.write("own.toml", "stage1_epochs = 7\nstage2-epochs = 2\nhalf = true\nseed = 0x10\n");
    let file = file.display();
    let both = options(&format!("--task mrpc --config {file} --stage2-epochs 3"));
    assert_eq!((both.stage1_epochs, both.stage2_epochs, both.stage1_batch_size), (Some(7), Some(3), Some(8)));
    assert_eq!((both.teacher_epochs, both.half, both.seed, both.save_steps), (Some(3), true, 16, 500));
    let own = options(&format!("--task mrpc --recipe none --config {file}"));
    assert_eq!((own.stage1_epochs, own.stage1_batch_size, own.stage2_eval_steps), (Some(7), None, None));
    let other = options("--train-file a.csv --validation-file b.csv --recipe CoLA");
    assert_eq!((other.stage1_epochs, other.stage1_batch_size), (Some(50), Some(8)));
    let none = options("--train-file a.csv --validation-file b.csv");
    assert_eq!((none.stage1_epochs, none.stage2_eval_steps), (None, None));
}

#[test]
fn a_flag_for_every_stage_goes_over_a_recipes_for_one() {
    let general =
        options("--task mrpc --num_train_epochs 1 --learning-rate=2e-3 --per-device-train-batch-size 4 --eval-steps 9");
    assert_eq!((general.num_train_epochs, general.learning_rate), (Some(1), Some(2e-3)));
    assert_eq!((general.teacher_epochs, general.stage1_epochs, general.stage2_epochs), (None, None, None));
    let rates = (general.teacher_learning_rate, general.stage1_learning_rate, general.stage2_learning_rate);
    assert_eq!((rates, general.stage1_batch_size, general.stage2_eval_steps), ((None, None, None), None, None));
    let tokens = options("--task mrpc --stage1-tokens 1_000");
    assert_eq!(
        (tokens.stage1_epochs, tokens.objectives.stage1_tokens, tokens.stage2_epochs),
        (None, Some(1000), Some(5))
    );
    // But not over one of the same origin, or one that is nearer to the user.
    let fixture = Fixture::new();
    let file = fixture.write("own.toml", "num-train-epochs = 2\nstage2-epochs = 4\n");
    let own = options(&format!("--task mrpc --config {} --teacher-epochs 6", file.display()));
    assert_eq!((own.num_train_epochs, own.teacher_epochs), (Some(2), Some(6)));
    assert_eq!((own.stage1_epochs, own.stage2_epochs), (None, Some(4)));
}

#[test]
fn what_is_wrong_with_a_recipe_is_said_with_its_line() {
    let fixture = Fixture::new();
    let cases: [(&str, &[&str]); 12] = [
        ("stage1-epochs = \n", &["line 1", "not TOML"]),
        ("\nstage1-epoch = 3\n", &["line 2", "`stage1-epoch`", "did you mean `stage1-epochs`"]),
        ("[stage1]\nepochs = 3\n", &["line 1", "`stage1`", "no flag"]),
        ("seed = 1\nstage1-epochs = \"3\"\n", &["line 2", "`stage1-epochs`", "string", "without quotes"]),
        ("half = 1\n", &["line 1", "`half`", "integer", "true or false"]),
        ("stage1-epochs = -3\n", &["line 1", "-3", "--stage1-epochs"]),
        ("eval-steps = 0\n", &["line 1", "0", "--eval-steps"]),
        ("stage1-dropout = 1.0\n", &["line 1", "below 1"]),
        ("output_dir = \"o\"\n", &["line 1", "`output-dir`", "command line"]),
        ("teacher = \"t\"\n", &["line 1", "`teacher`", "command line"]),
        ("train-file = \"t.csv\"\n", &["line 1", "`train-file`", "command line"]),
        ("eval-steps = 10\neval_steps = 20\n", &["line 2", "twice"]),
    ];
    for (text, expected) in cases {
        let file = fixture.write("own.toml", text);
        let (code, said) =
            refusal(bare(&fixture, &fixture.path("t"), "out").args(["--task", "sst2", "--config"]).arg(&file));
        assert_eq!(code, 3, "{text}: {said}");
        for part in ["own.toml"].iter().chain(expected) {
            assert!(said.contains(part), "{text}: {said}");
        }
    }
    let nowhere = fixture.path("nowhere.toml");
    let (code, said) =
        refusal(bare(&fixture, &fixture.path("t"), "out").args(["--task", "sst2", "--config"]).arg(nowhere));
    assert!(code == 3 && said.contains("nowhere.toml"), "{said}");
    let (code, said) = refusal(bare(&fixture, &fixture.path("t"), "out").args(["--task", "sst2", "--recipe", "imdb"]));
    assert!(code == 2 && said.contains("wnli, ours and none"), "{said}");
    let (code, said) =
        refusal(bare(&fixture, &fixture.path("t"), "out").args(["--task", "stsb", "--gold-weight", "0"]));
    assert!(code == 2 && said.contains("--soft-weight"), "{said}");
}

#[test]
fn a_printed_recipe_is_read_back_as_the_same_options() {
    let fixture = Fixture::new();
    let line = "--task stsb --student-layers 3 --stage1-dropout .5 --learning_rate 2e-3 --stage2-epochs 07 --half";
    let mut command = Command::new(env!("CARGO_BIN_EXE_distill"));
    let printed = succeed(command.arg("--print-recipe").args(line.split(' '))).stdout;
    let text = String::from_utf8(printed).unwrap();
    assert!(text.contains("\nstage1-epochs = 50\n") && text.contains("\nhalf = true\n"), "{text}");
    assert!(!text.contains("task") && !text.contains("stage1-learning-rate"), "{text}");
    let file = fixture.write("printed.toml", &text);
    let again = options(&format!("--task stsb --recipe none --config {}", file.display()));
    let (one, two) = (options(line), again);
    assert_eq!(serde_json::to_value(&one).unwrap(), serde_json::to_value(&two).unwrap());
    assert_eq!((one.logging_steps, one.save_steps), (two.logging_steps, two.save_steps));
    assert_eq!(two.recipe_text, text);
}

#[test]
fn a_dry_run_says_where_its_numbers_come_from() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    let file = fixture.write("own.toml", "weight-decay = 0.5\n");
    let mut command = bare(&fixture, &teacher, "out");
    command.args(["--task", "sst2", "--data-dir"]).arg(fixture.data()).arg("--config").arg(&file).arg("--dry-run");
    let text = String::from_utf8(succeed(&mut command).stdout).unwrap();
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"));
    let task = line("from recipe sst2: ");
    assert!(task.contains("--stage1-epochs 10") && task.contains("no --stage1-linear-decay"), "{text}");
    assert!(!task.contains("weight-decay") && !task.contains("learning-rate"), "{text}");
    assert!(text.contains("own.toml: --weight-decay 0.5\n"), "{text}");
    assert!(line("from the command line: ").contains("--learning-rate 2e-3"), "{text}");
    assert!(line("stage 1: ").contains("80 steps of 8 texts"), "{text}");
}

/// STS-B's recipe learns the true score alone: the teacher is not asked.
#[test]
fn stage_2_can_learn_from_the_true_answers_alone() {
    let fixture = Fixture::new().with_numbers();
    let teacher = fixture.model("encoder", 1, false);
    let mut command = bare(&fixture, &teacher, "out");
    command.args(["--task", "stsb", "--data-dir"]).arg(fixture.data());
    succeed(command.args(["--num-train-epochs", "1", "--stage1-batch-size", "4"]));
    let out = fixture.path("out");
    assert!(!out.join("teacher_logits.safetensors").exists());
    let state = json(&out.join("trainer_state.json"));
    let last = state["log_history"].as_array().unwrap().iter().rfind(|entry| entry.get("gold").is_some()).unwrap();
    assert!(last["stage"] == "stage 2" && last.get("soft").is_none(), "{last}");
    let all = json(&out.join("all_results.json"));
    assert_eq!((&all["options"]["soft_weight"], &all["options"]["stage1_batch_size"]), (&0.0.into(), &4.into()));
    // 96 texts: 12 steps with the teacher, 24 in stage 1, 12 in stage 2
    assert_eq!(all["train_steps"], 48);
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("true number") && !card.contains("teacher's number"), "{card}");
    assert!(card.contains("48 steps of 8 texts (stage 1: 4)"), "{card}");
}

#[test]
fn the_teacher_is_asked_about_no_more_texts_than_are_learned_from() {
    let fixture = Fixture::new();
    let teacher = fixture.model("teacher", 1, true);
    let student = |out: &str, more: &[&str]| {
        let mut command = bare(&fixture, &teacher, out);
        command.args(["--task", "sst2", "--recipe", "none", "--stage1-tokens", "0", "--data-dir"]).arg(fixture.data());
        succeed(command.args(["--eval-steps", "1000"]).args(more));
        fs::exists(fixture.path(out).join("teacher_logits.safetensors")).unwrap()
    };
    // 8 steps of 8 of the 64 texts are an epoch
    assert!(student("epoch", &["--stage2-epochs", "1"]));
    assert!(!student("part", &["--stage2-tokens", "150"]));
    let steps = json(&fixture.path("part").join("all_results.json"))["train_steps"].as_u64().unwrap();
    assert!((1..8).contains(&steps), "{steps}");
    // texts with other words are asked about as they are then
    assert!(!student("changed", &["--stage2-epochs", "2", "--augment", "0.2"]));
}

#[test]
fn a_dry_run_counts_the_short_texts_of_stage_1() {
    let fixture = Fixture::new();
    let teacher = fixture.model("encoder", 2, false);
    let mut command = bare(&fixture, &teacher, "out");
    command.args(["--task", "sst2", "--recipe", "none", "--short-texts", "0.5", "--dry-run", "--data-dir"]);
    let text = String::from_utf8(succeed(command.arg(fixture.data())).stdout).unwrap();
    let steps = |stage: &str| {
        let line = text.lines().find(|line| line.starts_with(stage)).unwrap_or_else(|| panic!("{text}"));
        line.split(", ").find_map(|part| part.split_once(" steps")).unwrap().0.parse::<usize>().unwrap()
    };
    // 10 epochs of 64 texts and of the longer of 32 more, 5 of the 64
    assert!(steps("stage 1: ") > 80 && steps("stage 1: ") <= 120, "{text}");
    assert_eq!(steps("stage 2: "), 40, "{text}");
}
