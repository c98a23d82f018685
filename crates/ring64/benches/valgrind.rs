//! How many instructions this program executes when it is started again with other arguments.
//!
//! Valgrind's cachegrind executes a program on a CPU of its own and counts, the same number every time; the caches that it
//! could simulate are left out. The CPU of valgrind 3.19 has AVX2 where the machine has, and no AVX-512 anywhere.

use std::env;
use std::process::{Command, Output};

/// What valgrind says its version is; nothing where it is not installed.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What this program prints on valgrind's CPU.
pub(crate) fn printed(arguments: &[&str]) -> Result<String, String> {
    let output = again(&["--tool=none"], arguments)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The instructions of this program from its start to its end.
pub(crate) fn instructions(arguments: &[&str]) -> Result<u64, String> {
    let options = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
    let output = again(&options, arguments)?;
    let said = String::from_utf8_lossy(&output.stderr);
    total(&said).ok_or_else(|| format!("valgrind gave no count of instructions for {}:\n{said}", arguments.join(" ")))
}

/// The number in the line `==123== I   refs:      4,567`.
fn total(said: &str) -> Option<u64> {
    let (_, number) = said.lines().find(|line| line.contains("== I ") && line.contains("refs:"))?.rsplit_once(':')?;
    number.trim().replace(',', "").parse().ok()
}

fn again(options: &[&str], arguments: &[&str]) -> Result<Output, String> {
    let this = env::current_exe().map_err(|e| format!("this program cannot find itself: {e}"))?;
    let output = Command::new("valgrind").args(options).arg(this).args(arguments).output();
    let output = output.map_err(|e| format!("valgrind cannot be started: {e}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("under valgrind {} ended with {}:\n{said}", arguments.join(" "), output.status))
}
