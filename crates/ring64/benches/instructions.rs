//! How many instructions the hot calls of a private inference execute, against stored counts: a check that no other program
//! on the machine can disturb, unlike a time.
//!
//! `cargo bench -p ring64 --bench instructions` checks, and fails beyond 10 % more or fewer;
//! `cargo bench -p ring64 --bench instructions -- --accept` stores what it counts in `benches/instructions.json`.
//!
//! A count is the difference between two runs of this program under valgrind, in which the call is made once and twice:
//! start-up, inputs and what only a first call does are in both. That needs no symbols and no marks in the program, and is
//! the same number every time, in any folder and environment. Counted is every kernel that valgrind's CPU has. Valgrind 3.19
//! has no AVX-512: [`Kernel::detect`] answers AVX2 or scalar there, and the AVX-512 kernel is timed only (`kernels.rs`).
//!
//! Three ways were tried. gungraun 0.20 (once iai-callgrind) counts well with valgrind 3.19, but its baselines are callgrind's
//! files, 300 lines with addresses and paths for each call, or limits in the source, and its runner of just that version is
//! one more thing to install (172 crates, three minutes of one core). callgrind with `--toggle-collect` asks for symbols
//! that inlining does not take away, and gives these counts to 0.2 %.
#![allow(clippy::print_stdout, reason = "a program that prints its findings")]

mod baseline;
mod calls;
mod valgrind;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use baseline::{Counts, TOLERANCE_PERCENT, change};
use calls::Call;
use rayon::prelude::*;
use ring64::{Dims, Kernel, Rhs};

const ACCEPT: &str = "cargo bench -p ring64 --bench instructions -- --accept";

