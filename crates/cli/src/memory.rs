//! How much memory there is, and the refusal of work that needs more.

use std::fmt::Write;

use clap::Args;
use sysinfo::System;

use crate::exit::{MEMORY, coded};
pub use crate::size::{human, size};
use crate::{address, groups};

/// The flag that says how much memory may be used.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Memory that may be used, such as 6G or 800M; without it, what is available now. Work that needs more is refused
    /// before it begins.
    #[arg(long = "memory", value_name = "SIZE", value_parser = size)]
    pub limit: Option<u64>,
}

impl Memory {
    /// Bytes that may be used, where that is known.
    pub fn there(self) -> Option<u64> {
        self.limit.or_else(available)
    }

    /// Refuses work of this process that needs more than there is. `needs` are bytes with a name each, which are held at the
    /// same time; `cure` is what the user can do about it.
    pub fn check(self, needs: &[(&str, u64)], cure: &str) -> anyhow::Result<()> {
        self.check_machine(needs, cure)?;
        let need = needs.iter().fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        address::check("", need, cure)
    }

    /// The same of processes that run side by side on this machine, one a need.
    pub fn check_processes(self, needs: &[(&str, u64)], cure: &str) -> anyhow::Result<()> {
        self.check_machine(needs, cure)?;
        needs.iter().try_for_each(|(name, bytes)| address::check(name, *bytes, cure))
    }

    fn check_machine(self, needs: &[(&str, u64)], cure: &str) -> anyhow::Result<()> {
        let need = needs.iter().fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        // where nothing is known the system will say
        let Some(there) = self.there() else { return Ok(()) };
        let kind = if self.limit.is_some() { "allowed by --memory" } else { "available" };
        if need <= there {
            return Ok(());
        }
        let mut parts = String::new();
        if needs.len() > 1 {
            let listed: Vec<String> = needs.iter().map(|(name, bytes)| format!("{name} {}", human(*bytes))).collect();
            let _ = write!(parts, " ({})", listed.join(", "));
        }
        let (need, there) = (human(need), human(there));
        Err(coded(MEMORY, format!("not enough memory: about {need} needed{parts}, {there} {kind}; {cure}")))
    }
}

/// An estimate with its margin: an eighth more.
///
/// Estimates count what a program holds. What that takes is up to the allocator, which rounds blocks up, keeps a heap for each
/// thread and does not always find a freed block that fits, and so depends on the number of cores, on the moments at which
/// threads meet, on the kernel and on the C library. The same conversion took 720 MB on one
/// machine and 788 MB on another. Work that is refused though it would have fitted costs less than work that is killed.
pub fn with_margin(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 8)
}

/// Bytes that a new process could use: of the machine, or of the control groups that it is in.
fn available() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory();
    let machine = Some(system.available_memory()).filter(|bytes| *bytes > 0);
    match (machine, groups::left()) {
        (Some(machine), Some(group)) => Some(machine.min(group)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_there_is_is_refused_with_numbers() {
        let memory = Memory { limit: Some(1_000_000_000) };
        memory.check(&[("party0", 500_000_000), ("party1", 500_000_000)], "").unwrap();
        let error = memory.check(&[("party0", 1_250_000_000), ("dealer", 2_000_000)], "use shorter texts").unwrap_err();
        let expected = "not enough memory: about 1.3 GB needed (party0 1.2 GB, dealer 2 MB), 1.0 GB allowed by --memory; \
                        use shorter texts";
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.downcast_ref::<crate::Coded>().unwrap().code, MEMORY);
        assert!(memory.check(&[("all", u64::MAX), ("more", 1)], "").is_err());
    }

    #[test]
    fn this_machine_has_some_memory() {
        Memory::default().check(&[("little", 1 << 20)], "").unwrap();
        assert!(Memory::default().check(&[("much", 1 << 60)], "").is_err());
    }
}
