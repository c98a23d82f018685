//! Ranges from a task's training texts, and the texts by which a conversion is judged.

use std::path::{Path, PathBuf};

use datasets::{Example, Split, Task, Tokenizer};
use model::{Ranges, Sample, Shape, calibrate, stretched_count};

use crate::error::ConvertError;
use crate::student::Student;

/// A task's texts: where they are, and how many are observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentences {
    /// The task.
    pub task: Task,
    /// The GLUE folder, or the task's own.
    pub data_dir: PathBuf,
    /// How many training texts are observed.
    pub samples: usize,
}

impl Sentences {
    /// Texts of the training split, evenly spread over it.
    pub fn training(&self, student: &Student) -> Result<Vec<Sample>, ConvertError> {
        let examples = load(self.task, &self.data_dir, Split::Train)?;
        let wanted = self.samples.clamp(1, examples.len());
        let spread: Vec<Example> = (0..wanted).map(|i| examples[i * examples.len() / wanted].clone()).collect();
        encode(&student.tokenizer, student.shape(), &spread)
    }

    /// The first texts of the dev split, which calibration does not see.
    pub fn held_out(&self, student: &Student, most: usize) -> Result<Vec<Sample>, ConvertError> {
        let mut examples = load(self.task, &self.data_dir, Split::Dev)?;
        examples.truncate(most);
        encode(&student.tokenizer, student.shape(), &examples)
    }

    /// Observes the student over the training texts. `begin` is told how many steps there are, `step` is called at each.
    pub fn ranges(
        &self,
        student: &Student,
        begin: impl FnOnce(u64),
        step: &(dyn Fn() + Sync),
    ) -> Result<Ranges, ConvertError> {
        let samples = self.training(student)?;
        begin((samples.len() + stretched_count(&samples, student.shape().positions)) as u64);
        Ok(calibrate(&student.folded, &samples, step)?)
    }
}

fn load(task: Task, folder: &Path, split: Split) -> Result<Vec<Example>, ConvertError> {
    Ok(datasets::load(task, folder, split)?)
}

/// Texts as the network of that shape takes them.
pub fn encode(tokenizer: &Tokenizer, shape: &Shape, examples: &[Example]) -> Result<Vec<Sample>, ConvertError> {
    let one = |example: &Example| {
        let encoding = tokenizer.encode(&example.text, example.text_pair.as_deref())?;
        Ok(Sample::new(encoding.ids, encoding.type_ids, shape)?)
    };
    examples.iter().map(one).collect()
}
