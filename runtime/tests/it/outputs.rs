//! Texts that begin with a dash, outputs that cannot be written or are read in part, and errors of roles: each said once.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use crate::folder::Place;
use crate::programs::{command, output};
use cli::exit::{BAD_INPUT, MEMORY, UNWRITABLE, USAGE};

fn runtime(place: &Place, args: &[&str]) -> Command {
    let mut runtime = command("runtime", place.root.path());
    runtime.args(args);
    runtime
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A student and the bundle of it.
fn place() -> Place {
    let place = Place::new();
    let made = output(command("convert", place.root.path()).args(["-q", "student", "-o", "bundle"]));
    assert!(made.status.success(), "{}", errors(&made));
    place
}

#[test]
fn a_text_may_begin_with_a_dash() {
    let place = place();
    let words = fs::read_to_string(place.student().join("tokenizer.json")).unwrap();
    assert!(!words.contains("degrees"), "the test shows nothing");
    let with = |text: &[&str]| output(&mut runtime(&place, &[&["infer", "--bundle", "bundle", "-q"], text].concat()));
    for text in [&["--text", "-5 degrees"][..], &["--text=-5 degrees"], &["--text", "-5", "--text", "- no"]] {
        let done = with(text);
        assert!(done.status.success(), "{text:?}: {}", errors(&done));
        assert_eq!(done.stdout.split(|byte| *byte == b'\n').count(), 1 + text.len().div_ceil(2), "{text:?}");
    }
    // a text that was forgotten swallows no flag
    let done = with(&["--text", "--json"]);
    assert_eq!(done.status.code(), Some(USAGE), "{}", errors(&done));
}

#[test]
fn an_answer_that_nobody_gets_is_an_error_and_one_that_was_enough_is_none() {
    let place = place();
    let texts = "a fine film\n".repeat(300);
    fs::write(place.root.path().join("texts.txt"), &texts).unwrap();
    let args = ["infer", "--bundle", "bundle", "--file", "texts.txt"];
    // no room
    let mut full = runtime(&place, &args);
    let done = full.stdout(File::create("/dev/full").unwrap()).stderr(Stdio::piped()).spawn().unwrap();
    let done = done.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(UNWRITABLE), "{}", errors(&done));
    // what the roles make of our leaving is no news
    assert_eq!(errors(&done).matches("error").count(), 2, "{}", errors(&done));
    assert!(errors(&done).contains("error: standard output cannot be written (No space left on device (os error 28))"));
    // nobody reads
    let mut unread = runtime(&place, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(unread.stdout.take());
    let done = unread.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(UNWRITABLE), "{}", errors(&done));
    // `| head -1`
    let mut head = runtime(&place, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(head.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let done = head.wait_with_output().unwrap();
    assert!(line.starts_with("[{\"label\""), "{line}");
    assert!(done.status.success() && !errors(&done).contains("error"), "{}", errors(&done));
}

#[test]
fn help_that_cannot_be_written_is_an_error() {
    let place = Place::without_calibration();
    for program in ["runtime", "convert", "distill"] {
        let mut help = command(program, place.root.path());
        let full =
            help.arg("--help").stdout(File::create("/dev/full").unwrap()).stderr(Stdio::piped()).spawn().unwrap();
        let done = full.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(UNWRITABLE), "{program}: {}", errors(&done));
    }
}

#[test]
fn a_roles_own_error_is_said_once() {
    let place = place();
    let path = place.bundle().join("party1/weights.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    // the parties' files are one; only P1's is to be damaged, or both would say so, where both come to it
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let done = output(&mut runtime(&place, &["infer", "--bundle", "bundle", "--text", "a fine film"]));
    let said = errors(&done);
    assert_eq!(done.status.code(), Some(BAD_INPUT), "{said}");
    assert_eq!((said.matches("weights.safetensors").count(), said.matches("error").count()), (1, 1), "{said}");
    assert!(said.contains("error: party1"), "{said}");
}

#[test]
fn a_limit_on_address_space_is_an_error_of_memory() {
    let place = place();
    // less than threads and their stacks take
    for kilobytes in [150_000, 250_000] {
        let line = format!("ulimit -v {kilobytes}; exec \"$0\" \"$@\"");
        let limited = |program: &str, args: &[&str]| {
            let inner = crate::programs::program(program);
            let shell = command("runtime", place.root.path());
            let mut limited = Command::new("sh");
            limited.arg("-c").arg(&line).arg(inner).args(args).current_dir(place.root.path());
            for (name, value) in shell.get_envs() {
                match value {
                    Some(value) => limited.env(name, value),
                    None => limited.env_remove(name),
                };
            }
            output(&mut limited)
        };
        for (program, args) in [
            ("runtime", &["infer", "--bundle", "bundle", "--text", "a fine film"][..]),
            ("convert", &["student", "-o", "new"]),
            ("distill", &["--teacher", "student", "--task", "sst2", "--data-dir", "glue", "--output-dir", "out"]),
        ] {
            let done = limited(program, args);
            // a small model may fit; what does not is said before it is tried
            let code = done.status.code();
            assert!(
                code == Some(MEMORY) || (program != "runtime" && code == Some(0)),
                "{program} {kilobytes}: {code:?} {}",
                errors(&done)
            );
            assert_eq!(errors(&done).contains("(ulimit -v)"), code == Some(MEMORY), "{}", errors(&done));
            fs::remove_dir_all(place.root.path().join("new")).ok();
        }
    }
}
