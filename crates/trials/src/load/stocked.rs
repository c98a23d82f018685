//! Requests whose correlations are in stock, against requests on demand: first those of one client, then of many at once.
//!
//! Two deployments of one model stand side by side, one with a full stock and one without any. Once the stock is full its dealer is
//! killed: so nothing is ordered while it is measured, and no request falls back on the dealer unseen.

use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bundle::Role;
use cli::exit::EXHAUSTED;
use model::Sample;
use roles::client::Client;
use roles::exit::code_of;
use serde_json::{Value, json};

use crate::asking::{Asker, classes, long, samples};
use crate::deployment::{Deployment, Plan, STOCK};
use crate::load::{DEADLINE, START, Took, joined, quantiles};
use crate::outcome::Outcome;
use crate::report::{median, rounded};

/// Between two looks at a stock that is being filled.
const LOOK: Duration = Duration::from_secs(1);
/// How long one pack may take to be made.
const PACK: Duration = Duration::from_secs(60);
/// How often it is said how many there are.
const SAY: u64 = 10;
/// The most bytes of packs of a party.
const QUOTA: u64 = 1 << 40;

/// What is tried.
#[derive(Clone, Debug)]
pub struct Stocked {
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
    /// Packs that are made: half of them for one client, half for all.
    pub packs: usize,
    /// Clients at once.
    pub clients: usize,
}

impl Stocked {
    /// Fills a stock, and spends it.
    pub fn run(&self) -> Result<Outcome> {
        ensure!(self.packs >= 4 && self.clients > 0, "nothing to try: at least four packs and a client");
        let client = self.bundle.join(Role::Client.name());
        let text = vec![long(&samples(&client, &self.texts)?, self.tokens)?];
        let class = classes(&client, &text)?.into_iter().next().context("no class")?;
        let (mut stocked, mut demanded) = (self.begin("stock", Some(class))?, self.begin("on-demand", None)?);
        let filled = self.fill(&stocked, class)?;
        stocked.kill(Role::Dealer)?;
        let mut violations = Vec::new();
        let one = self.one([&stocked, &demanded], &text, &mut violations)?;
        let left = stocked.stock(0)?.classes.iter().map(|class| class.available).sum::<u64>() as usize;
        // the same number at either
        let [spent, made] = [(&stocked, true), (&demanded, false)].map(|(at, stock)| {
            let many = self.many(at, &text, left)?;
            violations.extend(many.wrong(stock));
            anyhow::Ok(many)
        });
        let (spent, made) = (spent?, made?);
        let ratio = spent.rate() / made.rate();
        cli::log(&format!("{} clients: {ratio:.3} times the throughput of requests on demand", self.clients));
        for (what, deployment) in [("with a stock", &mut stocked), ("on demand", &mut demanded)] {
            violations.extend(deployment.fallen().iter().map(|role| format!("{role} {what} ended by itself")));
        }
        let report = json!({
            "tokens": self.tokens,
            "class": class,
            "packs": self.packs,
            "fill": filled,
            "one_client": one,
            "many_clients": {
                "clients": self.clients,
                "stock": spent.report(),
                "on_demand": made.report(),
                "throughput_from_stock_to_on_demand": rounded(ratio),
            },
            "violations": violations,
        });
        Ok(Outcome { report, violations })
    }

    /// Services with a stock of this class, or without one.
    fn begin(&self, name: &str, class: Option<usize>) -> Result<Deployment> {
        let mut plan = Plan::loopback(self.clients)?;
        plan.parties = format!("[limits]\nsessions = {}\nhandshakes_per_address = 64\n", self.clients.min(64));
        if let Some(class) = class {
            plan.parties += &format!("[stock]\nfolder = \"{STOCK}\"\nquota = \"{QUOTA}\"\n");
            plan.party0 = format!("[stock.classes]\n{class} = {{ low = 1, high = {} }}\n", self.packs);
        }
        let mut deployment = Deployment::lay_out(&self.root.join(name), &self.program, &self.bundle, plan)?;
        deployment.start_all()?;
        deployment.ready(START)?;
        Ok(deployment)
    }

    /// Waits until both parties have all packs and none is on its way.
    fn fill(&self, deployment: &Deployment, class: usize) -> Result<Value> {
        let (begin, packs, mut said) = (Instant::now(), self.packs as u64, 0);
        loop {
            let stocks = [deployment.stock(0)?, deployment.stock(1)?];
            let mut levels = Vec::new();
            for stock in &stocks {
                let level = stock.classes.iter().find(|level| level.tokens == class as u64);
                levels.push(level.with_context(|| format!("no packs can be made of {class} tokens"))?);
            }
            if levels.iter().all(|level| (level.available, level.ordered) == (packs, 0)) {
                let [zero, one] = [0, 1].map(|at| levels[at].bytes / packs);
                let seconds = rounded(begin.elapsed().as_secs_f64());
                return Ok(json!({ "seconds": seconds, "bytes_a_pack": { "party0": zero, "party1": one } }));
            }
            if levels[0].available / SAY > said {
                said = levels[0].available / SAY;
                cli::log(&format!("{} packs in stock", levels[0].available));
            }
            let in_time = begin.elapsed() < START + PACK * self.packs as u32;
            ensure!(in_time, "the stock is not full: {levels:?}; {:?}", stocks[0].failed);
            thread::sleep(LOOK);
        }
    }

