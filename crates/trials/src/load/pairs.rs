//! One client on an open session, over services and over roles on this machine, in turns.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use local::deployment::Deployment as Local;
use model::Sample;
use serde_json::json;

use crate::asking::{Asker, long, samples};
use crate::deployment::{Deployment, Plan};
use crate::load::{DEADLINE, START};
use crate::outcome::Outcome;
use crate::report::{median, rounded};

/// What is tried.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// `runtime`.
    pub program: PathBuf,
    /// A whole bundle.
    pub bundle: PathBuf,
    /// Where folders of the services are made.
    pub root: PathBuf,
    /// What a long text is made of.
    pub texts: Vec<String>,
    /// Its length in tokens.
    pub tokens: usize,
    /// Pairs of runs.
    pub pairs: usize,
    /// Requests of a run, of which the median counts.
    pub repeat: usize,
    /// The median of the ratios may not be larger.
    pub most: f64,
}

impl Pairs {
    /// Runs both in turns.
    pub fn run(&self) -> Result<Outcome> {
        let plan = Plan::loopback(1)?;
        let mut deployment = Deployment::lay_out(&self.root, &self.program, &self.bundle, plan)?;
        deployment.start_all()?;
        deployment.ready(START)?;
        let samples = samples(&deployment.folder("client0").join("bundle"), &self.texts)?;
        let text = vec![long(&samples, self.tokens)?];
        let mut services = Asker::new(&deployment, 0, DEADLINE)?.open()?;
        let mut local = Local::start(&absolute(&self.program)?, &self.bundle, DEADLINE)?;
        let mut over_services =
            || online(self.repeat, || Ok(services.classify(&text, &mut || ())?.measured.online_seconds));
        let mut on_this_machine =
            || online(self.repeat, || Ok(local.classify(&text as &[Sample])?.measured.online_seconds));
        over_services()?;
        on_this_machine()?;
        let mut runs = Vec::new();
        for pair in 0..self.pairs {
            // whoever is first in one pair is second in the next
            let run = if pair % 2 == 0 {
                let first = over_services()?;
                [first, on_this_machine()?]
            } else {
                let first = on_this_machine()?;
                [over_services()?, first]
            };
            cli::log(&format!("pair {}: {:.4} s over services, {:.4} s on this machine", pair + 1, run[0], run[1]));
            runs.push(run);
        }
        services.bye()?;
        local.finish()?;
        ensure!(!runs.is_empty(), "no pairs");
        let ratio = median(runs.iter().map(|[services, local]| services / local).collect());
        let violations = if ratio > self.most {
            vec![format!(
                "online over services took {ratio:.3} times as long as on this machine; at most {}",
                self.most
            )]
        } else {
            Vec::new()
        };
        let report = json!({
            "tokens": self.tokens,
            "requests_a_run": self.repeat,
            "online_seconds_services": runs.iter().map(|run| rounded(run[0])).collect::<Vec<_>>(),
            "online_seconds_local": runs.iter().map(|run| rounded(run[1])).collect::<Vec<_>>(),
            "median_ratio": rounded(ratio),
            "violations": violations,
        });
        Ok(Outcome { report, violations })
    }
}

/// The median of so many requests.
fn online(repeat: usize, mut request: impl FnMut() -> Result<f64>) -> Result<f64> {
    let seconds = (0..repeat.max(1)).map(|_| request()).collect::<Result<Vec<_>>>()?;
    Ok(median(seconds))
}

fn absolute(program: &Path) -> Result<PathBuf> {
    Ok(program.canonicalize()?)
}
