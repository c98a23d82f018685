//! How much memory each role needs for a batch, before it is asked for.

use std::sync::Arc;

use anyhow::Result;
use bundle::{Embedding, expected_tensors};
use cli::memory::Memory;
use model::{Demand, Plan, Spec, Texts, input_form};
use mpc::{DEAL_CHUNK, Party};
use ring64::packed_len;

use crate::message::Role;
use crate::weigh::{computing, dealing};

/// The program itself, its libraries, the stacks of its threads and the spec.
const PROGRAM: u64 = 24 << 20;
/// The client's tokenizer.
const TOKENIZER: u64 = 48 << 20;
/// Frames between a link and its caller, in each direction.
const QUEUE: u64 = 64 << 20;

/// Bytes that each role needs at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// In the order of [`Role::ALL`].
    bytes: [u64; 4],
}

impl Needs {
    /// What a batch of such texts takes.
    pub fn of(spec: &Arc<Spec>, embedding: Embedding, texts: &Texts) -> Result<Needs> {
        let kind = embedding.input_kind();
        let plan = Plan::new(spec, texts, kind)?;
        let cost = plan.cost();
        let planned = (plan.demands.len() * size_of::<Demand>()) as u64;
        let input = input_form(spec, kind, texts).count();
        let packed = packed_len(input, 64 - spec.input_extra) as u64;
        // what was dealt and not yet used, a frame that arrives and one that is read
        let dealt = (cost.dealt_bytes as u64).min(QUEUE + 2 * DEAL_CHUNK as u64);
        let weights = Weights::of(spec, embedding);

        // masked words and this party's share; the other half of the input comes as a seed
        let party = |party| -> Result<u64> {
            let words = computing(spec, texts, kind, party, input)?;
            // the packed input beside its words; all frames of a dealt stream that came early
            let frames = if party == Party::One { packed.max(dealt) } else { 0 };
            Ok(2 * weights.bytes + planned + slack(words) + frames)
        };
        let dealer = weights.products + weights.largest + planned + slack(dealing(spec, texts, kind)?) + dealt;
        let client = weights.table + TOKENIZER + planned + slack(16 * input as u64 + packed);
        let bytes = [party(Party::Zero)?, party(Party::One)?, dealer, client].map(|bytes| PROGRAM + bytes);
        Ok(Needs { bytes })
    }

    /// The bytes of one role.
    pub fn role(&self, role: Role) -> u64 {
        self.bytes[role as usize]
    }

    /// Refuses what is more than there is, where all roles run on this machine.
    pub fn check(&self, memory: Memory) -> Result<()> {
        let needs = Role::ALL.map(|role| (role.name(), self.role(role)));
        memory.check(&needs, "give shorter texts, --batch 1, or more memory")
    }
}

/// The allocator keeps what was freed in pieces too small for what comes next.
fn slack(bytes: u64) -> u64 {
    bytes + bytes / 4
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
    fn of(spec: &Spec, embedding: Embedding) -> Weights {
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
