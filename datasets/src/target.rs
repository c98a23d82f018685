//! What an answer is: one of some classes, any of some labels, or a number.

use crate::spelling::{Key, letters};

/// The kind of answers that a task asks for and a model gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One of these classes, by number.
    Classes(Vec<String>),
    /// Any number of these labels.
    Labels(Vec<String>),
    /// A number.
    Number,
}

/// A true answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// The class's number.
    Class(usize),
    /// Which of the labels hold.
    Set(Vec<bool>),
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
            Target::Classes(names) | Target::Labels(names) => names.len(),
            Target::Number => 1,
        }
    }

    /// The names of a model's outputs, as its configuration has them.
    pub fn names(&self) -> Vec<String> {
        match self {
            Target::Classes(names) | Target::Labels(names) => names.clone(),
            Target::Number => vec!["LABEL_0".into()],
        }
    }

    /// What a model with outputs of these names answers: any of them where it says that it has a sigmoid for each
    /// (`multi_label`), else one of them; one output is a number.
    pub fn of_model(names: &[String], multi_label: bool) -> Target {
        match names {
            names if multi_label => Target::Labels(names.to_vec()),
            [] | [_] => Target::Number,
            names => Target::Classes(names.to_vec()),
        }
    }

    /// How a model's answers go with what is asked here. A model may have more labels than were asked for: they do not
    /// hold. A class more would be another question.
    pub fn fit(&self, model: &Target) -> Fit {
        match (self, model) {
            (Target::Number, Target::Number) => Fit::Named(Target::Number),
            (Target::Classes(asked), Target::Classes(given)) if asked.len() == given.len() => {
                match all_among(asked, given) {
                    true => Fit::Named(model.clone()),
                    false => Fit::Unnamed(self.clone()),
                }
            }
            (Target::Labels(asked), Target::Labels(given)) if all_among(asked, given) => Fit::Named(model.clone()),
            (Target::Labels(asked), Target::Labels(given)) if asked.len() == given.len() => Fit::Unnamed(self.clone()),
            _ => Fit::Other,
        }
    }

    /// For each class its place among a model's; its own where the model does not name it.
    pub(crate) fn places_in(&self, model: &Target) -> Vec<usize> {
        let (Target::Classes(asked), Target::Classes(given)) = (self, model) else { return vec![0] };
        asked.iter().enumerate().map(|(class, name)| place_of(name, given).unwrap_or(class)).collect()
    }
}

/// Whether every name has a place of its own among others.
fn all_among(names: &[String], others: &[String]) -> bool {
    let places: Option<Vec<usize>> = names.iter().map(|name| place_of(name, others)).collect();
    places.is_some_and(|mut places| {
        places.sort_unstable();
        places.dedup();
        places.len() == names.len()
    })
}

/// The place of a name among others: where it is spelled so, else where only its case or the form of a number differs,
/// else where its letters and digits are the same.
pub(crate) fn place_of(name: &str, others: &[String]) -> Option<usize> {
    let spelled = others.iter().position(|other| other == name);
    let key = Key::of(name);
    let alike = || only(others, |other| Key::of(other) == key);
    // names in other scripts, and marks such as + and -, have no letters here; -1 is not 1, nor is 1.5 15
    let short = letters(name);
    let tells = !short.is_empty() && name.parse::<f64>().is_err();
    let lettered = || only(others, |other| tells && letters(other) == short);
    spelled.or_else(alike).or_else(lettered)
}

/// The place of the only name that is wanted; of two it is not known which is meant.
pub(crate) fn only(names: &[String], wanted: impl Fn(&str) -> bool) -> Option<usize> {
    let mut places = names.iter().enumerate().filter(|(_, name)| wanted(name)).map(|(place, _)| place);
    places.next().filter(|_| places.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(names: &[&str]) -> Target {
        Target::Classes(names.iter().map(ToString::to_string).collect())
    }

    fn labels(names: &[&str]) -> Target {
        Target::Labels(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_without_letters_are_told_apart() {
        for names in [["+", "-"], ["好", "坏"], ["a", "A"]] {
            let target = classes(&names);
            assert_eq!(target.places_in(&target), [0, 1], "{names:?}");
            assert_eq!(classes(&[names[1], names[0]]).fit(&target), Fit::Named(target), "{names:?}");
        }
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
        assert_eq!(Target::of_model(&["LABEL_0".into()], false), Target::Number);
        assert_eq!(Target::of_model(&["LABEL_0".into()], true), labels(&["LABEL_0"]));
        // case, also where letters have none here, and the form of a number
        assert_eq!(classes(&["-1", "2"]).fit(&classes(&["1", "2"])), Fit::Unnamed(classes(&["-1", "2"])));
        for [name, given] in [["Übel", "ÜBEL"], ["1.0", "1"]] {
            let model = classes(&[given, "0"]);
            assert_eq!(classes(&["0", name]).fit(&model), Fit::Named(model.clone()));
            assert_eq!(classes(&["0", name]).places_in(&model), [1, 0]);
        }
    }

    #[test]
    fn a_model_may_have_more_labels_than_are_asked_for() {
        let model = labels(&["anger", "joy", "fear"]);
        assert_eq!(labels(&["Fear", "anger"]).fit(&model), Fit::Named(model.clone()));
        assert_eq!(labels(&["a", "b", "c"]).fit(&model), Fit::Unnamed(labels(&["a", "b", "c"])));
        assert_eq!(labels(&["fear", "love"]).fit(&model), Fit::Other);
        assert_eq!(classes(&["anger", "joy", "fear"]).fit(&model), Fit::Other);
        assert_eq!(model.outputs(), 3);
    }
}
