//! The binding of a task to models: the labelled texts, the kind of their labels, and how a model's head fits them.

use anyhow::Result;
use datasets::{Fit, Source, Target};
use model::ProblemType;

use crate::errors::bad_file;
use crate::folder::Folder;

/// A data set whose labels are in the order of the models' outputs.
#[derive(Clone, Debug)]
pub struct TaskBinding {
    /// Where the texts come from.
    pub source: Source,
    /// What is predicted.
    pub target: Target,
}

impl TaskBinding {
    /// Binds the task to a teacher. A head that fits it stays, with its classes in its own order; any other is drawn anew
    /// from `seed`.
    pub fn for_teacher(source: Source, teacher: Folder, seed: u64) -> Result<(TaskBinding, Folder)> {
        let asked = source.target(None)?;
        let kept = match teacher.target().map(|given| fit(&asked, &given)) {
            Some(Fit::Named(target)) => Some(target),
            Some(Fit::Unnamed(target)) if is_unnamed(&teacher) => {
                warn_of_order(&teacher, &source, &target);
                Some(target)
            }
            // as many classes under other names: a head for something else
            Some(Fit::Unnamed(_) | Fit::Other) | None => None,
        };
        if let (Some(Target::Classes(names) | Target::Labels(names)), true) =
            (&kept, teacher.has_head && are_places(&asked))
        {
            cli::log(&format!(
                "warning: the labels 0 to {} are taken as the classes {} of {}, which is not fine-tuned; where they mean \
                 something else, give the labels names of their own",
                names.len() - 1,
                names.join(", "),
                teacher.path.display()
            ));
        }
        if kept.is_none() && teacher.has_head {
            cli::log(&format!(
                "note: the head of {} ({}) does not answer {} ({}): a new one is drawn and the teacher is fine-tuned",
                teacher.path.display(),
                teacher.names().join(", "),
                source.name(),
                if asked == Target::Number { "a number".into() } else { asked.names().join(", ") }
            ));
        }
        let keeps = kept.is_some();
        let target = kept.unwrap_or(asked);
        let teacher = teacher.answering(&target, keeps, seed)?;
        Ok((TaskBinding { source, target }, teacher))
    }

    /// Binds the task to a stored model that is to be evaluated; its head must fit.
    pub fn for_model(source: Source, model: &Folder) -> Result<TaskBinding> {
        let given = model.target().ok_or_else(|| bad_file(&model.path, format!("no head for {}", source.name())))?;
        let target = source.target(Some(&given))?;
        if target != given {
            warn_of_order(model, &source, &target);
        }
        Ok(TaskBinding { source, target })
    }

    /// Binds what a student starts from: a head with the same outputs in the same order stays, any other is replaced by the
    /// teacher's.
    pub fn for_student(&self, start: Folder, seed: u64) -> Result<Folder> {
        let keeps = start.target().is_some_and(|given| match self.target.fit(&given) {
            Fit::Named(target) => same_order(&target, &self.target),
            Fit::Unnamed(_) => is_unnamed(&start),
            Fit::Other => false,
        });
        if start.has_head && !keeps {
            cli::log(&format!(
                "note: the head of {} ({}) does not answer as the teacher's does: pooler and head are the teacher's",
                start.path.display(),
                start.names().join(", ")
            ));
        }
        start.answering(&self.target, keeps, seed)
    }

    /// The data set's usual name: `SST-2`, or a file's name.
    pub fn title(&self) -> String {
        self.source.task().map_or_else(|| self.source.name(), |task| task.to_string())
    }
}

/// What a model for a target says of itself in `config.json`.
pub fn problem_type(target: &Target) -> ProblemType {
    match target {
        Target::Number => ProblemType::Regression,
        Target::Classes(_) => ProblemType::SingleLabel,
        Target::Labels(_) => ProblemType::MultiLabel,
    }
}

/// How a model's outputs fit the task's; where labels are only numbers from 0, the model's names say what they mean.
fn fit(asked: &Target, given: &Target) -> Fit {
    match (asked.fit(given), asked) {
        (Fit::Unnamed(_), Target::Classes(_)) if are_places(asked) => Fit::Named(given.clone()),
        // a training file need not use all of a model's labels
        (Fit::Unnamed(_) | Fit::Other, Target::Labels(names)) if within(names, given) => Fit::Named(given.clone()),
        (fit, _) => fit,
    }
}

/// Whether classes are named 0, 1, 2, ..., or labels by such numbers, some of which may be missing.
fn are_places(target: &Target) -> bool {
    match target {
        Target::Classes(names) => names.iter().enumerate().all(|(i, name)| *name == i.to_string()),
        Target::Labels(names) => names.iter().all(|name| name.parse::<usize>().is_ok()),
        Target::Number => false,
    }
}

/// Whether numbers are places among a model's labels.
fn within(numbers: &[String], given: &Target) -> bool {
    let fits = |number: &String| number.parse::<usize>().is_ok_and(|place| place < given.outputs());
    matches!(given, Target::Labels(_)) && numbers.iter().all(fits)
}

/// Whether a model's classes have the names that transformers gives to those that nobody named.
fn is_unnamed(model: &Folder) -> bool {
    model.names().iter().enumerate().all(|(i, name)| *name == model::unnamed(i))
}

fn same_order(a: &Target, b: &Target) -> bool {
    let names = |target: &Target| target.names().iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
    names(a) == names(b)
}

fn warn_of_order(model: &Folder, source: &Source, target: &Target) {
    cli::log(&format!(
        "warning: {} calls its classes {}, not as {} does; they are taken in the order {}",
        model.path.display(),
        model.names().join(", "),
        source.name(),
        target.names().join(", ")
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(names: &[&str]) -> Target {
        Target::Classes(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn labels_that_are_places_take_the_models_names() {
        let given = classes(&["bad", "good"]);
        assert_eq!(fit(&classes(&["0", "1"]), &given), Fit::Named(given.clone()));
        assert_eq!(fit(&classes(&["1", "2"]), &given), Fit::Unnamed(classes(&["1", "2"])));
        assert_eq!(fit(&classes(&["0", "1", "2"]), &given), Fit::Other);
        assert_eq!(fit(&classes(&["good", "bad"]), &given), Fit::Named(given));
    }

    #[test]
    fn numbers_of_labels_take_the_models_names_also_where_some_are_left_out() {
        let labels = |names: &[&str]| Target::Labels(names.iter().map(ToString::to_string).collect());
        let given = labels(&["anger", "joy", "fear"]);
        for asked in [labels(&["0", "2"]), labels(&["0", "1", "2"]), labels(&["Joy", "anger"])] {
            assert_eq!(fit(&asked, &given), Fit::Named(given.clone()), "{asked:?}");
        }
        assert_eq!(fit(&labels(&["0", "3"]), &given), Fit::Other);
        assert_eq!(fit(&labels(&["1", "2", "3"]), &given), Fit::Unnamed(labels(&["1", "2", "3"])));
        assert_eq!(fit(&labels(&["0", "1"]), &classes(&["a", "b", "c"])), Fit::Other);
    }

    #[test]
    fn the_order_of_names_counts() {
        assert!(same_order(&classes(&["NEGATIVE", "POSITIVE"]), &classes(&["negative", "positive"])));
        assert!(!same_order(&classes(&["POSITIVE", "NEGATIVE"]), &classes(&["negative", "positive"])));
    }
}
