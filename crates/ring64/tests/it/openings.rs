//! Both passes of an opening against plain words, by every kernel and any number of threads.

use ring64::{Kernel, Key, PackError, Prg, low_bits, pack, packed_len};

const SEED: u8 = 0x0E;

fn stream(number: u64) -> Prg {
    println!("seed {SEED:#x}, stream {number}");
    Prg::new(&Key::from_bytes([SEED; 32]), number)
}

/// Sends by one kernel and receives by it, and compares with packing and plain sums.
fn check(kernel: Kernel, n: usize, bits: u32, drop: u32) {
    let mut prg = stream(u64::from(bits) << 32 | n as u64);
    let (share, mask, mine) = (prg.words(n), prg.words(n), prg.words(n));
    let offset = prg.words(1)[0];
    let cut = |w: u64| w & low_bits(bits);
    let name = format!("{kernel}: {n} words, {bits} bits from {drop}");

    let expected: Vec<u64> =
        share.iter().zip(&mask).map(|(z, r)| cut(z.wrapping_add(*r).wrapping_add(offset) >> drop)).collect();
    let mut packed = vec![0xAB; 3];
    pack(&expected, 0, bits, &mut packed);
    let (mut words, mut out) = (mask, vec![0xAB; 3]);
    kernel.open_send(&share, offset, drop, bits, &mut words, &mut out);
    assert!(words == expected, "{name}: own words");
    assert!(out == packed, "{name}: bytes");

    for lift in [None, Some(1), Some(bits / 2), Some(bits - 1)] {
        if lift.is_some_and(|range| !(1..bits).contains(&range)) {
            continue;
        }
        let sums: Vec<u64> = expected.iter().zip(&mine).map(|(a, b)| cut(a.wrapping_add(*b))).collect();
        let within = lift.is_none_or(|range| sums.iter().all(|s| *s >= 1 << range));
        let half = lift.map_or(0, |range| 1u64 << (range - 1));
        let lifted: Vec<u64> = sums.iter().map(|s| s.wrapping_sub(half)).collect();
        let mut words = mine.clone();
        assert_eq!(kernel.open_receive(&out[3..], bits, lift, &mut words), Ok(within), "{name}, lifted to {lift:?}");
        assert!(words == lifted, "{name}, lifted to {lift:?}");
    }
}

#[test]
fn openings_of_all_bits_and_lengths_are_those_of_plain_words() {
    let mut lengths = vec![0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 511, 512, 513];
    lengths.extend(stream(1).words(3).iter().map(|w| (w % 1500) as usize));
    for kernel in Kernel::available() {
        for bits in 1..=64 {
            for &n in &lengths {
                [0, 1, (64 - bits) / 2, 64 - bits].into_iter().filter(|d| d + bits <= 64).for_each(|drop| {
                    check(kernel, n, bits, drop);
                });
            }
        }
    }
}

#[test]
fn openings_that_threads_share_are_the_same() {
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
        for kernel in Kernel::available() {
            for bits in [17, 33, 48, 61, 64] {
                pool.install(|| check(kernel, 70_003, bits, 64 - bits));
            }
        }
    }
}

#[test]
fn one_word_below_its_range_is_found_wherever_it_lies() {
    for kernel in Kernel::available() {
        for n in [1, 8, 100, 40_000] {
            for at in [0, n / 2, n - 1] {
                let mut bytes = Vec::new();
                pack(&vec![0; n], 0, 20, &mut bytes);
                let mut words = vec![1 << 19; n];
                assert_eq!(kernel.open_receive(&bytes, 20, Some(19), &mut words), Ok(true));
                let mut words = vec![1 << 19; n];
                words[at] -= 1;
                assert_eq!(kernel.open_receive(&bytes, 20, Some(19), &mut words), Ok(false), "{kernel}: {at} of {n}");
            }
        }
    }
}

#[test]
fn bytes_of_a_wrong_form_are_an_error_and_change_nothing() {
    for kernel in Kernel::available() {
        let mut words = vec![5; 9];
        let expected = packed_len(9, 17);
        for got in [0, expected - 1, expected + 1] {
            let error = Err(PackError::Length { expected, got });
            assert_eq!(kernel.open_receive(&vec![0; got], 17, Some(16), &mut words), error);
        }
        let mut bytes = vec![0; expected];
        bytes[expected - 1] = 0x80;
        assert_eq!(kernel.open_receive(&bytes, 17, Some(16), &mut words), Err(PackError::Trailing));
        assert_eq!(words, [5; 9]);
    }
}

#[test]
#[should_panic(expected = "lifting 17 bits to a range of 17")]
fn a_range_without_room_above_it_is_a_programmer_error() {
    let _ = Kernel::detect().open_receive(&[], 17, Some(17), &mut []);
}
