//! What came of a trial.

use serde_json::Value;

/// What came of a trial.
#[derive(Debug)]
pub struct Outcome {
    /// What its report says.
    pub report: Value,
    /// What was promised and not kept.
    pub violations: Vec<String>,
}
