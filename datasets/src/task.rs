//! GLUE's tasks, by name.

use std::fmt;
use std::str::FromStr;

use crate::metrics::Metric;
use crate::spelling::letters;
use crate::target::Target;

/// A task of GLUE (Wang et al., 2018): what is asked about a text, or about two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// Corpus of Linguistic Acceptability: is the sentence grammatical?
    Cola,
    /// Multi-Genre Natural Language Inference; judged on the matched genres.
    Mnli,
    /// The same training set, judged on the mismatched genres.
    MnliMismatched,
    /// Microsoft Research Paraphrase Corpus.
    Mrpc,
    /// Question-answering inference, from SQuAD.
    Qnli,
    /// Quora Question Pairs.
    Qqp,
    /// Recognising Textual Entailment.
    Rte,
    /// Stanford Sentiment Treebank, two classes.
    Sst2,
    /// Semantic Textual Similarity: a number from 0 to 5.
    Stsb,
    /// Winograd inference.
    Wnli,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// What a model is fitted to.
    Train,
    /// What it is judged by.
    Dev,
    /// What it is only asked about: [`crate::Source::load_test`].
    Test,
}

/// A name that no task has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown task `{name}`; known: {}; for texts of your own say --train-file and --validation-file", known())]
pub struct UnknownTask {
    /// The name as it was given.
    pub name: String,
}

fn known() -> String {
    Task::ALL.map(Task::key).join(", ")
}

/// The columns of a table that matter; a table without a header has numbers for names, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The text, or the first of two.
    pub(crate) text: &'static str,
    /// The second text.
    pub(crate) pair: Option<&'static str>,
    /// The answer.
    pub(crate) label: &'static str,
}

/// What is known about a task.
struct Facts {
    /// `sst2`, as on the hub.
    key: &'static str,
    /// `SST-2`, as GLUE's folders are called.
    folder: &'static str,
    /// Class names by number; none where the answer is a number.
    classes: &'static [&'static str],
    metrics: &'static [Metric],
    /// Columns of GLUE's tab-separated files: text, second text, label.
    tsv: (&'static str, Option<&'static str>, &'static str),
    /// The texts' columns of the hub's parquet files; the label's is `label`.
    parquet: (&'static str, Option<&'static str>),
}

impl Task {
    /// Every task.
    pub const ALL: [Task; 10] = [
        Task::Cola,
        Task::Mnli,
        Task::MnliMismatched,
        Task::Mrpc,
        Task::Qnli,
        Task::Qqp,
        Task::Rte,
        Task::Sst2,
        Task::Stsb,
        Task::Wnli,
    ];

    fn facts(self) -> Facts {
        use Metric::{Accuracy, F1, Matthews, Pearson, Spearman};
        let (key, folder, classes, metrics, tsv, parquet): (_, _, &[&str], &[Metric], _, _) = match self {
            Task::Cola => {
                // the file has no header: source, label, the author's mark, sentence
                let columns = ("3", None, "1");
                ("cola", "CoLA", &["unacceptable", "acceptable"], &[Matthews], columns, ("sentence", None))
            }
            Task::Mnli | Task::MnliMismatched => {
                let (key, folder) = if self == Task::Mnli { ("mnli", "MNLI") } else { ("mnli-mm", "MNLI-MM") };
                let columns = ("sentence1", Some("sentence2"), "gold_label");
                let classes = &["entailment", "neutral", "contradiction"];
                (key, folder, classes, &[Accuracy], columns, ("premise", Some("hypothesis")))
            }
            Task::Mrpc => {
                let columns = ("#1 String", Some("#2 String"), "Quality");
                let classes = &["not_equivalent", "equivalent"];
                ("mrpc", "MRPC", classes, &[Accuracy, F1], columns, ("sentence1", Some("sentence2")))
            }
            Task::Qnli => {
                let columns = ("question", Some("sentence"), "label");
                let classes = &["entailment", "not_entailment"];
                ("qnli", "QNLI", classes, &[Accuracy], columns, ("question", Some("sentence")))
            }
            Task::Qqp => {
                let columns = ("question1", Some("question2"), "is_duplicate");
                let classes = &["not_duplicate", "duplicate"];
                ("qqp", "QQP", classes, &[Accuracy, F1], columns, ("question1", Some("question2")))
            }
            Task::Rte => {
                let columns = ("sentence1", Some("sentence2"), "label");
                let classes = &["entailment", "not_entailment"];
                ("rte", "RTE", classes, &[Accuracy], columns, ("sentence1", Some("sentence2")))
            }
            Task::Sst2 => {
                let columns = ("sentence", None, "label");
                ("sst2", "SST-2", &["NEGATIVE", "POSITIVE"], &[Accuracy], columns, ("sentence", None))
            }
            Task::Stsb => {
                let columns = ("sentence1", Some("sentence2"), "score");
                ("stsb", "STS-B", &[], &[Pearson, Spearman], columns, ("sentence1", Some("sentence2")))
            }
            Task::Wnli => {
                let columns = ("sentence1", Some("sentence2"), "label");
                let classes = &["not_entailment", "entailment"];
                ("wnli", "WNLI", classes, &[Accuracy], columns, ("sentence1", Some("sentence2")))
            }
        };
        Facts { key, folder, classes, metrics, tsv, parquet }
    }

