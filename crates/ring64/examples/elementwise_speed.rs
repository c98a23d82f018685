//! How near the loops that are not matrix products come to the memory's speed: ns per word and GB/s by kernel, in cache
//! and out of it, after a copy and a triad (`c += a * b` of plain numbers) measured in the same run.
//!
//! `cargo run --release -p ring64 --example elementwise_speed [threads]`
#![allow(clippy::print_stdout, reason = "a program that prints its findings")]

use std::hint::black_box;
use std::time::Instant;

use ring64::{Harmonics, Kernel, Key, Prg, Turn};

/// Words of a call that stays in the second-level cache, and of one that does not.
const LENGTHS: [usize; 2] = [1 << 13, 128 * 3072];
const COLUMNS: usize = 768;

fn main() {
    let threads = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
    println!("{threads} thread(s)\n{:>34} {:>10} {:>9} {:>9} {:>8}", "", "words", "kernel", "ns/word", "GB/s");
    pool.install(|| {
        for n in LENGTHS {
            bandwidth(n);
            for kernel in Kernel::available() {
                let report = |what: &str, bytes: f64, ns: f64| line(what, n, &kernel.to_string(), bytes, ns / n as f64);
                products(kernel, n, &report);
                openings(kernel, n, &report);
                streams(kernel, n, &report);
            }
        }
        for kernel in Kernel::available() {
            angles(kernel);
        }
    });
}

fn line(what: &str, n: usize, kernel: &str, bytes: f64, ns: f64) {
    println!("{what:>34} {n:>10} {kernel:>9} {ns:>9.3} {:>8.1}", bytes / ns);
}

fn words(n: usize, stream: u64) -> Vec<u64> {
    Prg::new(&Key::from_bytes([1; 32]), stream).words(n)
}

fn bandwidth(n: usize) {
    let (a, b, mut c) = (vec![1.5; n], vec![2.5; n], vec![0.5; n]);
    let ns = best(|| black_box(&mut c).copy_from_slice(black_box(&a)));
    line("copy", n, "-", 16.0, ns / n as f64);
    let ns = best(|| {
        let (a, b) = (black_box(&a), black_box(&b));
        black_box(&mut c).iter_mut().zip(a).zip(b).for_each(|((c, a), b): ((&mut f64, &f64), &f64)| *c = a * 3.0 + b);
    });
    line("triad", n, "-", 24.0, ns / n as f64);
}

fn products(kernel: Kernel, n: usize, report: &dyn Fn(&str, f64, f64)) {
    let (a, b, mut c) = (words(n, 0), words(n, 1), words(n, 2));
    report("mul_add", 32.0, best(|| kernel.mul_add(&a, &b, &mut c)));
    let rows = n / COLUMNS;
    let (a, b, c) = (&a[..rows * COLUMNS], &b[..rows * COLUMNS], &mut c[..rows * COLUMNS]);
    let mut out = vec![0; rows];
    report("row_dot", 16.0, best(|| kernel.row_dot(COLUMNS, a, b, &mut out)));
    report("scale_rows_add", 24.0, best(|| kernel.scale_rows_add(COLUMNS, a, &out, c)));
    report("columns_mul_add", 24.0, best(|| kernel.columns_mul_add(COLUMNS, a, &b[..COLUMNS], c)));
    report("rows_dot_vector", 8.0, best(|| kernel.rows_dot_vector(COLUMNS, a, &b[..COLUMNS], &mut out)));
    report("row_sums", 8.0, best(|| kernel.row_sums(COLUMNS, a, &mut out)));
    report("add_assign", 24.0, best(|| ring64::add_assign(c, a)));
}

fn openings(kernel: Kernel, n: usize, report: &dyn Fn(&str, f64, f64)) {
    let (share, mut mask) = (words(n, 0), words(n, 1));
    for bits in [64, 48, 56, 40, 17, 18, 19, 20, 33, 47] {
        let bytes = 24.0 + f64::from(bits) / 8.0;
        let mut out = Vec::new();
        let drop = (64 - bits).min(12);
        let ns = best(|| {
            out.clear();
            kernel.open_send(&share, 5, drop, bits, &mut mask, &mut out);
        });
        report(&format!("open_send {bits} bits"), bytes, ns);
        let lift = Some(bits - 1);
        let ns = best(|| drop_answer(kernel.open_receive(&out, bits, lift, &mut mask)));
        report(&format!("open_receive {bits} bits"), bytes - 8.0, ns);
    }
}

fn drop_answer(answer: Result<bool, ring64::PackError>) {
    black_box(answer.expect("own packing"));
}

fn streams(kernel: Kernel, n: usize, report: &dyn Fn(&str, f64, f64)) {
    let mut out = words(n, 0);
    let mut prg = Prg::with_kernel(&Key::from_bytes([2; 32]), 0, kernel);
    report("fill", 8.0, best(|| prg.fill(&mut out)));
    report("subtract_from", 16.0, best(|| prg.subtract_from(&mut out)));
}

/// Harmonics: the bytes are those of the waves, once.
fn angles(kernel: Kernel) {
    let odd: Vec<u32> = (0..20).map(|i| 2 * i + 1).collect();
    let all: Vec<u32> = (1..=384).collect();
    for (n, multiples, both) in
        [(LENGTHS[1], &odd[..4], false), (LENGTHS[1], &odd[..], false), (128, &all[..], true), (1536, &all[..], true)]
    {
        let angles = words(n, 0);
        let cosines: Vec<i64> = multiples.iter().map(|m| 100_000 / i64::from(*m)).collect();
        let sines: Vec<i64> = cosines.iter().map(|c| if both { c / 2 } else { 0 }).collect();
        let harmonics = Harmonics { multiples, cosines: &cosines, sines: &sines };
        let turn = Turn::new(17).with_kernel(kernel);
        let total = n * multiples.len();
        let (mut waves, mut sum) = (words(2 * total, 1), words(n, 2));
        let report = |what: &str, bytes: f64, ns: f64| {
            let what = format!("{what}, {n} x {} harmonics", multiples.len());
            line(&what, total, &kernel.to_string(), bytes, ns / total as f64);
        };
        report("series_add", 16.0, best(|| turn.series_add(harmonics, &angles, &waves, &mut sum)));
        report("series_clear", 0.0, best(|| turn.series_clear(harmonics, &angles, &mut sum)));
        report("waves", 16.0, best(|| turn.waves(multiples, 18, &angles, &mut waves)));
    }
}

/// The shortest of several runs, in nanoseconds: other programs make a run longer, never shorter.
fn best(mut work: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut shortest = f64::INFINITY;
    let mut runs = 0;
    while runs < 3 || (begin.elapsed().as_millis() < 200 && runs < 1000) {
        let start = Instant::now();
        work();
        black_box(());
        shortest = shortest.min(start.elapsed().as_secs_f64() * 1e9);
        runs += 1;
    }
    shortest
}
