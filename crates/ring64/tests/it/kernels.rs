//! Every kernel of this CPU against naive loops: the parties may run different ones, and must get the same bits.

use ring64::{Dims, Kernel, Key, Packed, Prg, Product, Rhs};

const SEED: u8 = 0x51;

fn stream(number: u64) -> Prg {
    println!("seed {SEED:#x}, stream {number}");
    Prg::new(&Key::from_bytes([SEED; 32]), number)
}

fn naive(Dims { m, k, n }: Dims, a: &[u64], b: &[u64], rhs: Rhs, c: &mut [u64]) {
    for i in 0..m {
        for j in 0..n {
            for p in 0..k {
                let b = match rhs {
                    Rhs::AsIs => b[p * n + j],
                    Rhs::Transposed => b[j * k + p],
                };
                c[i * n + j] = c[i * n + j].wrapping_add(a[i * k + p].wrapping_mul(b));
            }
        }
    }
}

/// All forms of the right factor, each kernel, on several threads and on one.
fn check(dims: Dims, prg: &mut Prg) {
    let Dims { m, k, n } = dims;
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    let many = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool of three threads");
    let (a, b, c) = (prg.words(m * k), prg.words(k * n), prg.words(m * n));
    for rhs in [Rhs::AsIs, Rhs::Transposed] {
        let mut expected = c.clone();
        naive(dims, &a, &b, rhs, &mut expected);
        for kernel in Kernel::available() {
            for pool in [&one, &many] {
                let mut got = c.clone();
                pool.install(|| kernel.gemm(dims, &a, &b, rhs, &mut got));
                assert!(got == expected, "{kernel}: {dims:?}, {rhs:?}, {} threads", pool.current_num_threads());
                if rhs == Rhs::AsIs {
                    let packed = pool.install(|| Packed::new(kernel, k, n, b.clone()));
                    got.copy_from_slice(&c);
                    pool.install(|| packed.multiply_add(m, &a, &mut got));
                    assert!(got == expected, "{kernel}: {dims:?}, packed, {} threads", pool.current_num_threads());
                    assert_eq!((packed.rows(), packed.columns()), (k, n));
                }
            }
        }
    }
}

#[test]
fn products_of_every_edge_of_the_tile_agree_with_naive_loops() {
    let mut prg = stream(1);
    for m in [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 25] {
        for n in [0, 1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 25, 49] {
            for k in [0, 1, 5, 130] {
                check(Dims::new(m, k, n), &mut prg);
            }
        }
    }
}

#[test]
fn products_of_random_shapes_agree_with_naive_loops() {
    let mut prg = stream(2);
    for _ in 0..150 {
        let shape = prg.words(3);
        let side = |w: u64| (w % (1 + (w >> 32) % 150)) as usize;
        check(Dims::new(side(shape[0]), side(shape[1]), side(shape[2])), &mut prg);
    }
}

#[test]
fn products_that_threads_share_agree_with_naive_loops() {
    let mut prg = stream(3);
    // Beyond 2^21 multiply-adds: many rows, few rows and long sums, few rows and many columns, single rows and columns.
    for (m, k, n) in [
        (130, 129, 131),
        (401, 260, 25),
        (1030, 1025, 3),
        (16, 3001, 50),
        (3, 50, 15_001),
        (1, 3001, 701),
        (3001, 701, 1),
        (9, 4, 60_000),
        (17, 30_001, 5),
        (300, 1000, 17),
        (130, 800, 63),
    ] {
        check(Dims::new(m, k, n), &mut prg);
    }
}

#[test]
fn a_packed_factor_serves_any_number_of_rows() {
    let mut prg = stream(6);
    let (k, n) = (769, 100);
    let b = prg.words(k * n);
    for kernel in Kernel::available() {
        let packed = Packed::new(kernel, k, n, b.clone());
        for m in [0, 1, 5, 8, 9, 16, 31, 129, 257] {
            let a = prg.words(m * k);
            let (mut got, mut expected) = (vec![3; m * n], vec![3; m * n]);
            packed.multiply_add(m, &a, &mut got);
            naive(Dims::new(m, k, n), &a, &b, Rhs::AsIs, &mut expected);
            assert!(got == expected, "{kernel}: {m} x {k} x {n}");
        }
    }
}

#[test]
fn a_batch_is_its_products() {
    let mut prg = stream(7);
    for count in [0, 1, 13] {
        let shapes: Vec<_> = (0..count).map(|i| Dims::new(60 + i, 64, 61 + 2 * i)).collect();
        let factors: Vec<_> = shapes.iter().map(|d| (prg.words(d.m * d.k), prg.words(d.k * d.n))).collect();
        let rhs = |i: usize| if i.is_multiple_of(2) { Rhs::AsIs } else { Rhs::Transposed };
        for kernel in Kernel::available() {
            let mut sums: Vec<_> = shapes.iter().map(|d| vec![9; d.m * d.n]).collect();
            let mut products: Vec<_> = shapes
                .iter()
                .zip(&factors)
                .zip(&mut sums)
                .enumerate()
                .map(|(i, ((&dims, (a, b)), c))| Product { dims, a, b, rhs: rhs(i), c })
                .collect();
            kernel.gemm_batch(&mut products);
            for (i, (&dims, (a, b))) in shapes.iter().zip(&factors).enumerate() {
                let mut expected = vec![9; dims.m * dims.n];
                naive(dims, a, b, rhs(i), &mut expected);
                assert!(sums[i] == expected, "{kernel}: {i} of {count}");
            }
        }
    }
}

