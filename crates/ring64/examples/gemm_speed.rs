//! How fast the matrix products run here, per kernel: the multiply-adds that registers alone can do, and each shape's part
//! of that, on one thread and on all; then the time per word of the rest.
//!
//! `cargo run --release -p ring64 --example gemm_speed [-- WORD...]`, where each word is a part of the kernel's name or of
//! the shape: `avx512 packed`
#![allow(clippy::print_stdout, reason = "a program that prints its findings")]

use std::hint::black_box;
use std::time::Instant;

use rayon::ThreadPool;
use ring64::{Dims, Kernel, Key, Prg, Rhs, Turn};

/// How the right factor is given.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    AsIs,
    Transposed,
    Packed,
}
use Form::*;

const SHAPES: &[(usize, usize, usize, Form)] = &[
    (8, 120, 24, AsIs),
    (128, 384, 384, AsIs),
    (128, 128, 64, AsIs),
    (128, 64, 128, Transposed),
    (128, 768, 3072, AsIs),
    (128, 768, 3072, Transposed),
    (16, 30522, 384, AsIs),
    (1, 30522, 384, AsIs),
    (5, 384, 30522, AsIs),
    (1, 30522, 384, Transposed),
    (128, 768, 3072, Packed),
    (128, 3072, 768, Packed),
    (128, 768, 768, Packed),
    (1, 768, 3072, Packed),
    (5, 768, 3072, Packed),
    (9, 768, 3072, Packed),
    (16, 768, 3072, Packed),
    (32, 768, 3072, Packed),
    (256, 768, 3072, Packed),
    (512, 768, 3072, Packed),
    (512, 3072, 768, Packed),
    (128, 768, 1000, Packed),
    (128, 1024, 4096, Packed),
    (1, 30524, 768, Packed),
    (16, 30524, 768, Packed),
    (128, 30524, 768, Packed),
];

fn main() {
    let threads = rayon::current_num_threads();
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for kernel in Kernel::available() {
        println!("\n{kernel}: G multiply-adds/s");
        println!(
            "{:>24} {:>10} {:>10} {:>8} {:>10}",
            "shape",
            "registers",
            "1 thread",
            "of peak",
            format!("{threads} threads")
        );
        for &(m, k, n, form) in SHAPES {
            let shape = format!("{m}x{k}x{n}{}", ["", " t", " packed"][form as usize]);
            if !wanted.iter().all(|word| format!("{kernel} {shape}").contains(word)) {
                continue;
            }
            let product = Product::new(kernel, Dims::new(m, k, n), form);
            let (alone, peak) = one.install(|| product.speed());
            let (all, _) = product.speed();
            println!("{shape:>24} {peak:>10.2} {alone:>10.2} {:>8.2} {all:>10.2}", alone / peak);
        }
    }
    if wanted.is_empty() {
        elementwise(&one);
    }
}

struct Product {
    kernel: Kernel,
    dims: Dims,
    form: Form,
    a: Vec<u64>,
    b: Vec<u64>,
    packed: Option<ring64::Packed>,
}

impl Product {
    fn new(kernel: Kernel, dims: Dims, form: Form) -> Self {
        let key = Key::from_bytes([1; 32]);
        let a = Prg::new(&key, 0).words(dims.m * dims.k);
        let mut b = Prg::new(&key, 1).words(dims.k * dims.n);
        let packed = (form == Packed).then(|| ring64::Packed::new(kernel, dims.k, dims.n, std::mem::take(&mut b)));
        Self { kernel, dims, form, a, b, packed }
    }

    /// G multiply-adds per second, of the product and of the registers: the best of runs taken in turns, for clocks and
    /// neighbours change from moment to moment.
    fn speed(&self) -> (f64, f64) {
        const STEPS: u64 = 4096;
        let Self { kernel, dims, form, a, b, packed } = self;
        let mut c = vec![0; dims.m * dims.n];
        let rhs = if *form == Transposed { Rhs::Transposed } else { Rhs::AsIs };
        let (mut product, mut registers) = (f64::INFINITY, f64::INFINITY);
        let (mut runs, begin) = (0, Instant::now());
        while runs < 5 || (begin.elapsed().as_millis() < 500 && runs < 2000) {
            product = product.min(nanoseconds(|| match packed {
                Some(packed) => packed.multiply_add(dims.m, a, &mut c),
                None => kernel.gemm(*dims, a, b, rhs, &mut c),
            }));
            registers = registers.min(nanoseconds(|| assert_ne!(kernel.multiply_peak(STEPS), 0)));
            runs += 1;
        }
        black_box(c);
        (dims.multiply_adds() as f64 / product, kernel.multiply_peak(STEPS) as f64 / registers)
    }
}

fn elementwise(one: &ThreadPool) {
    let n = 128 * 3072;
    let words = Prg::new(&Key::from_bytes([1; 32]), 0).words(n);
    println!("\none thread, ns per word, {n} words:");
    for kernel in Kernel::available() {
        let mut c = words.clone();
        let ns = one.install(|| best(|| kernel.mul_add(&words, &words, &mut c))) / n as f64;
        println!("  mul_add {kernel}: {ns:.2}");
    }
    let (mut cos, mut sin) = (vec![0; n], vec![0; n]);
    let ns = one.install(|| best(|| Turn::new(17).cos_sin_many(&words, 3, &mut cos, &mut sin))) / n as f64;
    println!("  cos_sin_many: {ns:.2}");
    let ns = best(|| words.iter().zip(&mut cos).for_each(|(&w, c)| *c = Turn::new(17).cos_sin(w).0)) / n as f64;
    println!("  cos_sin: {ns:.2}");
    let mut out = words.clone();
    let ns = one.install(|| best(|| Prg::new(&Key::from_bytes([2; 32]), 0).fill(&mut out))) / n as f64;
    println!("  fill: {ns:.2}");
    for bits in [48, 17] {
        let mut bytes = Vec::new();
        ring64::pack(&words, 0, bits, &mut bytes);
        let ns = best(|| ring64::unpack_add(&bytes, bits, &mut out).expect("own packing")) / n as f64;
        println!("  unpack_add {bits} bits: {ns:.2}");
        let ns = best(|| {
            bytes.clear();
            ring64::pack(&words, 64 - bits, bits, &mut bytes);
        }) / n as f64;
        println!("  pack {bits} bits: {ns:.2}");
    }
}

/// The shortest of several runs, in nanoseconds: other programs make a run longer, never shorter.
fn best(mut work: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut shortest = f64::INFINITY;
    let mut runs = 0;
    while runs < 3 || (begin.elapsed().as_millis() < 300 && runs < 1000) {
        shortest = shortest.min(nanoseconds(&mut work));
        runs += 1;
    }
    shortest
}

fn nanoseconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    black_box(());
    start.elapsed().as_secs_f64() * 1e9
}
