//! What an answer is: one of some classes, or a number.

use crate::task::letters;

/// The kind of answers that a task asks for and a model gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One of these classes, by number.
    Classes(Vec<String>),
    /// A number.
    Number,
}

/// A true answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Label {
    /// The class's number.
    Class(usize),
    /// The number itself.
    Number(f32),
}

/// How a model's class names go with a task's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The same names, perhaps in the model's own order: this is the target to use.
    Named(Target),
    /// The model has as many classes, but no names (`LABEL_0`) or others; they are taken to stand in the task's order.
    Unnamed(Target),
    /// The model answers another kind of question.
    Other,
}

impl Target {
    /// Logits that a model for it has.
    pub fn outputs(&self) -> usize {
        match self {
            Target::Classes(names) => names.len(),
            Target::Number => 1,
        }
    }

    /// The names of a model's outputs, as its configuration has them.
    pub fn names(&self) -> Vec<String> {
        match self {
            Target::Classes(names) => names.clone(),
            Target::Number => vec!["LABEL_0".into()],
        }
    }

    /// What a model with outputs of these names answers; one output is a number.
    pub fn of_model(names: &[String]) -> Target {
        match names {
            [] | [_] => Target::Number,
            names => Target::Classes(names.to_vec()),
        }
    }

    /// How a model's answers go with what is asked here.
    pub fn fit(&self, model: &Target) -> Fit {
        match (self, model) {
            (Target::Number, Target::Number) => Fit::Named(Target::Number),
            (Target::Classes(asked), Target::Classes(given)) if asked.len() == given.len() => {
                let sorted = |names: &[String], key: fn(&str) -> String| {
                    let mut names: Vec<String> = names.iter().map(|name| key(name)).collect();
                    names.sort();
                    names
                };
                let same = |key| sorted(asked, key) == sorted(given, key);
                // names in other scripts, and marks, have no letters here; and "a" and "A" may be two classes
                let mut short = sorted(asked, letters);
                short.dedup();
                let telling = short.len() == asked.len() && !short.iter().any(String::is_empty);
                match same(str::to_string) || (telling && same(letters)) {
                    true => Fit::Named(model.clone()),
                    false => Fit::Unnamed(self.clone()),
                }
            }
            _ => Fit::Other,
        }
    }

    /// For each class its place among a model's; its own where the model does not name it.
    pub(crate) fn places_in(&self, model: &Target) -> Vec<usize> {
        let (Target::Classes(asked), Target::Classes(given)) = (self, model) else { return vec![0] };
        let place = |name: &String| {
            let alike = |given: &String| letters(given) == letters(name);
            // names in other scripts and marks such as + and - have no letters here
            given.iter().position(|given| given == name).or_else(|| given.iter().position(alike))
        };
        asked.iter().enumerate().map(|(class, name)| place(name).unwrap_or(class)).collect()
    }

    /// The answer that a cell of a table stands for: a class's name or number, or a number.
    pub(crate) fn read(&self, cell: &str) -> Result<Label, Wrong> {
        let cell = cell.trim();
        if cell.is_empty() {
            return Err(Wrong { expected: self.expected(), got: "nothing" });
        }
        match self {
            Target::Number => match cell.parse::<f32>() {
                Ok(number) if number.is_finite() => Ok(Label::Number(number)),
                _ => Err(Wrong { expected: self.expected(), got: "something else" }),
            },
            Target::Classes(names) => {
                let by_name = |same: &dyn Fn(&str) -> bool| names.iter().position(|name| same(name));
                if let Some(class) =
                    by_name(&|name| name == cell).or_else(|| by_name(&|name| name.eq_ignore_ascii_case(cell)))
                {
                    return Ok(Label::Class(class));
                }
                match cell.parse::<usize>() {
                    // where names are numbers, a number is a name
                    Ok(class) if class < names.len() && !self.has_numbers_for_names() => Ok(Label::Class(class)),
                    _ => Err(Wrong { expected: self.expected(), got: "something else" }),
                }
            }
        }
    }

    fn has_numbers_for_names(&self) -> bool {
        matches!(self, Target::Classes(names) if names.iter().all(|name| name.parse::<i64>().is_ok()))
    }

    fn expected(&self) -> String {
        match self {
            Target::Number => "a number".into(),
            Target::Classes(names) if self.has_numbers_for_names() => format!("a label of {}", short(names)),
            Target::Classes(names) => format!("a label of {}, or from 0 to {}", short(names), names.len() - 1),
        }
    }
}

/// In which way a cell is not an answer; the cell itself is not told.
pub(crate) struct Wrong {
    pub(crate) expected: String,
    pub(crate) got: &'static str,
}

fn short(names: &[String]) -> String {
    match names {
        [first @ .., last] if names.len() <= 12 => format!("{} or {last}", first.join(", ")),
        names => format!("{} names ({}, ...)", names.len(), names[..3.min(names.len())].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(names: &[&str]) -> Target {
        Target::Classes(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_class_is_told_by_its_name_or_its_number() {
        let target = classes(&["entailment", "not_entailment"]);
        let read = |cell| target.read(cell).ok();
        assert_eq!(read("entailment"), Some(Label::Class(0)));
        assert_eq!(read(" Not_Entailment "), Some(Label::Class(1)));
        assert_eq!(read("1"), Some(Label::Class(1)));
        for cell in ["2", "-1", "neutral", "", "0.5"] {
            assert_eq!(read(cell), None, "{cell}");
        }
        // numbers that are names are not places
        let stars = classes(&["1", "2", "3"]);
        assert_eq!(stars.read("1").ok(), Some(Label::Class(0)));
        assert!(stars.read("0").is_err());
    }

    #[test]
    fn names_without_letters_are_told_apart() {
        for names in [["+", "-"], ["好", "坏"], ["a", "A"]] {
            let target = classes(&names);
            assert_eq!(target.places_in(&target), [0, 1], "{names:?}");
            assert_eq!(target.read(names[1]).ok(), Some(Label::Class(1)), "{names:?}");
            assert_eq!(classes(&[names[1], names[0]]).fit(&target), Fit::Named(target), "{names:?}");
        }
    }

    #[test]
    fn a_number_is_finite() {
        assert_eq!(Target::Number.read("4.750").ok(), Some(Label::Number(4.75)));
        assert!(["nan", "inf", "good", ""].iter().all(|cell| Target::Number.read(cell).is_err()));
    }

    #[test]
    fn a_models_names_decide_the_order() {
        let asked = classes(&["entailment", "neutral", "contradiction"]);
        let given = classes(&["CONTRADICTION", "ENTAILMENT", "NEUTRAL"]);
        assert_eq!(asked.fit(&given), Fit::Named(given));
        let unnamed = classes(&["LABEL_0", "LABEL_1", "LABEL_2"]);
        assert_eq!(asked.fit(&unnamed), Fit::Unnamed(asked.clone()));
        assert_eq!(asked.fit(&classes(&["a", "b"])), Fit::Other);
        assert_eq!(asked.fit(&Target::Number), Fit::Other);
        assert_eq!(Target::Number.fit(&Target::Number), Fit::Named(Target::Number));
        assert_eq!(Target::of_model(&["LABEL_0".into()]), Target::Number);
    }
}
