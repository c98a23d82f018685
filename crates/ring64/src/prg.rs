//! Numbered streams of uniform words: AES-256 in counter mode under a 32-byte key.
//!
//! With AES for wide registers a core makes 32 GB/s (Zen 5), with plain AES instructions 6 GB/s. Without any the crate `aes`
//! computes in constant time in software: the same words at 0.2 GB/s.
//!
//! The blocks of one key never repeat, which n uniform blocks would with a chance of n^2 / 2^129: that is all that tells them
//! apart, 2^-49 after 16 TiB under one key.
//!
//! **One (key, stream) serves one purpose, once.** Nothing here can enforce it: two values drawn from the same stream are
//! the same pad, and no statistical test would ever notice. Whoever holds a key gives every purpose its own stream number.

use std::fmt;

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes256Enc, Block};
use rayon::prelude::*;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Kernel;

/// Fills of more words than this run on all threads.
const PARALLEL_WORDS: usize = 1 << 16;
/// Words per parallel piece.
const PIECE_WORDS: usize = 1 << 13;
/// Words that are made on the stack, to be added or subtracted.
const STACK_WORDS: usize = 1 << 11;
/// Blocks that the crate `aes` is given at once.
const BLOCKS: usize = 64;

/// A secret 32-byte key of numbered streams. It does not print, is wiped on drop, and is not `Clone`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

impl Key {
    /// The key made of these bytes, which must come from a secret, uniform source.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key, to write into a file of mode 0600 or to send over an encrypted link.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(secret)")
    }
}

/// One numbered stream of a [`Key`]: an endless sequence of uniform words, the same on every machine.
///
/// The words are the key stream of AES-256 in counter mode (SP 800-38A) read as little-endian `u64`s: the upper 64 bits of the
/// counter block are the stream number, the lower 64 count blocks from zero, both the highest byte first. How the reads
/// are cut does not matter: two fills of 3 and 5 words give one fill of 8.
pub struct Prg {
    cipher: Aes256Enc,
    key: Key,
    stream: u64,
    /// Words that were read.
    position: u64,
    kernel: Kernel,
}

impl Prg {
    /// The beginning of stream number `stream` of `key`, on the fastest kernel of this CPU.
    pub fn new(key: &Key, stream: u64) -> Self {
        Self::with_kernel(key, stream, Kernel::detect())
    }

    /// The same words by the instructions of `kernel`.
    pub fn with_kernel(key: &Key, stream: u64, kernel: Kernel) -> Self {
        Self { cipher: Aes256Enc::new(&key.0.into()), key: Key(key.0), stream, position: 0, kernel }
    }

    /// Overwrites `words` with the next words of the stream.
    pub fn fill(&mut self, words: &mut [u64]) {
        self.pieces(words, |prg, position, piece| prg.fill_at(position, piece));
    }

    /// Subtracts the next words of the stream from `words`.
    pub fn subtract_from(&mut self, words: &mut [u64]) {
        self.combine(words, crate::sub_assign);
    }

    /// Adds the next words of the stream to `words`.
    pub fn add_to(&mut self, words: &mut [u64]) {
        self.combine(words, crate::add_assign);
    }

    /// Calls `with` with parts of `words` and as many words of the stream, which never leave the first-level cache.
    fn combine(&mut self, words: &mut [u64], with: fn(&mut [u64], &[u64])) {
        self.pieces(words, |prg, position, piece| {
            let mut next = [0; STACK_WORDS];
            for (i, part) in piece.chunks_mut(STACK_WORDS).enumerate() {
                let next = &mut next[..part.len()];
                prg.fill_at(position.wrapping_add((i * STACK_WORDS) as u64), next);
                with(part, next);
            }
        });
    }

    /// Calls `work` with the pieces of `words` and their positions, on all threads where they are many, and moves on.
    fn pieces(&mut self, words: &mut [u64], work: impl Fn(&Self, u64, &mut [u64]) + Sync) {
        let start = self.position;
        if words.len() <= PARALLEL_WORDS || rayon::current_num_threads() == 1 {
            work(self, start, words);
        } else {
            let this = &*self;
            words.par_chunks_mut(PIECE_WORDS).enumerate().for_each(|(i, piece)| {
                work(this, start.wrapping_add((i * PIECE_WORDS) as u64), piece);
            });
        }
        self.position = start.wrapping_add(words.len() as u64);
    }

    /// Overwrites `words` with those of the stream from `position` on.
    fn fill_at(&self, position: u64, words: &mut [u64]) {
        let mut block = position / 2;
        let mut rest = words;
        if position % 2 == 1 {
            let Some((second, after)) = rest.split_first_mut() else { return };
            let mut both = [0; 2];
            self.fill_blocks(block, &mut both);
            *second = both[1];
            (block, rest) = (block.wrapping_add(1), after);
        }
        let done = self.kernel.fill_passes(&self.key.0, self.stream, block, rest);
        self.fill_blocks(block.wrapping_add((done / 2) as u64), &mut rest[done..]);
    }

    /// From the beginning of a block, by the crate `aes`, which picks AES instructions of its own where there are any.
    fn fill_blocks(&self, mut block: u64, words: &mut [u64]) {
        let mut blocks = [Block::default(); BLOCKS];
        for piece in words.chunks_mut(2 * BLOCKS) {
            let blocks = &mut blocks[..piece.len().div_ceil(2)];
            for to in blocks.iter_mut() {
                *to = (u128::from(self.stream) << 64 | u128::from(block)).to_be_bytes().into();
                block = block.wrapping_add(1);
            }
            self.cipher.encrypt_blocks(blocks);
            for (to, block) in piece.chunks_mut(2).zip(blocks.iter()) {
                let (halves, _) = block.as_chunks::<8>();
                to.iter_mut().zip(halves).for_each(|(to, half)| *to = u64::from_le_bytes(*half));
            }
        }
    }

