//! How two parties take one pack.
//!
//! ```text
//! P0  Proposer:  choose ─ burn ─ TAKE ─────▶ wait ─ TAKEN, same digest ─▶ use
//!                  ▲                          │
//!                  └──────── GONE ────────────┘ (its own half stays burnt)
//! P1  Responder: wait ─ TAKE ─▶ burn ─ same digest ─ TAKEN ─▶ use
//!                  ▲             │
//!                  └─── GONE ────┘ (it has no such half)
//! ```
//!
//! Each burns durably before it says so, and uses the pack after that. P0 burns first: a pack of which P1 knows that it is
//! taken is burnt at both, whatever crashes, and what is burnt at P0 alone is an orphan that the next
//! [`reconcile`](crate::Stock::reconcile) discards. Nothing here reads a clock, a socket or a disk: a ledger is a trait, a message a
//! value, and each call of `step` does one thing, so that the same steps run between parties and in the exhaustive
//! simulation of the tests.

use std::fmt;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::class::{Binding, Class};

/// What the parties say to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// P0 has burnt its half of this pack and proposes to take it.
    Take {
        /// The pack's class.
        class: Class,
        /// Its serial.
        serial: u64,
        /// What both must agree on: the run, the pack, and the order that it was made under.
        digest: [u8; 32],
    },
    /// P1 has burnt its half, too.
    Taken {
        /// The pack's serial.
        serial: u64,
        /// The same digest, found by P1.
        digest: [u8; 32],
    },
    /// P1 has no such half.
    Gone {
        /// The pack's serial.
        serial: u64,
    },
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Take { class, serial, .. } => write!(f, "TAKE of pack {serial} ({class})"),
            Message::Taken { serial, .. } => write!(f, "TAKEN of pack {serial}"),
            Message::Gone { serial } => write!(f, "GONE of pack {serial}"),
        }
    }
}

/// What a ledger must do.
pub trait Ledger {
    /// A half of a pack, out of the stock.
    type Pack;
    /// What can go wrong.
    type Error;
    /// The lowest available serial of a class.
    fn lowest(&mut self, class: &Class) -> Result<Option<u64>, Self::Error>;
    /// Burns a pack durably, then gives it out; nothing where it is not available.
    fn burn(&mut self, class: &Class, serial: u64, binding: Binding) -> Result<Option<Self::Pack>, Self::Error>;
    /// The digest of the agreement that the pack was ordered under.
    fn order(pack: &Self::Pack) -> [u8; 32];
}

/// What a step comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<P> {
    /// Call again.
    Again,
    /// Send this, then call again.
    Send(Message),
    /// Wait for a message, then call with it.
    Receive,
    /// The pack is taken at both sides, and may be used. This is the last step.
    Ready(P),
}

/// Why no pack was taken. The pack under way stays burnt.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakingError<E> {
    /// There is no pack left.
    #[error(
        "no correlations of this class are in stock ({class}; {passed} that were, the peer did not have); wait for the dealer to make more"
    )]
    Exhausted {
        /// The class.
        class: Class,
        /// How many packs the peer turned out not to have.
        passed: u64,
    },
    /// The parties do not agree on what is run, or their halves are from different orders.
    #[error(
        "pack {serial}: the parties do not agree on the run or on the order that the pack is from; it stays spent: start the request again"
    )]
    Differ {
        /// The pack's serial.
        serial: u64,
    },
    /// A message that has no place here.
    #[error("{got} came where {expected} was due; check that both parties run the same release")]
    OutOfStep {
        /// What was due.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] E),
}

/// What is to be taken, as this side sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The class.
    pub class: Class,
    /// What the pack is spent on.
    pub binding: Binding,
    /// The digest of what both parties agree on for this run.
    pub agreement: [u8; 32],
}

impl Wanted {
    /// What both must find the same of a pack.
    fn digest(&self, serial: u64, order: &[u8; 32]) -> [u8; 32] {
        let mut digest = Context::new(&SHA256);
        digest.update(b"private-bert taking 1");
        digest.update(&self.class.to_bytes());
        digest.update(&serial.to_be_bytes());
        digest.update(&self.binding.session);
        digest.update(&self.binding.request.to_be_bytes());
        digest.update(&self.binding.attempt.to_be_bytes());
        digest.update(&self.agreement);
        digest.update(order);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.finish().as_ref());
        bytes
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Proposing<P> {
    Choose,
    Burn(u64),
    Propose(u64, P),
    Await(u64, P),
    Ended,
}

/// P0's side of one taking.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proposer<P> {
    wanted: Wanted,
    passed: u64,
    at: Proposing<P>,
}

impl<P> Proposer<P> {
    /// At the beginning.
    pub fn new(wanted: Wanted) -> Proposer<P> {
        Proposer { wanted, passed: 0, at: Proposing::Choose }
    }

