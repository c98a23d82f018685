//! The short forms of `trials chaos`: the long one's report is `results/chaos.json`, that with stocks `results/chaos-stock.json`.

use std::time::Duration;

use bundle::Embedding;
use serde_json::Value;
use trials::chaos::Chaos;

use crate::folder::{Place, examples};
use crate::sessions::{convert, program};

/// A short trial of a tiny student; what was promised is kept.
#[track_caller]
fn tried(seed: u64, stock: bool) -> Value {
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
        seed,
        tolerance: 0.02,
        // what must come comes in seconds; this bounds a hang on a busy machine
        deadline: Duration::from_secs(90),
        stock,
    };
    let outcome = chaos.run().unwrap();
    assert!(outcome.violations.is_empty(), "{:#?}\n{}", outcome.violations, outcome.report);
    let report = outcome.report;
    assert!(
        number(&report, "/answers") >= 24 && number(&report, "/digests") >= number(&report, "/answers"),
        "{report}"
    );
    let kills = ["party0", "party1", "dealer"].map(|role| number(&report, &format!("/kills/{role}")));
    assert!(kills.iter().all(|kills| *kills >= 2), "{report}");
    report
}

fn number(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path}: {report}"))
}

#[test]
fn under_kills_cuts_and_flips_every_answer_is_right_every_failure_named_and_nothing_is_dealt_twice() {
    tried(15, false);
}

/// The checks themselves are held to planted logs and ledgers in `trials`.
#[test]
fn under_the_same_faults_no_pack_is_used_twice_and_both_parties_end_with_the_same_ones() {
    let report = tried(16, true);
    assert!(number(&report, "/stock/taken_at_both") > 0 && number(&report, "/stock/answers") > 0, "{report}");
    assert_eq!(number(&report, "/stock/party0/available"), number(&report, "/stock/party1/available"), "{report}");
}
