//! A party's run of a request, by either engine: correlations, the client's input, the network, the answer; attempt by attempt.

use std::iter::once;
use std::mem::take;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use model::{InputKind, Quantised, Spec, Texts};
use mpc::beaver::{self, Options, Shares};
use mpc::{
    Agreement, Attempt, DealtReader, MpcError, Outcome, Party, PartyWeights, Trace, expand_input, mask_outputs, online,
    prepare, stream, unpack_input,
};
use net::Link;
use ring64::{Kernel, Key, packed_len};
use zeroize::Zeroizing;

use crate::engine::{Engine, Planned};
use crate::handshake::{Peer, fresh};
use crate::message::{ControlError, Demand, Report, Role, kind, send, send_bytes};
use crate::output::output_shapes;
use crate::schedule::Schedule;

/// A party's weights, in the form that its engine wants.
pub(crate) enum Weights {
    /// Masked words and the mask of this party, expanded and packed.
    Masked(PartyWeights),
    /// Additive shares.
    Beaver(Options, Shares),
}

impl Weights {
    /// Expands a bundle's masked words with this party's seed.
    pub(crate) fn expand(engine: Engine, party: Party, masked: Quantised, seed: &Key) -> Weights {
        match engine {
            Engine::Masked => Weights::Masked(PartyWeights::expand(party, masked, seed, Kernel::detect())),
            Engine::Beaver(options) => Weights::Beaver(options, Shares::expand(party, masked, seed)),
        }
    }
}

/// One request on its way, over all attempts: what is computed, with whom, and what it leaves.
pub(crate) struct Run<'a> {
    pub(crate) party: Party,
    pub(crate) spec: &'a Arc<Spec>,
    pub(crate) weights: &'a Weights,
    pub(crate) kind: InputKind,
    pub(crate) schedule: Schedule,
    /// Bytes of correlations that stay in memory.
    pub(crate) hold: u64,
    /// The root of the keys that mask the output.
    pub(crate) output_root: &'a Key,
    pub(crate) request: u64,
    pub(crate) texts: &'a Texts,
    pub(crate) plan: &'a Planned,
    pub(crate) client: &'a mut Peer,
    pub(crate) peer: &'a mut Peer,
    /// This party's share of the input, once it was asked for.
    pub(crate) input: Option<Vec<u64>>,
    pub(crate) report: Report,
}

