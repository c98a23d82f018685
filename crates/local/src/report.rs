//! What reports of runs on one machine have in common.

use model::Lengths;
use roles::engine::EngineKind;
use roles::measured::Measured;
use serde_json::{Value, json};

use crate::deployment::INSECURE_LOCAL;

/// What a run cost, exactly.
pub fn cost(measured: &Measured) -> Value {
    json!({
        "rounds": measured.rounds,
        "online_bytes_each_way": measured.online_bytes_each_way,
        "offline_bytes": measured.offline_bytes,
        "restarts": measured.restarts,
        "attempts_from_stock": measured.stocked,
    })
}

/// Adds to a report which engine made it, and how.
pub fn say_engine(report: &mut Value, engine: EngineKind) {
    if let (Value::Object(report), Value::Object(said)) = (report, engine.describe()) {
        report.extend(said);
    }
}

/// The security model of the protocol, and what this deployment makes of it.
pub fn security(engine: EngineKind, lengths: Lengths) -> Value {
    json!({
        "deployment": "insecure-local",
        "protects": "nothing",
        "why": INSECURE_LOCAL,
        "protocol": engine.protocol(),
        "public": engine.public(lengths),
    })
}
