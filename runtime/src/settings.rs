//! How roles are run: the same for all of a deployment.

use std::time::Duration;

use cli::memory::Memory;

use crate::engine::Engine;
use crate::network::Network;
use crate::schedule::Schedule;

/// How roles are run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Longest wait for another role.
    pub deadline: Duration,
    /// How much memory a role may take.
    pub memory: Memory,
    /// When correlations are made.
    pub schedule: Schedule,
    /// What evaluates the network.
    pub engine: Engine,
    /// Threads of a role; 0 is one for each core that it may use.
    pub threads: u32,
    /// What the link between the parties is slowed down to.
    pub link: Network,
    /// Cores of the parties, by their number in the system, where each has one of its own.
    pub cores: Option<[usize; 2]>,
}

impl Settings {
    /// Nothing but a longest wait.
    pub fn within(deadline: Duration) -> Settings {
        Settings {
            deadline,
            memory: Memory::default(),
            schedule: Schedule::default(),
            engine: Engine::default(),
            threads: 0,
            link: Network::default(),
            cores: None,
        }
    }
}
