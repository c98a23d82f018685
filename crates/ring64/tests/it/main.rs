//! Every kernel against plain loops, and what the check of instruction counts says.
#![allow(clippy::print_stdout, reason = "the tests print their seed, from a function of their own too")]

mod instruction_counts;
mod kernels;
mod openings;
mod waves;
