//! Harmonics in bulk: near the real cosines and sines, and the same integers by every kernel and any number of threads.

use ring64::{Harmonics, Kernel, Key, Prg, TRIG_FRAC, Turn};

const SEED: u8 = 0x3E;
const UNIT: f64 = (1u64 << TRIG_FRAC) as f64;

fn stream(number: u64) -> Prg {
    println!("seed {SEED:#x}, stream {number}");
    Prg::new(&Key::from_bytes([SEED; 32]), number)
}

/// Runs of equal steps up and down, repetitions, and jumps without any pattern.
fn sets_of_multiples() -> Vec<Vec<u32>> {
    let mut random: Vec<u32> = stream(1).words(50).iter().map(|w| (w % 4096) as u32).collect();
    random.extend(random.clone().iter().map(|m| m / 2));
    vec![
        (1..=384).collect(),
        (0..192).map(|i| 2 * i + 1).collect(),
        (0..40).rev().map(|i| 7 * i).collect(),
        (5..60).chain(100..150).chain([400, 401]).chain((200..300).step_by(3)).collect(),
        vec![3; 40],
        vec![u32::MAX, 0, 1, 2],
        random,
        vec![9],
        vec![],
    ]
}

/// cos, then sin, of a multiple of an angle, in the same layout as the waves.
fn real(bits: u32, multiples: &[u32], angles: &[u64]) -> Vec<f64> {
    let turns = |multiple: u32, angle: u64| {
        let steps = u128::from(multiple) * u128::from(angle) % (1 << bits);
        std::f64::consts::TAU * steps as f64 / (1u64 << bits) as f64
    };
    let row = |m: u32, f: fn(f64) -> f64| angles.iter().map(move |a| f(turns(m, *a)));
    multiples.iter().flat_map(|m| row(*m, f64::cos).chain(row(*m, f64::sin))).collect()
}

#[test]
fn waves_are_within_two_to_the_minus_24_of_the_real_ones() {
    for (number, multiples) in sets_of_multiples().iter().enumerate() {
        for bits in [1, 9, 17, 18, 40] {
            let n = if number < 2 { 700 } else { 130 };
            let mut angles = stream(2 + u64::from(bits)).words(n);
            angles.iter_mut().for_each(|a| *a &= u64::MAX >> 30);
            // Small angles, where a step is nearly one.
            angles.iter_mut().zip(0..64).for_each(|(a, i)| *a = i);
            let mut waves = vec![0; 2 * multiples.len() * n];
            Turn::new(bits).waves(multiples, TRIG_FRAC, &angles, &mut waves);
            let expected = real(bits, multiples, &angles);
            let error = |(w, x): (&u64, &f64)| (*w as i64 as f64 - x * UNIT).abs();
            let worst = waves.iter().zip(&expected).map(error).fold(0.0, f64::max);
            println!("set {number}, {bits} bits: {worst} units of 2^-30");
            assert!(worst < 64.0, "set {number}, {bits} bits: {worst}");
        }
    }
}

#[test]
fn waves_round_to_the_bits_asked_for() {
    let angles = stream(60).words(100);
    let multiples: Vec<u32> = (1..30).collect();
    let (mut fine, mut coarse) = (vec![0; 5800], vec![0; 5800]);
    Turn::new(17).waves(&multiples, TRIG_FRAC, &angles, &mut fine);
    for frac in [0, 15, 18, 29] {
        Turn::new(17).waves(&multiples, frac, &angles, &mut coarse);
        let drop = TRIG_FRAC - frac;
        assert!(fine.iter().zip(&coarse).all(|(f, c)| ring64::shift_round(*f, drop) == *c), "{frac} bits");
    }
}

/// Coefficients of both kinds, of either kind alone, and the largest ones.
fn coefficients(count: usize) -> [(Vec<i64>, Vec<i64>); 4] {
    let small = |number| stream(number).words(count).iter().map(|w| *w as i64 >> 40).collect::<Vec<i64>>();
    let most = (1 << 31) - 1;
    [
        (small(61), small(62)),
        (small(61), vec![0; count]),
        (vec![0; count], small(62)),
        (vec![most; count], vec![-most; count]),
    ]
}

