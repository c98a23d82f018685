//! The short form of `trials chaos`: its long one's report is `results/chaos.json`.

use std::time::Duration;

use bundle::Embedding;
use trials::chaos::Chaos;

use crate::folder::{Place, examples};
use crate::sessions::{convert, program};

#[test]
fn under_kills_cuts_and_flips_every_answer_is_right_every_failure_named_and_nothing_is_dealt_twice() {
    let place = Place::new();
    convert(&place.student(), Embedding::Client, &place.bundle());
    let chaos = Chaos {
        program: program().to_owned(),
        bundle: place.bundle(),
        root: place.root.path().join("services"),
        texts: examples(6).into_iter().map(|example| example.text).collect(),
        inferences: 24,
        clients: 4,
        kills: 6,
        seed: 15,
        tolerance: 0.02,
        // what must come comes in seconds; this bounds a hang on a busy machine
        deadline: Duration::from_secs(90),
    };
    let outcome = chaos.run().unwrap();
    assert!(outcome.violations.is_empty(), "{:#?}\n{}", outcome.violations, outcome.report);
    let number = |path: &str| outcome.report.pointer(path).and_then(serde_json::Value::as_u64).unwrap();
    assert!(number("/answers") >= 24 && number("/digests") >= number("/answers"), "{}", outcome.report);
    assert!(
        ["party0", "party1", "dealer"].iter().all(|role| number(&format!("/kills/{role}")) >= 2),
        "{}",
        outcome.report
    );
}
