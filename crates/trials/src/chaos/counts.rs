//! What came of the sessions, counted, and held against what was promised.

use std::collections::BTreeMap;
use std::time::Duration;

use cli::exit::{BUSY, EXHAUSTED, LOST, REFUSED};
use serde_json::{Value, json};

use crate::chaos::Chaos;
use crate::chaos::clients::{Session, Text};
use crate::chaos::disturber::Disturbances;
use crate::deployment::SERVICES;
use crate::outcome::Outcome;
use crate::report::rounded;

/// What a failure under faults may be: refused, lost, busy, and with a stock that none was left and the dealer did not come.
const EXPECTED: [i32; 4] = [REFUSED, LOST, BUSY, EXHAUSTED];
/// What a busy machine may add to a wait before the client is told: threads are not run at once.
const GRACE: Duration = Duration::from_secs(2);
/// Most violations that are listed.
const MOST_VIOLATIONS: usize = 100;

/// Counts of one trial.
pub(super) struct Counts {
    chaos: Chaos,
    texts: usize,
    /// Texts whose label no error within the tolerance changes.
    settled: usize,
    answers: usize,
    /// Of them those after all was calm again.
    calm: usize,
    sessions: usize,
    largest_difference: f64,
    codes: BTreeMap<i32, usize>,
    messages: BTreeMap<String, usize>,
    longest: f64,
    disturbances: Disturbances,
    /// Demands that dealers answered, and different digests of agreements among them.
    pub(super) demands: usize,
    pub(super) digests: usize,
    /// Answers to which packs were taken.
    from_stock: usize,
    /// What became of packs, where there are any.
    pub(super) stock: Option<Value>,
    violations: Vec<String>,
}

impl Counts {
    pub(super) fn new(chaos: &Chaos, texts: &[Text]) -> Counts {
        let settled = texts.iter().filter(|text| margin(&text.logits) > 2.0 * chaos.tolerance).count();
        Counts {
            chaos: chaos.clone(),
            texts: texts.len(),
            settled,
            answers: 0,
            calm: 0,
            sessions: 0,
            largest_difference: 0.0,
            codes: BTreeMap::new(),
            messages: BTreeMap::new(),
            longest: 0.0,
            disturbances: Disturbances::default(),
            demands: 0,
            digests: 0,
            from_stock: 0,
            stock: None,
            violations: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, session: &Session) {
        self.sessions += 1;
        for answer in &session.answers {
            self.answers += 1;
            self.from_stock += usize::from(answer.stocked > 0);
            let pairs = answer.logits.iter().zip(&answer.right);
            let difference = pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f64::max);
            self.largest_difference = self.largest_difference.max(difference);
            let same = answer.logits.len() == answer.right.len();
            if !same || difference.is_nan() || difference > self.chaos.tolerance {
                self.violation(format!("a wrong answer: off by {difference}"));
            }
            if margin(&answer.right) > 2.0 * self.chaos.tolerance && label(&answer.logits) != label(&answer.right) {
                self.violation("an answer with another label".into());
            }
            if !answer.certified {
                self.violation("an answer that is not certified".into());
            }
        }
        let Some(failure) = &session.failure else { return };
        self.longest = self.longest.max(failure.seconds);
        *self.codes.entry(failure.code).or_insert(0) += 1;
        *self.messages.entry(kind_of(&failure.message)).or_insert(0) += 1;
        let expected = EXPECTED.contains(&failure.code) && (self.chaos.stock || failure.code != EXHAUSTED);
        if !expected {
            self.violation(format!("code {}: {}", failure.code, failure.message));
        }
        if !SERVICES.iter().any(|role| failure.message.contains(role.name())) {
            self.violation(format!("names no role: {}", failure.message));
        }
        if failure.seconds > (self.chaos.deadline + GRACE).as_secs_f64() {
            self.violation(format!("after {:.1} s only: {}", failure.seconds, failure.message));
        }
    }

    /// A session after all is calm again.
    pub(super) fn add_calm(&mut self, session: &Session) {
        if let Some(failure) = &session.failure {
            self.violation(format!("a failure though nothing disturbs: {}", failure.message));
        }
        self.calm += session.answers.len();
        self.add(session);
    }