#[test]
fn the_peak_counts_its_multiply_adds() {
    for kernel in Kernel::available() {
        let (few, many) = (kernel.multiply_peak(10), kernel.multiply_peak(30));
        assert!(few >= 10 && many == 3 * few, "{kernel}: {few} and {many}");
    }
}

#[test]
fn elementwise_kernels_agree_with_naive_loops() {
    let mut prg = stream(4);
    for n in [0, 1, 7, 8, 9, 1000, 100_003] {
        let (a, b, c) = (prg.words(n), prg.words(n), prg.words(n));
        for kernel in Kernel::available() {
            let run = |work: &dyn Fn(&mut [u64])| {
                let mut out = c.clone();
                work(&mut out);
                out
            };
            let expect = |f: &dyn Fn(usize) -> u64| (0..n).map(f).collect::<Vec<_>>();
            let product = |i: usize| a[i].wrapping_mul(b[i]);
            let sum = expect(&|i| c[i].wrapping_add(product(i)));
            assert!(run(&|c| kernel.mul_add(&a, &b, c)) == sum, "mul_add {kernel} {n}");
        }
    }
}

#[test]
fn row_kernels_agree_with_naive_loops() {
    let mut prg = stream(5);
    for (rows, columns) in [(0, 5), (5, 0), (1, 1), (3, 17), (128, 768), (70_001, 2), (2, 70_001)] {
        let (a, b, c) = (prg.words(rows * columns), prg.words(rows * columns), prg.words(rows * columns));
        let r = prg.words(rows);
        for kernel in Kernel::available() {
            let mut dots = r.clone();
            kernel.row_dot(columns, &a, &b, &mut dots);
            let mut plus = c.clone();
            kernel.scale_rows_add(columns, &a, &r, &mut plus);
            for i in 0..rows {
                let mut dot = r[i];
                for j in i * columns..(i + 1) * columns {
                    dot = dot.wrapping_add(a[j].wrapping_mul(b[j]));
                    assert_eq!(plus[j], c[j].wrapping_add(a[j].wrapping_mul(r[i])), "scale_rows_add {kernel}");
                }
                assert_eq!(dots[i], dot, "row_dot {kernel}");
            }
        }
    }
}

#[test]
fn kernels_of_rows_and_one_vector_agree_with_naive_loops() {
    let mut prg = stream(6);
    let mut shapes = vec![(0, 5), (5, 0), (1, 1), (3, 17), (128, 768), (70_001, 2), (2, 70_001)];
    shapes.extend(prg.words(20).iter().map(|w| ((w % 90) as usize, (w >> 32) as usize % 90)));
    for (rows, columns) in shapes {
        let (x, c) = (prg.words(rows * columns), prg.words(rows * columns));
        let (vector, start) = (prg.words(columns), prg.words(rows));
        for kernel in Kernel::available() {
            let (mut sums, mut dots, mut products) = (start.clone(), start.clone(), c.clone());
            kernel.row_sums(columns, &x, &mut sums);
            kernel.rows_dot_vector(columns, &x, &vector, &mut dots);
            kernel.columns_mul_add(columns, &x, &vector, &mut products);
            for i in 0..rows {
                let (mut sum, mut dot) = (start[i], start[i]);
                for j in 0..columns {
                    let word = x[i * columns + j];
                    sum = sum.wrapping_add(word);
                    dot = dot.wrapping_add(word.wrapping_mul(vector[j]));
                    let product = c[i * columns + j].wrapping_add(word.wrapping_mul(vector[j]));
                    assert_eq!(products[i * columns + j], product, "columns_mul_add {kernel}");
                }
                assert_eq!((sums[i], dots[i]), (sum, dot), "row_sums, rows_dot_vector {kernel}");
            }
        }
    }
}

#[test]
fn the_detected_kernel_is_available_and_kernels_have_names() {
    assert!(Kernel::available().contains(&Kernel::detect()));
    assert_eq!(Kernel::available()[0], Kernel::Scalar);
    assert_eq!(Kernel::Scalar.to_string(), "scalar");
    assert_eq!(Kernel::Avx2.to_string(), "avx2");
    assert_eq!(Kernel::Neon.to_string(), "neon");
    assert_eq!(Kernel::Avx512.to_string(), "avx512");
}

#[test]
#[should_panic(expected = "gemm 2 x 3 x 4: length of b")]
fn wrong_lengths_are_a_programmer_error() {
    Kernel::detect().gemm(Dims::new(2, 3, 4), &[0; 6], &[0; 11], Rhs::AsIs, &mut [0; 8]);
}

#[test]
#[should_panic(expected = "packed 2 x 3 x 4: length of a")]
fn wrong_lengths_of_a_packed_product_are_a_programmer_error() {
    Packed::new(Kernel::detect(), 3, 4, vec![0; 12]).multiply_add(2, &[0; 5], &mut [0; 8]);
}
