//! A party's run of a request, by either engine: correlations, the client's input, the network, the answer; attempt by attempt.

use std::iter::once;
use std::slice;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::BUSY;
use model::{Bert, Calibrated, Spec, Texts};
use mpc::{
    Agreement, Compute, Consume, DealtReader, MpcError, Outcome, OutputShare, Party, PartyEngine, Planned, Run, Trace,
    expand_input, mask_outputs, unpack_input,
};
use net::{Limits, Link};
use ring64::{Kernel, Key, packed_len};
use stock::taking::Wanted;
use stock::{Binding, Pack};
use tracing::info;
use zeroize::Zeroizing;

use crate::handshake::{Peer, fresh};
use crate::message::{ControlError, DealRequest, PublicTexts, Report, Role, kind, send, send_bytes};
use crate::output::output_shapes;
use crate::schedule::Schedule;
use crate::stocked::{Ahead, PartyStock, Wish, kept_error, propose, respond};

/// Bytes of the seed from which P0 expands its share of the input.
const SEED: usize = 32;
/// How long P1 gets to compare its ledger with P0's, which has done so.
const RECONCILING: Duration = Duration::from_secs(10);
/// What a client may send but for its input: a request, which is as small as any control message.
pub(crate) const CLIENT: Limits = Limits { max_frame: 1 << 20, queue: 64 << 20 };

/// One request on its way, over all attempts: what is computed, with whom, and what it leaves.
pub(crate) struct Serving<'a> {
    pub(crate) party: Party,
    pub(crate) spec: &'a Spec,
    pub(crate) calibrated: &'a Calibrated<Bert>,
    pub(crate) weights: &'a dyn PartyEngine<Bert>,
    pub(crate) schedule: Schedule,
    /// Bytes of correlations that stay in memory.
    pub(crate) hold: u64,
    /// The root of the keys that mask the output.
    pub(crate) output_root: &'a Key,
    pub(crate) request: u64,
    pub(crate) texts: &'a Texts,
    pub(crate) plan: &'a dyn Planned,
    pub(crate) client: &'a mut Peer,
    pub(crate) peer: &'a mut Peer,
    /// This party's share of the input, once it was asked for.
    pub(crate) input: Option<Vec<u64>>,
    pub(crate) report: Report,
}