    pub(super) fn disturbances(&mut self, done: Disturbances) {
        for role in &done.fallen {
            self.violation(format!("{role} ended by itself"));
        }
        self.disturbances = done;
    }

    /// A promise that was not kept.
    pub(super) fn violation(&mut self, what: String) {
        cli::log(&format!("violation: {what}"));
        if self.violations.len() < MOST_VIOLATIONS {
            self.violations.push(what);
        }
    }

    pub(super) fn answers(&self) -> usize {
        self.answers
    }

    pub(super) fn so_far(&self) -> String {
        let failures: usize = self.codes.values().sum();
        format!("{} answers, {failures} failures in {} sessions", self.answers, self.sessions)
    }

    pub(super) fn outcome(self, took: Duration) -> Outcome {
        let Disturbances { kills, taking, cuts, delays, silences, flips, .. } = self.disturbances;
        let kills: BTreeMap<&str, usize> = SERVICES.iter().map(|role| role.name()).zip(kills).collect();
        let codes: BTreeMap<String, usize> =
            self.codes.iter().map(|(code, count)| (code.to_string(), *count)).collect();
        let mut report = json!({
            "seed": self.chaos.seed,
            "clients": self.chaos.clients,
            "texts": self.texts,
            "texts_whose_label_is_settled": self.settled,
            "tolerance": self.chaos.tolerance,
            "deadline_seconds": self.chaos.deadline.as_secs(),
            "answers": self.answers - self.calm,
            "answers_once_calm": self.calm,
            "largest_difference": rounded(self.largest_difference),
            "sessions": self.sessions,
            "failures": {
                "all": self.codes.values().sum::<usize>(),
                "by_code": codes,
                "by_message": self.messages,
                "longest_seconds": rounded(self.longest),
            },
            "kills": kills,
            "cuts": cuts,
            "delays": delays,
            "silences": silences,
            "flips": flips,
            "demands": self.demands,
            "digests": self.digests,
            "seconds": rounded(took.as_secs_f64()),
            "violations": self.violations,
        });
        if let Some(mut stock) = self.stock {
            stock["answers"] = json!(self.from_stock);
            stock["kills_while_a_pack_is_taken"] = json!(taking);
            report["stock"] = stock;
        }
        Outcome { report, violations: self.violations }
    }
}

/// How far the largest logit is above the next; with one alone there is no label.
fn margin(logits: &[f64]) -> f64 {
    let mut sorted = logits.to_vec();
    sorted.sort_unstable_by(|one, other| other.total_cmp(one));
    match sorted[..] {
        [first, second, ..] => first - second,
        _ => 0.0,
    }
}

fn label(logits: &[f64]) -> Option<usize> {
    (0..logits.len()).max_by(|one, other| logits[*one].total_cmp(&logits[*other]))
}

/// A message without its addresses, names of sessions and numbers.
fn kind_of(message: &str) -> String {
    let blank = |word: &str| {
        if SERVICES.iter().any(|role| word.contains(role.name())) {
            return word.to_owned();
        }
        if word.contains("127.0.0.1") {
            return "ADDRESS".to_owned();
        }
        let parts = word.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
        let number = |part: &str| part.contains(|c: char| c.is_ascii_digit());
        let end = |part: &str| part.chars().next_back().filter(|c| !c.is_ascii_alphanumeric());
        let part = |part: &str| match (number(part), end(part)) {
            (true, Some(end)) => format!("N{end}"),
            (true, None) => "N".to_owned(),
            (false, _) => part.to_owned(),
        };
        parts.map(part).collect::<String>().replace("N.N", "N")
    };
    message.split(' ').map(blank).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_differ_in_numbers_are_of_one_kind() {
        let kind = kind_of("party0: session 0ab1 lost after 12.3 s at 127.0.0.1:4711 (os error 104); look");
        assert_eq!(kind, "party0: session N lost after N s at ADDRESS (os error N); look");
    }

    #[test]
    fn labels_are_settled_by_a_margin() {
        assert_eq!((label(&[0.1, 0.9]), label(&[])), (Some(1), None));
        assert!((margin(&[0.1, 0.9, 0.4]) - 0.5).abs() < 1e-9 && margin(&[1.0]) == 0.0);
    }
}
