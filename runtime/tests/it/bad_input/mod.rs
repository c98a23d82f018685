//! What the programs say to bad input: message, exit code, no panic, no file left, no process left, no hang. The messages
//! are kept in docs/errors.md; `SNAPSHOTS=overwrite cargo test -p runtime --test it bad_input::` writes them anew.

mod models;
mod running;
mod services;
mod tables;
mod teaching;
mod tokenizers;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::folder::{Place, weights};
use crate::programs::{command, output, processes, tree};
use crate::sessions::copy;
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
    let all =
        [teaching::cases(), models::cases(), tables::cases(), tokenizers::cases(), running::cases(), services::cases()];
    all.into_iter().flatten().collect()
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
    // a bundle's id is drawn anew in each conversion, and a key each time
    let is_hex = |word: &str, length| word.len() == length && word.bytes().all(|b| b.is_ascii_hexdigit());
    let is_pin = |word: &str| word.strip_prefix("pb1-").is_some_and(|digits| is_hex(digits, 64));
    let name = |word: &str| match word.trim_end_matches([';', ',']) {
        id if is_hex(id, 32) => "ID".to_owned(),
        pin if is_pin(pin) => word.replace(pin, "PIN"),
        _ => word.to_owned(),
    };
    let message: Vec<String> = message.split(' ').map(name).collect();
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
         Written and checked by `runtime/tests/it/bad_input`: each row is a run of the programs on small models. None of them panics, \
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
    snapbox::assert_data_eq!(table, snapbox::file!["../../../../docs/errors.md"].raw());
}
