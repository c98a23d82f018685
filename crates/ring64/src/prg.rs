//! Numbered streams of uniform words: ChaCha20 under a 32-byte key.
//!
//! **One (key, stream) serves one purpose, once.** Nothing here can enforce it: two values drawn from the same stream are
//! the same pad, and no statistical test would ever notice. Whoever holds a key gives every purpose its own stream number.

use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Kernel;

/// Fills of more words than this run on all threads.
const PARALLEL_WORDS: usize = 1 << 16;
/// Words per parallel piece: a multiple of the eight words of a ChaCha block, small enough for a first-level cache.
const PIECE_WORDS: usize = 1 << 12;

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
/// The words are the ChaCha20 key stream (64-bit block counter from zero, the stream number as 64-bit nonce) read as
/// little-endian `u64`s. How the reads are cut does not matter: two fills of 3 and 5 words give one fill of 8.
pub struct Prg {
    rng: ChaCha20Rng,
    kernel: Kernel,
}

impl Prg {
    /// The beginning of stream number `stream` of `key`, on the fastest kernel of this CPU.
    pub fn new(key: &Key, stream: u64) -> Self {
        Self::with_kernel(key, stream, Kernel::detect())
    }

    /// The same words by the instructions of `kernel`.
    pub fn with_kernel(key: &Key, stream: u64, kernel: Kernel) -> Self {
        let mut rng = ChaCha20Rng::from_seed(key.0);
        rng.set_stream(stream);
        Self { rng, kernel }
    }

    /// Overwrites `words` with the next words of the stream.
    pub fn fill(&mut self, words: &mut [u64]) {
        if words.len() <= PARALLEL_WORDS {
            return fill_from(self.kernel, &mut self.rng, words);
        }
        let (start, rng, kernel) = (self.rng.get_word_pos(), &self.rng, self.kernel);
        words.par_chunks_mut(PIECE_WORDS).enumerate().for_each(|(i, piece)| {
            let mut rng = rng.clone();
            rng.set_word_pos(start + chacha_words(i * PIECE_WORDS));
            fill_from(kernel, &mut rng, piece);
        });
        self.rng.set_word_pos(start + chacha_words(words.len()));
    }

    /// Subtracts the next words of the stream from `words`.
    pub fn subtract_from(&mut self, words: &mut [u64]) {
        let next = self.words(words.len());
        crate::sub_assign(words, &next);
    }

    /// Adds the next words of the stream to `words`.
    pub fn add_to(&mut self, words: &mut [u64]) {
        let next = self.words(words.len());
        crate::add_assign(words, &next);
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
        write!(f, "Prg(secret, stream {})", self.rng.get_stream())
    }
}

impl Drop for Prg {
    fn drop(&mut self) {
        // The generator wipes its buffer but not its key: best effort, `black_box` keeps the store from being dropped.
        self.rng = ChaCha20Rng::from_seed([0; 32]);
        std::hint::black_box(&self.rng);
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

/// The position after `words` of ours in ChaCha's own words of 32 bits.
fn chacha_words(words: usize) -> u128 {
    2 * words as u128
}

fn fill_from(kernel: Kernel, rng: &mut ChaCha20Rng, words: &mut [u64]) {
    let (head, bulk) = words.split_at_mut(words.len().min(words_to_block(rng)));
    fill_portable(rng, head);
    let done = fill_wide(kernel, rng, bulk);
    fill_portable(rng, &mut bulk[done..]);
}

/// Our words up to the beginning of the next ChaCha block, 0 at a beginning.
fn words_to_block(rng: &ChaCha20Rng) -> usize {
    // Reads are whole words of ours, so the position in ChaCha's is even.
    ((16 - (rng.get_word_pos() % 16) as usize) % 16) / 2
}

/// From the beginning of a block: as many words as wide registers make at once, and how many that was.
fn fill_wide(kernel: Kernel, rng: &mut ChaCha20Rng, words: &mut [u64]) -> usize {
    let (key, position) = (Key(rng.get_seed()), rng.get_word_pos());
    let done = kernel.fill_passes(&key.0, rng.get_stream(), (position / 16) as u64, words);
    if done > 0 {
        rng.set_word_pos(position + chacha_words(done));
    }
    done
}

fn fill_portable(rng: &mut ChaCha20Rng, words: &mut [u64]) {
    rng.fill_bytes(bytemuck::must_cast_slice_mut(words));
    if cfg!(target_endian = "big") {
        words.iter_mut().for_each(|w| *w = u64::from_le(*w));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::from_bytes([7; 32])
    }

    #[test]
    fn the_stream_is_published_chacha20() {
        // draft-strombergson-chacha-test-vectors-01, TC1 with 256-bit key, 20 rounds: all-zero key and IV, block 0.
        let expected = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
                        da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586";
        let words = Prg::new(&Key::from_bytes([0; 32]), 0).words(8);
        let hex: String = words.iter().flat_map(|w| w.to_le_bytes()).map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn the_stream_number_is_the_nonce() {
        // RFC 7539 (ChaCha20 of the IETF) A.1, vector 5: zero key, block 0, nonce ending in 02, whose last eight bytes
        // are our stream number and whose first four are the upper half of our counter: zero.
        let words = Prg::new(&Key::from_bytes([0; 32]), 2 << 56).words(8);
        let expected = "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7\
                        8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d";
        let hex: String = words.iter().flat_map(|w| w.to_le_bytes()).map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected);
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