impl Serving<'_> {
    /// One attempt with fresh correlations: a key and, at P1, the dealt stream. The dealer gives them to parties only that
    /// agree with it, and so with each other.
    ///
    /// The dealer is asked under `asked`, which may be numbered otherwise than the agreement: of a session that takes packs it is
    /// not to know how many requests and attempts there were.
    pub(crate) fn attempt(&mut self, dealer: &mut Peer, number: u32, asked: &Agreement) -> Result<Outcome> {
        let (begin, before) = (Instant::now(), dealer.counters());
        let key = demand(dealer, asked, self.texts)?;
        let dealt = match self.party {
            Party::Zero => None,
            Party::One => Some(DealtReader::new(dealer, asked.request, asked.attempt, self.plan.cost().dealt_bytes)),
        };
        let hold = (self.schedule == Schedule::Ahead).then_some(self.hold);
        let weights = self.weights;
        let outcome = self.compute(number, begin, |run, consume| weights.attempt(run, key, dealt, hold, consume));
        self.report.offline_bytes += dealer.counters().since(before).bytes_received;
        outcome
    }

    fn role(&self) -> Role {
        match self.party {
            Party::Zero => Role::Party0,
            Party::One => Role::Party1,
        }
    }

    /// Takes a pack for an attempt, together with the other party; none where none is left.
    pub(crate) fn take(&mut self, kept: &PartyStock, agreement: &Agreement) -> Result<Option<Pack>> {
        let Agreement { session, request, attempt, .. } = *agreement;
        let class = kept.class_of(self.texts, self.plan);
        let wanted = Wanted { class, binding: Binding { session, request, attempt }, agreement: agreement.digest() };
        let wish = Wish { wanted, request, attempt };
        let taken = match self.party {
            Party::Zero => propose(&wish, kept, self.peer)?,
            Party::One => {
                let counter = kept
                    .shared()
                    .counter_within(RECONCILING)
                    .ok_or_else(|| coded(BUSY, "the stocks are still compared"))?;
                respond(&wish, counter, self.peer)?
            }
        };
        if let Some(pack) = &taken {
            // whoever reads the logs sees that no pack is taken twice
            let (role, session) = (self.role(), hex::encode(&session[..4]));
            let (serial, class) = (pack.serial(), hex::encode(&class.plan[..4]));
            info!(%role, %session, request, attempt, %class, serial, "pack taken");
        }
        Ok(taken)
    }

    /// One attempt with a pack that both parties have taken for it since `begin`.
    pub(crate) fn attempt_with(&mut self, pack: Pack, agreement: &Agreement, begin: Instant) -> Result<Outcome> {
        let none = "this engine keeps no stock";
        let stocking = self.weights.stocking().context(none)?;
        self.report.stocked += 1;
        let pack = Box::new(Ahead::begin(pack).context("starting a thread")?);
        self.compute(agreement.attempt, begin, |run, consume| stocking.attempt(run, pack, consume))
    }

    /// Computes as `attempt` does it: it makes correlations, or has them, and calls back when all is ready that needs no input.
    fn compute(
        &mut self,
        attempt: u32,
        begin: Instant,
        run_it: impl FnOnce(&Run<'_, Bert>, &mut Consume<'_>) -> Result<Outcome, MpcError>,
    ) -> Result<Outcome> {
        let Serving { calibrated, texts, request, .. } = *self;
        let run = Run { calibrated, batches: slice::from_ref(texts), request, attempt, kernel: Kernel::detect() };
        let mut failed = None;
        let outcome = run_it(&run, &mut |compute| {
            self.online(begin, compute).map_err(|error| {
                failed = Some(error);
                MpcError::Abandoned
            })
        });
        match (outcome, failed) {
            (Err(MpcError::Abandoned), Some(error)) => Err(error),
            (outcome, _) => outcome.map_err(kept_error),
        }
    }

    /// Asks for the input, if it was not asked for before, computes, and adds what that took since `begin` to the report.
    fn online(&mut self, begin: Instant, compute: &mut Compute<'_>) -> Result<Outcome> {
        let prepared = begin.elapsed();
        let mut inputs = [match self.input.take() {
            Some(input) => input,
            None => self.receive_input()?,
        }];
        let sent = self.peer.counters();
        let mut trace = Trace::default();
        let outcome = compute(&mut inputs, self.peer, &mut trace).map_err(kept_error)?;
        let [input] = inputs;
        self.input = Some(input);
        let passed = self.peer.counters().since(sent);
        let report = &mut self.report;
        report.offline_seconds += prepared.as_secs_f64();
        report.rounds += trace.parts.iter().map(|part| part.rounds).sum::<u64>();
        report.online_bytes += passed.bytes_sent;
        report.add(&trace);
        Ok(outcome)
    }

    /// Says that all is ready, and receives this party's share of the input.
    fn receive_input(&mut self) -> Result<Vec<u64>> {
        let Serving { party, spec, calibrated, texts, request, .. } = *self;
        let length = match party {
            Party::Zero => SEED,
            Party::One => packed_len(calibrated.input_count(texts), 64 - spec.input_extra),
        };
        // what is asked for may come, and no more, and only now
        let most = Limits { max_frame: CLIENT.max_frame.max(length as u64), ..CLIENT };
        self.client.set_limits(most);
        send(self.client, kind::READY, request, 0, &())?;
        let received = self.client_input(length);
        self.client.set_limits(CLIENT);
        received
    }

    fn client_input(&mut self, length: usize) -> Result<Vec<u64>> {
        let Serving { party, spec, calibrated, texts, request, .. } = *self;
        let (count, extra) = (calibrated.input_count(texts), spec.input_extra);
        let input = self.client.expect(kind::INPUT, request, 0, 0, Some(length))?;
        match party {
            Party::Zero => {
                let seed = key(input)?;
                Ok(expand_input(&seed, count, extra))
            }
            Party::One => {
                let malformed = |e| ControlError::Unexpected {
                    peer: Role::Client.to_string(),
                    reason: format!("sent a malformed input: {e}"),
                };
                Ok(unpack_input(&input, count, extra).map_err(malformed)?)
            }
        }
    }

    /// Report and half of the output, each under the digest of what was agreed: the client adds only what belongs together.
    pub(crate) fn answer(self, agreement: &Agreement, output: OutputShare) -> Result<()> {
        let OutputShare { results, frac, certificates } = output;
        let (digest, (request, attempt)) = (agreement.digest(), (agreement.request, agreement.attempt));
        let shapes = output_shapes(self.spec, self.texts, frac, !certificates.is_empty());
        let shares = once(results).chain(certificates.iter().map(|word| vec![*word]));
        let half = mask_outputs(self.party, agreement.output_key(self.output_root), shares.zip(shapes).collect());
        let report = Report { agreement: hex::encode(digest), ..self.report };
        send_bytes(self.client, kind::REPORT, request, attempt, report.payload()?)?;
        Ok(send_bytes(self.client, kind::OUTPUT, request, attempt, [&digest[..], &half].concat())?)
    }
}

/// Asks the dealer for correlations, and gives the key of this party's streams.
pub(crate) fn demand(dealer: &mut dyn Link, agreement: &Agreement, texts: &Texts) -> Result<Key> {
    let (request, number) = (agreement.request, agreement.attempt);
    let (texts, plan) = (PublicTexts::of(texts), hex::encode(agreement.plan));
    let demand = DealRequest { texts, plan, agreement: hex::encode(agreement.digest()) };
    send(dealer, kind::DEMAND, request, number, &demand)?;
    let secret = Zeroizing::new(fresh::<32>().context("no randomness from the operating system")?);
    send_bytes(dealer, kind::SECRET, request, number, secret.to_vec())?;
    key(dealer.expect(kind::KEY, request, number, 0, Some(32))?)
}

/// A key out of a frame's payload.
pub(crate) fn key(mut bytes: Vec<u8>) -> Result<Key> {
    let mut words = [0; 32];
    anyhow::ensure!(bytes.len() == words.len(), "a key of {} bytes; expected 32", bytes.len());
    words.copy_from_slice(&bytes);
    zeroize::Zeroize::zeroize(&mut bytes);
    Ok(Key::from_bytes(words))
}
