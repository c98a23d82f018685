//! What `infer` and `evaluate` have in common: a deployment on a chosen bundle, texts in, logits out.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use datasets::Tokenizer;
use indicatif::ProgressBar;
use model::{Plan, Sample, Spec, Texts, input_form};

use crate::deployment::{Deployment, INSECURE_LOCAL, this_program};
use crate::options::Source;
use crate::shipped::choose;

/// Most bytes that a client sends to P1 at once.
const MOST_INPUT_BYTES: usize = 256 << 20;
/// Largest restart probability of a batch of several texts.
const MOST_RESTARTS: f64 = 0.25;

/// A running deployment, and what a client knows of its model.
pub struct Session {
    /// All roles.
    pub deployment: Deployment,
    /// Scales and series.
    pub spec: Arc<Spec>,
    /// Names of classes.
    pub labels: Vec<String>,
    /// The model's tokenizer.
    pub tokenizer: Tokenizer,
    /// The student's folder, where known.
    pub student: Option<PathBuf>,
    most_texts: usize,
}

impl Session {
    /// Starts all roles on the bundle that the command line asks for.
    pub fn open(source: &Source, bar: &ProgressBar) -> Result<Session> {
        let chosen = choose(source)?;
        // --json says it in its own output
        if !(source.quiet && source.json) {
            bar.suspend(|| crate::log(&format!("note: {INSECURE_LOCAL}")));
        }
        bar.set_message("starting the roles");
        let deployment = Deployment::start(&this_program()?, &chosen.bundle, source.deadline())?;
        let bundle = deployment.bundle()?;
        let (spec, labels) = (bundle.spec.clone(), bundle.labels.clone());
        let folder = bundle.tokenizer_path.parent().context("a tokenizer without a folder")?;
        let tokenizer = Tokenizer::load(folder, spec.shape.positions)?;
        let (student, most_texts) = (chosen.student, source.batch as usize);
        Ok(Session { deployment, spec, labels, tokenizer, student, most_texts })
    }

    /// Splits texts into batches, in order: as many together as was asked for, where neither the input nor the
    /// probability of a restart grows too large.
    pub fn batches<'a>(&self, samples: &'a [Sample]) -> Result<Vec<&'a [Sample]>> {
        let kind = self.deployment.bundle()?.embedding.input_kind();
        let mut batches = Vec::new();
        let (mut start, mut bytes, mut restarts) = (0, 0, 0.0);
        for (at, sample) in samples.iter().enumerate() {
            let texts = Texts::new(&[sample.ids.len()], &self.spec.shape)?;
            let risk = Plan::new(&self.spec, &texts, kind)?.cost().restart_probability;
            let size = 8 * input_form(&self.spec, kind, &texts).count();
            let full =
                at - start == self.most_texts || bytes + size > MOST_INPUT_BYTES || restarts + risk > MOST_RESTARTS;
            if full && at > start {
                batches.push(&samples[start..at]);
                (start, bytes, restarts) = (at, 0, 0.0);
            }
            (bytes, restarts) = (bytes + size, restarts + risk);
        }
        if start < samples.len() {
            batches.push(&samples[start..]);
        }
        Ok(batches)
    }
}