    /// The next `n` words of the stream.
    pub fn words(&mut self, n: usize) -> Vec<u64> {
        let mut words = vec![0; n];
        self.fill(&mut words);
        words
    }

    /// The next `n` words of the stream, each cut to its `bits` low bits.
    ///
    /// # Panics
    /// When `bits > 64`.
    pub fn words_below_bits(&mut self, n: usize, bits: u32) -> Vec<u64> {
        let mask = low_bits(bits);
        let mut words = self.words(n);
        words.iter_mut().for_each(|w| *w &= mask);
        words
    }
}

impl fmt::Debug for Prg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prg(secret, stream {})", self.stream)
    }
}

/// The mask of the `bits` low bits of a word.
///
/// # Panics
/// When `bits > 64`.
pub const fn low_bits(bits: u32) -> u64 {
    assert!(bits <= 64, "a word has 64 bits");
    if bits == 0 { 0 } else { u64::MAX >> (64 - bits) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::from_bytes([7; 32])
    }

    /// Bytes of the stream from a block on.
    fn hex(key: [u8; 32], stream: u64, block: u64, words: usize) -> String {
        let mut prg = Prg::new(&Key::from_bytes(key), stream);
        prg.position = block.wrapping_mul(2);
        let mut out = vec![0; words];
        prg.fill_blocks(block, &mut out);
        out.iter().flat_map(|w| w.to_le_bytes()).map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn the_stream_is_published_aes_in_counter_mode() {
        // FIPS 197, C.3: the counter block is the plaintext 00112233445566778899aabbccddeeff.
        let block = hex(std::array::from_fn(|i| i as u8), 0x0011_2233_4455_6677, 0x8899_AABB_CCDD_EEFF, 2);
        assert_eq!(block, "8ea2b7ca516745bfeafc49904b496089");

        // SP 800-38A, F.5.5: the output blocks of CTR-AES256 from counter f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff on.
        let key = [
            0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81, 0x1f, 0x35,
            0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4,
        ];
        let blocks = hex(key, 0xF0F1_F2F3_F4F5_F6F7, 0xF8F9_FAFB_FCFD_FEFF, 4);
        assert_eq!(blocks, "0bdf7df1591716335e9a8b15c860c5025a6e699d536119065433863c8f657b94");
    }

    #[test]
    fn sums_and_differences_take_the_words_that_a_fill_would_give() {
        for n in [0, 1, 5, STACK_WORDS + 3, PARALLEL_WORDS + 77] {
            let start = Prg::new(&key(), 1).words(n);
            let (mut filling, mut adding, mut subtracting) =
                (Prg::new(&key(), 6), Prg::new(&key(), 6), Prg::new(&key(), 6));
            // Once more from an odd position.
            for _ in 0..2 {
                let next = filling.words(n);
                let (mut sum, mut difference) = (start.clone(), start.clone());
                adding.add_to(&mut sum);
                subtracting.subtract_from(&mut difference);
                assert!((0..n).all(|i| sum[i] == start[i].wrapping_add(next[i])), "{n} words");
                assert!((0..n).all(|i| difference[i] == start[i].wrapping_sub(next[i])), "{n} words");
            }
        }
    }

    #[test]
    fn how_the_reads_are_cut_does_not_matter() {
        let n = 3 * PARALLEL_WORDS + 5;
        let mut sequential = vec![0; n];
        let mut prg = Prg::new(&key(), 9);
        sequential.chunks_mut(1001).for_each(|piece| prg.fill(piece));

        let mut prg = Prg::new(&key(), 9);
        let mut parallel = prg.words(3);
        parallel.extend(prg.words(2 * PARALLEL_WORDS + 1));
        parallel.extend(prg.words(n - parallel.len()));
        assert!(sequential == parallel);

        assert!(sequential == Prg::new(&key(), 9).words(n));
    }

    #[test]
    fn every_kernel_gives_the_same_words() {
        for n in [0, 7, 127, 128, 129, 1000, PARALLEL_WORDS + 77] {
            let portable = Prg::with_kernel(&key(), 4, Kernel::Scalar).words(n);
            for kernel in Kernel::available() {
                let mut prg = Prg::with_kernel(&key(), 4, kernel);
                let mut words = prg.words(n / 3);
                words.extend(prg.words(n - n / 3));
                assert!(words == portable, "{kernel}: {n} words");
            }
        }
    }

    #[test]
    fn streams_and_keys_differ_and_equal_ones_do_not() {
        let words = |key: &Key, stream| Prg::new(key, stream).words(4);
        assert_ne!(words(&key(), 0), words(&key(), 1));
        assert_ne!(words(&key(), 0), words(&Key::from_bytes([8; 32]), 0));
        assert_eq!(words(&key(), 3), words(&key(), 3));
    }

    #[test]
    fn masked_words_stay_below_their_bits() {
        let all = Prg::new(&key(), 1).words(100);
        for bits in [0, 1, 17, 48, 63, 64] {
            let cut = Prg::new(&key(), 1).words_below_bits(100, bits);
            assert!(cut.iter().zip(&all).all(|(&c, &w)| c == w & low_bits(bits)), "{bits} bits");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", key()), "Key(secret)");
        assert_eq!(format!("{:?}", Prg::new(&key(), 5)), "Prg(secret, stream 5)");
    }
}
