//! `runtime bench kernels`: products of ring matrices, by each kernel that this machine can run.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use ring64::{Dims, Kernel, Key, Prg, Rhs};
use serde_json::{Value, json};

use super::median;
use super::options::Kernels;

/// The largest product of a BERT-base layer at 128 tokens.
const DIMS: Dims = Dims { m: 128, k: 768, n: 3072 };

/// Measures and prints.
pub(super) fn run(options: &Kernels, out: &mut dyn Write) -> Result<()> {
    let mut prg = Prg::new(&Key::from_bytes([0; 32]), 0);
    let (a, b) = (prg.words(DIMS.m * DIMS.k), prg.words(DIMS.k * DIMS.n));
    let products = (DIMS.m * DIMS.k * DIMS.n) as f64;
    let rate = |kernel: Kernel| {
        let mut c = vec![0; DIMS.m * DIMS.n];
        let once = || {
            let begin = Instant::now();
            kernel.gemm(DIMS, &a, &b, Rhs::AsIs, &mut c);
            begin.elapsed().as_secs_f64()
        };
        // the first warms up
        let seconds = std::iter::repeat_with(once).take(options.repeat as usize + 1).skip(1).collect();
        products / median(seconds) / 1e9
    };
    let rates: Vec<(String, f64)> =
        Kernel::available().into_iter().map(|kernel| (format!("{kernel:?}").to_lowercase(), rate(kernel))).collect();
    let Dims { m, k, n } = DIMS;
    if options.json {
        let kernels: Vec<Value> =
            rates.iter().map(|(name, rate)| json!({"kernel": name, "giga_products_per_second": rate})).collect();
        let object = json!({"gemm": [m, k, n], "threads": options.threads, "kernels": kernels});
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&object)?)?);
    }
    writeln!(out, "{m} x {k} x {n}, 64-bit words, billion multiply-adds a second")?;
    for (name, rate) in rates {
        writeln!(out, "  {name:<12} {rate:>8.2}")?;
    }
    Ok(())
}
