//! One attempt of a party at a batch, by either engine: correlations, the client's input, the network.

use std::mem::take;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use model::{InputKind, Quantised, Spec, Texts};
use mpc::beaver::{self, Options, Shares};
use mpc::{
    Attempt, DealtReader, MpcError, Outcome, Party, PartyWeights, Trace, expand_input, online, prepare, stream,
    unpack_input,
};
use net::Link;
use ring64::{Kernel, Key, packed_len};

use crate::engine::Engine;
use crate::handshake::Peer;
use crate::message::{ControlError, Report, Role, kind, send};
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

/// What is attempted.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) party: Party,
    pub(crate) spec: &'a Arc<Spec>,
    pub(crate) texts: &'a Texts,
    pub(crate) kind: InputKind,
    pub(crate) request: u64,
    /// Number of the attempt at it.
    pub(crate) number: u32,
    pub(crate) schedule: Schedule,
    /// Bytes of correlations that stay in memory.
    pub(crate) hold: u64,
    /// When the attempt began.
    pub(crate) begin: Instant,
}

/// Whom an attempt talks to while it computes, and what it leaves.
pub(crate) struct Computing<'a> {
    pub(crate) client: &'a mut Peer,
    pub(crate) peer: &'a mut Peer,
    /// This party's share of the input, once it was asked for.
    pub(crate) input: &'a mut Option<Vec<u64>>,
    pub(crate) report: &'a mut Report,
}

impl Run<'_> {
    /// Makes one attempt with the key of its streams and, at P1, what the dealer sends.
    pub(crate) fn attempt(
        &self,
        weights: &Weights,
        key: Key,
        dealt: Option<DealtReader<'_>>,
        computing: Computing<'_>,
    ) -> Result<Outcome> {
        let Run { spec, texts, kind, request, number, schedule, hold, .. } = *self;
        let kernel = Kernel::detect();
        match weights {
            Weights::Masked(weights) => {
                let this = Attempt { spec, weights, texts, kind, request, number, kernel };
                let compute = |made| computing.run(self, |input, peer, trace| online(&this, made, input, peer, trace));
                match schedule {
                    Schedule::Ahead => compute(prepare(&this, key, dealt, hold)?),
                    Schedule::Stream => stream(&this, key, dealt, compute),
                }
            }
            Weights::Beaver(options, weights) => {
                let mut dealt = dealt;
                if let (Schedule::Ahead, Some(dealt)) = (schedule, &mut dealt) {
                    dealt.hold()?;
                }
                let this = beaver::Attempt { spec, weights, texts, kind, options: *options, request, kernel };
                computing.run(self, |input, peer, trace| {
                    // nothing restarts, so the input is not needed again
                    let (share, frac) = beaver::online(&this, key, dealt, take(input), peer, trace)?;
                    Ok(Outcome::Logits { share, frac, certificates: Vec::new() })
                })
            }
        }
    }
}

impl Computing<'_> {
    /// Asks for the input, if it was not asked for before, computes, and adds what that took to the report.
    fn run(
        self,
        run: &Run<'_>,
        online: impl FnOnce(&mut Vec<u64>, &mut dyn Link, &mut Trace) -> Result<Outcome, MpcError>,
    ) -> Result<Outcome> {
        let Computing { client, peer, input, report } = self;
        let prepared = run.begin.elapsed();
        let input = match input {
            Some(input) => input,
            none => none.insert(receive_input(client, run)?),
        };
        let sent = peer.counters();
        let mut trace = Trace::default();
        let outcome = online(input, peer, &mut trace)?;
        let passed = peer.counters().since(sent);
        report.offline_seconds += prepared.as_secs_f64();
        report.rounds += trace.parts.iter().map(|part| part.rounds).sum::<u64>();
        report.online_bytes += passed.bytes_sent;
        report.add(&trace);
        Ok(outcome)
    }
}

/// Says that all is ready, and receives this party's share of the input.
fn receive_input(client: &mut Peer, run: &Run<'_>) -> Result<Vec<u64>> {
    let Run { party, spec, texts, kind, request, .. } = *run;
    send(client, kind::READY, request, 0, &())?;
    let (count, extra) = (model::input_form(spec, kind, texts).count(), spec.input_extra);
    match party {
        Party::Zero => {
            let seed = key(client.expect(kind::INPUT, request, 0, 0, Some(32))?)?;
            Ok(expand_input(&seed, count, extra))
        }
        Party::One => {
            let length = packed_len(count, 64 - extra);
            let packed = client.expect(kind::INPUT, request, 0, 0, Some(length))?;
            let malformed = |e| ControlError::Unexpected {
                peer: Role::Client.to_string(),
                reason: format!("sent a malformed input: {e}"),
            };
            Ok(unpack_input(&packed, count, extra).map_err(malformed)?)
        }
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
