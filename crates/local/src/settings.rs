//! How the roles of a deployment are run: the same for all of them.

use std::path::PathBuf;
use std::time::Duration;

use roles::settings::Settings;

use crate::network::LinkSpeed;

/// How the roles of a deployment are run.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// How each role is run.
    pub roles: Settings,
    /// Threads of a role; 0 is one for each core that it may use.
    pub threads: u32,
    /// What the link between the parties is slowed down to.
    pub link: LinkSpeed,
    /// Cores of the parties, by their number in the system, where each has one of its own.
    pub cores: Option<[usize; 2]>,
    /// The folder of both parties' stocks, if they have any.
    pub stock: Option<PathBuf>,
    /// Whether the roles say nothing but errors and warnings.
    pub quiet: bool,
}

impl LocalSettings {
    /// Nothing but a longest wait.
    pub fn within(deadline: Duration) -> LocalSettings {
        LocalSettings::of(Settings::within(deadline))
    }

    /// Roles that are run so, on all cores and over links as fast as they are.
    pub fn of(roles: Settings) -> LocalSettings {
        LocalSettings { roles, threads: 0, link: LinkSpeed::default(), cores: None, stock: None, quiet: false }
    }
}
