//! How much memory each role needs for a batch, before it is asked for.

use std::sync::Arc;

use anyhow::Result;
use bundle::{Embedding, expected_tensors};
use cli::memory::{Memory, with_margin};
use model::{InputKind, Spec, Texts, input_form};
use mpc::{DEAL_CHUNK, Party, beaver};
use ring64::packed_len;

use crate::engine::{Engine, Planned};
use crate::message::Role;
use crate::schedule::Schedule;
use crate::weigh::{computing, dealing, streaming};

/// The program itself, its libraries, the stacks of its threads and the spec.
const PROGRAM: u64 = 32 << 20;
/// The client's tokenizer, for each word that it knows.
const TOKENIZER: u64 = 512;
/// Bytes of a word.
const WORD: u64 = 8;
/// Frames between a link and its caller, in each direction.
const QUEUE: u64 = 64 << 20;

const CURE: &str = "give shorter or fewer texts, --schedule stream, or more memory";

/// Bytes of correlations that a party keeps in memory; the rest waits in a file. A quarter of what there is beside the weights
/// of all roles, so that there is room for them on one machine.
pub fn hold(spec: &Spec, kind: InputKind, engine: Engine, memory: Memory) -> u64 {
    let standing: u64 = standing(&Weights::of(spec, kind), spec, engine).iter().sum();
    memory.there().map_or(u64::MAX, |bytes| bytes.saturating_sub(standing) / 4)
}

/// Bytes that each role needs at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// In the order of [`Role::ALL`].
    bytes: [u64; 4],
    /// Of these, what a role holds before any batch comes.
    standing: [u64; 4],
}

impl Needs {
    /// What a batch of such texts takes with that plan of it on that schedule, where a party may keep `hold` bytes of masked
    /// wires' correlations in memory.
    pub fn of(
        spec: &Arc<Spec>,
        kind: InputKind,
        texts: &Texts,
        plan: &Planned,
        schedule: Schedule,
        hold: u64,
    ) -> Result<Needs> {
        let (cost, planned) = (plan.cost(), plan.bytes());
        let input = input_form(spec, kind, texts).count();
        let packed = packed_len(input, 64 - spec.input_extra) as u64;
        // what was dealt and not yet used, a frame that arrives and one that is read
        let all = cost.dealt_bytes as u64;
        let dealt = all.min(QUEUE + 2 * DEAL_CHUNK as u64);
        let weights = Weights::of(spec, kind);

        let party = |party| -> Result<u64> {
            let words = match (plan, schedule) {
                (Planned::Masked(_), Schedule::Ahead) => computing(spec, texts, kind, party, hold)?,
                (Planned::Masked(_), Schedule::Stream) => streaming(spec, texts, kind, party)?,
                (Planned::Beaver(plan), _) => WORD * input as u64 + sharing(plan),
            };
            // the packed input beside its words; all frames of a dealt stream that came early
            let frames = match (party, schedule, plan) {
                (Party::Zero, ..) => 0,
                (Party::One, Schedule::Ahead, Planned::Masked(_)) => packed.max(dealt),
                // the whole stream waits as it came, beside a frame that arrives
                (Party::One, Schedule::Ahead, Planned::Beaver(_)) => packed + all + all.min(DEAL_CHUNK as u64),
                // both are there at once
                (Party::One, Schedule::Stream, _) => packed + dealt,
            };
            Ok(planned + slack(words) + frames)
        };
        // one-hot or embedded rows as words, their masks, and what is left packed
        let client = planned + slack(16 * input as u64 + packed);
        let dealing = match plan {
            Planned::Masked(_) => dealing(spec, texts, kind)?,
            Planned::Beaver(plan) => sharing_out(plan),
        };
        // frames are freed and made anew like all else
        let dealer = planned + slack(dealing + dealt);
        let batch = [party(Party::Zero)?, party(Party::One)?, dealer, client];
        let engine = plan.engine();
        let standing = standing(&weights, spec, engine);
        let mut bytes: [u64; 4] = std::array::from_fn(|role| standing[role] + batch[role]);
        // while a role packs its weights, it holds one term of a sum and one weight as it was beside, before any batch comes
        for role in [Role::Party0, Role::Party1, Role::Dealer] {
            let role = role as usize;
            bytes[role] = bytes[role].max(standing[role] + weights.largest);
        }
        Ok(Needs { bytes: bytes.map(with_margin), standing: standing.map(with_margin) })
    }

