//! Chaos: clients ask without a pause while services are killed and started again and links are cut, held up and damaged.
//!
//! Every answer must be right, every failure a named error in time, and no correlation used twice. With stocks, no pack either, and
//! in the end both parties have the same.

mod burnt;
mod clients;
mod counts;
mod disturber;
mod stocked;
mod taken;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::asking::{Asker, samples};
use crate::chaos::clients::{Progress, Text, reference};
use crate::chaos::counts::Counts;
use crate::chaos::disturber::Disturber;
use crate::deployment::{Deployment, Plan, SERVICES};
use crate::outcome::Outcome;
use crate::proxy::Proxy;

/// How long the services get to start, and to be as they were once nothing disturbs them.
const SETTLE: Duration = Duration::from_secs(120);
/// After so long without one answer something hangs.
const STUCK: Duration = Duration::from_secs(300);
/// How often it is said how far the trial is.
const SAY: Duration = Duration::from_secs(15);

/// What is tried.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// `runtime`.
    pub program: PathBuf,
    /// A whole bundle.
    pub bundle: PathBuf,
    /// Where folders of the services are made.
    pub root: PathBuf,
    /// Texts that are asked for.
    pub texts: Vec<String>,
    /// Answers after which it ends.
    pub inferences: usize,
    /// Clients at once, each with a key of its own.
    pub clients: usize,
    /// Kills, spread over all services.
    pub kills: usize,
    /// Which moments and which faults.
    pub seed: u64,
    /// How far the logits of two private runs may be apart.
    pub tolerance: f64,
    /// Longest wait of a client, in which each failure must come. Services wait two thirds of it.
    pub deadline: Duration,
    /// Whether the parties keep a stock of the texts' classes.
    pub stock: bool,
}

impl Chaos {
    /// Starts the services, lets clients ask and everything go wrong that may, and looks at what came of it.
    pub fn run(&self) -> Result<Outcome> {
        ensure!(self.kills >= SERVICES.len() && self.inferences > 0 && self.clients > 0, "nothing to try");
        let begin = Instant::now();
        let (mut deployment, proxies) = self.lay_out()?;
        deployment.start_all()?;
        deployment.ready(SETTLE)?;
        let askers = (0..self.clients).map(|client| Asker::new(&deployment, client, self.deadline));
        let mut askers = askers.collect::<Result<Vec<_>>>()?;
        if self.stock {
            askers = askers.into_iter().map(Asker::padded).collect();
        }
        let texts = self.right(&deployment, &askers[0])?;
        let progress = Arc::new(Progress::default());
        let disturber = Disturber::new(self, deployment, proxies, Arc::clone(&progress));
        let disturbing = thread::Builder::new().name("disturber".into()).spawn(move || disturber.run())?;
        let mut counts = Counts::new(self, &texts);
        let asked = self.ask(&askers, &texts, &progress, &mut counts);
        progress.end();
        // a client that hangs would be waited for here
        asked?;
        let (mut deployment, disturbances) =
            disturbing.join().map_err(|_| anyhow::anyhow!("the disturber panicked"))??;
        counts.disturbances(disturbances);
        calm(&mut deployment, &askers[0], &texts, &mut counts)?;
        let told = self.stock.then(|| stocked::settled(&deployment, SETTLE, &mut counts)).transpose()?;
        for role in SERVICES {
            deployment.kill(role)?;
        }
        burnt::check(&deployment, &mut counts)?;
        if let Some(told) = told {
            stocked::check(&deployment, told, &mut counts)?;
        }
        Ok(counts.outcome(begin.elapsed()))
    }

    /// Folders of the services, with a proxy before each party.
    fn lay_out(&self) -> Result<(Deployment, [Proxy; 2])> {
        let mut plan = Plan::loopback(self.clients)?;
        let proxies = [Proxy::begin(plan.listen[0])?, Proxy::begin(plan.listen[1])?];
        plan.dial = [proxies[0].address(), proxies[1].address()];
        let deadline = (self.deadline.as_secs() * 2 / 3).max(1);
        plan.all = format!("[run]\ndeadline = {deadline}\n[log]\nformat = \"json\"\nlevel = \"info\"\n");
        // all callers have one address here
        let handshakes = 16 * self.clients.max(8);
        plan.parties = format!(
            "[limits]\nsessions = 4\nwaiting = 16\njoin = {deadline}\nhandshakes = {handshakes}\nhandshakes_per_address = {handshakes}\n"
        );
        if self.stock {
            let [parties, party0] = stocked::lines(&self.bundle, &self.texts)?;
            plan.parties += &parties;
            plan.party0 = party0;
        }
        Ok((Deployment::lay_out(&self.root, &self.program, &self.bundle, plan)?, proxies))
    }

    /// What is right for each text: what an undisturbed run says.
    fn right(&self, deployment: &Deployment, asker: &Asker) -> Result<Vec<Text>> {
        let samples = samples(&deployment.folder("client0").join("bundle"), &self.texts)?;
        reference(asker, &samples).context("the undisturbed pass")
    }

    /// Lets all clients ask until there are answers and kills enough.
    fn ask(&self, askers: &[Asker], texts: &[Text], progress: &Arc<Progress>, counts: &mut Counts) -> Result<()> {
        let (sender, ended) = channel();
        let mut clients = Vec::new();
        for (number, asker) in askers.iter().enumerate() {
            let (asker, texts, progress, sender) =
                (asker.clone(), texts.to_vec(), Arc::clone(progress), sender.clone());
            let generator = ChaCha8Rng::seed_from_u64(self.seed.wrapping_add(1 + number as u64));
            let asking = move || clients::ask_on(&asker, &texts, generator, &progress, &sender);
            clients.push(thread::Builder::new().name(format!("client{number}")).spawn(asking)?);
        }
        drop(sender);
        let (mut last, mut said) = (Instant::now(), Instant::now());
        loop {
            match ended.recv_timeout(Duration::from_secs(1)) {
                Ok(session) => {
                    if !session.answers.is_empty() {
                        last = Instant::now();
                    }
                    progress.answered(session.answers.len());
                    counts.add(&session);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            ensure!(last.elapsed() < STUCK, "no answer came for {STUCK:?}: something hangs");
            if counts.answers() >= self.inferences && progress.kills() >= self.kills {
                progress.end();
            }
            if said.elapsed() >= SAY {
                said = Instant::now();
                cli::log(&format!("{}, {} kills", counts.so_far(), progress.kills()));
            }
        }
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked")))
    }
}

/// Once nothing disturbs them, the services are as they were: all there, no session left over, every answer right.
fn calm(deployment: &mut Deployment, asker: &Asker, texts: &[Text], counts: &mut Counts) -> Result<()> {
    deployment.ready(SETTLE)?;
    for role in deployment.fallen() {
        counts.violation(format!("{role} ended by itself"));
    }
    let end = Instant::now() + SETTLE;
    while let left = [deployment.status(0)?, deployment.status(1)?].map(|status| status.sessions + status.waiting)
        && left != [0, 0]
    {
        if Instant::now() > end {
            counts.violation(format!("sessions are left over at the parties, though nobody asks: {left:?}"));
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    for text in texts {
        counts.add_calm(&clients::session(asker, std::slice::from_ref(text)));
    }
    Ok(())
}
