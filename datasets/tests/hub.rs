//! The hub, against a stand-in on loopback.
#![allow(clippy::unwrap_used)]
mod standin;
use standin::*;
#[test]
fn smoke() {
    let hub = StandIn::serve();
    let c = hub.add(
        Kind::Dataset,
        "nyu-mll/glue",
        "main",
        &[("sst2/a.parquet", glue::parquet("sst2", &[("a", None, 1.0)]))],
    );
    println!("{} {c}", hub.endpoint());
}
