//! Networks, ranges, specs and series through the public interface.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // differences are printed

mod designs;
mod engines;
mod functions;
mod padded;
mod refusals;
mod samples;
mod series;
mod softmax;
