//! What the check of instruction counts (`benches/instructions.rs`) calls a difference.

#[path = "../../benches/baseline.rs"]
mod baseline;

use baseline::{Counts, TOLERANCE_PERCENT, change};

fn counts(calls: &[(&str, &str, u64)]) -> Counts {
    let text = include_str!("../../benches/instructions.json");
    let mut counts: Counts = serde_json::from_str(text).expect("the stored file is read");
    assert!(counts.rows().count() > 0, "the stored file holds counts");
    counts.instructions.clear();
    for &(kernel, call, count) in calls {
        counts.instructions.entry(kernel.to_owned()).or_default().insert(call.to_owned(), count);
    }
    counts
}

#[test]
fn within_the_tolerance_nothing_is_said() {
    let stored = counts(&[("scalar", "fill", 1000), ("avx2", "fill", 1000)]);
    assert_eq!(TOLERANCE_PERCENT, 10);
    assert!(stored.complaints(&stored).is_empty());
    assert!(stored.complaints(&counts(&[("scalar", "fill", 900), ("avx2", "fill", 1100)])).is_empty());
}

#[test]
fn more_and_fewer_are_named_with_what_was_expected() {
    let stored = counts(&[("scalar", "fill", 1000), ("avx2", "fill", 1000)]);
    assert_eq!(
        stored.complaints(&counts(&[("scalar", "fill", 899), ("avx2", "fill", 1101)])),
        [
            "fill, avx2: expected 1000 instructions, got 1101 (+10.1 %)",
            "fill, scalar: expected 1000 instructions, got 899 (-10.1 %)",
        ]
    );
    assert_eq!(change(200, 300), "+50.0 %");
}

#[test]
fn new_and_lost_calls_and_kernels_are_named() {
    let stored = counts(&[("scalar", "fill", 1000), ("scalar", "gemm", 7)]);
    assert_eq!(
        stored.complaints(&counts(&[("scalar", "fill", 1000), ("avx2", "fill", 300)])),
        ["fill, avx2: got 300 instructions, none are stored", "gemm, scalar: stored, but not counted any more",]
    );
}
