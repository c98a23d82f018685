//! The model card.

use std::fmt::Write;

use datasets::{Metrics, Target};
use model::{AttentionKind, Config};

use crate::curves;
use crate::objectives::AttentionLoss;
use crate::options::Options;
use crate::plan::step;
use crate::range::ObservedLayer;
use crate::state::Stage;
use crate::task_binding::TaskBinding;

/// What a card says.
#[derive(Debug)]
pub struct Card<'a> {
    /// The model's name.
    pub name: &'a str,
    /// The command line that made it.
    pub command: &'a str,
    /// The options, all of them.
    pub options: &'a Options,
    /// What it predicts.
    pub task: &'a TaskBinding,
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
    /// Processes that took them together.
    pub processes: usize,
    /// The ranges over the development set.
    pub ranges: &'a [ObservedLayer],
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
        let config = self.config;
        let title = self.task.title();
        self.write_head(out, &title)?;
        writeln!(out, "# {}\n", self.name)?;
        let (layers, width, heads) = (config.num_hidden_layers, config.hidden_size, config.num_attention_heads);
        writeln!(
            out,
            "A BERT classifier ({layers} layers, hidden size {width}, {heads} heads) for {title}. {}\n",
            self.design()
        )?;
        let row = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
        let names = self.student.named();
        let title_row = [format!("on {} development texts", self.student.samples)];
        writeln!(out, "{}", row(title_row.into_iter().chain(names.keys().map(ToString::to_string)).collect()))?;
        writeln!(out, "{}", row(vec!["---".into(); names.len() + 1]))?;
        for (who, metrics) in [("this student, from the stored weights", self.student), ("its teacher", self.teacher)] {
            let scores = metrics.named().into_values().map(|score| format!("{score:.4}"));
            writeln!(out, "{}", row([who.to_string()].into_iter().chain(scores).collect()))?;
        }
        writeln!(
            out,
            "\nThe development set also chose the best step of stage 2 (and of the teacher's fine-tuning), so these figures \
             are a little kind.\n"
        )?;
        let layers: Vec<String> = self.learns_from.iter().map(|layer| (layer + 1).to_string()).collect();
        writeln!(
            out,
            "## Training\n\nTeacher fine-tuned on {title}; the student's layers learned from the teacher's layers {} (stage 1: \
             {}; stage 2: {}). The teacher ran without dropout, unlike in the published code. {} steps of {} texts{}.\n",
            layers.join(", "),
            match self.options.objectives.attention_loss {
                AttentionLoss::Scores => "mean squared error of pre-softmax scores and hidden states",
                AttentionLoss::Weights => "cross-entropy of attention weights, mean squared error of hidden states",
            },
            self.stage2_losses().join(", "),
            self.steps,
            step(self.options, Stage::Prediction, self.processes),
            match self.options.stage1_batch_size {
                Some(_) => format!(" (stage 1: {})", step(self.options, Stage::Layers, self.processes)),
                None => String::new(),
            },
        )?;
        writeln!(out, "![loss and score over the steps]({})\n", curves::NAME)?;
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

    /// Its functions.
    fn design(&self) -> String {
        let config = self.config;
        let attention = match config.attention_softmax {
            AttentionKind::Softmax => "softmax",
            AttentionKind::TwoQuad => "**2Quad**, `(x + c)^2 / sum (x + c)^2`, instead of softmax",
            AttentionKind::TwoRelu => "**2ReLU**, `relu(x) / (sum relu(x) + e)`, instead of softmax",
        };
        let mut text = format!("Its attention is {attention}; its activation is `{}`", config.hidden_act);
        if !config.linear_layer_norms.is_empty() {
            text += &format!("; LayerNorm does not divide in the layers {:?}", config.linear_layer_norms);
        }
        text += ". It is made to be run on shares.";
        if config.attention_softmax != AttentionKind::Softmax || !config.linear_layer_norms.is_empty() {
            text += " The weights have the usual names and shapes, but a program that ignores `attention_softmax` (and \
                     `linear_layer_norms`) in `config.json` computes other functions and gets other answers.";
        }
        text
    }

    /// The losses of stage 2.
    fn stage2_losses(&self) -> Vec<String> {
        let (soft, gold) = match self.task.target {
            Target::Classes(_) => {
                ("cross-entropy with the teacher's probabilities", "cross-entropy with the true classes")
            }
            Target::Labels(_) => (
                "binary cross-entropy of each label with the teacher's probability",
                "binary cross-entropy of each label with the true one",
            ),
            Target::Number => {
                ("mean squared error from the teacher's number", "mean squared error from the true number")
            }
        };
        let losses = [(soft, self.options.objectives.soft_weight), (gold, self.options.objectives.gold_weight)];
        let named =
            |(loss, weight): (&str, f64)| if weight == 1.0 { loss.to_string() } else { format!("{weight} x {loss}") };
        losses.into_iter().filter(|(_, weight)| *weight > 0.0).map(named).collect()
    }

    /// What the hub reads: which data set, which scores.
    fn write_head(&self, out: &mut String, title: &str) -> std::fmt::Result {
        let named = self.student.named();
        let scores = named.iter().map(|(name, score)| format!("    - type: {name}\n      value: {score:.4}\n"));
        let scores: String = scores.collect();
        let metrics: String = named.keys().map(|name| format!("- {name}\n")).collect();
        let tags = match self.config.attention_softmax {
            AttentionKind::TwoQuad => "- 2quad\n- private-inference\n",
            AttentionKind::Softmax | AttentionKind::TwoRelu => "- private-inference\n",
        };
        // a JSON string is a YAML string, whatever a file may be called
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let (datasets, dataset) = match self.task.source.task() {
            Some(task) => (
                "datasets:\n- glue\n".into(),
                format!("      name: GLUE {title}\n      type: glue\n      config: {}\n", task.key()),
            ),
            None => (String::new(), format!("      name: {0}\n      type: {0}\n", quoted(title))),
        };
        write!(
            out,
            "---\nlanguage: en\nlibrary_name: transformers\npipeline_tag: text-classification\n\
             tags:\n- text-classification\n- distillation\n{tags}{datasets}metrics:\n{metrics}\
             model-index:\n- name: {}\n  results:\n  - task:\n      type: text-classification\n    dataset:\n{dataset}      \
             split: validation\n    metrics:\n{scores}---\n\n",
            quoted(self.name),
        )
    }
}
