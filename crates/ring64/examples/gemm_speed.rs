//! How fast the matrix products run here: G multiply-adds per second by kernel, shape and threads.
//! The first shape is one tile with all its data in the first-level cache: the rate the others can come near.
//!
//! `cargo run --release -p ring64 --example gemm_speed`
#![allow(clippy::print_stdout, reason = "a program that prints its findings")]

use std::hint::black_box;
use std::time::Instant;

use ring64::{Dims, Kernel, Key, Prg, Rhs};

const SHAPES: [(usize, usize, usize, Rhs); 10] = [
    (8, 120, 24, Rhs::AsIs),
    (128, 768, 3072, Rhs::AsIs),
    (128, 3072, 768, Rhs::AsIs),
    (128, 384, 384, Rhs::AsIs),
    (128, 64, 128, Rhs::Transposed),
    (128, 768, 3072, Rhs::Transposed),
    (16, 30522, 384, Rhs::AsIs),
    (1, 30522, 384, Rhs::AsIs),
    (5, 384, 30522, Rhs::AsIs),
    (1, 30522, 384, Rhs::Transposed),
];

fn main() {
    let threads = rayon::current_num_threads();
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    println!(
        "{:>24} {:>8} {:>10} {:>10}   (G multiply-adds/s)",
        "shape",
        "kernel",
        "1 thread",
        format!("{threads} threads")
    );
    for (m, k, n, rhs) in SHAPES {
        for kernel in Kernel::available() {
            let alone = one.install(|| gemm(kernel, Dims::new(m, k, n), rhs));
            let all = gemm(kernel, Dims::new(m, k, n), rhs);
            let shape = format!("{m}x{k}x{n}{}", if rhs == Rhs::Transposed { " t" } else { "" });
            println!("{shape:>24} {:>8} {alone:>10.2} {all:>10.2}", kernel.to_string());
        }
    }
}

fn gemm(kernel: Kernel, dims: Dims, rhs: Rhs) -> f64 {
    let key = Key::from_bytes([1; 32]);
    let a = Prg::new(&key, 0).words(dims.m * dims.k);
    let b = Prg::new(&key, 1).words(dims.k * dims.n);
    let mut c = vec![0; dims.m * dims.n];
    dims.multiply_adds() as f64 / best(|| kernel.gemm(dims, &a, &b, rhs, &mut c))
}

/// The shortest of several runs, in nanoseconds: other programs make a run longer, never shorter.
fn best(mut work: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut shortest = f64::INFINITY;
    let mut runs = 0;
    while runs < 3 || (begin.elapsed().as_millis() < 300 && runs < 1000) {
        let start = Instant::now();
        work();
        black_box(());
        shortest = shortest.min(start.elapsed().as_secs_f64() * 1e9);
        runs += 1;
    }
    shortest
}
