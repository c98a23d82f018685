//! Streams whose words a test chooses, or counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use mpc::{Purpose, Streams};
use ring64::{Kernel, Key};

use super::stream_keys;

/// Words by demand and purpose.
pub type Words = BTreeMap<(u64, Purpose), Vec<u64>>;

/// A key's words, plus what a test adds to them. Keeps what was drawn.
pub struct Chosen {
    key: Key,
    edits: Words,
    drawn: Drawn,
}

/// What a [`Chosen`] was asked for, in order, with its answers.
#[derive(Clone, Default)]
pub struct Drawn(Arc<Mutex<Vec<Draw>>>);

type Draw = (u64, Purpose, Vec<u64>);

impl Drawn {
    pub fn all(&self) -> Vec<Draw> {
        self.0.lock().unwrap().clone()
    }

    pub fn words(&self) -> Words {
        self.all().into_iter().map(|(demand, purpose, words)| ((demand, purpose), words)).collect()
    }

    /// Demands, purposes and counts, without the words.
    pub fn calls(&self) -> Vec<(u64, Purpose, usize)> {
        self.all().into_iter().map(|(demand, purpose, words)| (demand, purpose, words.len())).collect()
    }
}

impl Chosen {
    pub fn new(key: Key, edits: &Words) -> Chosen {
        Chosen { key, edits: edits.clone(), drawn: Drawn::default() }
    }

    pub fn drawn(&self) -> Drawn {
        self.drawn.clone()
    }

    /// P0's and P1's streams of that seed, with something added to each.
    pub fn pair(seed: u64, edits: &[Words; 2]) -> [Chosen; 2] {
        let [zero, one] = stream_keys(seed);
        [Chosen::new(zero, &edits[0]), Chosen::new(one, &edits[1])]
    }
}

impl Streams for Chosen {
    fn words(&mut self, demand: u64, purpose: Purpose, count: usize, kernel: Kernel) -> Vec<u64> {
        let mut words = self.key.words(demand, purpose, count, kernel);
        if let Some(edits) = self.edits.get(&(demand, purpose)) {
            ring64::add_assign(&mut words, edits);
        }
        self.drawn.0.lock().unwrap().push((demand, purpose, words.clone()));
        words
    }
}

/// Adds to one word of a stream.
pub fn edit(edits: &mut Words, at: (u64, Purpose), count: usize, index: usize, by: u64) {
    let words = edits.entry(at).or_insert_with(|| vec![0; count]);
    words[index] = words[index].wrapping_add(by);
}
