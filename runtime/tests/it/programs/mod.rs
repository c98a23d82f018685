//! The three programs as their users run them, each in a world of its own.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may run: it bounds a hang. Nothing takes nearly as long, on a busy machine neither.
const PATIENCE: Duration = Duration::from_secs(600);

/// A program of this workspace. `cargo test --workspace` has built all of them; where only some were, the rest is built now.
pub(crate) fn program(name: &str) -> PathBuf {
    static BUILD: Once = Once::new();
    let beside = |name: &str| Path::new(env!("CARGO_BIN_EXE_runtime")).with_file_name(name);
    BUILD.call_once(|| {
        if !["distill", "convert"].iter().all(|name| beside(name).is_file()) {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--workspace", "--bins", "--locked", "--quiet"]);
            let profile = beside("runtime").parent().unwrap().file_name().unwrap().to_owned();
            if profile == "release" {
                build.arg("--release");
            }
            assert!(build.status().unwrap().success(), "the programs cannot be built");
        }
    });
    beside(name)
}

/// A command in a world: nothing of this user's own settings reaches it.
pub(crate) fn command(name: &str, root: &Path) -> Command {
    let mut command = Command::new(program(name));
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("HF_")
            || name.starts_with("HUGGING")
            || name.starts_with("PRIVATE_BERT")
            || name == "TRANSFORMERS_OFFLINE"
        {
            command.env_remove(&variable);
        }
    }
    command.env("PRIVATE_BERT_CACHE", root.join("cache")).env("HF_HOME", root.join("hf"));
    // estimates of memory depend on the number of threads
    command.env("RAYON_NUM_THREADS", "2");
    // nobody meets the real hub by mistake
    command.env("HF_ENDPOINT", "http://127.0.0.1:9").env("COLUMNS", "120").env("NO_COLOR", "1");
    command.current_dir(root).stdin(Stdio::null());
    command
}

/// Runs a command to its end, or kills it when it hangs, which is a failure of the test.
pub(crate) fn output(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, err) = (drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap()));
    let status = wait(&mut child);
    let (stdout, stderr) = (out.join().unwrap(), err.join().unwrap());
    match status {
        Some(status) => Output { status, stdout, stderr },
        None => panic!("{command:?} hangs:\n{}", String::from_utf8_lossy(&stderr)),
    }
}

fn drain(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

fn wait(child: &mut Child) -> Option<std::process::ExitStatus> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// Every file and folder below `root` with its size.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap();
            if kind.is_dir() {
                folders.push(path.clone());
            }
            let size = if kind.is_file() { kind.len() } else { 0 };
            found.insert(path.strip_prefix(root).unwrap().into(), size);
        }
    }
    found
}

/// Processes other than this one whose command line names something below `root`.
pub(crate) fn processes(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let root = root.to_string_lossy().into_owned();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&root) {
            found.push(line);
        }
    }
    found
}
