//! How much memory each role needs for a batch, before it is asked for.

use std::slice;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use cli::coded;
use cli::exit::BUSY;
use cli::memory::{Memory, with_margin};
use model::{Bert, Calibrated, InputKind, Parameter, Read, Texts};
use mpc::Planned;
use ring64::packed_len;

use crate::engine::EngineKind;
use crate::message::Role;
use crate::schedule::Schedule;

/// The program itself, its libraries, the stacks of its threads and the spec.
const PROGRAM: u64 = 32 << 20;
/// The client's tokenizer, for each word that it knows.
const TOKENIZER: u64 = 512;

const CURE: &str = "give shorter or fewer texts, --schedule stream, or more memory";

/// Bytes of correlations that a party keeps in memory; the rest waits in a file. A quarter of what there is beside the weights
/// of all roles, so that there is room for them on one machine.
pub fn hold(bert: &Bert, engine: EngineKind, memory: Memory) -> u64 {
    let holds_weights = engine.private::<Bert>().dealer_holds_weights();
    let standing: u64 = standing(&Weights::of(bert), bert, holds_weights).iter().sum();
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
        calibrated: &Calibrated<Bert>,
        texts: &Texts,
        plan: &dyn Planned,
        engine: EngineKind,
        schedule: Schedule,
        hold: u64,
    ) -> Result<Needs> {
        let (planned, batches) = (plan.bytes(), slice::from_ref(texts));
        let hold = (schedule == Schedule::Ahead).then_some(hold);
        let input = calibrated.input_count(texts);
        let packed = packed_len(input, 64 - calibrated.scales.input_extra()) as u64;
        let private = engine.private();
        let footprint = private.memory(calibrated, batches, hold)?;
        // the packed input beside its words, and frames of the dealt stream
        let frames = match footprint.input_beside_dealt {
            true => packed + footprint.dealt,
            false => packed.max(footprint.dealt),
        };
        let [zero, one] = footprint.parties.map(|words| planned + slack(words));
        // one-hot or embedded rows as words, their masks, and what is left packed
        let client = planned + slack(16 * input as u64 + packed);
        // frames are freed and made anew like all else
        let dealer = planned + slack(footprint.dealer);
        let batch = [zero, one + frames, dealer, client];
        let weights = Weights::of(&calibrated.network);
        let standing = standing(&weights, &calibrated.network, private.dealer_holds_weights());
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
}

/// Memory that the requests of a role take at the same time, over all its sessions.
#[derive(Debug)]
pub struct Budget {
    memory: Memory,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Bytes of requests that are running.
    running: u64,
    /// The most that was ever found to be there: a role keeps for a while what it freed, so that it can have it again.
    found: u64,
}

/// What a running request holds of a [`Budget`]; it is given back with this value.
#[derive(Debug)]
pub struct Reserved<'b> {
    budget: &'b Budget,
    bytes: u64,
}

impl Budget {
    /// What a role may take.
    pub fn new(memory: Memory) -> Budget {
        Budget { memory, taken: Mutex::default() }
    }

    /// Takes what a request needs beyond the weights that the role has read, or refuses it: for now ([`BUSY`]) where it is
    /// others that are in its way.
    pub fn reserve(&self, needs: &Needs, role: Role) -> Result<Reserved<'_>> {
        let standing = needs.standing[role as usize];
        let bytes = needs.role(role).saturating_sub(standing);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        // what is available now no longer has what this process holds already
        let held = if self.memory.limit.is_some() { standing } else { 0 };
        let all = held.saturating_add(taken.running).saturating_add(bytes);
        if all > taken.found {
            match self.memory.check(&[(role.name(), all)], CURE) {
                Ok(()) => taken.found = all,
                Err(_) if taken.running > 0 => {
                    return Err(coded(BUSY, "not enough memory beside the requests that are running"));
                }
                Err(refusal) => return Err(refusal),
            }
        }
        taken.running += bytes;
        Ok(Reserved { budget: self, bytes })
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.budget.taken.lock().unwrap_or_else(PoisonError::into_inner).running -= self.bytes;
    }
}

/// What each role holds before any batch comes: masked words and the party's share, where the published engine frees the
/// former, but in pieces; sums of both seeds' masks, or nothing; a table in clear and a tokenizer.
fn standing(weights: &Weights, bert: &Bert, dealer_holds_weights: bool) -> [u64; 4] {
    let tokenizer = TOKENIZER * bert.shape.words as u64;
    let dealer = if dealer_holds_weights { weights.products } else { 0 };
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
    fn of(bert: &Bert) -> Weights {
        let all = || bert.weights_of_parties().map(|(_, parameter)| parameter);
        let matrix = |p: &Parameter| 8 * (p.rows as u64) * (p.cols as u64);
        let bytes = all().map(|p| matrix(p) + if p.bias { 8 * p.cols as u64 } else { 0 }).sum();
        let products = all().filter(|p| p.read != Read::Added).map(matrix).sum();
        let shape = &bert.shape;
        let table = match bert.kind {
            InputKind::OneHot => 0,
            InputKind::Embedded => 4 * ((shape.one_hot() + shape.positions) * shape.width) as u64,
        };
        Weights { bytes, products, largest: all().map(matrix).max().unwrap_or(0), table }
    }
}