/// Small: the whole check takes seconds. No size is a multiple of every tile and register, so edges are counted too.
const CALLS: [Call; 14] = [
    Call::MultiplyAdd(Dims::new(32, 96, 200)),
    Call::MultiplyAdd(Dims::new(8, 96, 200)),
    Call::Gemm(Dims::new(40, 64, 40), Rhs::Transposed),
    Call::Gemm(Dims::new(40, 40, 64), Rhs::AsIs),
    Call::MulAdd(5000),
    Call::RowDot(20, 250),
    Call::ScaleRowsAdd(20, 250),
    Call::OpenSend(48, 5000),
    Call::OpenSend(17, 5000),
    Call::OpenReceive(48, 5000),
    Call::OpenReceive(17, 5000),
    Call::Waves(8, 500),
    Call::SeriesAdd(8, 500),
    Call::Fill(5000),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => check(),
        ["--accept"] => accept(),
        ["cpu"] => print(cpu()),
        ["kernels"] => print(kernels()),
        ["run", kernel, call, times] => run(kernel, call, times),
        _ => Err(format!("unknown arguments; to store new counts: {ACCEPT}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<(), String> {
    if let Some(reason) = not_countable() {
        return skip(&reason);
    }
    let stored = fs::read_to_string(file()).map_err(|e| format!("{}: {e}", file().display()))?;
    let stored: Counts = serde_json::from_str(&stored).map_err(|e| format!("{}: {e}", file().display()))?;
    let cpu = valgrind::printed(&["cpu"])?;
    if cpu != stored.cpu {
        return skip(&format!("valgrind shows the CPU \"{cpu}\" here, the stored counts are of \"{}\"", stored.cpu));
    }
    let new = count()?;
    for (kernel, call, got) in new.rows() {
        let was = stored.get(kernel, call).map_or_else(String::new, |stored| change(stored, got));
        println!("{call:>40} {kernel:>8} {got:>12} {was:>9}");
    }
    let complaints = stored.complaints(&new);
    if complaints.is_empty() {
        println!("instructions: all within {TOLERANCE_PERCENT} % of the stored counts");
        return Ok(());
    }
    Err(format!(
        "instructions: unlike the stored counts by more than {TOLERANCE_PERCENT} %:\n  {}\n\
         Stored with {} and {}, counted with {} and {}.\n\
         If this is meant (a gain too: it should not be lost again unseen), store the new counts and commit them:\n  {ACCEPT}",
        complaints.join("\n  "),
        stored.rustc,
        stored.valgrind,
        new.rustc,
        new.valgrind,
    ))
}

fn accept() -> Result<(), String> {
    if let Some(reason) = not_countable() {
        return Err(format!("instructions: nothing stored: {reason}"));
    }
    let counts = count()?;
    let text = serde_json::to_string_pretty(&counts).map_err(|e| e.to_string())?;
    fs::write(file(), text + "\n").map_err(|e| format!("{}: {e}", file().display()))?;
    println!("instructions: {} counts stored in {}", counts.rows().count(), file().display());
    Ok(())
}

fn print(text: String) -> Result<(), String> {
    println!("{text}");
    Ok(())
}

fn skip(reason: &str) -> Result<(), String> {
    println!("instructions: SKIPPED, NOTHING IS CHECKED: {reason}");
    Ok(())
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.json")
}

/// Why counts would mean nothing here.
fn not_countable() -> Option<String> {
    if cfg!(debug_assertions) {
        return Some("this is a build with debug assertions, counts are of the bench profile".to_owned());
    }
    if cfg!(target_feature = "avx") {
        return Some("RUSTFLAGS choose a CPU, counts are of the portable build".to_owned());
    }
    valgrind::version().is_none().then(|| "valgrind is not installed".to_owned())
}

/// Every call by every kernel that valgrind's CPU has.
fn count() -> Result<Counts, String> {
    let rustc = Command::new("rustc").arg("--version").current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let rustc = rustc.map_err(|e| format!("rustc --version: {e}"))?;
    let mut counts = Counts {
        command: ACCEPT.to_owned(),
        rustc: String::from_utf8_lossy(&rustc.stdout).trim().to_owned(),
        valgrind: valgrind::version().unwrap_or_default(),
        cpu: valgrind::printed(&["cpu"])?,
        instructions: BTreeMap::new(),
    };
    let kernels = valgrind::printed(&["kernels"])?;
    let pairs: Vec<_> = kernels.split(' ').flat_map(|kernel| CALLS.map(|call| (kernel, call.to_string()))).collect();
    let counted: Vec<_> = pairs.par_iter().map(|(kernel, call)| count_one(kernel, call)).collect();
    for ((kernel, call), count) in pairs.into_iter().zip(counted) {
        counts.instructions.entry(kernel.to_owned()).or_default().insert(call, count?);
    }
    Ok(counts)
}

fn count_one(kernel: &str, call: &str) -> Result<u64, String> {
    let runs = |times| valgrind::instructions(&["run", kernel, call, times]);
    let (once, twice) = (runs("1")?, runs("2")?);
    twice.checked_sub(once).ok_or_else(|| format!("{call}, {kernel}: {once} instructions once, {twice} twice"))
}

/// What kernels and libraries go by when they choose their code.
fn cpu() -> String {
    #[cfg(target_arch = "x86_64")]
    let wide = [("avx2", is_x86_feature_detected!("avx2")), ("avx512f", is_x86_feature_detected!("avx512f"))];
    #[cfg(not(target_arch = "x86_64"))]
    let wide: [(&str, bool); 0] = [];
    let names = wide.into_iter().filter(|(_, here)| *here).map(|(name, _)| name);
    [env::consts::ARCH].into_iter().chain(names).collect::<Vec<_>>().join(" ")
}

fn kernels() -> String {
    Kernel::available().iter().map(Kernel::to_string).collect::<Vec<_>>().join(" ")
}

/// What is counted: one call, made `times` times.
fn run(kernel: &str, call: &str, times: &str) -> Result<(), String> {
    calls::stay_on_this_thread();
    let unknown = || format!("no such call: {call} by {kernel}, {times} times");
    let kernel = Kernel::available().into_iter().find(|k| k.to_string() == kernel).ok_or_else(unknown)?;
    let mut call = CALLS.iter().find(|c| c.to_string() == call).ok_or_else(unknown)?.prepare(kernel);
    for _ in 0..times.parse().map_err(|_| unknown())? {
        call();
    }
    Ok(())
}