    /// Whether it can only go on with a message.
    pub fn is_waiting(&self) -> bool {
        matches!(self.at, Proposing::Await(..))
    }

    /// Does one thing. `message` is given where the step before was [`Step::Receive`], and only there.
    pub fn step<L: Ledger<Pack = P>>(
        &mut self,
        ledger: &mut L,
        message: Option<Message>,
    ) -> Result<Step<P>, TakingError<L::Error>> {
        let at = std::mem::replace(&mut self.at, Proposing::Ended);
        let waits = matches!(at, Proposing::Await(..));
        if let Some(got) = message.filter(|_| !waits) {
            return Err(out_of_step("no message", &got));
        }
        let wanted = &self.wanted;
        let (next, step) = match at {
            Proposing::Choose => match ledger.lowest(&wanted.class)? {
                Some(serial) => (Proposing::Burn(serial), Step::Again),
                None => return Err(TakingError::Exhausted { class: wanted.class, passed: self.passed }),
            },
            Proposing::Burn(serial) => match ledger.burn(&wanted.class, serial, wanted.binding)? {
                Some(pack) => (Proposing::Propose(serial, pack), Step::Again),
                // another session took it meanwhile
                None => (Proposing::Choose, Step::Again),
            },
            Proposing::Propose(serial, pack) => {
                let digest = wanted.digest(serial, &L::order(&pack));
                let take = Message::Take { class: wanted.class, serial, digest };
                (Proposing::Await(serial, pack), Step::Send(take))
            }
            Proposing::Await(serial, pack) => match message {
                None => (Proposing::Await(serial, pack), Step::Receive),
                Some(Message::Taken { serial: theirs, digest }) if theirs == serial => {
                    if digest != wanted.digest(serial, &L::order(&pack)) {
                        return Err(TakingError::Differ { serial });
                    }
                    (Proposing::Ended, Step::Ready(pack))
                }
                Some(Message::Gone { serial: theirs }) if theirs == serial => {
                    self.passed += 1;
                    (Proposing::Choose, Step::Again)
                }
                Some(got) => return Err(out_of_step("the answer to TAKE", &got)),
            },
            Proposing::Ended => return Err(ended()),
        };
        self.at = next;
        Ok(step)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Responding<P> {
    Await,
    Burn(u64, [u8; 32]),
    Refuse(u64),
    Confirm(u64, [u8; 32], P),
    Use(P),
    Ended,
}

/// P1's side of one taking.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Responder<P> {
    wanted: Wanted,
    at: Responding<P>,
}

impl<P> Responder<P> {
    /// At the beginning.
    pub fn new(wanted: Wanted) -> Responder<P> {
        Responder { wanted, at: Responding::Await }
    }

    /// Whether it can only go on with a message.
    pub fn is_waiting(&self) -> bool {
        matches!(self.at, Responding::Await)
    }

    /// Does one thing. `message` is given where the step before was [`Step::Receive`], and only there.
    pub fn step<L: Ledger<Pack = P>>(
        &mut self,
        ledger: &mut L,
        message: Option<Message>,
    ) -> Result<Step<P>, TakingError<L::Error>> {
        let at = std::mem::replace(&mut self.at, Responding::Ended);
        let waits = matches!(at, Responding::Await);
        if let Some(got) = message.filter(|_| !waits) {
            return Err(out_of_step("no message", &got));
        }
        let wanted = &self.wanted;
        let (next, step) = match at {
            Responding::Await => match message {
                None => (Responding::Await, Step::Receive),
                Some(Message::Take { class, serial, digest }) if class == wanted.class => {
                    (Responding::Burn(serial, digest), Step::Again)
                }
                Some(got) => return Err(out_of_step("TAKE of this class", &got)),
            },
            Responding::Burn(serial, theirs) => match ledger.burn(&wanted.class, serial, wanted.binding)? {
                None => (Responding::Refuse(serial), Step::Again),
                Some(pack) => {
                    let digest = wanted.digest(serial, &L::order(&pack));
                    if digest != theirs {
                        return Err(TakingError::Differ { serial });
                    }
                    (Responding::Confirm(serial, digest, pack), Step::Again)
                }
            },
            Responding::Refuse(serial) => (Responding::Await, Step::Send(Message::Gone { serial })),
            Responding::Confirm(serial, digest, pack) => {
                (Responding::Use(pack), Step::Send(Message::Taken { serial, digest }))
            }
            Responding::Use(pack) => (Responding::Ended, Step::Ready(pack)),
            Responding::Ended => return Err(ended()),
        };
        self.at = next;
        Ok(step)
    }
}

fn out_of_step<E>(expected: &'static str, got: &Message) -> TakingError<E> {
    TakingError::OutOfStep { expected, got: got.to_string() }
}

fn ended<E>() -> TakingError<E> {
    TakingError::OutOfStep { expected: "the end of the taking", got: "another step".to_owned() }
}
