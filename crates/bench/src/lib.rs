//! `runtime bench`: what private inference costs on this machine, on random weights of known shapes, beside the same
//! network in floating point.

pub mod design;
mod floating;
mod kernels;
mod measure;
mod median;
pub mod options;
mod plain;
mod private;
pub mod shapes;
mod table3;
mod weights;
mod work;

use std::io::Write;

use anyhow::Result;

use crate::options::{Bench, What};

/// Measures what the command line asks for.
pub fn run(options: &Bench, out: &mut dyn Write) -> Result<()> {
    match &options.what {
        What::Model(options) => private::run(options, out),
        What::Plain(options) => plain::run(options, out),
        What::Table3(options) => table3::run(options, out),
        What::Kernels(options) => kernels::run(options, out),
    }
}
