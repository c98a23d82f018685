//! How fast the matrix products run here, per kernel: the multiply-adds that registers alone can do, and each shape's part
//! of that, on one thread and on all.
//!
//! `cargo run --release -p ring64 --example gemm_speed [-- WORD...]`, where each word is a part of the kernel's name or of
//! the shape: `avx512 packed`
#![allow(clippy::print_stdout, reason = "a program that prints its findings")]

use std::hint::black_box;
use std::time::Instant;

use ring64::{Dims, Kernel, Key, Prg, Rhs};

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

fn nanoseconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    black_box(());
    start.elapsed().as_secs_f64() * 1e9
}
