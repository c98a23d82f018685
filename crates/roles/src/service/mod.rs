//! Roles as services of different operators: links are TLS, keys are pinned, many sessions run at once.
//!
//! ```text
//! client ──────────▶ P0 ◀────────── dealer     one port at P0 and at P1; the client and the dealer only dial out
//!    └─────────────▶ P1 ◀────────── dealer
//!                    P1 ──────────▶ P0
//! ```
//! Control connections (P1 to P0, the dealer to both) say who is there; over the dealer's, P0 tells of sessions. A client draws a
//! session's id and opens it at P0, which admits it when there is room, then at P1, which dials P0 under that id; the dealer dials
//! both. P0 refuses a session that P1 knows from another client. Each session has links, keys and burn state of its own; weights
//! are shared.

pub mod admission;
pub mod client;
mod control;
pub mod dealer;
pub mod dial;
pub mod door;
pub mod examine;
mod failed;
mod levels;
pub mod party;
pub mod presence;
mod priority;
pub mod roster;
mod serving;
mod snapshot;
pub mod status;
pub mod stock;
mod stocking;
pub mod table;
