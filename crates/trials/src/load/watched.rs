//! What a service holds while it is under load: memory, threads and descriptors, once a second, from `/proc`.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use bundle::Role;
use serde_json::{Value, json};

use crate::deployment::{Deployment, SERVICES};
use crate::report::rounded;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Of all looks, this part at the beginning is warming up.
const WARM_UP: f64 = 0.2;
/// By how much memory may grow from the second quarter after it to the last.
const MOST_GROWTH: f64 = 1.05;
/// By how many threads or descriptors the mean may: sessions are not all open in each look.
const MOST_MORE: f64 = 2.0;

/// What is looked at, and how it is called in reports.
const KINDS: [&str; 3] = ["memory_bytes", "threads", "descriptors"];

/// What a service held at each look, by [`KINDS`].
#[derive(Clone, Debug)]
pub(super) struct Watched {
    role: Role,
    looks: [Vec<f64>; 3],
}

/// Looks at all services until it is told to end.
pub(super) fn watch(deployment: &Deployment, ended: &AtomicBool) -> Result<Vec<Watched>> {
    let mut watched = SERVICES.map(|role| Watched { role, looks: Default::default() }).to_vec();
    while !ended.load(Ordering::Relaxed) {
        for Watched { role, looks } in &mut watched {
            let process = deployment.process(*role).with_context(|| format!("{role} does not run"))?;
            let held = look(process).with_context(|| format!("{role} has ended"))?;
            looks.iter_mut().zip(held).for_each(|(looks, held)| looks.push(held));
        }
        thread::sleep(LOOK);
    }
    Ok(watched)
}

/// What a process holds now, by [`KINDS`].
fn look(process: u32) -> Result<[f64; 3]> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).with_context(|| format!("no {name}"))
    };
    let descriptors = fs::read_dir(format!("/proc/{process}/fd"))?.count();
    Ok([1024.0 * number("VmRSS:")?, number("Threads:")?, descriptors as f64])
}

impl Watched {
    /// What has grown that must not.
    pub(super) fn grown(&self) -> Vec<String> {
        let mut grown = Vec::new();
        for (at, kind) in KINDS.iter().enumerate() {
            let Some([_, second, _, last]) = quarters(&self.looks[at]) else {
                grown.push(format!("{}: too few looks at {kind}", self.role));
                continue;
            };
            let most = if at == 0 { MOST_GROWTH * second } else { second + MOST_MORE };
            if last > most {
                grown.push(format!("{}: {kind} grew from {second:.1} to {last:.1}", self.role));
            }
        }
        grown
    }

    /// For the report.
    pub(super) fn report(&self) -> Value {
        let mut report = json!({ "role": self.role.name(), "looks": self.looks[0].len() });
        for (kind, looks) in KINDS.iter().zip(&self.looks) {
            let quarters = quarters(looks).map(|means| means.map(f64::round));
            let growth = quarters.map(|[_, second, _, last]| rounded(last / second.max(1.0)));
            let most = looks.iter().copied().fold(0.0, f64::max);
            report[kind] = json!({ "quarters": quarters, "last_to_second": growth, "most": most });
        }
        report
    }
}

/// Means of the four quarters of all looks after the warm-up.
fn quarters(looks: &[f64]) -> Option<[f64; 4]> {
    let warm = &looks[(WARM_UP * looks.len() as f64) as usize..];
    let each = warm.len() / 4;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    (each > 0).then(|| [0, 1, 2, 3].map(|at| mean(&warm[at * each..(at + 1) * each])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_found_and_what_only_warms_up_is_not() {
        let watched = |memory: fn(usize) -> f64, threads: fn(usize) -> f64| Watched {
            role: Role::Party0,
            looks: [(0..100).map(memory).collect(), (0..100).map(threads).collect(), vec![7.0; 100]],
        };
        let flat = watched(|at| if at < 20 { at as f64 } else { 100.0 + (at % 3) as f64 }, |_| 4.0);
        assert!(flat.grown().is_empty(), "{:?}", flat.grown());
        let grows = watched(|at| 100.0 + at as f64, |at| at as f64 / 10.0).grown();
        assert!(grows.len() == 2 && grows[0].contains("memory") && grows[1].contains("threads"), "{grows:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_holds_something() {
        let held = look(std::process::id()).unwrap();
        assert!(held[0] > 1e6 && held[1] >= 1.0 && held[2] >= 3.0, "{held:?}");
    }
}
