//! A stock on a real disk, its files damaged, its process killed, its folder restored; and how two parties take a pack, in
//! all orders.

mod damage;
mod fixture;
mod full;
mod killed;
mod life;
mod restored;
mod simulation;
mod states;
mod taking;
