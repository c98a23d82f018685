//! Whether a correlation was used twice: the dealers' logs say of each demand that they answered what was agreed.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context, Result};
use bundle::Role;
use serde::Deserialize;

use crate::chaos::counts::Counts;
use crate::deployment::{Deployment, SERVICES};

/// A demand that the dealer answers, as it logs it.
#[derive(Debug, Deserialize)]
struct Dealt {
    session: String,
    request: u64,
    attempt: u32,
    agreement: String,
}

/// Reads what all services have logged.
pub(super) fn check(deployment: &Deployment, counts: &mut Counts) -> Result<()> {
    for role in SERVICES {
        let path = deployment.log(role);
        let log = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        if log.contains("panicked") {
            counts.violation(format!("{role} panicked; see {}", path.display()));
        }
        if role == Role::Dealer {
            demands(&log, counts);
        }
    }
    if counts.demands < counts.answers() {
        counts.violation(format!("{} demands were dealt to for {} answers", counts.demands, counts.answers()));
    }
    Ok(())
}

fn demands(log: &str, counts: &mut Counts) {
    let (mut digests, mut places) = (HashSet::new(), HashSet::new());
    for Dealt { session, request, attempt, agreement } in log.lines().filter_map(dealt) {
        counts.demands += 1;
        if !digests.insert(agreement.clone()) {
            counts.violation(format!("dealt twice under agreement {agreement}"));
        }
        if !places.insert((session.clone(), request, attempt)) {
            counts.violation(format!("dealt twice to session {session}, request {request}, attempt {attempt}"));
        }
    }
    counts.digests = digests.len();
}

/// What a line of the dealer's log says of a demand, if it is one about a demand.
fn dealt(line: &str) -> Option<Dealt> {
    let logged: serde_json::Value = serde_json::from_str(line).ok()?;
    (logged["message"] == "dealing").then(|| serde_json::from_value(logged).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_demands_are_read_and_others_are_not() {
        let line = r#"{"level":"INFO","message":"dealing","session":"ab","request":2,"attempt":0,"agreement":"cd"}"#;
        let dealt = dealt(line).unwrap();
        assert_eq!((dealt.session.as_str(), dealt.request, dealt.attempt), ("ab", 2, 0));
        assert!(
            super::dealt(r#"{"message":"session begins","session":"ab"}"#).is_none() && super::dealt("x").is_none()
        );
    }
}
