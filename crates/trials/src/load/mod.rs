//! Load: clients ask as fast as they can, and what the services hold is looked at once a second.

mod pairs;
mod stocked;
mod watched;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use model::Sample;
use serde_json::{Value, json};

use crate::asking::{Asker, samples};
use crate::deployment::{Deployment, Plan};
use crate::outcome::Outcome;
use crate::report::rounded;
pub use pairs::Pairs;
pub use stocked::Stocked;
use watched::Watched;

/// How long the services get to start.
const START: Duration = Duration::from_secs(120);
/// Longest wait for a role.
const DEADLINE: Duration = Duration::from_secs(120);
/// How often it is said how far the trial is.
const SAY: usize = 100;

/// What is tried.
#[derive(Clone, Debug)]
pub struct Load {
    /// `runtime`.
    pub program: PathBuf,
    /// A whole bundle.
    pub bundle: PathBuf,
    /// Where folders of the services are made.
    pub root: PathBuf,
    /// Texts that are asked for, in turns.
    pub texts: Vec<String>,
    /// Requests of all clients.
    pub requests: usize,
    /// Clients at once, each with a session.
    pub clients: usize,
    /// Requests of a session.
    pub per_session: usize,
}

/// What one request took: from asking to the answer, and of that from the input on.
#[derive(Clone, Copy, Debug)]
struct Took {
    all: f64,
    online: f64,
}

impl Load {
    /// Starts the services, lets clients ask, and looks at what both took.
    pub fn run(&self) -> Result<Outcome> {
        ensure!(self.requests > 0 && self.clients > 0 && self.per_session > 0, "nothing to try");
        let mut plan = Plan::loopback(self.clients)?;
        plan.parties = format!("[limits]\nsessions = {}\nhandshakes_per_address = 64\n", self.clients.min(64));
        let mut deployment = Deployment::lay_out(&self.root, &self.program, &self.bundle, plan)?;
        deployment.start_all()?;
        deployment.ready(START)?;
        let samples = samples(&deployment.folder("client0").join("bundle"), &self.texts)?;
        let askers = (0..self.clients).map(|client| Asker::new(&deployment, client, DEADLINE));
        let askers = askers.collect::<Result<Vec<_>>>()?;
        let (begun, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
        let begin = Instant::now();
        let (watched, took) = thread::scope(|scope| {
            let watching = scope.spawn(|| watched::watch(&deployment, &ended));
            let clients: Vec<_> =
                askers.iter().map(|asker| scope.spawn(|| self.ask(asker, &samples, &begun))).collect();
            let took: Result<Vec<Vec<Took>>> = clients.into_iter().map(joined).collect();
            ended.store(true, Ordering::Relaxed);
            (joined(watching), took)
        });
        let (seconds, took) = (begin.elapsed().as_secs_f64(), took?.concat());
        let watched = watched?;
        let mut violations: Vec<String> =
            deployment.fallen().iter().map(|role| format!("{role} ended by itself")).collect();
        violations.extend(watched.iter().flat_map(Watched::grown));
        let report = json!({
            "clients": self.clients,
            "requests": took.len(),
            "requests_a_session": self.per_session,
            "texts": samples.len(),
            "seconds": rounded(seconds),
            "requests_a_second": rounded(took.len() as f64 / seconds),
            "request_seconds": quantiles(took.iter().map(|took| took.all).collect()),
            "online_seconds": quantiles(took.iter().map(|took| took.online).collect()),
            "services": watched.iter().map(Watched::report).collect::<Vec<_>>(),
            "violations": violations,
        });
        Ok(Outcome { report, violations })
    }

    /// One client: session after session, until all requests are begun.
    fn ask(&self, asker: &Asker, samples: &[Sample], begun: &AtomicUsize) -> Result<Vec<Took>> {
        let mut took = Vec::new();
        loop {
            let mut client = None;
            for _ in 0..self.per_session {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                if number >= self.requests {
                    client.map_or(Ok(()), roles::client::Client::bye)?;
                    return Ok(took);
                }
                let client = match &mut client {
                    Some(client) => client,
                    none => none.insert(asker.open()?),
                };
                let spec = client.bundle().spec.clone();
                let (begin, batch) = (Instant::now(), std::slice::from_ref(&samples[number % samples.len()]));
                let answer = client.classify(batch, &mut || ())?;
                took.push(Took { all: begin.elapsed().as_secs_f64(), online: answer.measured.online_seconds });
                ensure!(answer.certified(&spec, 0) == Some(true), "an answer is not certified");
                if (number + 1).is_multiple_of(SAY) {
                    cli::log(&format!("{} requests begun", number + 1));
                }
            }
            client.map_or(Ok(()), roles::client::Client::bye)?;
        }
    }
}

fn joined<T>(handle: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().map_err(|_| anyhow::anyhow!("a thread of the trial panicked"))?
}

/// Quantiles of what requests took, in seconds.
fn quantiles(mut seconds: Vec<f64>) -> Value {
    seconds.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| {
        let place = (part * seconds.len() as f64).ceil() as usize;
        seconds.get(place.clamp(1, seconds.len().max(1)) - 1).copied().map(rounded)
    };
    json!({ "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "most": at(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values = quantiles((1..=100).rev().map(f64::from).collect());
        assert_eq!(values, json!({ "p50": 50.0, "p95": 95.0, "p99": 99.0, "most": 100.0 }));
        assert_eq!(quantiles(vec![2.0])["p99"], 2.0);
    }
}
