//! One client on an open session, over services and over roles on this machine, in turns.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use local::deployment::Deployment as Local;
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
        let mut over_services = || anyhow::Ok(services.classify(&text, &mut || ())?.measured.online_seconds);
        let mut on_this_machine = || anyhow::Ok(local.classify(&text)?.measured.online_seconds);
        over_services()?;
        on_this_machine()?;
        let mut runs = Vec::new();
        for pair in 0..self.pairs {
            let mut run = [Vec::new(), Vec::new()];
            // what else the machine does changes from minute to minute: requests take turns, and who is first as well
            for request in 0..self.repeat.max(1) {
                if (pair + request) % 2 == 0 {
                    run[0].push(over_services()?);
                    run[1].push(on_this_machine()?);
                } else {
                    run[1].push(on_this_machine()?);
                    run[0].push(over_services()?);
                }
            }
            let run = run.map(median);
            cli::log(&format!("pair {}: {:.4} s over services, {:.4} s on this machine", pair + 1, run[0], run[1]));
            runs.push(run);
        }
        services.bye()?;
        local.finish()?;
        ensure!(!runs.is_empty(), "no pairs");
        let ratio = median(runs.iter().map(|[services, local]| services / local).collect());
        let violations = if ratio.is_nan() || ratio > self.most {
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

fn absolute(program: &Path) -> Result<PathBuf> {
    Ok(program.canonicalize()?)
}
