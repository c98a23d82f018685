//! What the programs say to bad input: message, exit code, no panic, no file left, no process left, no hang. The messages
//! are kept in docs/errors.md; `SNAPSHOTS=overwrite cargo test -p runtime --test bad_input` writes them anew.
#![allow(clippy::unwrap_used)]

#[path = "../../convert/tests/folder/mod.rs"]
mod folder;
#[path = "bad_input/models.rs"]
mod models;
mod programs;
#[path = "bad_input/tables.rs"]
mod tables;
#[path = "bad_input/tokenizers.rs"]
mod tokenizers;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use folder::{Place, weights};
use ndarray::{ArrayD, IxDyn};
use programs::{command, output, processes, tree};
use safetensors::Dtype;

/// One mistake. In `args`, `{root}` is the world's folder; a `+` stands for a space.
struct Case {
    wrong: &'static str,
    prepare: fn(&World),
    run: &'static str,
    code: i32,
    says: &'static [&'static str],
}

/// A student with its calibration and a bundle of it, a teacher with softmax, and a task.
struct World {
    place: Place,
}

impl World {
    /// A copy of a world of its own.
    fn copy(&self) -> World {
        let world = World { place: Place { root: tempfile::tempdir().unwrap() } };
        for (path, _) in tree(self.root()) {
            let (from, to) = (self.path(path.to_str().unwrap()), world.root().join(&path));
            fs::create_dir_all(if from.is_dir() { &to } else { to.parent().unwrap() }).unwrap();
            if from.is_file() {
                fs::copy(from, to).unwrap();
            }
        }
        world
    }

    fn new() -> World {
        let world = World { place: Place::new() };
        copy(&world.place.student(), &world.path("teacher"));
        fs::remove_file(world.path("teacher/calibration.json")).unwrap();
        edit(&world.path("teacher/config.json"), "\"attention_softmax\": \"2quad\", \"attention_shift\": 5.0,", "");
        fs::create_dir(world.path("cache")).unwrap();
        fs::create_dir(world.path("hf")).unwrap();
        let mut convert = command("convert", world.root());
        let made = output(convert.args(["-q", "student", "-o", "bundle"]));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        world
    }

