//! When correlations are made.

use std::fmt;

/// When correlations are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// All before the input is asked for: the least waiting once a text is there.
    #[default]
    Ahead,
    /// While the parties work, at most two layers of them held: the least memory.
    Stream,
}

impl Schedule {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Schedule::Ahead => "ahead",
            Schedule::Stream => "stream",
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