    /// The bytes of one role.
    pub fn role(&self, role: Role) -> u64 {
        self.bytes[role as usize]
    }

    /// Refuses what is more than there is, where all roles run on this machine.
    pub fn check(&self, memory: Memory) -> Result<()> {
        let needs = Role::ALL.map(|role| (role.name(), self.role(role)));
        memory.check_processes(&needs, CURE)
    }

    /// Refuses what is more than there is for a role that has read its part of the bundle. What a role had before it can have
    /// again: it keeps for a while what it freed, so `admitted` is the most that was ever found to be there.
    pub fn check_role(&self, role: Role, memory: Memory, admitted: &mut u64) -> Result<()> {
        let (all, standing) = (self.role(role), self.standing[role as usize]);
        // what is available now no longer has what this process holds already
        let need = if memory.limit.is_some() { all } else { all.saturating_sub(standing) };
        if need > *admitted {
            memory.check(&[(role.name(), need)], CURE)?;
            *admitted = need;
        }
        Ok(())
    }
}

/// Most bytes that a party holds at once for a demand of a plan on shares: masks, our half of what is opened, the same packed
/// and the peer's; its dealt values, and what they are made from. Where values are computed element by element, others of as
/// many elements wait meanwhile, and take as much again. The whole estimate was 0.97 to 1.4 times what parties took of
/// BERT-base and MiniLM shapes at 128 and 512 tokens, on both schedules, with SecFormer's, MPCFormer's and exact functions;
/// the dealer's 1.3 to 2.1 times.
fn sharing(plan: &beaver::Plan) -> u64 {
    largest(plan, |demand| {
        let here = 4 * demand.opened_bytes() as u64 + 3 * WORD * demand.dealt_words() as u64;
        match demand {
            beaver::Demand::Linear { .. } | beaver::Demand::Matmul { .. } | beaver::Demand::Residual { .. } => here,
            _ => 2 * here,
        }
    })
}

/// The same for the dealer: masks, one half of them, and what is dealt.
fn sharing_out(plan: &beaver::Plan) -> u64 {
    largest(plan, |demand| 2 * demand.opened_bytes() as u64 + 3 * WORD * demand.dealt_words() as u64)
}

fn largest(plan: &beaver::Plan, bytes: impl Fn(&beaver::Demand) -> u64) -> u64 {
    plan.demands.iter().map(|(_, demand)| bytes(demand)).max().unwrap_or(0)
}

/// What each role holds before any batch comes: masked words and the party's share, where the published engine frees the
/// former, but in pieces; sums of both seeds' masks, or nothing; a table in clear and a tokenizer.
fn standing(weights: &Weights, spec: &Spec, engine: Engine) -> [u64; 4] {
    let tokenizer = TOKENIZER * spec.shape.words as u64;
    let dealer = match engine {
        Engine::Masked => weights.products,
        Engine::Beaver(_) => 0,
    };
    [2 * weights.bytes, 2 * weights.bytes, dealer, weights.table + tokenizer]
        // the allocator rounds large blocks up
        .map(|bytes| PROGRAM + bytes + bytes / 8)
}

/// The allocator keeps what was freed in pieces too small for what comes next.
fn slack(bytes: u64) -> u64 {
    bytes + bytes / 3
}

/// Bytes of weights as the roles hold them.
struct Weights {
    /// Words of all that the parties hold.
    bytes: u64,
    /// Of these, the matrices that the dealer multiplies with.
    products: u64,
    /// The largest one.
    largest: u64,
    /// The client's table.
    table: u64,
}

impl Weights {
    fn of(spec: &Spec, kind: InputKind) -> Weights {
        let embedding = match kind {
            InputKind::OneHot => Embedding::Private,
            InputKind::Embedded => Embedding::Client,
        };
        let all = expected_tensors(spec, embedding);
        let matrix = |e: &bundle::Expected| 8 * (e.rows as u64) * (e.cols as u64);
        let bytes = all.iter().map(|e| matrix(e) + if e.bias { 8 * e.cols as u64 } else { 0 }).sum();
        let products = all.iter().filter(|e| e.weight != model::Weight::Position).map(matrix).sum();
        let shape = &spec.shape;
        let table = match embedding {
            Embedding::Private => 0,
            Embedding::Client => 4 * ((shape.one_hot() + shape.positions) * shape.width) as u64,
        };
        Weights { bytes, products, largest: all.iter().map(matrix).max().unwrap_or(0), table }
    }
}
