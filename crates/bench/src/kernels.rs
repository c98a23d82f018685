//! `runtime bench kernels`: each kernel of the ring against what bounds it, which is measured in turns with it.
//!
//! Products of matrices are bounded by the multiplications that registers can do ([`Kernel::multiply_peak`]), all else by
//! memory: `c += a * b` over plain numbers that no cache holds, for kernels that read and write, and a sum over such
//! numbers for those that only read.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use ring64::{Dims, Harmonics, Kernel, Key, Packed, Prg, Rhs, Turn};
use serde::Serialize;
use serde_json::json;

use crate::median::median;
use crate::options::Kernels;

/// GeLU's arguments in a BERT-base layer at 128 tokens: more than second-level caches hold.
const WORDS: usize = 128 * 3072;
const COLUMNS: usize = 768;
/// Numbers of the memory's bounds: more than third-level caches hold.
const PLAIN: usize = 1 << 23;
/// Calls of a bound's loop in registers.
const STEPS: u64 = 1 << 14;

/// One line of the table.
#[derive(Serialize)]
struct Line {
    kernel: String,
    what: String,
    /// Giga multiply-adds or gigabytes a second.
    rate: f64,
    unit: &'static str,
    bound: &'static str,
    /// The rate over that of the bound.
    ratio: f64,
}

/// What bounds a kernel.
#[derive(Clone, Copy)]
enum Bound {
    Registers,
    Reading,
    Triad,
}

/// Measures and prints.
pub(crate) fn run(options: &Kernels, out: &mut dyn Write) -> Result<()> {
    let mut bench = Measuring::new(options.repeat as usize);
    for kernel in Kernel::available() {
        bench.kernel = kernel;
        bench.products();
        bench.series();
        bench.openings();
        bench.elementwise();
    }
    let lines = bench.lines;
    if options.json {
        let object = json!({"threads": options.threads, "repeats": options.repeat, "kernels": lines});
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&object)?)?);
    }
    writeln!(out, "{:<7} {:<38} {:>16}  part of its bound", "kernel", "what", "rate")?;
    for Line { kernel, what, rate, unit, bound, ratio } in &lines {
        writeln!(out, "{kernel:<7} {what:<38} {rate:>9.1} {unit:<6}  {ratio:.2} of {bound}")?;
    }
    Ok(())
}

struct Measuring {
    kernel: Kernel,
    repeat: usize,
    /// Numbers for the bounds.
    plain: [Vec<f64>; 2],
    lines: Vec<Line>,
}

fn seconds(work: &mut dyn FnMut()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64()
}

fn words(count: usize, stream: u64) -> Vec<u64> {
    Prg::new(&Key::from_bytes([0; 32]), stream).words(count)
}

impl Measuring {
    fn new(repeat: usize) -> Measuring {
        let plain = [vec![1.5; PLAIN], vec![0.5; PLAIN]];
        Measuring { kernel: Kernel::Scalar, repeat, plain, lines: Vec::new() }
    }

    /// Measures `work` of so many giga-units in turns with its bound, and notes the median of both.
    fn line(&mut self, what: &str, giga: f64, bound: Bound, mut work: impl FnMut()) {
        let kernel = self.kernel;
        let [from, to] = &mut self.plain;
        let mut limit = || match bound {
            Bound::Registers => kernel.multiply_peak(STEPS) as f64 / 1e9,
            Bound::Reading => {
                black_box(
                    from.as_chunks::<8>().0.iter().fold([0.0; 8], |sum, x| std::array::from_fn(|i| sum[i] + x[i])),
                );
                8e-9 * PLAIN as f64
            }
            Bound::Triad => {
                to.iter_mut().zip(black_box(&*from)).for_each(|(to, from)| *to += 3.0 * from);
                24e-9 * PLAIN as f64
            }
        };
        // long enough for the clock, and not much longer than that
        work();
        let calls = (2e-3 / seconds(&mut work)).clamp(1.0, 1e4) as usize;
        let (mut rates, mut bounds) = (Vec::new(), Vec::new());
        for _ in 0..self.repeat {
            let taken = seconds(&mut || (0..calls).for_each(|_| work()));
            rates.push(giga * calls as f64 / taken);
            let begin = Instant::now();
            let done = limit();
            bounds.push(done / begin.elapsed().as_secs_f64());
        }
        let (unit, bound) = match bound {
            Bound::Registers => ("G/s", "multiply-adds in registers"),
            Bound::Reading => ("GB/s", "reading memory"),
            Bound::Triad => ("GB/s", "c += a b in memory"),
        };
        let (rate, limit) = (median(rates), median(bounds));
        let (kernel, what) = (kernel.to_string(), what.to_string());
        self.lines.push(Line { kernel, what, rate, unit, bound, ratio: rate / limit });
    }

