//! The limit on a process's address space (`ulimit -v`, RLIMIT_AS), which counts what is reserved and not only what is used.

use crate::exit::{MEMORY, coded};
use crate::size::human;

/// What an allocator reserves beside what it gives out: it aligns large blocks by reserving more, and keeps what was freed.
const RESERVED: u64 = 4;
/// Most that the program itself, its libraries and its first threads reserve and do not fill.
#[cfg(target_os = "linux")]
const PROGRAM: u64 = 192 << 20;
/// Least that a program fills before it has read anything.
const PROGRAM_WORKS: u64 = 64 << 20;
/// A thread's stack, and what the system's allocator fills of a heap of its own.
const THREAD: u64 = 8 << 20;
/// Stacks of threads and the allocator's own tables.
const REST: u64 = 64 << 20;

/// Refuses to begin where so little address space is left that threads could not be started, one for each core.
pub fn check_threads() -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    check_start(PROGRAM_WORKS + cores as u64 * THREAD)
}

/// The same where it is known what threads take.
pub fn check_start(least: u64) -> anyhow::Result<()> {
    judge(left(), "this program", least, "")
}

/// Refuses what a process would reserve beyond its limit; others' processes are taken to have the limit that this one has.
pub(crate) fn check(name: &str, bytes: u64, cure: &str) -> anyhow::Result<()> {
    let reserved = bytes.saturating_add(bytes / RESERVED).saturating_add(REST);
    judge(left(), if name.is_empty() { "this" } else { name }, reserved, cure)
}

fn judge(left: Option<u64>, name: &str, need: u64, cure: &str) -> anyhow::Result<()> {
    let Some(left) = left.filter(|left| *left < need) else { return Ok(()) };
    let (need, left) = (human(need), human(left));
    let limit = "the limit on address space (ulimit -v)";
    let cure = if cure.is_empty() { "raise it".into() } else { format!("{cure}, or raise it") };
    Err(coded(MEMORY, format!("not enough memory: {name} needs about {need}, and {limit} leaves {left}; {cure}")))
}

/// Bytes of address space that this process may still fill, where there is a limit: what an allocator has reserved in advance
/// is there to be filled.
#[cfg(target_os = "linux")]
pub fn left() -> Option<u64> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::As).current?;
    let sizes = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut sizes = sizes.split_whitespace().map(str::parse::<u64>);
    let (reserved, resident) = (sizes.next()?.ok()?, sizes.next()?.ok()?);
    let bytes = |pages: u64| pages.saturating_mul(rustix::param::page_size() as u64);
    Some(limit.saturating_sub(bytes(reserved).min(bytes(resident) + PROGRAM)))
}

/// Other systems have no such limit, or do not hold processes to it.
#[cfg(not(target_os = "linux"))]
pub fn left() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_and_no_limit_refuses_nothing() {
        judge(None, "party0", u64::MAX, "").unwrap();
        judge(Some(600_000_000), "party0", 600_000_000, "").unwrap();
        let error = judge(Some(600_000_000), "party0", 1_234_000_000, "give shorter texts").unwrap_err();
        let expected = "not enough memory: party0 needs about 1.2 GB, and the limit on address space (ulimit -v) leaves \
                        600 MB; give shorter texts, or raise it";
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.downcast_ref::<crate::Coded>().unwrap().code, MEMORY);
    }
}
