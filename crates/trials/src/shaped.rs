//! Slow links under TLS: what a request takes online, held against the plan.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use local::network::LinkSpeed;
use model::{Sample, Texts};
use roles::client::Client;
use roles::engine::EngineKind;
use serde_json::json;

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
    /// Measures requests over each link, in turns with requests over one that is not slowed down: what else the machine does
    /// changes from minute to minute.
    pub fn run(&self) -> Result<Outcome> {
        let mut links = Vec::new();
        let mut violations = Vec::new();
        for (number, link) in self.links.iter().enumerate() {
            let shape = link.shape().ok_or_else(|| anyhow!("{link} is not slow"))?;
            let [mut fast, mut slow] = [
                self.begin(&format!("{number}-fast"), LinkSpeed::default())?,
                self.begin(&format!("{number}-slow"), *link)?,
            ];
            let (mut compute, mut seconds) = (Vec::new(), Vec::new());
            for _ in 0..self.repeat.max(1) {
                compute.extend(fast.request()?);
                seconds.extend(slow.request()?);
            }
            let (compute, seconds) = (median(compute), median(seconds));
            let client = slow.client.bundle();
            let calibrated = client.spec.calibrated(client.embedding.input_kind());
            let plan = EngineKind::default().plan(&calibrated, &Texts::new(&[self.tokens], &client.spec.shape)?)?;
            let planned = plan.seconds(shape.latency.as_secs_f64(), shape.bandwidth, compute);
            [fast, slow].into_iter().try_for_each(Open::end)?;
            let ratio = seconds / planned;
            cli::log(&format!("{link}: {seconds:.3} s, planned {planned:.3} s"));
            if ratio.is_nan() || (ratio - 1.0).abs() > self.within {
                violations.push(format!("over {link} a request took {seconds:.3} s, planned {planned:.3} s"));
            }
            links.push(json!({
                "link": link.to_string(),
                "online_seconds_not_slowed": rounded(compute),
                "online_seconds": rounded(seconds),
                "planned_seconds": rounded(planned),
                "measured_to_planned": rounded(ratio),
            }));
        }
        let report = json!({
            "tokens": self.tokens,
            "requests_a_link": self.repeat,
            "links": links,
            "violations": violations,
        });
        Ok(Outcome { report, violations })
    }

    /// Services whose parties' link is so slow, and an open session that is warm.
    fn begin(&self, name: &str, link: LinkSpeed) -> Result<Open> {
        let root = self.root.join(name);
        let mut deployment = Deployment::lay_out(&root, &self.program, &self.bundle, Plan::loopback(1)?)?;
        deployment.flags = vec!["--link".into(), link.to_string()];
        deployment.start_all()?;
        deployment.ready(DEADLINE)?;
        let samples = samples(&deployment.folder("client0").join("bundle"), &self.texts)?;
        let client = Asker::new(&deployment, 0, DEADLINE)?.open()?;
        let text = vec![long(&samples, self.tokens)?];
        let mut open = Open { client, text, _deployment: deployment };
        open.request()?;
        Ok(open)
    }
}

/// An open session over services.
struct Open {
    client: Client,
    text: Vec<Sample>,
    /// Ends after the client.
    _deployment: Deployment,
}

impl Open {
    /// What a request takes online; nothing where it restarted, for the plan is of one that does not.
    fn request(&mut self) -> Result<Option<f64>> {
        let measured = self.client.classify(&self.text, &mut || ())?.measured;
        Ok((measured.restarts == 0).then_some(measured.online_seconds))
    }

    fn end(self) -> Result<()> {
        self.client.bye()
    }
}