    /// One client at either, in turns: what else the machine does changes from minute to minute.
    fn one(&self, at: [&Deployment; 2], text: &[Sample], violations: &mut Vec<String>) -> Result<Value> {
        let mut clients = [open(at[0], 0)?, open(at[1], 0)?];
        let mut took = [Vec::new(), Vec::new()];
        for request in 0..self.packs / 2 {
            for (at, client) in clients.iter_mut().enumerate() {
                let answer = ask(client, text)?;
                if answer.stocked != (at == 0) {
                    let what = ["on demand, and is from stock", "from stock, and is on demand"][usize::from(at == 0)];
                    violations.push(format!("request {} of one client was to be {what}", request + 1));
                }
                // the first of a session warms up what it needs
                if request > 0 {
                    took[at].push(answer);
                }
            }
        }
        clients.into_iter().try_for_each(Client::bye)?;
        let [stock, demand] = &took;
        let all = median(stock.iter().map(|answer| answer.took.all).collect());
        let online = median(demand.iter().map(|answer| answer.took.online).collect());
        cli::log(&format!(
            "one client: a request from stock {all:.4} s, on demand its online phase alone {online:.4} s"
        ));
        Ok(json!({
            "requests": stock.len(),
            "stock": seconds(stock),
            "on_demand": seconds(demand),
            "request_from_stock_to_online_on_demand": rounded(all / online),
        }))
    }

    /// All clients at once, until so many requests are begun.
    fn many(&self, at: &Deployment, text: &[Sample], requests: usize) -> Result<Many> {
        let clients = (0..self.clients).map(|client| open(at, client)).collect::<Result<Vec<_>>>()?;
        let (begun, start) = (AtomicUsize::new(0), Barrier::new(self.clients));
        let asking = |mut client: Client| {
            start.wait();
            let (begin, mut many) = (Instant::now(), Many::default());
            while begun.fetch_add(1, Ordering::Relaxed) < requests {
                match ask(&mut client, text) {
                    Ok(answer) => many.answers.push(answer),
                    // a restart takes a second pack, so that there may be none for the last request
                    Err(error) if code_of(&error) == EXHAUSTED => {
                        many.not_served += 1;
                        return Ok(many);
                    }
                    Err(error) => return Err(error),
                }
                many.seconds = begin.elapsed().as_secs_f64();
            }
            client.bye()?;
            Ok(many)
        };
        let each: Result<Vec<Many>> = thread::scope(|scope| {
            let asking = &asking;
            let threads: Vec<_> = clients.into_iter().map(|client| scope.spawn(move || asking(client))).collect();
            threads.into_iter().map(joined).collect()
        });
        Ok(each?.into_iter().fold(Many::default(), Many::and))
    }
}

/// An answer.
#[derive(Clone, Copy, Debug)]
struct Answer {
    took: Took,
    /// Whether its correlations were in stock.
    stocked: bool,
}

/// Answers to many clients.
#[derive(Debug, Default)]
struct Many {
    answers: Vec<Answer>,
    /// Requests for which no pack was left.
    not_served: usize,
    /// Until the last answer.
    seconds: f64,
}

impl Many {
    fn and(mut self, other: Many) -> Many {
        self.answers.extend(other.answers);
        Many { not_served: self.not_served + other.not_served, seconds: self.seconds.max(other.seconds), ..self }
    }

    fn rate(&self) -> f64 {
        self.answers.len() as f64 / self.seconds
    }

    /// What is not as it was to be: all from stock, or none.
    fn wrong(&self, stock: bool) -> Option<String> {
        let (all, stocked) = (self.answers.len(), self.answers.iter().filter(|answer| answer.stocked).count());
        let wanted = if stock { all } else { 0 };
        (stocked != wanted || all == 0).then(|| format!("{stocked} of {all} answers are from stock, not {wanted}"))
    }

    fn report(&self) -> Value {
        let mut report = seconds(&self.answers);
        report["requests"] = json!(self.answers.len());
        report["not_served"] = json!(self.not_served);
        report["seconds"] = json!(rounded(self.seconds));
        report["requests_a_second"] = json!(rounded(self.rate()));
        report
    }
}

fn seconds(answers: &[Answer]) -> Value {
    let of = |part: fn(&Took) -> f64| quantiles(answers.iter().map(|answer| part(&answer.took)).collect());
    json!({ "request_seconds": of(|took| took.all), "online_seconds": of(|took| took.online) })
}

fn open(deployment: &Deployment, client: usize) -> Result<Client> {
    Asker::new(deployment, client, DEADLINE)?.padded().open()
}

fn ask(client: &mut Client, text: &[Sample]) -> Result<Answer> {
    let spec = client.bundle().spec.clone();
    let begin = Instant::now();
    let answer = client.classify(text, &mut || ())?;
    let took = Took { all: begin.elapsed().as_secs_f64(), online: answer.measured.online_seconds };
    ensure!(answer.certified(&spec, 0) == Some(true), "an answer is not certified");
    Ok(Answer { took, stocked: answer.measured.stocked > 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_from_elsewhere_are_seen_and_the_last_one_counts() {
        let many = |stocked: &[bool], seconds| {
            let took = Took { all: 1.0, online: 0.5 };
            let answers = stocked.iter().map(|stocked| Answer { took, stocked: *stocked }).collect();
            Many { answers, not_served: 0, seconds }
        };
        let all = many(&[true; 3], 2.0).and(many(&[true], 4.0));
        assert_eq!((all.rate(), all.wrong(true), all.wrong(false).is_some()), (1.0, None, true));
        assert!(all.and(many(&[false], 1.0)).wrong(true).is_some_and(|wrong| wrong.starts_with("4 of 5 answers")));
        assert!(many(&[], 1.0).wrong(false).is_some());
    }
}
