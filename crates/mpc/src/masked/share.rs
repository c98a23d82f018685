//! A party's share of a value, which may still be waiting to be computed: the products of one round are worked out one after
//! the other as they are sent, so that the first are on their way while the last are computed.

use std::cell::{Ref, RefCell};
use std::fmt;

type Work<'w> = Box<dyn FnOnce(&mut [u64]) + 'w>;

/// Words, and what is to be added to them before they are read.
pub(crate) struct Share<'w>(RefCell<State<'w>>);

struct State<'w> {
    words: Vec<u64>,
    work: Option<Work<'w>>,
}

impl<'w> Share<'w> {
    /// Words as they are.
    pub(crate) fn of(words: Vec<u64>) -> Share<'w> {
        Share(RefCell::new(State { words, work: None }))
    }

    /// Words to which `work` is done when they are first read.
    pub(crate) fn later(words: Vec<u64>, work: impl FnOnce(&mut [u64]) + 'w) -> Share<'w> {
        Share(RefCell::new(State { words, work: Some(Box::new(work)) }))
    }

    /// Whether work on it is still to be done.
    pub(crate) fn is_later(&self) -> bool {
        self.0.borrow().work.is_some()
    }

    /// The words.
    pub(crate) fn read(&self) -> Ref<'_, Vec<u64>> {
        let mut state = self.0.borrow_mut();
        if let Some(work) = state.work.take() {
            work(&mut state.words);
        }
        drop(state);
        Ref::map(self.0.borrow(), |state| &state.words)
    }

    /// The words, to keep.
    pub(crate) fn into_words(self) -> Vec<u64> {
        let State { mut words, work } = self.0.into_inner();
        if let Some(work) = work {
            work(&mut words);
        }
        words
    }
}

impl fmt::Debug for Share<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Share(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn work_is_done_once_when_the_words_are_first_read() {
        let done = Cell::new(0);
        let share = Share::later(vec![1, 2], |words| {
            done.set(done.get() + 1);
            words[1] += 5;
        });
        assert_eq!(done.get(), 0);
        assert_eq!(*share.read(), [1, 7]);
        assert_eq!(*share.read(), [1, 7]);
        assert_eq!(share.into_words(), [1, 7]);
        assert_eq!(done.get(), 1);
        assert_eq!(Share::later(vec![0], |words| words[0] = 3).into_words(), [3]);
        assert_eq!(*Share::of(vec![4]).read(), [4]);
    }
}
