//! A data set as numbers, ready to be packed into batches.

use anyhow::Result;
use candle_core::{Device, Tensor};
use datasets::{Empty, Encoding, Example, Label, Length, Text, Tokenizer, encode_all};
use model::{SHORT, shortened};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::bert::PackedBatch;
use crate::loss::BatchLabels;
use crate::ops::DropoutKey;

/// Texts that are evaluated in one pass.
const GROUP: usize = 64;
/// Tokens in one such pass.
const GROUP_TOKENS: usize = 4096;

/// How many texts of a length are evaluated in one pass.
pub(crate) fn group_of(length: usize) -> usize {
    (GROUP_TOKENS / length.max(1)).clamp(1, GROUP)
}

/// Encoded texts with their true labels.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    texts: Vec<Encoding>,
    labels: Vec<Label>,
    lengths: Vec<usize>,
    truncated: usize,
    pairs: bool,
}

impl Samples {
    /// Encodes examples. `step` is called with the number of texts that are done since its last call.
    pub fn encode(
        examples: &[Example],
        tokenizer: &Tokenizer,
        length: Length,
        empty: Empty,
        step: &dyn Fn(usize),
    ) -> Result<Samples, datasets::Error> {
        let labels = examples.iter().map(|example| example.label.clone()).collect();
        let texts = examples.iter().map(Example::texts);
        Ok(Samples { labels, ..Samples::of(texts, tokenizer, length, empty, step)? })
    }

    /// Encodes texts without labels.
    pub fn unlabelled(
        texts: &[Text],
        tokenizer: &Tokenizer,
        length: Length,
        empty: Empty,
        step: &dyn Fn(usize),
    ) -> Result<Samples, datasets::Error> {
        let texts = texts.iter().map(|(text, pair)| (text.as_str(), pair.as_deref()));
        Samples::of(texts, tokenizer, length, empty, step)
    }

