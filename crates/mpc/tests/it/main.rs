//! Private runs in memory: two parties and a dealer, on random networks.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // seeds and figures are printed

mod world;

mod beaver;
mod beaver_coupling;
mod beaver_published;
mod certificates;
mod compared;
mod coupling;
mod edges;
mod faults;
mod functions;
mod gated;
mod golden;
mod masked;
mod networks;
mod padded;
mod restart;
mod roles;
mod shapes;
mod softmax;
mod streams;
mod uniform;
