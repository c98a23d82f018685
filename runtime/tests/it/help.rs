//! `--help` of every program, word by word. `SNAPSHOTS=overwrite cargo test -p runtime --test it help::` writes them anew.

use crate::programs::{command, output};

fn help(program: &str, command_line: &[&str]) -> String {
    let root = tempfile::tempdir().unwrap();
    let done = output(command(program, root.path()).args(command_line));
    assert!(done.status.success() && done.stderr.is_empty());
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("Examples:") && text.contains("Exit codes:"), "{program} {command_line:?}:\n{text}");
    text
}

#[test]
fn help_of_distill() {
    snapbox::assert_data_eq!(help("distill", &["--help"]), snapbox::file!["snapshots/distill.txt"].raw());
}

#[test]
fn help_of_convert() {
    snapbox::assert_data_eq!(help("convert", &["--help"]), snapbox::file!["snapshots/convert.txt"].raw());
}

#[test]
fn help_of_runtime() {
    snapbox::assert_data_eq!(help("runtime", &["--help"]), snapbox::file!["snapshots/runtime.txt"].raw());
}

#[test]
fn help_of_infer() {
    snapbox::assert_data_eq!(help("runtime", &["infer", "--help"]), snapbox::file!["snapshots/infer.txt"].raw());
}

#[test]
fn help_of_evaluate() {
    snapbox::assert_data_eq!(help("runtime", &["evaluate", "--help"]), snapbox::file!["snapshots/evaluate.txt"].raw());
}

#[test]
fn help_of_the_cache() {
    snapbox::assert_data_eq!(
        help("runtime", &["cache", "list", "--help"]),
        snapbox::file!["snapshots/cache-list.txt"].raw()
    );
    snapbox::assert_data_eq!(
        help("runtime", &["cache", "prune", "--help"]),
        snapbox::file!["snapshots/cache-prune.txt"].raw()
    );
}

#[test]
fn help_of_keys_and_doctor() {
    snapbox::assert_data_eq!(help("runtime", &["keys", "--help"]), snapbox::file!["snapshots/keys.txt"].raw());
    let of = |command: &str| help("runtime", &["keys", command, "--help"]);
    snapbox::assert_data_eq!(of("new"), snapbox::file!["snapshots/keys-new.txt"].raw());
    snapbox::assert_data_eq!(of("rotate"), snapbox::file!["snapshots/keys-rotate.txt"].raw());
    snapbox::assert_data_eq!(help("runtime", &["doctor", "--help"]), snapbox::file!["snapshots/doctor.txt"].raw());
}

#[test]
fn help_of_stocks() {
    let of = |command: &str| help("runtime", &["stock", command, "--help"]);
    snapbox::assert_data_eq!(help("runtime", &["stock", "--help"]), snapbox::file!["snapshots/stock.txt"].raw());
    snapbox::assert_data_eq!(of("status"), snapbox::file!["snapshots/stock-status.txt"].raw());
    snapbox::assert_data_eq!(of("verify"), snapbox::file!["snapshots/stock-verify.txt"].raw());
    snapbox::assert_data_eq!(of("drop"), snapbox::file!["snapshots/stock-drop.txt"].raw());
}

#[test]
fn help_of_the_roles() {
    snapbox::assert_data_eq!(help("runtime", &["party", "--help"]), snapbox::file!["snapshots/party.txt"].raw());
    snapbox::assert_data_eq!(help("runtime", &["dealer", "--help"]), snapbox::file!["snapshots/dealer.txt"].raw());
}

#[test]
#[cfg(feature = "bench")]
fn help_of_bench() {
    let bench = |what: &str| help("runtime", &["bench", what, "--help"]);
    snapbox::assert_data_eq!(bench("model"), snapbox::file!["snapshots/bench-model.txt"].raw());
    snapbox::assert_data_eq!(bench("plain"), snapbox::file!["snapshots/bench-plain.txt"].raw());
    snapbox::assert_data_eq!(bench("table3"), snapbox::file!["snapshots/bench-table3.txt"].raw());
    snapbox::assert_data_eq!(bench("kernels"), snapbox::file!["snapshots/bench-kernels.txt"].raw());
}
