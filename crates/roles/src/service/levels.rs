//! When packs are ordered, and how many: marks of each class, and a calendar.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Packs of one order: few, so that an order that is cut loses little and classes take turns.
const MOST_AT_ONCE: u64 = 8;
const DAY: u64 = 86_400;

/// Between which numbers of packs a class is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Below it packs are ordered...
    pub low: u64,
    /// ... until there are so many.
    pub high: u64,
}

/// When packs may be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// From this second of the day on, UTC.
    pub from: u32,
    /// Up to this one, which may be of the next day.
    pub until: u32,
    /// Whether what is left is thrown away first, so that how many are ordered does not tell how many were used.
    pub renew: bool,
}

impl Refill {
    /// Of which day the window is that is open now, if it is open; days are counted from 1970.
    fn day(&self, now: SystemTime) -> Option<u64> {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (day, at) = (seconds / DAY, (seconds % DAY) as u32);
        match self.from <= self.until {
            true => (self.from..self.until).contains(&at).then_some(day),
            false if at >= self.from => Some(day),
            false => (at < self.until).then(|| day.saturating_sub(1)),
        }
    }
}

/// How many packs of a class there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) available: u64,
    pub(crate) ordered: u64,
}

/// What is to be done for the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// All that is left goes.
    Renew,
    /// So many packs of texts of so many tokens.
    Order {
        tokens: usize,
        count: u64,
    },
}

/// The state of ordering.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    /// Classes that were below their low mark and are not yet at the high one.
    filling: BTreeMap<usize, bool>,
    /// The last day of which the stock was renewed. A clock that is set back renews no day again.
    renewed: Option<u64>,
    /// Packs that are still to be ordered since then, whatever is used meanwhile.
    left: BTreeMap<usize, u64>,
}

impl Levels {
    /// What is due, where `level` tells of a class how much of it there is. Whoever is told has begun to do it.
    pub(crate) fn due(
        &mut self,
        marks: &BTreeMap<usize, Marks>,
        refill: Option<Refill>,
        now: SystemTime,
        level: impl Fn(usize) -> Level,
    ) -> Due {
        if let Some(refill) = refill {
            let Some(day) = refill.day(now) else { return Due::Nothing };
            if refill.renew {
                if self.renewed.is_none_or(|last| last < day) {
                    self.renewed = Some(day);
                    self.left = marks.iter().map(|(tokens, marks)| (*tokens, marks.high)).collect();
                    return Due::Renew;
                }
                return self.next_of_day();
            }
        }
        let mut emptiest: Option<(f64, usize, u64)> = None;
        for (tokens, Marks { low, high }) in marks {
            let Level { available, ordered } = level(*tokens);
            let there = available.saturating_add(ordered);
            let filling = self.filling.entry(*tokens).or_default();
            *filling = (*filling || there < *low) && there < *high;
            let share = there as f64 / (*high).max(1) as f64;
            if *filling && emptiest.is_none_or(|(least, ..)| share < least) {
                emptiest = Some((share, *tokens, (high - there).min(MOST_AT_ONCE)));
            }
        }
        emptiest.map_or(Due::Nothing, |(_, tokens, count)| Due::Order { tokens, count })
    }

    fn next_of_day(&mut self) -> Due {
        let Some((tokens, left)) = self.left.iter_mut().max_by_key(|(_, left)| **left).filter(|(_, left)| **left > 0)
        else {
            return Due::Nothing;
        };
        let count = (*left).min(MOST_AT_ONCE);
        *left -= count;
        Due::Order { tokens: *tokens, count }
    }

    /// So many packs of an order were not made.
    pub(crate) fn not_made(&mut self, tokens: usize, count: u64) {
        if let Some(left) = self.left.get_mut(&tokens) {
            *left += count;
        }
    }
}

/// How long it is until something may be due again after an order failed.
pub(crate) const AFTER_FAILURE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn marks() -> BTreeMap<usize, Marks> {
        [(16, Marks { low: 2, high: 10 }), (32, Marks { low: 4, high: 4 })].into()
    }

    #[test]
    fn orders_begin_below_the_low_mark_and_end_at_the_high_one() {
        let mut levels = Levels::default();
        let mut due = |small: (u64, u64), large: (u64, u64)| {
            let level = |tokens| {
                let (available, ordered) = if tokens == 16 { small } else { large };
                Level { available, ordered }
            };
            levels.due(&marks(), None, at(0), level)
        };
        assert_eq!(due((2, 0), (4, 0)), Due::Nothing, "at the mark is not below it");
        assert_eq!(due((1, 0), (4, 0)), Due::Order { tokens: 16, count: 8 });
        assert_eq!(due((1, 8), (4, 0)), Due::Order { tokens: 16, count: 1 }, "what is ordered counts");
        assert_eq!(due((3, 0), (3, 0)), Due::Order { tokens: 16, count: 7 }, "the emptiest goes first");
        assert_eq!(due((9, 0), (3, 0)), Due::Order { tokens: 32, count: 1 });
        assert_eq!(due((10, 0), (4, 0)), Due::Nothing);
        assert_eq!(due((9, 0), (4, 0)), Due::Nothing, "above the low mark again");
    }

    #[test]
    fn a_calendar_says_when_and_a_renewed_stock_is_ordered_whole_once_a_day() {
        let refill = Refill { from: 7200, until: 10_800, renew: true };
        let (mut levels, marks) = (Levels::default(), marks());
        let due = |levels: &mut Levels, now: u64| levels.due(&marks, Some(refill), at(now), |_| Level::default());
        let day = 20_000 * DAY;
        assert_eq!(due(&mut levels, day + 7199), Due::Nothing, "before the window");
        assert_eq!(due(&mut levels, day + 7200), Due::Renew);
        // what is there does not matter, for it would tell what was used
        let mut ordered: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        while let Due::Order { tokens, count } = due(&mut levels, day + 7201) {
            ordered.entry(tokens).or_default().push(count);
        }
        assert_eq!(ordered, [(16, vec![8, 2]), (32, vec![4])].into());
        levels.not_made(32, 3);
        assert_eq!(due(&mut levels, day + 7202), Due::Order { tokens: 32, count: 3 });
        assert_eq!(due(&mut levels, day + 7203), Due::Nothing);
        assert_eq!(due(&mut levels, day - DAY + 7400), Due::Nothing, "a clock that was set back");
        assert_eq!(due(&mut levels, day + DAY + 7200), Due::Renew);
    }

    #[test]
    fn a_window_may_pass_midnight() {
        let refill = Refill { from: 82_800, until: 3600, renew: false };
        let day = |seconds| refill.day(at(seconds));
        assert_eq!(day(5 * DAY + 82_799), None);
        assert_eq!(day(5 * DAY + 82_800), Some(5));
        assert_eq!(day(6 * DAY + 3599), Some(5));
        assert_eq!(day(6 * DAY + 3600), None);
    }
}
