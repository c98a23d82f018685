//! The environment in which training runs at full speed.

use std::process::Command;

/// candle splits elementwise operations over threads that spin while they wait; beside rayon's threads, which do the
/// real work here, they more than halve the speed. Freed memory is kept, for every step asks for the same again.
const VARIABLES: [(&str, &str); 4] = [
    ("CANDLE_NUM_THREADS", "1"),
    ("MALLOC_MMAP_MAX_", "0"),
    ("MALLOC_TRIM_THRESHOLD_", "17179869184"),
    ("MALLOC_TOP_PAD_", "268435456"),
];

/// With less address space than this the allocator keeps its defaults, because ours reserve 256 MB at a time.
const ROOMY: u64 = 8 << 30;

/// Restarts the program in the same process with the missing variables set, because candle and the allocator read them
/// when they start. If that fails, training is only slower.
pub fn restart_with_variables() {
    let is_tight = cli::address_space().is_some_and(|left| left < ROOMY);
    let wanted = if is_tight { &VARIABLES[..1] } else { &VARIABLES[..] };
    let missing: Vec<_> = wanted.iter().copied().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    if missing.is_empty() {
        return;
    }
    #[cfg(unix)]
    if let Ok(program) = std::env::current_exe() {
        use std::os::unix::process::CommandExt;
        let error = Command::new(program).args(std::env::args_os().skip(1)).envs(missing).exec();
        cli::log(&format!("warning: training will be slower: {error}"));
    }
}