    fn products(&mut self) {
        for (m, k, n) in [(128, 768, 3072), (128, 3072, 768), (128, 768, 768), (16, 768, 3072)] {
            let (a, packed) = (words(m * k, 0), Packed::new(self.kernel, k, n, words(k * n, 1)));
            let (mut c, giga) = (vec![0; m * n], Dims::new(m, k, n).multiply_adds() as f64 / 1e9);
            self.line(&format!("packed product {m} x {k} x {n}"), giga, Bound::Registers, || {
                packed.multiply_add(m, &a, &mut c);
            });
        }
        for (dims, rhs, what) in [
            (Dims::new(128, 64, 128), Rhs::Transposed, "scores of a head 128 x 64 x 128"),
            (Dims::new(128, 128, 64), Rhs::AsIs, "values of a head 128 x 128 x 64"),
        ] {
            let (a, b, mut c) = (words(dims.m * dims.k, 0), words(dims.k * dims.n, 1), vec![0; dims.m * dims.n]);
            let kernel = self.kernel;
            self.line(what, dims.multiply_adds() as f64 / 1e9, Bound::Registers, || {
                kernel.gemm(dims, &a, &b, rhs, &mut c);
            });
        }
    }

    /// The words of the waves count, 16 bytes for each angle and harmonic.
    fn series(&mut self) {
        let multiples: Vec<u32> = (0..8).map(|i| 2 * i + 1).collect();
        let (cosines, sines) = (vec![1 << 12; 8], vec![0; 8]);
        let harmonics = Harmonics { multiples: &multiples, cosines: &cosines, sines: &sines };
        let (angles, mut sum, mut waves) = (words(WORDS, 0), vec![0; WORDS], words(16 * WORDS, 1));
        let (turn, giga) = (Turn::new(17).with_kernel(self.kernel), 128e-9 * WORDS as f64);
        self.line("series of 8 harmonics (party)", giga, Bound::Reading, || {
            turn.series_add(harmonics, &angles, &waves, &mut sum);
        });
        self.line("sines and cosines of 8 (dealer)", giga, Bound::Triad, || {
            turn.waves(&multiples, 18, &angles, &mut waves);
        });
    }

    fn openings(&mut self) {
        let kernel = self.kernel;
        let (share, mut own) = (words(WORDS, 0), words(WORDS, 1));
        for bits in [48, 17] {
            let mut bytes = Vec::new();
            // share and mask are read, own words and bytes written
            let giga = (24.0 + f64::from(bits) / 8.0) * 1e-9 * WORDS as f64;
            self.line(&format!("opening out, {bits} bits"), giga, Bound::Triad, || {
                bytes.clear();
                kernel.open_send(&share, 1, 64 - bits, bits, &mut own, &mut bytes);
            });
            let giga = (16.0 + f64::from(bits) / 8.0) * 1e-9 * WORDS as f64;
            self.line(&format!("opening in, {bits} bits"), giga, Bound::Triad, || {
                black_box(kernel.open_receive(&bytes, bits, Some(bits - 1), &mut own).is_ok());
            });
        }
    }

    fn elementwise(&mut self) {
        let kernel = self.kernel;
        let (a, b, mut c) = (words(WORDS, 0), words(WORDS, 1), words(WORDS, 2));
        let (giga, mut rows) = (8e-9 * WORDS as f64, vec![0; WORDS / COLUMNS]);
        self.line("c += a b", 4.0 * giga, Bound::Triad, || kernel.mul_add(&a, &b, &mut c));
        self.line("rows times numbers", 3.0 * giga, Bound::Triad, || {
            kernel.scale_rows_add(COLUMNS, &a, &b[..512], &mut c)
        });
        self.line("products of rows, summed", 2.0 * giga, Bound::Reading, || {
            kernel.row_dot(COLUMNS, &a, &b, &mut rows)
        });
        self.line("sums of rows", giga, Bound::Reading, || kernel.row_sums(COLUMNS, &a, &mut rows));
        let mut prg = Prg::with_kernel(&Key::from_bytes([0; 32]), 3, kernel);
        self.line("random words", giga, Bound::Triad, || prg.fill(&mut c));
        self.line("minus random words", 2.0 * giga, Bound::Triad, || prg.subtract_from(&mut c));
    }
}
