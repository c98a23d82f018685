//! A run: its folder, its state, its processes, its log.

use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Result;
use serde_json::Value;

use crate::events::Events;
use crate::parallel::ProcessGroup;
use crate::state::State;

/// Where a run works, and how far it is.
#[derive(Debug)]
pub struct Run {
    /// The output folder.
    pub out: PathBuf,
    /// The checkpoint to resume from, until a stage has read it.
    pub resume: Option<PathBuf>,
    /// The run's state.
    pub state: State,
    /// The processes that train.
    pub group: Rc<ProcessGroup>,
    /// What TensorBoard reads.
    pub events: Events,
    /// Keeps other runs out of the output folder; rank 0 has it.
    pub(crate) _lock: Option<cli::Lock>,
}

impl Run {
    /// Adds an entry to the log, which rank 0 writes.
    pub(super) fn record(&mut self, entry: Value) -> Result<()> {
        if self.group.leads() {
            self.events.write(self.state.global_step, &entry)?;
        }
        self.state.log_history.push(entry);
        Ok(())
    }
}
