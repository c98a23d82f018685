//! When packs are ordered, and how many: marks of each class, and a calendar.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// All that is left goes, and this holds from then on.
    Renew(Calendar),
    /// So many packs of texts of so many tokens.
    Order {
        tokens: usize,
        count: u64,
        /// What holds once they are ordered, where that is to be noted.
        calendar: Option<Calendar>,
    },
}

/// How far the orders of a renewed stock have come. It is noted in the ledger: a party that is started again goes on from there,
/// and the dealer sees the same number of packs that day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calendar {
    /// The last day of which the stock was renewed. A clock that is set back renews no day again.
    renewed: u64,
    /// Packs that are still to be ordered since then, whatever is used meanwhile.
    left: BTreeMap<usize, u64>,
}

/// The state of ordering.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    /// Classes that were below their low mark and are not yet at the high one.
    filling: BTreeMap<usize, bool>,
}

impl Levels {
    /// What is due of the classes that are `open`, where `level` tells of a class how much of it there is, and `calendar` how far
    /// orders have come. Whoever is told has begun to do it.
    pub(crate) fn due(
        &mut self,
        (marks, open): (&BTreeMap<usize, Marks>, &dyn Fn(usize) -> bool),
        (refill, calendar): (Option<Refill>, Option<&Calendar>),
        now: SystemTime,
        level: impl Fn(usize) -> Level,
    ) -> Due {
        if let Some(refill) = refill {
            let Some(day) = refill.day(now) else { return Due::Nothing };
            if refill.renew {
                return match calendar {
                    Some(calendar) if calendar.renewed >= day => {
                        calendar.next(&|tokens| marks.contains_key(&tokens) && open(tokens))
                    }
                    _ => Due::Renew(Calendar {
                        renewed: day,
                        left: marks.iter().map(|(tokens, marks)| (*tokens, marks.high)).collect(),
                    }),
                };
            }
        }
        let mut emptiest: Option<(f64, usize, u64)> = None;
        for (tokens, Marks { low, high }) in marks.iter().filter(|(tokens, _)| open(**tokens)) {
            let Level { available, ordered } = level(*tokens);
            let there = available.saturating_add(ordered);
            let filling = self.filling.entry(*tokens).or_default();
            *filling = (*filling || there < *low) && there < *high;
            let share = there as f64 / (*high).max(1) as f64;
            if *filling && emptiest.is_none_or(|(least, ..)| share < least) {
                emptiest = Some((share, *tokens, (high - there).min(MOST_AT_ONCE)));
            }
        }
        emptiest.map_or(Due::Nothing, |(_, tokens, count)| Due::Order { tokens, count, calendar: None })
    }
}

impl Calendar {
    /// What is still to be ordered of the classes that are open, and what holds then.
    fn next(&self, open: &dyn Fn(usize) -> bool) -> Due {
        let left = self.left.iter().filter(|(tokens, left)| **left > 0 && open(**tokens));
        let Some((tokens, left)) = left.max_by_key(|(_, left)| **left) else { return Due::Nothing };
        let (tokens, count, mut after) = (*tokens, (*left).min(MOST_AT_ONCE), self.clone());
        after.left.insert(tokens, left - count);
        Due::Order { tokens, count, calendar: Some(after) }
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
            match levels.due((&marks(), &|_| true), (None, None), at(0), level) {
                Due::Order { tokens, count, calendar: None } => Some((tokens, count)),
                Due::Nothing => None,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(due((2, 0), (4, 0)), None, "at the mark is not below it");
        assert_eq!(due((1, 0), (4, 0)), Some((16, 8)));
        assert_eq!(due((1, 8), (4, 0)), Some((16, 1)), "what is ordered counts");
        assert_eq!(due((3, 0), (3, 0)), Some((16, 7)), "the emptiest goes first");
        assert_eq!(due((9, 0), (3, 0)), Some((32, 1)));
        assert_eq!(due((10, 0), (4, 0)), None);
        assert_eq!(due((9, 0), (4, 0)), None, "above the low mark again");
    }

    #[test]
    fn a_calendar_says_when_and_a_renewed_stock_is_ordered_whole_once_a_day() {
        let refill = Refill { from: 7200, until: 10_800, renew: true };
        let (marks, mut noted) = (marks(), None::<Vec<u8>>);
        // each look is that of a party which was just started again, and knows what its ledger has noted
        let mut due = |now: u64| {
            let calendar: Option<Calendar> = noted.as_deref().map(|noted| serde_json::from_slice(noted).unwrap());
            let due = Levels::default()
                .due((&marks, &|_| true), (Some(refill), calendar.as_ref()), at(now), |_| Level::default());
            if let Due::Renew(calendar) | Due::Order { calendar: Some(calendar), .. } = &due {
                noted = Some(serde_json::to_vec(calendar).unwrap());
            }
            due
        };
        let day = 20_000 * DAY;
        assert_eq!(due(day + 7199), Due::Nothing, "before the window");
        assert!(matches!(due(day + 7200), Due::Renew(_)));
        // what is there does not matter, for it would tell what was used
        let mut ordered: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        while let Due::Order { tokens, count, .. } = due(day + 7201) {
            ordered.entry(tokens).or_default().push(count);
        }
        assert_eq!(ordered, [(16, vec![8, 2]), (32, vec![4])].into());
        assert_eq!(due(day + 7203), Due::Nothing);
        assert_eq!(due(day - DAY + 7400), Due::Nothing, "a clock that was set back");
        assert!(matches!(due(day + DAY + 7200), Due::Renew(_)));
    }

    #[test]
    fn what_was_not_made_is_ordered_again_and_a_class_that_waits_holds_up_no_other() {
        let mut calendar = Calendar { renewed: 3, left: [(16, 0), (32, 0)].into() };
        assert_eq!(calendar.next(&|_| true), Due::Nothing);
        calendar.not_made(32, 3);
        calendar.not_made(16, 1);
        let order = |due| match due {
            Due::Order { tokens, count, .. } => (tokens, count),
            other => panic!("{other:?}"),
        };
        assert_eq!(order(calendar.next(&|_| true)), (32, 3));
        assert_eq!(order(calendar.next(&|tokens| tokens == 16)), (16, 1));
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
