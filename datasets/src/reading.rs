//! The answer that a cell of a table stands for.

use crate::discover::SEVERAL;
use crate::labels::{labels_in, list};
use crate::spelling::{Key, is_missing, whole};
use crate::table::Cell;
use crate::target::{Label, Target, only};

/// In which way a cell is not an answer; the cell itself is not told.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) expected: String,
    pub(crate) got: &'static str,
}

impl Target {
    /// The answer that a cell stands for: a class's name or number, several of them, or a number.
    pub(crate) fn read(&self, cell: &Cell, delimiter: Option<char>) -> Result<Label, Wrong> {
        let wrong = |got| Wrong { expected: self.expected(), got };
        match (self, cell) {
            (Target::Labels(names), cell) => self.set(names, cell, delimiter).map_err(wrong),
            (_, Cell::List(_)) => Err(wrong(SEVERAL)),
            (_, Cell::Text(text)) => match text.trim() {
                "" => Err(wrong("nothing")),
                text => self.one(text).map_err(wrong),
            },
            (_, other) => Err(wrong(other.kind())),
        }
    }

    /// The only answer, in a text that is not empty.
    fn one(&self, text: &str) -> Result<Label, &'static str> {
        let other = match text {
            text if is_missing(text) => "nan, a missing value",
            text if list(text).is_some() => SEVERAL,
            _ => "something else",
        };
        match self {
            Target::Number => {
                text.parse().ok().filter(|number: &f32| number.is_finite()).map(Label::Number).ok_or(other)
            }
            Target::Classes(names) | Target::Labels(names) => self.place(names, text).map(Label::Class).ok_or(other),
        }
    }

    /// The number of the class or label of that name, whatever its case, or of that number.
    fn place(&self, names: &[String], text: &str) -> Option<usize> {
        let spelled = names.iter().position(|name| name == text);
        let key = Key::of(text);
        let alike = || only(names, |name| Key::of(name) == key);
        // where names are numbers, a number is a name
        let numbered = || {
            let number = whole(text).filter(|_| !self.has_numbers_for_names())?;
            usize::try_from(number).ok().filter(|place| *place < names.len())
        };
        spelled.or_else(alike).or_else(numbered)
    }

    fn set(&self, names: &[String], cell: &Cell, delimiter: Option<char>) -> Result<Label, &'static str> {
        let labels = match cell {
            // a name that is known is no list, and can be nothing else
            Cell::Text(text) if self.place(names, text.trim()).is_some() => vec![text.trim().to_string()],
            cell => labels_in(cell, delimiter)?,
        };
        let mut set = vec![false; names.len()];
        for label in labels {
            set[self.place(names, &label).ok_or("another label")?] = true;
        }
        Ok(Label::Set(set))
    }

    fn has_numbers_for_names(&self) -> bool {
        match self {
            Target::Classes(names) | Target::Labels(names) => names.iter().all(|name| whole(name).is_some()),
            Target::Number => false,
        }
    }

    fn expected(&self) -> String {
        let what = if matches!(self, Target::Labels(_)) { "labels" } else { "a label" };
        match self {
            Target::Number => "a number".into(),
            Target::Classes(names) | Target::Labels(names) if self.has_numbers_for_names() => {
                format!("{what} of {}", short(names))
            }
            Target::Classes(names) | Target::Labels(names) => {
                format!("{what} of {}, or from 0 to {}", short(names), names.len().saturating_sub(1))
            }
        }
    }
}

fn short(names: &[String]) -> String {
    match names {
        [first @ .., last] if names.len() <= 12 && !first.is_empty() => format!("{} or {last}", first.join(", ")),
        names => format!("{} names ({}, ...)", names.len(), names[..3.min(names.len())].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn read(target: &Target, cell: &str) -> Result<Label, &'static str> {
        target.read(&cell.into(), None).map_err(|wrong| wrong.got)
    }

    #[test]
    fn a_class_is_told_by_its_name_or_its_number() {
        let target = Target::Classes(names(&["entailment", "not_entailment"]));
        let class = |cell| read(&target, cell).ok();
        assert_eq!(class("entailment"), Some(Label::Class(0)));
        assert_eq!(class(" Not_Entailment "), Some(Label::Class(1)));
        assert_eq!([class("1"), class("1.0"), class("0")], [1, 1, 0].map(|class| Some(Label::Class(class))));
        for cell in ["2", "-1", "neutral", "", "0.5", "nan"] {
            assert_eq!(class(cell), None, "{cell}");
        }
        // numbers that are names are not places
        let stars = Target::Classes(names(&["1", "2", "3"]));
        assert_eq!([read(&stars, "1"), read(&stars, "2.0")], [0, 1].map(|class| Ok(Label::Class(class))));
        assert!(read(&stars, "0").is_err());
    }

    #[test]
    fn case_does_not_tell_classes_apart_unless_both_are_there() {
        let target = Target::Classes(names(&["False", "True"]));
        for cell in ["TRUE", "true", "True"] {
            assert_eq!(read(&target, cell), Ok(Label::Class(1)));
        }
        assert_eq!(read(&Target::Classes(names(&["gut", "übel"])), "ÜBEL"), Ok(Label::Class(1)));
        for both in [["+", "-"], ["好", "坏"], ["a", "A"]] {
            assert_eq!(read(&Target::Classes(names(&both)), both[1]), Ok(Label::Class(1)), "{both:?}");
        }
        assert!(read(&Target::Classes(names(&["Spam", "SPAM"])), "spam").is_err());
    }

    #[test]
    fn a_number_is_finite() {
        assert_eq!(read(&Target::Number, "4.750"), Ok(Label::Number(4.75)));
        assert_eq!(read(&Target::Number, "1.0"), Ok(Label::Number(1.0)));
        assert!(["inf", "good", ""].iter().all(|cell| read(&Target::Number, cell).is_err()));
        assert!(["nan", "NaN", "<NA>"].iter().all(|cell| read(&Target::Number, cell).unwrap_err().contains("missing")));
    }

    #[test]
    fn a_list_is_no_class_and_no_number() {
        for target in [Target::Number, Target::Classes(names(&["a", "b"]))] {
            let of_json = target.read(&Cell::List(vec!["a".into()]), None).unwrap_err();
            assert!(of_json.got.contains("--problem-type multi_label"), "{}", of_json.got);
            assert!(read(&target, "['a', 'b']").unwrap_err().contains("--problem-type multi_label"));
            assert_eq!(target.read(&Cell::Other("an object"), None).unwrap_err().got, "an object");
        }
    }

    #[test]
    fn a_set_is_any_of_the_labels() {
        let target = Target::Labels(names(&["anger", "joy", "fear"]));
        let set = |labels: [bool; 3]| Ok(Label::Set(labels.into()));
        assert_eq!(read(&target, "[\"Joy\", 2, \"joy\"]"), set([false, true, true]));
        assert_eq!(read(&target, "[]"), set([false; 3]));
        assert_eq!(read(&target, "fear"), set([false, false, true]), "a known name alone");
        let parted = target.read(&"anger;joy".into(), Some(';')).map_err(|wrong| wrong.got);
        assert_eq!(parted, set([true, true, false]));
        for (cell, says) in
            [("[\"love\"]", "another label"), ("[3]", "another label"), ("", "[]"), ("anger;joy", "no list")]
        {
            assert!(read(&target, cell).unwrap_err().contains(says), "{cell}");
        }
        let expected = target.read(&"x".into(), None).unwrap_err().expected;
        assert_eq!(expected, "labels of anger, joy or fear, or from 0 to 2");
    }
}
