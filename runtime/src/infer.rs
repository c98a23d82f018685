//! `runtime infer`: texts in, labels out.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::client::Measured;
use crate::deployment::INSECURE_LOCAL;
use crate::options::Infer;
use crate::session::Session;
use crate::texts::{given, tokens};

/// A label with its probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Label {
    /// Name.
    pub label: String,
    /// Softmax of the logits.
    pub score: f64,
}

/// Classifies the texts of the command line and prints what was found.
pub fn run(options: &Infer, out: &mut dyn Write) -> Result<()> {
    let begin = Instant::now();
    let source = &options.source;
    let texts = given(options)?;
    let bar = cli::bar(source.quiet, "", texts.len() as u64);
    let mut session = Session::open(source, &bar)?;
    let labels = session.labels.clone();
    let mut samples = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let (sample, cut) = tokens(&session.tokenizer, text, None)?;
        if cut {
            let most = session.tokenizer.max_length();
            bar.suspend(|| {
                crate::log(&format!("warning: text {} is longer than {most} tokens; its end was cut off", at + 1));
            });
        }
        samples.push(sample);
    }
    let mut measured = Measured::default();
    let mut results = Vec::new();
    bar.set_message("classifying");
    for batch in session.batches(&samples)? {
        let answer = session.deployment.classify(batch)?;
        bar.inc(batch.len() as u64);
        measured.add(&answer.measured);
        for (sample, logits) in batch.iter().zip(&answer.logits) {
            let ranked = rank(&labels, logits);
            if source.json {
                let best = &ranked[0];
                results.push(json!({
                    "label": best.label, "score": best.score, "logits": logits, "tokens": sample.ids.len(),
                }));
            } else {
                let top: Vec<_> = ranked.into_iter().take(options.top_k as usize).collect();
                let line = serde_json::to_string(&top)?;
                bar.suspend(|| writeln!(out, "{line}").and_then(|()| out.flush()))?;
            }
        }
    }
    bar.finish_and_clear();
    session.deployment.finish()?;
    if source.json {
        let object = json!({
            "results": results,
            "cost": cost(&measured),
            "seconds": {
                "offline": measured.offline_seconds,
                "online": measured.online_seconds,
                "total": begin.elapsed().as_secs_f64(),
            },
            "security": security(),
        });
        writeln!(out, "{}", serde_json::to_string_pretty(&object)?)?;
    }
    Ok(())
}

/// What a run cost, exactly.
pub fn cost(measured: &Measured) -> Value {
    json!({
        "rounds": measured.rounds,
        "online_bytes_each_way": measured.online_bytes_each_way,
        "offline_bytes": measured.offline_bytes,
        "restarts": measured.restarts,
    })
}

/// The security model of the protocol, and what this deployment makes of it.
pub fn security() -> Value {
    json!({
        "deployment": "insecure-local",
        "protects": "nothing",
        "why": INSECURE_LOCAL,
        "protocol": "masked wires: semi-honest, at most one of the two parties and the dealer corrupted, no collusion",
        "public": ["model shape", "scales and series", "tokens of each text", "restarts", "timing"],
    })
}

/// Labels with their probabilities, best first.
pub fn rank(labels: &[String], logits: &[f64]) -> Vec<Label> {
    let most = logits.iter().copied().fold(f64::MIN, f64::max);
    let powers: Vec<f64> = logits.iter().map(|v| (v - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    let name = |at: usize| labels.get(at).cloned().unwrap_or_else(|| format!("LABEL_{at}"));
    let mut ranked: Vec<Label> =
        powers.iter().enumerate().map(|(at, p)| Label { label: name(at), score: p / sum }).collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_best_first_with_probabilities() {
        let ranked = rank(&["NEGATIVE".into(), "POSITIVE".into()], &[-1.0, 2.0]);
        assert_eq!(ranked[0].label, "POSITIVE");
        assert!((ranked[0].score - 1.0 / (1.0 + f64::exp(-3.0))).abs() < 1e-12);
        assert!((ranked[0].score + ranked[1].score - 1.0).abs() < 1e-12);
        assert_eq!(rank(&[], &[0.0])[0].label, "LABEL_0");
    }
}