impl Run<'_> {
    /// One attempt with fresh correlations: a key and, at P1, the dealt stream. The dealer gives them to parties only that
    /// agree with it, and so with each other.
    pub(crate) fn attempt(&mut self, dealer: &mut Peer, agreement: &Agreement) -> Result<Outcome> {
        let (begin, before) = (Instant::now(), dealer.counters());
        let (request, number) = (self.request, agreement.attempt);
        let key = self.demand(dealer, agreement)?;
        let dealt = match self.party {
            Party::Zero => None,
            Party::One => Some(DealtReader::new(dealer, request, number, self.plan.cost().dealt_bytes)),
        };
        let outcome = match self.weights {
            Weights::Masked(weights) => self.masked(weights, number, key, dealt, begin),
            Weights::Beaver(options, weights) => self.beaver(weights, *options, key, dealt, begin),
        };
        self.report.offline_bytes += dealer.counters().since(before).bytes_received;
        outcome
    }

    /// Asks the dealer for correlations, and gives the key of its streams.
    fn demand(&self, dealer: &mut Peer, agreement: &Agreement) -> Result<Key> {
        let (request, number) = (self.request, agreement.attempt);
        let (lengths, plan) = (self.texts.lengths().to_vec(), hex::encode(agreement.plan));
        let demand = Demand { lengths, plan, agreement: hex::encode(agreement.digest()) };
        send(dealer, kind::DEMAND, request, number, &demand)?;
        let secret = Zeroizing::new(fresh::<32>().context("no randomness from the operating system")?);
        send_bytes(dealer, kind::SECRET, request, number, secret.to_vec())?;
        key(dealer.expect(kind::KEY, request, number, 0, Some(32))?)
    }

    /// Makes correlations, and computes by masked wires.
    fn masked(
        &mut self,
        weights: &PartyWeights,
        number: u32,
        key: Key,
        dealt: Option<DealtReader<'_>>,
        begin: Instant,
    ) -> Result<Outcome> {
        let Run { spec, texts, kind, request, schedule, hold, .. } = *self;
        let this = Attempt { spec, weights, texts, kind, request, number, kernel: Kernel::detect() };
        let mut compute = |made| self.online(begin, |input, peer, trace| online(&this, made, input, peer, trace));
        match schedule {
            Schedule::Ahead => compute(prepare(&this, key, dealt, hold)?),
            Schedule::Stream => stream(&this, key, dealt, compute),
        }
    }

    /// Computes on additive shares.
    fn beaver(
        &mut self,
        weights: &Shares,
        options: Options,
        key: Key,
        mut dealt: Option<DealtReader<'_>>,
        begin: Instant,
    ) -> Result<Outcome> {
        let Run { spec, texts, kind, request, schedule, .. } = *self;
        if let (Schedule::Ahead, Some(dealt)) = (schedule, &mut dealt) {
            dealt.hold()?;
        }
        let this = beaver::Attempt { spec, weights, texts, kind, options, request, kernel: Kernel::detect() };
        self.online(begin, |input, peer, trace| {
            // nothing restarts, so the input is not needed again
            let (share, frac) = beaver::online(&this, key, dealt, take(input), peer, trace)?;
            Ok(Outcome::Logits { share, frac, certificates: Vec::new() })
        })
    }

    /// Asks for the input, if it was not asked for before, computes, and adds what that took since `begin` to the report.
    fn online(
        &mut self,
        begin: Instant,
        compute: impl FnOnce(&mut Vec<u64>, &mut dyn Link, &mut Trace) -> Result<Outcome, MpcError>,
    ) -> Result<Outcome> {
        let prepared = begin.elapsed();
        let mut input = match self.input.take() {
            Some(input) => input,
            None => self.receive_input()?,
        };
        let sent = self.peer.counters();
        let mut trace = Trace::default();
        let outcome = compute(&mut input, self.peer, &mut trace)?;
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
        let Run { party, spec, texts, kind, request, .. } = *self;
        send(self.client, kind::READY, request, 0, &())?;
        let (count, extra) = (model::input_form(spec, kind, texts).count(), spec.input_extra);
        match party {
            Party::Zero => {
                let seed = key(self.client.expect(kind::INPUT, request, 0, 0, Some(32))?)?;
                Ok(expand_input(&seed, count, extra))
            }
            Party::One => {
                let length = packed_len(count, 64 - extra);
                let packed = self.client.expect(kind::INPUT, request, 0, 0, Some(length))?;
                let malformed = |e| ControlError::Unexpected {
                    peer: Role::Client.to_string(),
                    reason: format!("sent a malformed input: {e}"),
                };
                Ok(unpack_input(&packed, count, extra).map_err(malformed)?)
            }
        }
    }

    /// Report and half of the output, each under the digest of what was agreed: the client adds only what belongs together.
    pub(crate) fn answer(
        self,
        agreement: &Agreement,
        (share, frac): (Vec<u64>, i32),
        certificates: &[u64],
    ) -> Result<()> {
        let (digest, (request, attempt)) = (agreement.digest(), (agreement.request, agreement.attempt));
        let shapes = output_shapes(self.spec, self.texts, frac, !certificates.is_empty());
        let shares = once(share).chain(certificates.iter().map(|word| vec![*word]));
        let half = mask_outputs(self.party, agreement.output_key(self.output_root), shares.zip(shapes).collect());
        let report = Report { agreement: hex::encode(digest), ..self.report };
        send(self.client, kind::REPORT, request, attempt, &report)?;
        Ok(send_bytes(self.client, kind::OUTPUT, request, attempt, [&digest[..], &half].concat())?)
    }
}

/// A key out of a frame's payload.
pub(crate) fn key(mut bytes: Vec<u8>) -> Result<Key> {
    let mut words = [0; 32];
    anyhow::ensure!(bytes.len() == words.len(), "a key of {} bytes; expected 32", bytes.len());
    words.copy_from_slice(&bytes);
    zeroize::Zeroize::zeroize(&mut bytes);
    Ok(Key::from_bytes(words))
}
