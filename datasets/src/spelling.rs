//! When two spellings are one label, and what marks that there is none.

/// Whole numbers up to here are exact as 64-bit floats.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What the spellings of one label have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// The value of a whole number: `1`, `1.0`.
    Whole(i64),
    /// A name in small letters: `True`, `TRUE`.
    Name(String),
}

impl Key {
    /// That of a label.
    pub(crate) fn of(label: &str) -> Key {
        whole(label).map_or_else(|| Key::Name(label.to_lowercase()), Key::Whole)
    }
}

/// The whole number that a label is, be it written as a float.
pub(crate) fn whole(label: &str) -> Option<i64> {
    let float = || {
        let value: f64 = label.parse().ok()?;
        (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
    };
    label.parse().ok().or_else(float)
}

/// The letters and digits of a name, in lower case.
pub(crate) fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a label is what tools write where a value is missing.
pub(crate) fn is_missing(label: &str) -> bool {
    ["nan", "<na>", "nat"].iter().any(|mark| label.eq_ignore_ascii_case(mark))
}

/// Whether a label may be meant as missing, and may be a name.
pub(crate) fn may_be_missing(label: &str) -> bool {
    ["none", "null", "na", "n/a"].iter().any(|mark| label.eq_ignore_ascii_case(mark))
}

/// The spellings of one label, and how often each was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spellings(Vec<(String, usize)>);

impl Spellings {
    pub(crate) fn add(&mut self, label: &str) {
        match self.0.iter_mut().find(|(known, _)| known == label) {
            Some((_, times)) => *times += 1,
            None => self.0.push((label.into(), 1)),
        }
    }

    /// The most frequent spelling, of equals the first.
    pub(crate) fn most_frequent(&self) -> Option<&str> {
        self.most_frequent_of(|_| true)
    }

    /// The most frequent of those that are whole numbers without a point.
    pub(crate) fn most_frequent_integer(&self) -> Option<&str> {
        self.most_frequent_of(|label| label.parse::<i64>().is_ok())
    }

    fn most_frequent_of(&self, counts: impl Fn(&str) -> bool) -> Option<&str> {
        let counted = self.0.iter().filter(|(label, _)| counts(label));
        counted.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(label, _)| label.as_str())
    }

    /// All of them, the first seen first.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|(label, _)| label.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_the_form_of_a_number_do_not_tell_labels_apart() {
        for spellings in
            [&["True", "TRUE", "true"][..], &["Übel", "ÜBEL"], &["1", "1.0", "+1", "1e0", "01"], &["0", "-0.0"]]
        {
            assert!(spellings.iter().all(|label| Key::of(label) == Key::of(spellings[0])), "{spellings:?}");
        }
        for [a, b] in [["1", "1.5"], ["a", "b"], ["1", "one"], ["9007199254740993", "9007199254740992"]] {
            assert_ne!(Key::of(a), Key::of(b));
        }
        assert_eq!([whole("inf"), whole("nan"), whole("1e300"), whole("")], [None; 4]);
    }

    #[test]
    fn the_name_is_the_most_frequent_spelling() {
        let of = |labels: &[&str]| {
            let mut spellings = Spellings::default();
            labels.iter().for_each(|label| spellings.add(label));
            spellings
        };
        assert_eq!(of(&["spam", "Spam", "Spam"]).most_frequent(), Some("Spam"));
        assert_eq!(of(&["spam", "Spam"]).most_frequent(), Some("spam"));
        assert_eq!(of(&["1.0", "1.0", "1"]).most_frequent_integer(), Some("1"));
        assert_eq!(of(&["1.0"]).most_frequent_integer(), None);
    }

    #[test]
    fn marks_of_nothing_are_known() {
        assert!(["nan", "NaN", "NAN", "<NA>", "NaT"].into_iter().all(is_missing));
        assert!(!["none", "nano", ""].into_iter().any(is_missing));
    }
}
