//! What a run costs, before it runs.

/// What a run costs, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Rounds between the parties.
    pub rounds: usize,
    /// Frames that each party sends to the other: at least one a round ([`crate::masked::opening_frames`]).
    pub frames: usize,
    /// Payload bytes that each party sends to the other, without frame headers.
    pub opened_bytes: usize,
    /// Payload bytes that the dealer sends to P1, without frame headers and keys.
    pub dealt_bytes: usize,
    /// Probability that the run has to be repeated.
    pub restart_probability: f64,
}

impl Cost {
    /// The costs of two plans after one another; restart probabilities are left out.
    #[must_use]
    pub fn and(self, other: Cost) -> Cost {
        Cost {
            rounds: self.rounds + other.rounds,
            frames: self.frames + other.frames,
            opened_bytes: self.opened_bytes + other.opened_bytes,
            dealt_bytes: self.dealt_bytes + other.dealt_bytes,
            restart_probability: 0.0,
        }
    }
}