    fn root(&self) -> &Path {
        self.place.root.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Another conversion of the same student.
    fn other_bundle(&self) {
        let mut convert = command("convert", self.root());
        assert!(output(convert.args(["-q", "student", "-o", "other"])).status.success());
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} has no `{from}`", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

fn halve(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

/// Weights in the teacher's folder with one tensor changed.
fn teacher_with(world: &World, dtype: Dtype, change: fn(&mut model::Tensors)) {
    let mut tensors = weights();
    change(&mut tensors);
    world.place.write_weights(&tensors, dtype, "bert.");
    fs::rename(world.path("student/model.safetensors"), world.path("teacher/model.safetensors")).unwrap();
    world.place.write_weights(&weights(), Dtype::F32, "bert.");
}

fn task(world: &World, dev: &[u8]) {
    fs::write(world.path("glue/SST-2/dev.tsv"), dev).unwrap();
}

const NOTHING: fn(&World) = |_| ();
const TEACH: &str =
    "distill --teacher {root}/teacher --task sst2 --data-dir {root}/glue --max-seq-length 16 --output-dir {root}/out";

fn cases() -> Vec<Case> {
    let case = |wrong, prepare: fn(&World), run, code, says| Case { wrong, prepare, run, code, says };
    let mut cases = distill_cases();
    cases.extend(models::cases());
    cases.extend(tables::cases());
    cases.extend([
        case(
            "a model trained with softmax",
            NOTHING,
            "convert {root}/teacher -o {root}/new",
            3,
            &["softmax", "2quad", "distill --teacher"],
        ),
        case(
            "a student without calibration.json",
            |w| fs::remove_file(w.path("student/calibration.json")).unwrap(),
            "convert {root}/student -o {root}/new",
            3,
            &["no calibration.json", "--calibrate"],
        ),
        case(
            "values that no series of ours follows",
            |w| {
                let path = w.path("student/calibration.json");
                let mut ranges: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                ranges["layers"][1]["gelu"][3] = 900.0.into();
                fs::write(path, ranges.to_string()).unwrap();
            },
            "convert {root}/student -o {root}/new",
            4,
            &["layer 1", "GeLU", "limit is 124"],
        ),
        case(
            "an encoder without a head",
            |w| {
                let mut tensors = weights();
                tensors.retain(|name, _| !name.starts_with("classifier"));
                w.place.write_weights(&tensors, Dtype::F32, "");
            },
            "convert {root}/student -o {root}/new",
            3,
            &["classifier.weight", "distill"],
        ),
        case(
            "an output inside the student",
            NOTHING,
            "convert {root}/student -o {root}/student/bundle",
            2,
            &["lies in the student's folder"],
        ),
        case(
            "an output below a file",
            |w| fs::write(w.path("file"), "mine").unwrap(),
            "convert {root}/student -o {root}/file/bundle",
            9,
            &["file/bundle"],
        ),
        case(
            "too little memory to convert",
            NOTHING,
            "convert {root}/student -o {root}/new --memory 1M",
            7,
            &["not enough memory", "1 MB allowed"],
        ),
        case(
            "a tokenizer that is cut off",
            |w| halve(&w.path("student/tokenizer.json")),
            "convert {root}/student -o {root}/new",
            3,
            &["tokenizer.json"],
        ),
        case(
            "a folder without the task",
            |w| fs::rename(w.path("glue/SST-2"), w.path("glue/other")).unwrap(),
            "convert {root}/student -o {root}/new --calibrate --task sst2 --data-dir {root}/glue",
            3,
            &["train.tsv", "SST-2"],
        ),
        case("no bundle", NOTHING, "runtime infer --bundle {root}/nowhere --text w5", 3, &["nowhere"]),
        case(
            "masked weights that are cut off",
            |w| halve(&biggest(&w.path("bundle/party1"))),
            "runtime infer --bundle {root}/bundle --text w5",
            3,
            &["party1", "convert"],
        ),
        case(
            "parts that were swapped",
            |w| {
                fs::rename(w.path("bundle/party0"), w.path("bundle/p")).unwrap();
                fs::rename(w.path("bundle/party1"), w.path("bundle/party0")).unwrap();
                fs::rename(w.path("bundle/p"), w.path("bundle/party1")).unwrap();
            },
            "runtime infer --bundle {root}/bundle --text w5",
            3,
            &["party0"],
        ),
        case(
            "parts of two conversions",
            |w| {
                w.other_bundle();
                fs::remove_dir_all(w.path("bundle/party1")).unwrap();
                fs::rename(w.path("other/party1"), w.path("bundle/party1")).unwrap();
            },
            "runtime infer --bundle {root}/bundle --text w5",
            3,
            &["party1"],
        ),
        case(
            "a bundle of another version",
            |w| {
                let path = w.path("bundle/client/manifest.json");
                let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                manifest["version"] = 999.into();
                fs::write(path, manifest.to_string()).unwrap();
            },
            "runtime infer --bundle {root}/bundle --text w5",
            3,
            &["999", "convert"],
        ),
        case("an empty text", NOTHING, "runtime infer --bundle {root}/bundle --text w5 --text +", 2, &["text 2"]),
        case(
            "a file of texts that is no UTF-8",
            |w| fs::write(w.path("texts"), b"fine\nb\xffd\n").unwrap(),
            "runtime infer --bundle {root}/bundle --file {root}/texts",
            3,
            &["not UTF-8 at byte 6"],
        ),
        case(
            "a text that is too long and must not be cut",
            NOTHING,
            "runtime infer --bundle {root}/bundle --no-truncate --text w5+w5+w5+w5+w5+w5+w5+w5+w5+w5+w5+w5+w5+w5+w5",
            3,
            &["16 tokens", "--no-truncate"],
        ),
        case(
            "one text for a model that was taught pairs",
            |w| {
                edit(&w.path("student/config.json"), "\"vocab_size\"", "\"text_pair\": true, \"vocab_size\"");
                w.other_bundle();
            },
            "runtime infer --bundle {root}/other --text w5",
            2,
            &["taught pairs of texts", "--text-pair"],
        ),
        case(
            "more layers than there are",
            NOTHING,
            "distill --teacher {root}/teacher --task sst2 --data-dir {root}/glue --student-layers 100000000 --output-dir {root}/out",
            2,
            &["--student-layers is 100000000", "1 to 2"],
        ),
        case(
            "more second texts than texts",
            NOTHING,
            "runtime infer --bundle {root}/bundle --text w5 --text-pair w6 --text-pair w7",
            2,
            &["--text-pair"],
        ),
        case(
            "too little memory to run",
            NOTHING,
            "runtime infer --bundle {root}/bundle --text w5 --memory 1M",
            7,
            &["not enough memory", "party0", "dealer"],
        ),
        case(
            "a role that can read another one's part",
            NOTHING,
            "runtime party --index 0 --bundle {root}/bundle/party0",
            3,
            &["bundle/party0: party0 can read", "party1's part", "--insecure-local"],
        ),
        case(
            "functions that masked wires do not have",
            NOTHING,
            "runtime infer --bundle {root}/bundle --text w5 --functions secformer",
            2,
            &["masked engine evaluates series only", "--engine beaver"],
        ),
        case(
            "a truncation that masked wires do not have",
            NOTHING,
            "runtime infer --bundle {root}/bundle --text w5 --truncation dealt",
            2,
            &["--truncation is beaver's", "--engine beaver"],
        ),
        case(
            "functions for another student",
            NOTHING,
            "runtime infer --bundle {root}/bundle --text w5 --engine beaver --functions mpcformer",
            3,
            &["2Quad and the quadratic GeLU", "2Quad and GeLU", "--force"],
        ),
        case(
            "a model that answers another question",
            |w| {
                fs::create_dir(w.path("glue/STS-B")).unwrap();
                fs::write(w.path("glue/STS-B/dev.tsv"), "sentence1\tsentence2\tscore\nw5\tw6\t3.5\n").unwrap();
            },
            "runtime evaluate --bundle {root}/bundle --task stsb --data-dir {root}/glue",
            3,
            &["stsb asks for a number"],
        ),
        case(
            "a model folder that is a hub id",
            NOTHING,
            "runtime infer --model bert-base-uncased --text w5",
            3,
            &["bert-base-uncased"],
        ),
        case(
            "a flag that is none",
            NOTHING,
            "runtime infer --bundel {root}/bundle --text w5",
            2,
            &["--bundel", "--bundle"],
        ),
    ]);
    cases.extend(tokenizers::cases());
    cases
}

fn distill_cases() -> Vec<Case> {
    let case = |wrong, prepare: fn(&World), run, code, says| Case { wrong, prepare, run, code, says };
    vec![
        case(
            "a teacher that is neither a folder nor a name on the hub",
            NOTHING,
            "distill --teacher {root}/nowhere --task sst2 --data-dir {root}/glue",
            3,
            &["nowhere"],
        ),
        case(
            "an unknown task",
            NOTHING,
            "distill --teacher {root}/teacher --task imdb",
            2,
            &["unknown task `imdb`", "sst2"],
        ),
        case("no texts", NOTHING, "distill --teacher {root}/teacher", 2, &["--task", "--train-file"]),
        case(
            "a config.json that is no JSON",
            |w| halve(&w.path("teacher/config.json")),
            TEACH,
            3,
            &["teacher/config.json"],
        ),
        case(
            "a model of another family",
            |w| edit(&w.path("teacher/config.json"), "\"model_type\": \"bert\"", "\"model_type\": \"distilbert\""),
            TEACH,
            3,
            &["DistilBERT"],
        ),
        case(
            "an activation that is no GeLU",
            |w| edit(&w.path("teacher/config.json"), "\"vocab_size\"", "\"hidden_act\": \"silu\", \"vocab_size\""),
            TEACH,
            3,
            &["hidden_act", "gelu_new"],
        ),
        case(
            "weights that are cut off",
            |w| halve(&w.path("teacher/model.safetensors")),
            TEACH,
            3,
            &["model.safetensors"],
        ),
        case(
            "a tensor of another shape",
            |w| {
                teacher_with(w, Dtype::F32, |t| {
                    drop(t.insert("pooler.dense.bias".into(), ArrayD::zeros(IxDyn(&[23]))))
                });
            },
            TEACH,
            3,
            &["pooler.dense.bias", "[24]", "[23]"],
        ),
        case(
            "a tensor of another name",
            |w| {
                teacher_with(w, Dtype::F32, |t| {
                    let tensor = t.remove("encoder.layer.1.output.dense.bias").unwrap();
                    t.insert("encoder.layer.1.output.dense.offset".into(), tensor);
                });
            },
            TEACH,
            3,
            &["encoder.layer.1.output.dense.bias"],
        ),
        case(
            "tensors of another type",
            |w| teacher_with(w, Dtype::F64, |_| ()),
            TEACH,
            3,
            &["F64", "F32, F16 or BF16"],
        ),
        case(
            "weights in another format only",
            |w| fs::rename(w.path("teacher/model.safetensors"), w.path("teacher/pytorch_model.bin")).unwrap(),
            TEACH,
            3,
            &["pytorch_model.bin", "safetensors"],
        ),
        case(
            "a shard that is missing",
            |w| {
                let index = serde_json::json!({"weight_map": {"classifier.bias": "model-00001-of-00001.safetensors"}});
                fs::remove_file(w.path("teacher/model.safetensors")).unwrap();
                fs::write(w.path("teacher/model.safetensors.index.json"), index.to_string()).unwrap();
            },
            TEACH,
            3,
            &["model-00001-of-00001.safetensors"],
        ),
        case(
            "a tokenizer with more words than the model",
            |w| fs::write(w.path("teacher/tokenizer.json"), folder::tokenizer(35)).unwrap(),
            TEACH,
            3,
            &["tokenizer", "34", "29"],
        ),
        case(
            "a table without the column",
            |w| task(w, b"text\tlabel\nw5\t1\n"),
            TEACH,
            3,
            &["dev.tsv", "no column `sentence`"],
        ),
        case("a label outside the set", |w| task(w, b"sentence\tlabel\nw5\t7\n"), TEACH, 3, &["line 2", "from 0 to 1"]),
        case("an empty text in a table", |w| task(w, b"sentence\tlabel\n \t1\n"), TEACH, 3, &["line 2", "a text"]),
        case(
            "a table that is no UTF-8",
            |w| task(w, b"sentence\tlabel\nw\xff\t1\n"),
            TEACH,
            3,
            &["not UTF-8 at byte 16"],
        ),
        case(
            "a length that the model does not have",
            NOTHING,
            "distill --teacher {root}/teacher --task sst2 --data-dir {root}/glue --max-seq-length 64 --output-dir {root}/out",
            2,
            &["--max-seq-length", "64", "16"],
        ),
        case(
            "texts that are too long and must not be cut",
            NOTHING,
            "distill --teacher {root}/teacher --task sst2 --data-dir {root}/glue --max-seq-length 8 --no-truncate --output-dir {root}/out",
            3,
            &["8 tokens", "--no-truncate"],
        ),
        case(
            "an output folder with something else in it",
            |w| {
                fs::create_dir(w.path("out")).unwrap();
                fs::write(w.path("out/diary.txt"), "mine").unwrap();
            },
            TEACH,
            2,
            &["not empty", "--overwrite-output-dir"],
        ),
        case("an output folder below a file", |w| fs::write(w.path("out"), "mine").unwrap(), TEACH, 9, &["out"]),
        case(
            "too little memory to teach",
            NOTHING,
            "distill --teacher {root}/teacher --task sst2 --data-dir {root}/glue --max-seq-length 16 --output-dir {root}/out --memory 1M",
            7,
            &["not enough memory", "1 MB allowed"],
        ),
        case(
            "a hub that cannot be reached",
            NOTHING,
            "distill --teacher bert-base-uncased --task sst2",
            8,
            &["127.0.0.1:9"],
        ),
        case(
            "offline, and nothing in the cache",
            NOTHING,
            "HF_HUB_OFFLINE=1 distill --teacher bert-base-uncased --task sst2",
            8,
            &["HF_HUB_OFFLINE"],
        ),
    ]
}

fn biggest(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

/// Runs one case in a world of its own and gives its row of the table.
fn row(case: &Case, world: World) -> String {
    (case.prepare)(&world);
    let root = world.root().to_string_lossy().into_owned();
    let mut words = case.run.split(' ').map(|word| word.replace("{root}", &root).replace('+', " ")).peekable();
    let variable = words.next_if(|word| word.contains('='));
    let mut run = command(&words.next().unwrap(), world.root());
    if let Some((name, value)) = variable.as_deref().and_then(|v| v.split_once('=')) {
        run.env(name, value);
    }
    run.args(words);
    let before = tree(world.root());
    let done = output(&mut run);
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    let wrong = case.wrong;
    assert_eq!(done.status.code(), Some(case.code), "{wrong}: {stderr}");
    assert!(!stderr.contains("panicked"), "{wrong}: {stderr}");
    assert!(done.stdout.is_empty(), "{wrong}: {}", String::from_utf8_lossy(&done.stdout));
    for says in case.says {
        assert!(stderr.contains(says), "{wrong}: expected `{says}` in: {stderr}");
    }
    assert_eq!(tree(world.root()), before, "{wrong}: files came or went");
    assert_eq!(processes(world.root()), Vec::<String>::new(), "{wrong}: processes are left");
    let message = stderr.lines().filter(|line| !line.starts_with("note:") && !line.starts_with("warning:"));
    let message = message.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let message = message.replace(&root, "…").replace('|', "\\|");
    // a bundle's id is drawn anew in each conversion
    let is_id = |word: &str| word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let message: Vec<&str> =
        message.split(' ').map(|word| if is_id(word.trim_end_matches(';')) { "ID" } else { word }).collect();
    let message = message.join(" ");
    let command = case.run.replace("{root}/", "").replace('+', " ");
    format!("| {wrong} | `{command}` | {} | {message} |\n", case.code)
}

#[test]
fn every_mistake_has_a_message_and_a_code_and_leaves_nothing() {
    let cases = cases();
    assert!(cases.len() >= 30);
    let mut table = String::from(
        "# What the programs say to bad input\n\n\
         Written and checked by `runtime/tests/bad_input.rs`: each row is a run of the programs on small models. None of them panics, \
         hangs, or leaves a file or a process behind.\n\n| what is wrong | command | exit code | message |\n|---|---|---|---|\n",
    );
    let world = World::new();
    let mut failed = 0;
    for case in &cases {
        let begin = std::time::Instant::now();
        // the others are worth seeing too
        match catch_unwind(AssertUnwindSafe(|| row(case, world.copy()))) {
            Ok(row) => table += &row,
            Err(_) => failed += 1,
        }
        eprintln!("{:.1} s: {}", begin.elapsed().as_secs_f64(), case.wrong);
    }
    assert_eq!(failed, 0, "of {} cases, see above", cases.len());
    snapbox::assert_data_eq!(table, snapbox::file!["../../docs/errors.md"].raw());
}