    /// The short name, as on the hub and in file names: `sst2`.
    pub fn key(self) -> &'static str {
        self.facts().key
    }

    /// What its answers are.
    pub fn target(self) -> Target {
        match self.facts().classes {
            [] => Target::Number,
            classes => Target::Classes(classes.iter().map(ToString::to_string).collect()),
        }
    }

    /// How it is judged, as GLUE does.
    pub fn metrics(self) -> &'static [Metric] {
        self.facts().metrics
    }

    /// Whether it is about two texts.
    pub fn is_pair(self) -> bool {
        self.facts().tsv.1.is_some()
    }

    /// The folder's usual name below the GLUE root.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Task::MnliMismatched => Task::Mnli.folder(),
            task => task.facts().folder,
        }
    }

    /// Columns of GLUE's tab-separated files.
    pub(crate) fn tsv_layout(self) -> Layout {
        let (text, pair, label) = self.facts().tsv;
        Layout { text, pair, label }
    }

    /// Columns of the hub's parquet files.
    pub(crate) fn parquet_layout(self) -> Layout {
        let (text, pair) = self.facts().parquet;
        Layout { text, pair, label: "label" }
    }

    /// Whether GLUE's tab-separated files begin with the names of their columns.
    pub(crate) fn has_header(self) -> bool {
        self != Task::Cola
    }

    /// The name, without its ending, of the file that holds a part: GLUE's, then the hub's.
    pub(crate) fn stems(self, split: Split) -> (&'static str, &'static str) {
        match (split, self) {
            (Split::Train, _) => ("train", "train"),
            (Split::Dev, Task::Mnli) => ("dev_matched", "validation_matched"),
            (Split::Dev, Task::MnliMismatched) => ("dev_mismatched", "validation_mismatched"),
            (Split::Dev, _) => ("dev", "validation"),
            (Split::Test, Task::Mnli) => ("test_matched", "test_matched"),
            (Split::Test, Task::MnliMismatched) => ("test_mismatched", "test_mismatched"),
            (Split::Test, _) => ("test", "test"),
        }
    }

    /// Whether `name` is a spelling of this task's folder: case and everything but letters and digits do not count.
    pub(crate) fn is_folder(self, name: &str) -> bool {
        letters(name) == letters(self.folder())
    }

    fn is_called(self, name: &str) -> bool {
        let more: &[&str] = match self {
            Task::Mnli => &["mnlimatched", "mnlim"],
            Task::MnliMismatched => &["mnlimismatched"],
            Task::Sst2 => &["sst"],
            Task::Stsb => &["sts"],
            _ => &[],
        };
        let name = letters(name);
        let name = name.strip_prefix("glue").unwrap_or(&name);
        name == letters(self.key()) || more.contains(&name)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.facts().folder)
    }
}

impl FromStr for Task {
    type Err = UnknownTask;

    fn from_str(name: &str) -> Result<Task, UnknownTask> {
        Task::ALL.into_iter().find(|task| task.is_called(name)).ok_or_else(|| UnknownTask { name: name.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_names_the_task() {
        for name in ["sst2", "SST-2", "sst-2", "SST_2", "Sst 2", "SST2", "glue/sst2"] {
            assert_eq!(name.parse(), Ok(Task::Sst2), "{name}");
        }
        let others = [
            ("CoLA", Task::Cola),
            ("sts-b", Task::Stsb),
            ("STSB", Task::Stsb),
            ("MNLI", Task::Mnli),
            ("mnli_matched", Task::Mnli),
            ("MNLI-mm", Task::MnliMismatched),
            ("mnli_mismatched", Task::MnliMismatched),
            ("QQP", Task::Qqp),
        ];
        for (name, task) in others {
            assert_eq!(name.parse(), Ok(task), "{name}");
        }
        for task in Task::ALL {
            assert_eq!(task.key().parse(), Ok(task));
            assert_eq!(task.to_string().parse(), Ok(task));
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = "imdb".parse::<Task>().unwrap_err().to_string();
        assert!(
            error
                .starts_with("unknown task `imdb`; known: cola, mnli, mnli-mm, mrpc, qnli, qqp, rte, sst2, stsb, wnli")
        );
        assert!("".parse::<Task>().is_err());
    }

    #[test]
    fn a_number_is_asked_for_by_one_task() {
        let numbers: Vec<Task> = Task::ALL.into_iter().filter(|task| task.target() == Target::Number).collect();
        assert_eq!(numbers, [Task::Stsb]);
        let single: Vec<Task> = Task::ALL.into_iter().filter(|task| !task.is_pair()).collect();
        assert_eq!(single, [Task::Cola, Task::Sst2]);
    }
}
