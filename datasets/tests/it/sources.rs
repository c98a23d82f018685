//! Every task in GLUE's own layout, and files of one's own.

use std::fs;
use std::path::{Path, PathBuf};

use datasets::{AnswerType, Error, Example, Files, Label, Metric, Source, Split, Target, Task};

/// The lines of a task's file as GLUE has them: header (CoLA has none), then two rows whose texts are `a` (and `b`).
fn lines(task: Task) -> (&'static str, &'static str) {
    match task {
        Task::Cola => ("", "gj04\t1\t\ta \"quoted\" sentence\ngj04\t0\t*\tb\n"),
        Task::Mnli | Task::MnliMismatched => (
            "index\tpromptID\tpairID\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n",
            "0\t1\t1n\tfiction\ta\tb\tneutral\tneutral\n1\t2\t2c\ttravel\ta\tb\tneutral\tcontradiction\n",
        ),
        Task::Mrpc => ("\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n", "1\t7\t8\ta\tb\n0\t9\t10\ta\tb\n"),
        Task::Qnli => ("index\tquestion\tsentence\tlabel\n", "0\ta\tb\tentailment\n1\ta\tb\tnot_entailment\n"),
        Task::Qqp => (
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n",
            "0\t1\t2\ta\tb\t1\n1\t2\n2\t3\t4\ta\tb\t0\n3\t4\t5\t\tb\t0\n",
        ),
        Task::Rte => ("index\tsentence1\tsentence2\tlabel\n", "0\ta\tb\tnot_entailment\n1\ta\tb\tentailment\n"),
        Task::Sst2 => ("sentence\tlabel\n", "a \t1\nb\t0\n"),
        Task::Stsb => ("index\tgenre\tsentence1\tsentence2\tscore\n", "0\tx\ta\tb\t4.750\n1\tx\ta\tb\t0.000\n"),
        Task::Wnli => ("index\tsentence1\tsentence2\tlabel\n", "0\ta\tb\t1\n1\ta\tb\t0\n"),
        _ => unreachable!("a task without a sample"),
    }
}

fn world(task: Task, place: &str, text: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(place);
    fs::create_dir_all(&folder).unwrap();
    let dev = match task {
        Task::Mnli => "dev_matched.tsv",
        Task::MnliMismatched => "dev_mismatched.tsv",
        _ => "dev.tsv",
    };
    fs::write(folder.join(dev), text).unwrap();
    root
}

fn glue(task: Task, folder: &Path) -> Source {
    Source::Glue { task, folder: Some(folder.into()) }
}

fn dev(task: Task, folder: &Path) -> Result<Vec<Example>, Error> {
    Ok(glue(task, folder).load(Split::Dev, &task.target())?.examples)
}

#[test]
fn every_task_is_read_from_glues_own_files() {
    for task in Task::ALL {
        let (header, rows) = lines(task);
        let folder = if task == Task::MnliMismatched { "MNLI".into() } else { task.to_string() };
        let root = world(task, &folder, &format!("{header}{rows}"));
        let loaded = glue(task, root.path()).load(Split::Dev, &task.target()).unwrap();
        let examples = loaded.examples;
        assert_eq!(examples.len(), 2, "{task}");
        assert_eq!(loaded.skipped, if task == Task::Qqp { 2 } else { 0 }, "{task}");
        assert!(examples.iter().all(|e| e.text_pair.is_some() == task.is_pair()), "{task}");
        let labels: Vec<Label> = examples.iter().map(|e| e.label.clone()).collect();
        let expected = match task {
            Task::Stsb => [Label::Number(4.75), Label::Number(0.0)],
            Task::Mnli | Task::MnliMismatched => [Label::Class(1), Label::Class(2)],
            Task::Qnli => [Label::Class(0), Label::Class(1)],
            _ => [Label::Class(1), Label::Class(0)],
        };
        assert_eq!(labels, expected, "{task}");
        if task == Task::Cola {
            assert_eq!(examples[0].text, "a \"quoted\" sentence");
        }
    }
}

#[test]
fn a_number_in_a_tasks_file_is_the_tasks_and_not_the_models() {
    let root = world(Task::Sst2, ".", "sentence\tlabel\nfine\t1\nbad\t0\nbad\tnegative\n");
    let read = |names: [&str; 2]| {
        let target = Target::Classes(names.map(String::from).into());
        let examples = glue(Task::Sst2, root.path()).load(Split::Dev, &target).unwrap().examples;
        examples.into_iter().map(|example| example.label).collect::<Vec<_>>()
    };
    assert_eq!(read(["Negative", "Positive"]), [1, 0, 0].map(Label::Class));
    assert_eq!(read(["Positive", "Negative"]), [0, 1, 1].map(Label::Class));
}

#[test]
fn the_root_and_the_tasks_own_folder_both_do_under_any_spelling() {
    for name in [".", "SST-2", "sst2", "sst_2", "SST2"] {
        let root = world(Task::Sst2, name, "sentence\tlabel\nfine\t1\n");
        assert_eq!(dev(Task::Sst2, root.path()).unwrap().len(), 1, "{name}");
        assert_eq!(dev(Task::Sst2, &root.path().join(name)).unwrap().len(), 1, "{name}");
    }
}

