//! The model card.

use std::fmt::Write;

use datasets::Metrics;
use model::Config;

use crate::options::Options;
use crate::range::LayerRanges;

/// What a card says.
#[derive(Debug)]
pub struct Card<'a> {
    /// The model's name.
    pub name: &'a str,
    /// The command line that made it.
    pub command: &'a str,
    /// The options, all of them.
    pub options: &'a Options,
    /// The student's configuration.
    pub config: &'a Config,
    /// The teacher's layers it learned from.
    pub learns_from: &'a [usize],
    /// The teacher's scores on the development set.
    pub teacher: &'a Metrics,
    /// The student's, from the stored weights.
    pub student: &'a Metrics,
    /// Steps in all stages.
    pub steps: u64,
    /// The ranges over the development set.
    pub ranges: &'a [LayerRanges],
}

impl Card<'_> {
    /// The card as Markdown with a YAML head.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let (task, config) = (self.options.task, self.config);
        let (student, teacher) = (self.student.accuracy, self.teacher.accuracy);
        write!(
            out,
            "---\nlanguage: en\nlibrary_name: transformers\npipeline_tag: text-classification\n\
             tags:\n- text-classification\n- distillation\n- 2quad\n- private-inference\ndatasets:\n- glue\nmetrics:\n- accuracy\n\
             model-index:\n- name: {}\n  results:\n  - task:\n      type: text-classification\n    dataset:\n      name: GLUE {task}\n      \
             type: glue\n      config: {}\n      split: validation\n    metrics:\n    - type: accuracy\n      value: {student:.4}\n---\n\n",
            self.name,
            task.key(),
        )?;
        writeln!(out, "# {}\n", self.name)?;
        writeln!(
            out,
            "A BERT classifier ({} layers, hidden size {}, {} heads) for {task}, made to be run on shares: its attention is \
             **2Quad**, `(x + c)^2 / sum (x + c)^2`, instead of softmax. The weights have the usual names and shapes, but a \
             program that ignores `attention_softmax` in `config.json` computes softmax attention and gets other answers.\n",
            config.num_hidden_layers, config.hidden_size, config.num_attention_heads
        )?;
        writeln!(out, "| on {} development texts | accuracy |\n|---|---|", self.student.samples)?;
        writeln!(out, "| this student, from the stored weights | {student:.4} |\n| its teacher | {teacher:.4} |\n")?;
        writeln!(
            out,
            "The development set also chose the best step of stage 2 (and of the teacher's fine-tuning), so these figures \
             are a little kind.\n"
        )?;
        let layers: Vec<String> = self.learns_from.iter().map(|layer| (layer + 1).to_string()).collect();
        writeln!(
            out,
            "## Training\n\nTeacher fine-tuned on {task}; the student's layers learned from the teacher's layers {} (stage 1: mean \
             squared error of pre-softmax scores and hidden states; stage 2: cross-entropy with the teacher's \
             probabilities). The teacher ran without dropout, unlike in the published code. {} steps of {} texts.\n",
            layers.join(", "),
            self.steps,
            self.options.per_device_train_batch_size
        )?;
        writeln!(out, "```\n{}\n```\n", self.command)?;
        writeln!(out, "## Ranges over the development set\n")?;
        writeln!(out, "| layer | scores | GeLU inputs | variance after attention | variance after feed-forward |")?;
        writeln!(out, "|---|---|---|---|---|")?;
        for (layer, ranges) in self.ranges.iter().enumerate() {
            write!(out, "| {layer} ")?;
            for seen in [ranges.scores, ranges.gelu, ranges.attention_variance, ranges.variance] {
                write!(out, "| {:.3} to {:.3} ", seen.low, seen.high)?;
            }
            writeln!(out, "|")?;
        }
        Ok(())
    }
}
