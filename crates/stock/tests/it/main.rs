//! A stock on a real disk, its files damaged, its process killed, its folder restored; and how two parties take a pack, in
//! all orders.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod anchored;
mod damage;
mod fixture;
#[cfg(unix)]
mod full;
#[cfg(unix)]
mod killed;
mod life;
mod restored;
mod simulation;
mod states;
mod taking;
