//! How much memory each role needs for a batch, before it is asked for.

use std::slice;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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

/// How long a request waits for memory that work at low priority gives back.
const GIVEN_BACK: Duration = Duration::from_secs(60);
/// How often work at low priority looks whether there is room for it.
const LOOK: Duration = Duration::from_millis(500);

/// Memory that the requests of a role take at the same time, over all its sessions, and its work at low priority beside them.
#[derive(Debug)]
pub struct Budget {
    memory: Memory,
    taken: Mutex<Taken>,
    /// Notified when something is given back.
    given_back: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    /// Bytes of all that is running.
    running: u64,
    /// Of these, bytes of work at low priority.
    yielding: u64,
    /// Requests that wait for those.
    waiting: usize,
    /// The most that was ever found to be there: a role keeps for a while what it freed, so that it can have it again.
    found: u64,
}

/// What a running request, or work at low priority, holds of a [`Budget`]; it is given back with this value.
#[derive(Debug)]
pub struct Reserved<'b> {
    budget: &'b Budget,
    bytes: u64,
    yields: bool,
}

impl Budget {
    /// What a role may take.
    pub fn new(memory: Memory) -> Budget {
        Budget { memory, taken: Mutex::default(), given_back: Condvar::new() }
    }

    /// Takes what a request needs beyond the weights that the role has read, or refuses it: for now ([`BUSY`]) where it is
    /// other requests that are in its way. Work at low priority is never in its way: it is waited for until it gives back what
    /// it holds, which it does when it next asks [`Reserved::must_yield`].
    pub fn reserve(&self, needs: &Needs, role: Role) -> Result<Reserved<'_>> {
        let mut taken = self.lock();
        let end = Instant::now() + GIVEN_BACK;
        loop {
            let refusal = match self.take(&mut taken, needs, role, false) {
                Ok(reserved) => return Ok(reserved),
                Err(refusal) => refusal,
            };
            let left = end.saturating_duration_since(Instant::now());
            if taken.yielding == 0 || left.is_zero() {
                let busy = || coded(BUSY, "not enough memory beside the requests that are running");
                return Err(if taken.running > 0 { busy() } else { refusal });
            }
            taken.waiting += 1;
            taken = self.given_back.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner).0;
            taken.waiting -= 1;
        }
    }

    /// Takes the same for work at low priority, once there is room and no request waits for it; `waiting` is called from time to
    /// time until then, and ends the wait by its error. Refused is only what would not fit if it were alone.
    pub fn reserve_yielding(
        &self,
        needs: &Needs,
        role: Role,
        waiting: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Reserved<'_>> {
        loop {
            let mut taken = self.lock();
            if taken.waiting == 0 {
                match self.take(&mut taken, needs, role, true) {
                    Err(refusal) if taken.running == 0 => return Err(refusal),
                    Err(_) => {}
                    reserved => return reserved,
                }
            }
            drop(self.given_back.wait_timeout(taken, LOOK));
            waiting()?;
        }
    }

    fn take(&self, taken: &mut Taken, needs: &Needs, role: Role, yields: bool) -> Result<Reserved<'_>> {
        let standing = needs.standing[role as usize];
        let bytes = needs.role(role).saturating_sub(standing);
        // what is available now no longer has what this process holds already
        let held = if self.memory.limit.is_some() { standing } else { 0 };
        let all = held.saturating_add(taken.running).saturating_add(bytes);
        if all > taken.found {
            self.memory.check(&[(role.name(), all)], CURE)?;
            taken.found = all;
        }
        taken.running += bytes;
        taken.yielding += if yields { bytes } else { 0 };
        Ok(Reserved { budget: self, bytes, yields })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserved<'_> {
    /// Whether this is of work at low priority.
    pub(crate) fn yields(&self) -> bool {
        self.yields
    }

    /// The same, and a request waits for it.
    pub fn must_yield(&self) -> bool {
        self.yields && self.budget.lock().waiting > 0
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let mut taken = self.budget.lock();
        taken.running -= self.bytes;
        taken.yielding -= if self.yields { self.bytes } else { 0 };
        drop(taken);
        self.budget.given_back.notify_all();
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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::exit::code_of;

    const ROOM: u64 = 100;

    fn budget() -> Budget {
        Budget::new(Memory { limit: Some(ROOM) })
    }

    fn needs(bytes: u64) -> Needs {
        Needs { bytes: [bytes; 4], standing: [0; 4] }
    }

    /// The order holds all, and gives it back as soon as it sees that a request waits.
    #[test]
    fn a_request_is_not_refused_for_memory_that_an_order_can_give_back() {
        let budget = budget();
        let order = budget.reserve_yielding(&needs(80), Role::Party0, &mut || Ok(())).unwrap();
        assert!(!order.must_yield());
        thread::scope(|scope| {
            let request = scope.spawn(|| budget.reserve(&needs(50), Role::Party0).map(drop));
            while !order.must_yield() {
                thread::yield_now();
            }
            drop(order);
            request.join().unwrap().unwrap();
        });
        // requests are in each other's way as before, and never yield
        let request = budget.reserve(&needs(80), Role::Party0).unwrap();
        assert_eq!(code_of(&budget.reserve(&needs(50), Role::Party0).unwrap_err()), BUSY);
        assert!(!request.must_yield());
    }

    #[test]
    fn an_order_waits_for_room_and_is_refused_only_what_is_never_there() {
        let budget = budget();
        let request = budget.reserve(&needs(80), Role::Dealer).unwrap();
        let (mut request, mut waited) = (Some(request), 0);
        let order = budget.reserve_yielding(&needs(50), Role::Dealer, &mut || {
            waited += 1;
            request = None;
            Ok(())
        });
        assert!(order.is_ok());
        assert_eq!(waited, 1);
        let ended = budget.reserve_yielding(&needs(80), Role::Dealer, &mut || Err(coded(BUSY, "the peer is gone")));
        assert!(ended.unwrap_err().to_string().contains("the peer is gone"));
        drop(order);
        assert!(budget.reserve_yielding(&needs(101), Role::Dealer, &mut || Ok(())).is_err());
    }
}