#[test]
fn a_missing_file_names_every_place_that_was_tried() {
    let root = world(Task::Sst2, "SST-2", "sentence\tlabel\nfine\t1\n");
    let source = glue(Task::Sst2, root.path());
    let error = source.load(Split::Train, &Task::Sst2.target()).unwrap_err().to_string();
    assert!(error.contains("train.tsv") && error.contains("SST-2/train.tsv") && error.contains("sst2/"), "{error}");
    assert!(matches!(dev(Task::Sst2, Path::new("/nowhere")), Err(Error::Read { .. })));
}

#[test]
fn a_bad_line_is_named_with_what_was_expected_and_never_told() {
    for (text, expected) in [
        ("text\tlabel\nsecret\t1\n", "no column `sentence`; there are: text, label"),
        ("sentence\tlabel\nfine\t1\nsecret\n", "line 3: expected 2 fields (sentence, label), got 1"),
        ("sentence\tlabel\nsecret\t2\n", "line 2: expected a label of NEGATIVE or POSITIVE, or from 0 to 1"),
        ("sentence\tlabel\nsecret\tsecret\n", "got something else"),
        ("sentence\tlabel\nsecret\t\n", "got nothing"),
        ("sentence\tlabel\n \t1\n", "line 2: expected a text in column `sentence`, got nothing"),
        ("sentence\tlabel\n", "line 2: expected at least one example"),
        ("", "no column `sentence`"),
    ] {
        let root = world(Task::Sst2, ".", text);
        let error = dev(Task::Sst2, root.path()).unwrap_err();
        assert!(error.to_string().contains(expected), "expected `{expected}` in: {error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        assert_eq!(error.exit_code(), 3);
    }
    let root = world(Task::Stsb, ".", "sentence1\tsentence2\tscore\na\tb\tgood\n");
    assert!(dev(Task::Stsb, root.path()).unwrap_err().to_string().contains("line 2: expected a number"));
}

fn own(files: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
    let root = tempfile::tempdir().unwrap();
    let mut paths: Vec<PathBuf> = Vec::new();
    for (name, text) in files {
        paths.push(root.path().join(name));
        fs::write(&paths[paths.len() - 1], text).unwrap();
    }
    let files = Files { train: paths.first().cloned(), validation: paths.get(1).cloned(), ..Files::default() };
    (root, files)
}

#[test]
fn files_of_ones_own_have_their_labels_discovered() {
    let dev = "{\"text\":\"so so\",\"label\":\"good\"}\n";
    let (_root, files) =
        own(&[("mood.csv", "text,label\n\"fine, really\",good\nbad,bad\nmeh,average\n"), ("dev.jsonl", dev)]);
    let source = Source::Files(files);
    let target = source.target(None).unwrap();
    assert_eq!(target, Target::Classes(["average", "bad", "good"].map(String::from).into()));
    assert_eq!(source.load(Split::Train, &target).unwrap().examples[0].text, "fine, really");
    assert_eq!(source.load(Split::Dev, &target).unwrap().examples[0].label, Label::Class(2));
    assert_eq!((source.name().as_str(), source.metrics(&target)), ("mood", &[Metric::Accuracy][..]));
    // with a model at hand, its names and their order decide
    let model = Target::Classes(["good", "bad", "average"].map(String::from).into());
    let target = source.target(Some(&model)).unwrap();
    assert_eq!(source.load(Split::Dev, &target).unwrap().examples[0].label, Label::Class(0));
}

#[test]
fn columns_are_named_or_have_usual_names() {
    let table = "premise\thypothesis\tmine\tlabel\na\tb\tc\t10\na\tb\tc\t2\n";
    let (_root, files) = own(&[("train.tsv", table)]);
    let pair = |files: &Files| {
        let source = Source::Files(files.clone());
        let target = source.target(None).unwrap();
        assert_eq!(target, Target::Classes(["2", "10"].map(String::from).into()), "numbers in their order");
        let first = source.load(Split::Train, &target).unwrap().examples.remove(0);
        (first.text, first.text_pair)
    };
    assert_eq!(pair(&files), ("a".into(), Some("b".into())));
    assert_eq!(pair(&Files { text: Some("mine".into()), ..files.clone() }), ("c".into(), None));
    let both = Files { text: Some("mine".into()), pair: Some("premise".into()), ..files.clone() };
    assert_eq!(pair(&both), ("c".into(), Some("a".into())));
    let missing = Source::Files(Files { label: Some("stars".into()), ..files });
    let error = missing.target(None).unwrap_err().to_string();
    assert!(error.contains("no column `stars`; there are: premise, hypothesis, mine, label"), "{error}");
}

#[test]
fn numbers_and_files_that_are_no_task_are_told_apart() {
    let (_root, files) = own(&[("train.csv", "text,label\na,0.5\nb,1.5\n")]);
    let error = Source::Files(files.clone()).target(None).unwrap_err().to_string();
    assert!(error.contains("say --regression"), "{error}");
    let source = Source::Files(Files { answers: Some(AnswerType::Regression), ..files });
    let target = source.target(None).unwrap();
    assert_eq!(source.load(Split::Train, &target).unwrap().examples[1].label, Label::Number(1.5));
    assert_eq!(source.metrics(&target), [Metric::Pearson, Metric::Spearman]);
    let error = source.load(Split::Dev, &target).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.exit_code()), ("--validation-file is needed here", 2));
    let (_root, files) = own(&[("train.csv", "text,label\na,1\nb,1\n")]);
    assert!(Source::Files(files).target(None).unwrap_err().to_string().contains("1 different labels"));
}

