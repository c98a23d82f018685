//! Files of a user's own as people's tools write them: quoting, spellings of labels, keys that are missing, several labels.

use std::fs;

use datasets::{AnswerType, Files, Label, Loaded, Metric, Source, Split, Target, Task};

/// A source of files, which are gone when it is dropped.
struct Own {
    folder: tempfile::TempDir,
    source: Source,
}

fn own(train: (&str, &str), dev: (&str, &str), change: impl Fn(&mut Files)) -> Own {
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, text): (&str, &str)| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let mut files = Files { train: Some(write(train)), validation: Some(write(dev)), ..Files::default() };
    change(&mut files);
    Own { folder, source: Source::Files(files) }
}

fn alone(name: &str, text: &str) -> Own {
    own((name, text), ("dev.csv", ""), |_| ())
}

impl Own {
    fn target(&self) -> Result<Target, String> {
        self.source.target(None).map_err(|error| self.said(&error))
    }

    /// The target and a part, read with it.
    fn load(&self, split: Split) -> Result<(Target, Loaded), String> {
        let target = self.target()?;
        let loaded = self.source.load(split, &target).map_err(|error| self.said(&error))?;
        Ok((target, loaded))
    }

    /// An error without the folder.
    fn said(&self, error: &datasets::Error) -> String {
        let said = error.to_string();
        assert!(!said.contains("secret"), "{said}");
        said.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn names(target: &Target) -> Vec<&str> {
    match target {
        Target::Classes(names) | Target::Labels(names) => names.iter().map(String::as_str).collect(),
        Target::Number => vec!["a number"],
    }
}

fn classes(loaded: &Loaded) -> Vec<usize> {
    let class = |label: &Label| if let Label::Class(class) = label { *class } else { panic!("{label:?}") };
    loaded.examples.iter().map(|example| class(&example.label)).collect()
}

fn sets(loaded: &Loaded) -> Vec<Vec<usize>> {
    let set = |label: &Label| match label {
        Label::Set(set) => set.iter().enumerate().filter(|(_, is)| **is).map(|(place, _)| place).collect(),
        other => panic!("{other:?}"),
    };
    loaded.examples.iter().map(|example| set(&example.label)).collect()
}

#[test]
fn a_tsv_as_pandas_writes_it_is_read_without_its_quotes() {
    let rows = "text\tlabel\n\"a \"\"fine\"\" film, really\"\t1\n\"two\nlines\"\t0\nawful\t0\n";
    let (_, loaded) = alone("a.tsv", rows).load(Split::Train).unwrap();
    let texts: Vec<&str> = loaded.examples.iter().map(|example| example.text.as_str()).collect();
    assert_eq!(texts, ["a \"fine\" film, really", "two\nlines", "awful"]);
    assert!(matches!(&loaded.notes[..], [note] if note.starts_with("note: ")), "{:?}", loaded.notes);
    let error = alone("a.tsv", &rows.replace("awful", " ")).load(Split::Train).unwrap_err();
    assert!(error.starts_with("a.tsv, line 5: expected a text"), "{error}");

    // a task's file too, and a test set
    let folder = tempfile::tempdir().unwrap();
    for name in ["dev.tsv", "test.tsv"] {
        fs::write(folder.path().join(name), rows.replace("text", "sentence")).unwrap();
    }
    let source = Source::Glue { task: Task::Sst2, folder: Some(folder.path().into()) };
    let loaded = source.load(Split::Dev, &Task::Sst2.target()).unwrap();
    assert_eq!((loaded.examples[0].text.as_str(), loaded.notes.len()), ("a \"fine\" film, really", 1));
    let test = source.load_test(true).unwrap();
    assert_eq!((test.texts[1].0.as_str(), test.notes.len()), ("two\nlines", 1));
    assert!(!format!("{test:?}").contains("lines"), "{test:?}");
}

#[test]
fn spellings_that_differ_in_case_are_one_class() {
    let train = "text,label\na,True\nb,False\nc,TRUE\nd,false\ne,False\n";
    let own = own(("bool.csv", train), ("dev.jsonl", "{\"text\":\"x\",\"label\":true}\n"), |_| ());
    let (target, loaded) = own.load(Split::Train).unwrap();
    assert_eq!(names(&target), ["False", "True"]);
    assert_eq!(classes(&loaded), [1, 0, 1, 0, 0]);
    let notes = loaded.notes.join("\n");
    assert!(notes.contains("False, false in column `label` are one class, False"), "{notes}");
    assert!(notes.contains("True, TRUE in column `label` are one class, True"), "{notes}");
    // the validation file may have another spelling, which is no news
    let (_, dev) = own.load(Split::Dev).unwrap();
    assert_eq!((classes(&dev), dev.notes.len()), (vec![1], 0));

    let spam = alone("case.csv", "text,label\na,spam\nb,Spam\nc,ham\nd,Spam\n").target().unwrap();
    assert_eq!(names(&spam), ["Spam", "ham"]);
    let letters = alone("case.csv", "text,label\na,ÜBEL\nb,übel\nc,gut\n").target().unwrap();
    assert_eq!(names(&letters), ["gut", "ÜBEL"]);
    let error = alone("case.csv", "text,label\na,Spam\nb,spam\n").target().unwrap_err();
    assert!(error.contains("holds 1 different labels"), "{error}");
}

#[test]
fn whole_floats_are_classes() {
    for labels in [["1.0", "0.0", "1.0"], ["1", "0.0", "1.0"], ["1", "0", "1"]] {
        let rows: String = labels.iter().map(|label| format!("x,{label}\n")).collect();
        let (target, loaded) = alone("f.csv", &format!("text,label\n{rows}")).load(Split::Train).unwrap();
        assert_eq!((names(&target), classes(&loaded)), (vec!["0", "1"], vec![1, 0, 1]), "{labels:?}");
    }
    let (target, loaded) =
        alone("f.jsonl", "{\"text\":\"a\",\"label\":10.0}\n{\"text\":\"b\",\"label\":2}\n").load(Split::Train).unwrap();
    assert_eq!((names(&target), classes(&loaded)), (vec!["2", "10"], vec![1, 0]));
    let signs = alone("f.csv", "text,label\na,+1\nb,-1\n").target().unwrap();
    assert_eq!(names(&signs), ["-1", "+1"]);
    // versions are names, and fractions are no classes
    assert_eq!(names(&alone("f.csv", "text,label\na,1.0\nb,beta\n").target().unwrap()), ["1.0", "beta"]);
    assert!(alone("f.csv", "text,label\na,1.0\nb,0.5\n").target().unwrap_err().contains("--regression"));
    let numbers = own(("f.csv", "text,label\na,1.0\nb,0\n"), ("dev.csv", ""), |files| {
        files.answers = Some(AnswerType::Regression);
    });
    let (_, loaded) = numbers.load(Split::Train).unwrap();
    assert_eq!(loaded.examples[0].label, Label::Number(1.0));
}

#[test]
fn a_label_that_is_missing_is_named_by_its_row() {
    for answers in [None, Some(AnswerType::Regression), Some(AnswerType::SingleLabel)] {
        for (cell, says) in [("nan", "nan, a missing value"), ("NaN", "nan"), ("<NA>", "missing"), ("", "got nothing")]
        {
            let rows = format!("text,label\na,1\nb,0\nsecret,{cell}\nd,1\n");
            let own = own(("nan.csv", &rows), ("dev.csv", ""), |files| files.answers = answers);
            let error = own.load(Split::Train).unwrap_err();
            assert!(error.starts_with("nan.csv, line 4: ") && error.contains(says), "{cell}: {error}");
        }
    }
    // what may be a name is taken as one, and said
    let (target, loaded) = alone("none.csv", "text,label\na,None\nb,some\n").load(Split::Train).unwrap();
    assert_eq!(names(&target), ["None", "some"]);
    assert!(loaded.notes[0].contains("`None` in column `label` is taken as a class"), "{:?}", loaded.notes);
}

#[test]
fn only_keys_that_are_read_must_be_there() {
    for rows in [
        "{\"text\":\"a\",\"label\":\"x\",\"note\":\"n\"}\n{\"text\":\"b\",\"label\":\"y\"}\n",
        "{\"text\":\"a\",\"label\":\"x\",\"meta\":{\"a\":1}}\n{\"label\":\"y\",\"text\":\"b\"}",
        "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"y\",\"note\":null}",
        "[{\"text\":\"a\",\"label\":\"x\"}, {\"text\":\"b\",\"label\":\"y\",\"note\":[[]]}]",
    ] {
        assert_eq!(classes(&alone("opt.jsonl", rows).load(Split::Train).unwrap().1), [0, 1], "{rows}");
    }
    let lacks = alone("opt.jsonl", "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"secret\"}\n");
    assert_eq!(lacks.target().unwrap_err(), "opt.jsonl, line 2: expected the key `label`, got an object without it");
    let lacks =
        alone("opt.json", "[{\"text\":\"a\",\"label\":\"x\"},{\"label\":\"y\"}]").load(Split::Train).unwrap_err();
    assert_eq!(lacks, "opt.json, row 2: expected the key `text`, got an object without it");
}

#[test]
fn the_name_of_a_packed_file_is_that_of_its_kind() {
    for (name, expected) in [("mood.csv.gz", "mood"), ("mood.csv", "mood"), ("mood.v2.jsonl.gz", "mood.v2")] {
        let files = Files { train: Some(name.into()), ..Files::default() };
        assert_eq!(Source::Files(files).name(), expected);
    }
}

#[test]
fn several_labels_are_refused_unless_they_are_asked_for() {
    for (name, rows) in [
        ("list.jsonl", "{\"text\":\"a\",\"label\":[\"a\",\"secret\"]}\n{\"text\":\"b\",\"label\":[\"a\"]}\n"),
        ("list.jsonl", "{\"text\":\"a\",\"label\":[\"a\"]}\n{\"text\":\"b\",\"label\":[\"secret\"]}\n"),
        ("list.csv", "text,label\na,\"['a', 'secret']\"\nb,a\n"),
    ] {
        let error = alone(name, rows).target().unwrap_err();
        assert!(error.contains("got a list of labels") && error.contains("--problem-type multi_label"), "{error}");
        let model = Target::Classes(["a", "b"].map(String::from).into());
        let own = alone(name, rows);
        let error = own.said(&own.source.load(Split::Train, &model).unwrap_err());
        assert!(error.contains("--problem-type multi_label"), "{error}");
    }
    let own = own(("a.csv", "text,label\na,x\nb,y\n"), ("dev.csv", ""), |files| files.delimiter = Some(';'));
    assert!(own.load(Split::Train).unwrap_err().contains("say --problem-type multi_label too"));
}

#[test]
fn several_labels_are_read_from_every_kind_of_table() {
    let jsonl = "{\"text\":\"a\",\"labels\":[\"joy\",\"Fear\"]}\n{\"text\":\"b\",\"labels\":[]}\n{\"text\":\"c\",\"labels\":[\"fear\"]}\n";
    let csv = "text,labels\na,\"[\"\"joy\"\", \"\"fear\"\"]\"\nb,[]\nc,['FEAR']\n";
    let marked = "text\tlabels\na\tjoy;fear\nb\t\nc\t fear\n";
    for (file, delimiter) in [(("a.jsonl", jsonl), None), (("a.csv", csv), None), (("a.tsv", marked), Some(';'))] {
        let own = own(file, ("dev.csv", csv), |files| {
            (files.answers, files.delimiter) = (Some(AnswerType::MultiLabel), delimiter);
        });
        let (target, loaded) = own.load(Split::Train).unwrap();
        assert!(matches!(target, Target::Labels(_)));
        let fear = names(&target).iter().position(|name| name.eq_ignore_ascii_case("fear")).unwrap();
        assert_eq!((target.outputs(), sets(&loaded).len()), (2, 3));
        assert_eq!(sets(&loaded), [vec![0, 1], vec![], vec![fear]], "{file:?}");
        assert_eq!(own.source.metrics(&target), [Metric::F1Micro, Metric::F1Macro, Metric::Accuracy]);
        // a model's own order and names decide, and it may have more
        let model = Target::Labels(["anger", "FEAR", "joy"].map(String::from).into());
        assert_eq!(own.source.target(Some(&model)).unwrap(), model);
        let loaded = own.source.load(Split::Dev, &model).unwrap();
        assert_eq!(sets(&loaded), [vec![1, 2], vec![], vec![1]]);
        let error = own.source.target(Some(&Target::Classes(vec!["a".into(), "b".into()]))).unwrap_err().to_string();
        assert!(error.contains("asks for any of some labels, the model gives one of 2 classes"), "{error}");
    }
}

#[test]
fn rows_of_zeros_and_ones_are_no_labels() {
    for rows in [
        "{\"text\":\"a\",\"label\":[1,0,1]}\n{\"text\":\"b\",\"label\":[0,1,0]}\n",
        "{\"text\":\"a\",\"label\":[1.0,0.0]}\n{\"text\":\"b\",\"label\":[0.0,1.0]}\n",
    ] {
        let own = own(("a.jsonl", rows), ("dev.csv", ""), |files| files.answers = Some(AnswerType::MultiLabel));
        assert!(own.target().unwrap_err().contains("zeros and ones"), "{rows}");
    }
}

/// GLUE's own files have quotes that are letters: not one of them is read otherwise.
#[test]
fn the_real_tasks_are_read_line_by_line() {
    let Some(root) = std::env::var_os("GLUE").map(std::path::PathBuf::from) else {
        eprintln!("skipped: GLUE does not name the folder of the real data");
        return;
    };
    for task in [Task::Sst2, Task::Mrpc, Task::Rte, Task::Cola, Task::Stsb, Task::Qnli] {
        for (split, name) in [(Split::Train, "train.tsv"), (Split::Dev, "dev.tsv")] {
            let path = root.join(task.to_string()).join(name);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let source = Source::Glue { task, folder: Some(root.clone()) };
            let loaded = source.load(split, &task.target()).unwrap();
            assert!(loaded.notes.is_empty(), "{task}: {:?}", loaded.notes);
            let column = match task {
                Task::Cola => 3,
                Task::Sst2 => 0,
                Task::Mrpc => 3,
                Task::Stsb => 7,
                _ => 1,
            };
            let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.is_empty());
            let texts =
                lines.skip(usize::from(task != Task::Cola)).map(|line| line.split('\t').nth(column).unwrap().trim());
            assert!(texts.eq(loaded.examples.iter().map(|example| example.text.as_str())), "{task} {name}");
        }
    }
}