#[test]
fn every_kernel_and_any_number_of_threads_give_the_same_words() {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    let many = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool of three threads");
    for multiples in sets_of_multiples() {
        let count = multiples.len();
        for n in [0, 1, 7, 8, 9, 127, 512, 513, 1540] {
            let mut prg = stream(100 + n as u64);
            let (angles, start, words) = (prg.words(n), prg.words(n), prg.words(2 * count * n));
            let turn = Turn::new(17).with_kernel(Kernel::Scalar);
            let mut expected = vec![7; 2 * count * n];
            one.install(|| turn.waves(&multiples, 18, &angles, &mut expected));
            for kernel in Kernel::available() {
                for pool in [&one, &many] {
                    let mut got = vec![9; 2 * count * n];
                    pool.install(|| turn.with_kernel(kernel).waves(&multiples, 18, &angles, &mut got));
                    assert!(got == expected, "{kernel}: waves of {n} angles");
                }
            }
            for (cosines, sines) in coefficients(count) {
                let harmonics = Harmonics { multiples: &multiples, cosines: &cosines, sines: &sines };
                let mut expected = [start.clone(), start.clone()];
                one.install(|| turn.series_add(harmonics, &angles, &words, &mut expected[0]));
                one.install(|| turn.series_clear(harmonics, &angles, &mut expected[1]));
                for kernel in Kernel::available() {
                    for pool in [&one, &many] {
                        let turn = turn.with_kernel(kernel);
                        let mut got = [start.clone(), start.clone()];
                        pool.install(|| turn.series_add(harmonics, &angles, &words, &mut got[0]));
                        pool.install(|| turn.series_clear(harmonics, &angles, &mut got[1]));
                        assert!(got == expected, "{kernel}: a series of {count} harmonics of {n} angles");
                    }
                }
            }
        }
    }
}

#[test]
fn a_series_in_clear_is_one_whose_mask_is_zero() {
    let n = 600;
    let multiples: Vec<u32> = (1..60).collect();
    let (cosines, sines) = &coefficients(multiples.len())[0];
    let harmonics = Harmonics { multiples: &multiples, cosines, sines };
    let angles = stream(63).words(n);
    let waves: Vec<u64> = multiples.iter().flat_map(|_| [vec![1; n], vec![0; n]].concat()).collect();
    let (mut masked, mut clear) = (vec![5; n], vec![5; n]);
    Turn::new(18).series_add(harmonics, &angles, &waves, &mut masked);
    Turn::new(18).series_clear(harmonics, &angles, &mut clear);
    assert!(masked == clear);
}

#[test]
fn shares_of_the_waves_of_a_mask_give_shares_of_the_series() {
    let (n, bits, frac) = (1000, 17, 18);
    let mut prg = stream(64);
    let multiples: Vec<u32> = (0..20).map(|i| 2 * i + 1).collect();
    let (cosines, sines) = &coefficients(multiples.len())[0];
    let harmonics = Harmonics { multiples: &multiples, cosines, sines };
    let (angles, masks) = (prg.words(n), prg.words(n));
    let turn = Turn::new(bits);
    let mut waves = vec![0; 2 * multiples.len() * n];
    turn.waves(&multiples, frac, &masks, &mut waves);
    let half = prg.words(waves.len());
    ring64::sub_assign(&mut waves, &half);
    let mut sum = vec![0; n];
    turn.series_add(harmonics, &angles, &waves, &mut sum);
    turn.series_add(harmonics, &angles, &half, &mut sum);
    let hidden: Vec<u64> = angles.iter().zip(&masks).map(|(x, a)| x.wrapping_sub(*a) & ((1 << bits) - 1)).collect();
    let real = real(bits, &multiples, &hidden);
    for i in 0..n {
        let term = |h: usize| cosines[h] as f64 * real[2 * h * n + i] + sines[h] as f64 * real[(2 * h + 1) * n + i];
        let expected: f64 = (0..multiples.len()).map(term).sum();
        let got = sum[i] as i64 as f64 / f64::from(1 << frac);
        // Each wave is half a unit off, and the coefficients are below 2^24.
        assert!((got - expected).abs() < 20.0 * 64.0 * 1.5, "{i}: {got}, not {expected}");
    }
}

#[test]
fn the_words_are_pinned() {
    // Both parties and every release must agree: a change here is a change of the protocol.
    let sets: [Vec<u32>; 3] = [(1..=384).collect(), (0..40).map(|i| 2 * i + 1).collect(), vec![9, 4, 7, 10, 13, 2, 3]];
    let mut digest = 0u64;
    for multiples in sets {
        let angles: Vec<u64> = (0..1 << 9).collect();
        let mut waves = vec![0; 2 * multiples.len() * angles.len()];
        Turn::new(12).waves(&multiples, TRIG_FRAC, &angles, &mut waves);
        let cosines: Vec<i64> = (1..).map(|i| 999_999 / i).take(multiples.len()).collect();
        let sines: Vec<i64> = cosines.iter().map(|c| 77 - c).collect();
        let mut sum = vec![0; angles.len()];
        Turn::new(12).series_clear(
            Harmonics { multiples: &multiples, cosines: &cosines, sines: &sines },
            &angles,
            &mut sum,
        );
        for word in waves.iter().chain(&sum) {
            digest = digest.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(*word);
        }
    }
    assert_eq!(digest, 0x6efa_0e21_f24e_4288, "{digest:#x}");
}

#[test]
#[should_panic(expected = "coefficients below 2^31")]
fn large_coefficients_are_a_programmer_error() {
    let harmonics = Harmonics { multiples: &[1], cosines: &[1 << 31], sines: &[0] };
    Turn::new(3).series_clear(harmonics, &[0], &mut [0]);
}
