//! The counts that are stored, and what may be said against new ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts may be off by this many hundredths: what another C library or another address makes of them is far less.
pub(crate) const TOLERANCE_PERCENT: u64 = 10;

/// Counts of a machine, with what they depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// The command that made the file.
    pub(crate) command: String,
    /// The compiler, as it names itself.
    pub(crate) rustc: String,
    /// Valgrind, as it names itself.
    pub(crate) valgrind: String,
    /// The CPU that valgrind showed: which code the kernels and the libraries beneath them choose.
    pub(crate) cpu: String,
    /// Instructions of one call, by kernel and call.
    pub(crate) instructions: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Counts {
    /// Kernel, call and count, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.instructions
            .iter()
            .flat_map(|(kernel, calls)| calls.iter().map(move |(call, count)| (kernel.as_str(), call.as_str(), *count)))
    }

    /// The stored count of a call.
    pub(crate) fn get(&self, kernel: &str, call: &str) -> Option<u64> {
        self.instructions.get(kernel)?.get(call).copied()
    }

    /// Everything that `new` counts gives cause to say against these, a line each; nothing if all is well.
    pub(crate) fn complaints(&self, new: &Self) -> Vec<String> {
        let mut complaints = Vec::new();
        for (kernel, call, got) in new.rows() {
            match self.get(kernel, call) {
                None => complaints.push(format!("{call}, {kernel}: got {got} instructions, none are stored")),
                Some(expected) if got.abs_diff(expected) * 100 > expected * TOLERANCE_PERCENT => {
                    let change = change(expected, got);
                    complaints
                        .push(format!("{call}, {kernel}: expected {expected} instructions, got {got} ({change})"));
                }
                Some(_) => {}
            }
        }
        let gone = self.rows().filter(|(kernel, call, _)| new.get(kernel, call).is_none());
        complaints.extend(gone.map(|(kernel, call, _)| format!("{call}, {kernel}: stored, but not counted any more")));
        complaints
    }
}

/// `+12.3 %`.
pub(crate) fn change(expected: u64, got: u64) -> String {
    format!("{:+.1} %", 100.0 * (got as f64 / expected as f64 - 1.0))
}
