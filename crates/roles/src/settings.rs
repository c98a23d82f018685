//! How a role is run.

use std::time::Duration;

use cli::memory::Memory;
use model::Lengths;

use crate::engine::EngineKind;
use crate::schedule::Schedule;

/// How a role is run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Longest wait for another role.
    pub deadline: Duration,
    /// How much memory a role may take.
    pub memory: Memory,
    /// When correlations are made.
    pub schedule: Schedule,
    /// What evaluates the network.
    pub engine: EngineKind,
    /// What of the lengths of texts a client makes public; the other roles take what it asks for.
    pub lengths: Lengths,
}

impl Settings {
    /// Nothing but a longest wait, and texts as long as they are: what measures and tests ask for. Programs that serve people
    /// pad ([`Lengths::Padded`]).
    pub fn within(deadline: Duration) -> Settings {
        Settings {
            deadline,
            memory: Memory::default(),
            schedule: Schedule::default(),
            engine: EngineKind::default(),
            lengths: Lengths::Exact,
        }
    }
}