#[test]
fn a_text_that_stands_where_names_should_is_not_told() {
    let (_root, files) = own(&[("train.csv", "a secret complaint about somebody,1\nanother one,0\n")]);
    let error = Source::Files(files).target(None).unwrap_err().to_string();
    assert!(error.contains("2 columns without names") && !error.contains("secret"), "{error}");
    let long = "a secret complaint ".repeat(5);
    let (_root, files) = own(&[("train.csv", &format!("text,label\nx,{long}\ny,0\n"))]);
    let error = Source::Files(files).target(None).unwrap_err().to_string();
    assert!(error.contains("labels of more than 64 characters") && !error.contains("secret"), "{error}");
    let (_root, files) = own(&[("train.csv", "")]);
    assert!(Source::Files(files).target(None).unwrap_err().to_string().contains("the file is empty"));
}

#[test]
fn a_task_whose_parts_are_not_all_there_is_refused() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("rte")).unwrap();
    fs::write(root.path().join("rte/validation-00000-of-00003.parquet"), "").unwrap();
    let error = dev(Task::Rte, root.path()).unwrap_err().to_string();
    assert!(error.contains("1 of 3 such files are there"), "{error}");
}

#[test]
fn a_model_of_another_kind_is_refused() {
    let source = Source::Glue { task: Task::Stsb, folder: None };
    let model = Target::Classes(["a", "b", "c"].map(String::from).into());
    let error = source.target(Some(&model)).unwrap_err().to_string();
    assert!(error.starts_with("stsb asks for a number, the model gives one of 3 classes"), "{error}");
}

#[test]
fn the_real_tasks_have_their_known_sizes() {
    let Some(folder) = std::env::var_os("GLUE").map(PathBuf::from) else {
        eprintln!("skipped: GLUE does not name the folder of the real data");
        return;
    };
    let sizes = [
        (Task::Sst2, Some(67349), 872),
        (Task::Mrpc, Some(3668), 408),
        (Task::Rte, Some(2490), 277),
        (Task::Cola, Some(8551), 1043),
        (Task::Stsb, Some(5749), 1500),
        (Task::Qnli, None, 5463),
    ];
    for (task, train, dev) in sizes {
        let source = glue(task, &folder);
        let size = |split| source.load(split, &task.target()).unwrap().examples.len();
        assert_eq!(size(Split::Dev), dev, "{task}");
        if let Some(train) = train {
            assert_eq!(size(Split::Train), train, "{task}");
        }
    }
}

#[test]
fn numbers_in_a_tasks_files_are_the_tasks_classes_whatever_the_models_order() {
    let root =
        world(Task::Mrpc, "MRPC", "Quality\t#1 String\t#2 String\n1\ta\tb\n1\ta\tb\n0\ta\tb\n0\ta\tb\n1\ta\tb\n");
    let source = glue(Task::Mrpc, root.path());
    let model = |names: [&str; 2]| Target::Classes(names.map(String::from).into());
    let named = |names, logits: [[f32; 2]; 5]| {
        let target = source.target(Some(&model(names))).unwrap();
        let truth: Vec<Label> =
            source.load(Split::Dev, &target).unwrap().examples.iter().map(|example| example.label.clone()).collect();
        (truth.clone(), source.judge(&target, &logits.map(Vec::from), &truth).named())
    };
    // equivalent is called three times, twice rightly, and missed once
    let logits = [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]];
    let (truth, usual) = named(["not_equivalent", "equivalent"], logits);
    assert_eq!(truth, [1, 1, 0, 0, 1].map(Label::Class));
    assert!((usual["accuracy"] - 0.6).abs() < 1e-9 && (usual["f1"] - 4.0 / 6.0).abs() < 1e-9, "{usual:?}");
    // the same model with its outputs the other way round
    let (truth, swapped) = named(["Equivalent", "Not equivalent"], logits.map(|[a, b]| [b, a]));
    assert_eq!((truth, &swapped), ([0, 0, 1, 1, 0].map(Label::Class).to_vec(), &usual));
    // names that are none stand in the task's order
    let (truth, unnamed) = named(["LABEL_0", "LABEL_1"], logits);
    assert_eq!((truth, unnamed), ([1, 1, 0, 0, 1].map(Label::Class).to_vec(), usual));
}
