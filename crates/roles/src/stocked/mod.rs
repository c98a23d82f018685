//! A party's stock of correlations: filled ahead of requests, kept like the other party's, and taken pack by pack.
//!
//! ```text
//! between requests   P0 ── ORDER ──▶ P1      both: DEMAND ──▶ dealer, prepare, write down; P1 has its half first, and both say STORED
//! when they connect  P0 ◀─ GREETING, STATE ─▶ P1      what one has not, the other throws away
//! in an attempt      P0 ── TAKE ──▶ P1 ── TAKEN ──▶ P0      both have burnt the pack, durably, before either says so
//! ```
//!
//! What is kept is *prepared*: nothing is left to be done for a request but its online phase. To the dealer an order is a
//! session like others, with one request a pack; it is not told which packs are used, nor of restarts. A batch of several texts,
//! and a text of a class that is not in stock, is served on demand, as without a stock.

mod ahead;
mod fill;
mod kept;
mod making;
mod order;
mod progress;
mod reconcile;
mod shared;
mod take;

pub(crate) use ahead::Ahead;
pub use fill::Fill;
pub(crate) use fill::fill;
pub use kept::{KeptClass, PartyStock, StockPlace};
pub(crate) use making::{PackMaker, kept_error};
pub(crate) use order::{accept, ask_whether_there, next_order, offer};
pub(crate) use reconcile::reconcile;
pub(crate) use take::{Wish, propose, respond};
