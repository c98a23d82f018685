//! Slow links under TLS: what a request takes online, held against the plan.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use local::network::LinkSpeed;
use model::{Sample, Texts};
use roles::engine::EngineKind;
use serde_json::{Value, json};

use crate::asking::{Asker, long, samples};
use crate::deployment::{Deployment, Plan};
use crate::outcome::Outcome;
use crate::report::{median, rounded};

/// How long the services get to start, and a role to answer.
const DEADLINE: Duration = Duration::from_secs(120);

/// What is tried.
#[derive(Clone, Debug)]
pub struct Slow {
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
    /// Links between the parties, such as `10ms,1000mbit`.
    pub links: Vec<LinkSpeed>,
    /// Requests over each, of which the median counts.
    pub repeat: usize,
    /// By which part of the plan a measurement may differ from it.
    pub within: f64,
}

impl Slow {
    /// Measures requests over each link.
    pub fn run(&self) -> Result<Outcome> {
        let mut deployment = Deployment::lay_out(&self.root, &self.program, &self.bundle, Plan::loopback(1)?)?;
        let samples = samples(&deployment.folder("client0").join("bundle"), &self.texts)?;
        let text = vec![long(&samples, self.tokens)?];
        let compute = self.measure(&mut deployment, LinkSpeed::default(), &text)?;
        let (mut links, mut violations) = (Vec::new(), Vec::new());
        for link in &self.links {
            let shape = link.shape().ok_or_else(|| anyhow!("{link} is not slow"))?;
            let seconds = self.measure(&mut deployment, *link, &text)?;
            let client = Asker::new(&deployment, 0, DEADLINE)?.bundle()?;
            let calibrated = client.spec.calibrated(client.embedding.input_kind());
            let plan = EngineKind::default().plan(&calibrated, &Texts::new(&[self.tokens], &client.spec.shape)?)?;
            let planned = plan.seconds(shape.latency.as_secs_f64(), shape.bandwidth, compute);
            let ratio = seconds / planned;
            cli::log(&format!("{link}: {seconds:.3} s, planned {planned:.3} s"));
            if (ratio - 1.0).abs() > self.within {
                violations.push(format!("over {link} a request took {seconds:.3} s, planned {planned:.3} s"));
            }
            links.push(json!({
                "link": link.to_string(),
                "online_seconds": rounded(seconds),
                "planned_seconds": rounded(planned),
                "measured_to_planned": rounded(ratio),
            }));
        }
        let report: Value = json!({
            "tokens": self.tokens,
            "requests_a_link": self.repeat,
            "online_seconds_not_slowed": rounded(compute),
            "links": links,
            "violations": violations,
        });
        Ok(Outcome { report, violations })
    }

    /// The median of what requests take online, over a link.
    fn measure(&self, deployment: &mut Deployment, link: LinkSpeed, text: &[Sample]) -> Result<f64> {
        deployment.flags = vec!["--link".into(), link.to_string()];
        deployment.start_all()?;
        deployment.ready(DEADLINE)?;
        let mut client = Asker::new(deployment, 0, DEADLINE)?.open()?;
        client.classify(text, &mut || ())?;
        let mut seconds = Vec::new();
        for _ in 0..self.repeat.max(1) {
            let measured = client.classify(text, &mut || ())?.measured;
            // the plan is of an attempt that does not restart
            if measured.restarts == 0 {
                seconds.push(measured.online_seconds);
            }
        }
        client.bye()?;
        crate::deployment::SERVICES.into_iter().try_for_each(|role| deployment.kill(role))?;
        Ok(median(seconds))
    }
}
