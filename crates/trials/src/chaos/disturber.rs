//! What goes wrong, drawn from a seed: services are killed and started again, links are cut, held up and damaged.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use bundle::Role;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::chaos::Chaos;
use crate::chaos::clients::Progress;
use crate::chaos::taken::is_taken;
use crate::deployment::{Deployment, SERVICES};
use crate::proxy::Proxy;

/// Pauses between two faults of links, in milliseconds.
const PAUSES: std::ops::Range<u64> = 300..2500;
/// Between a moment that the answers decide and a kill, and from a kill until the service is started again, in milliseconds.
const KILLS: std::ops::Range<u64> = 0..1500;
/// How long it is waited for a pack to be taken, and how long after that the party is killed: at once, or while it computes.
const TAKING: (Duration, std::ops::Range<u64>) = (Duration::from_secs(10), 0..100);
/// Between two looks whether one is taken.
const LOOK: Duration = Duration::from_millis(1);
/// By how much each piece of a link that is slow is held up, and for how long it is slow, in milliseconds.
const DELAYS: (std::ops::Range<u64>, std::ops::Range<u64>) = (10..200, 500..3000);
/// How long a link is silent, in milliseconds: longer than a control connection waits for a word.
const SILENCES: std::ops::Range<u64> = 7000..9000;
/// What passes in so many milliseconds is held up so.
const FALLS_SILENT: u64 = 150;

/// How often what was done.
#[derive(Debug, Default)]
pub(super) struct Disturbances {
    /// Kills by service, in the order of [`SERVICES`].
    pub(super) kills: [usize; 3],
    /// Of them those just after a pack was taken.
    pub(super) taking: usize,
    /// Connections cut.
    pub(super) cuts: usize,
    /// Times that a link was slow.
    pub(super) delays: usize,
    /// Times that a link fell silent.
    pub(super) silences: usize,
    /// Bits turned.
    pub(super) flips: u64,
    /// Services that ended and were not killed.
    pub(super) fallen: Vec<Role>,
}

/// Who disturbs.
pub(super) struct Disturber {
    deployment: Deployment,
    proxies: [Proxy; 2],
    progress: Arc<Progress>,
    generator: ChaCha8Rng,
    stock: bool,
    /// After how many answers which service is killed; the next one last.
    kills: Vec<(usize, Role)>,
    done: Disturbances,
}

impl Disturber {
    pub(super) fn new(
        chaos: &Chaos,
        deployment: Deployment,
        proxies: [Proxy; 2],
        progress: Arc<Progress>,
    ) -> Disturber {
        let mut generator = ChaCha8Rng::seed_from_u64(chaos.seed);
        let mut moments: Vec<usize> = (0..chaos.kills).map(|_| generator.random_range(0..chaos.inferences)).collect();
        moments.sort_unstable_by(|one, other| other.cmp(one));
        let mut roles: Vec<Role> = SERVICES.into_iter().cycle().take(chaos.kills).collect();
        roles.shuffle(&mut generator);
        let kills = moments.into_iter().zip(roles).collect();
        Disturber { deployment, proxies, progress, generator, stock: chaos.stock, kills, done: Disturbances::default() }
    }

    /// Disturbs until the trial ends, and leaves services and links whole.
    pub(super) fn run(mut self) -> Result<(Deployment, Disturbances)> {
        while !self.progress.ended() {
            let due = self.kills.last().copied().filter(|(after, _)| self.progress.answers() >= *after);
            match due {
                Some((_, role)) => {
                    self.kills.pop();
                    self.kill(role)?;
                }
                None => self.fault(),
            }
            self.pause(PAUSES);
        }
        self.proxies.iter().for_each(|proxy| proxy.delay(Duration::ZERO));
        self.done.flips = self.proxies.iter().map(Proxy::flipped).sum();
        Ok((self.deployment, self.done))
    }

    fn kill(&mut self, role: Role) -> Result<()> {
        if self.stock && role != Role::Dealer && self.generator.random() {
            self.await_taking();
        } else {
            self.pause(KILLS);
        }
        self.done.fallen.extend(self.deployment.fallen());
        self.deployment.kill(role)?;
        self.pause(KILLS);
        self.deployment.start(role)?;
        self.done.kills.iter_mut().zip(SERVICES).filter(|(_, other)| *other == role).for_each(|(kills, _)| *kills += 1);
        self.progress.killed();
        Ok(())
    }

    /// Waits until one of the parties takes a pack, and a moment: what a kill does then is neither before nor after its use.
    fn await_taking(&mut self) {
        let log = self.deployment.log(SERVICES[self.generator.random_range(0..2)]);
        let read = || fs::read_to_string(&log).unwrap_or_default();
        let (seen, end) = (read().len(), Instant::now() + TAKING.0);
        while Instant::now() < end && !self.progress.ended() {
            if fs::metadata(&log).is_ok_and(|now| now.len() > seen as u64)
                && read().get(seen..).is_some_and(|more| more.lines().any(is_taken))
            {
                self.done.taking += 1;
                break;
            }
            thread::sleep(LOOK);
        }
        self.pause(TAKING.1);
    }

    fn fault(&mut self) {
        let proxy = self.proxies[self.generator.random_range(0..2)].clone();
        match self.generator.random_range(0..10) {
            0..3 => self.done.cuts += proxy.cut(),
            3..6 => proxy.flip(),
            6..9 => {
                proxy.delay(Duration::from_millis(self.generator.random_range(DELAYS.0)));
                self.pause(DELAYS.1);
                proxy.delay(Duration::ZERO);
                self.done.delays += 1;
            }
            _ => {
                proxy.delay(Duration::from_millis(self.generator.random_range(SILENCES)));
                thread::sleep(Duration::from_millis(FALLS_SILENT));
                proxy.delay(Duration::ZERO);
                self.done.silences += 1;
            }
        }
    }

    fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        thread::sleep(Duration::from_millis(self.generator.random_range(milliseconds)));
    }
}