    fn of<'a>(
        texts: impl Iterator<Item = (&'a str, Option<&'a str>)> + Clone,
        tokenizer: &Tokenizer,
        length: Length,
        empty: Empty,
        step: &dyn Fn(usize),
    ) -> Result<Samples, datasets::Error> {
        let pairs = texts.clone().any(|(_, pair)| pair.is_some());
        let encoded = encode_all(tokenizer, texts, length, empty, &|| step(1))?;
        Ok(Samples {
            labels: Vec::new(),
            lengths: encoded.texts.iter().map(|text| text.ids.len()).collect(),
            texts: encoded.texts,
            truncated: encoded.truncated,
            pairs,
        })
    }

    /// These texts, and a share of them once more, cut to the shortest lengths that can occur.
    pub fn with_short(&self, share: f64) -> Samples {
        let mut all = self.clone();
        let count = (self.len() as f64 * share).ceil() as usize;
        for (number, tokens) in (0..count).zip(SHORT.cycle()) {
            let text = number * self.len() / count;
            let long = &self.texts[text];
            if long.ids.len() <= tokens {
                continue;
            }
            let short = shortened(&long.ids, &long.type_ids, tokens);
            all.texts.push(Encoding { ids: short.ids, type_ids: short.segments, truncated: true });
            all.labels.extend(self.labels.get(text).cloned());
            all.lengths.push(tokens);
        }
        all
    }

    /// Whether they are pairs of texts.
    pub fn are_pairs(&self) -> bool {
        self.pairs
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The texts' lengths in tokens.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The true labels.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The tokens of one text and their segments.
    pub fn text(&self, index: usize) -> (&[u32], &[u32]) {
        (&self.texts[index].ids, &self.texts[index].type_ids)
    }

    /// Number of texts that were too long.
    pub fn truncated(&self) -> usize {
        self.truncated
    }

    /// The largest number of a segment.
    pub fn largest_segment(&self) -> u32 {
        self.texts.iter().flat_map(|text| &text.type_ids).copied().max().unwrap_or(0)
    }

    /// Packs the chosen texts for a model with `heads` heads on a device.
    pub fn pack(&self, chosen: &[usize], heads: usize, device: &Device) -> Result<PackedBatch> {
        PackedBatch::new(chosen.iter().map(|&i| self.text(i)), heads, device)
    }

    /// The same with a share of the words of every other text replaced by words of other texts; `key` decides which.
    pub fn pack_changed(
        &self,
        chosen: &[usize],
        heads: usize,
        device: &Device,
        share: f32,
        key: DropoutKey,
    ) -> Result<PackedBatch> {
        let mut random = key.generator(b"augment");
        let texts: Vec<Vec<u32>> = chosen.iter().map(|&text| self.changed(text, share, &mut random)).collect();
        let pairs = texts.iter().zip(chosen).map(|(ids, &text)| (ids.as_slice(), self.text(text).1));
        PackedBatch::new(pairs, heads, device)
    }

    /// A text, or the same with some words replaced. The special tokens stay.
    fn changed(&self, text: usize, share: f32, random: &mut ChaCha8Rng) -> Vec<u32> {
        let mut ids = self.text(text).0.to_vec();
        let (first, last) = (ids.first().copied(), ids.last().copied());
        let is_word = |id: u32| Some(id) != first && Some(id) != last;
        if random.next_u32().is_multiple_of(2) {
            return ids;
        }
        for id in ids.iter_mut().filter(|id| is_word(**id)) {
            if random.next_u32() as f32 / u32::MAX as f32 >= share {
                continue;
            }
            let other = self.text(random.next_u32() as usize % self.len()).0;
            let word = other[random.next_u32() as usize % other.len()];
            if is_word(word) {
                *id = word;
            }
        }
        ids
    }

    /// The true labels of the chosen texts, on a device.
    pub fn batch_labels(&self, chosen: &[usize], device: &Device) -> Result<BatchLabels> {
        let (mut classes, mut sets, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for &text in chosen {
            match &self.labels[text] {
                Label::Class(class) => classes.push(*class as u32),
                Label::Set(set) => sets.extend(set.iter().map(|label| f32::from(u8::from(*label)))),
                Label::Number(number) => numbers.push(*number),
            }
        }
        Ok(match (sets.len() / chosen.len().max(1), numbers.is_empty()) {
            (0, true) => BatchLabels::Classes(Tensor::from_vec(classes, chosen.len(), device)?),
            (0, false) => BatchLabels::Numbers(Tensor::from_vec(numbers, (chosen.len(), 1), device)?),
            (labels, _) => BatchLabels::Labels(Tensor::from_vec(sets, (chosen.len(), labels), device)?),
        })
    }

    /// All texts in groups of nearly equal length, for evaluation: at most 64 texts and 4096 tokens each,
    /// or one text.
    pub fn groups(&self) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&i| self.lengths[i]);
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for text in order {
            match groups.last_mut() {
                Some(group) if group.len() < group_of(self.lengths[text]) => group.push(text),
                _ => groups.push(vec![text]),
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_words_stand_in_some_texts_and_depend_on_the_key_alone() {
        let encoding = |ids: Vec<u32>| Encoding { type_ids: vec![0; ids.len()], ids, truncated: false };
        let texts: Vec<Encoding> = (0..40).map(|i| encoding(vec![2, 10 + i, 60 + i, 110 + i, 3])).collect();
        let samples = Samples { lengths: vec![5; 40], texts, ..Samples::default() };
        let all = |step| {
            let mut random = DropoutKey { seed: 1, step }.generator(b"augment");
            (0..40).map(|text| samples.changed(text, 0.5, &mut random)).collect::<Vec<_>>()
        };
        let changed = all(7);
        assert_eq!(changed, all(7));
        assert_ne!(changed, all(8));
        let same = (0..40).filter(|&i| changed[i] == samples.texts[i].ids).count();
        assert!((10..35).contains(&same), "{same} of 40 texts stayed");
        for ids in &changed {
            assert_eq!((ids.len(), ids[0], ids[4]), (5, 2, 3));
            assert!(ids[1..4].iter().all(|id| *id >= 10));
        }
    }

    #[test]
    fn a_share_of_the_texts_comes_again_as_short_ones() {
        let encoding = |n: u32| Encoding { ids: (0..n).collect(), type_ids: vec![0; n as usize], truncated: false };
        let texts: Vec<Encoding> = (0..10).map(|i| encoding(2 + i)).collect();
        let labels = (0..10).map(Label::Class).collect();
        let samples =
            Samples { lengths: texts.iter().map(|text| text.ids.len()).collect(), texts, labels, ..Samples::default() };
        let all = samples.with_short(0.35);
        assert_eq!(
            all.lengths[10..],
            [3, 4, 2],
            "of the texts with 4, 7 and 9 tokens; that with 2 is as short already"
        );
        let ids: Vec<&[u32]> = all.texts[10..].iter().map(|text| text.ids.as_slice()).collect();
        assert_eq!(ids, [&[0, 1, 3][..], &[0, 1, 2, 6], &[0, 8]]);
        assert_eq!(all.labels[10..], [2, 5, 7].map(Label::Class));
        assert!(all.texts.iter().zip(&all.lengths).all(|(text, n)| text.type_ids.len() == *n));
        assert_eq!((samples.with_short(0.99).len(), samples.with_short(0.0).len()), (10 + 7, 10));
    }

    #[test]
    fn groups_hold_every_text_once_and_not_too_many_tokens() {
        let lengths: Vec<usize> = (0..300).map(|i| 1 + i * 37 % 511).chain([9000]).chain([3; 64]).collect();
        let samples = Samples {
            texts: vec![Encoding { ids: vec![], type_ids: vec![], truncated: false }; 365],
            lengths,
            ..Samples::default()
        };
        let groups = samples.groups();
        let mut seen: Vec<usize> = groups.concat();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..365));
        for group in groups.iter().filter(|group| group.len() > 1) {
            let longest = group.iter().map(|&i| samples.lengths[i]).max().unwrap();
            assert!(group.len() <= GROUP && group.len() * longest <= GROUP_TOKENS, "{} of {longest}", group.len());
        }
        assert_eq!(groups[0].len(), GROUP);
    }
}
