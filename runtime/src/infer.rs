//! `runtime infer`: texts in, labels out.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use local::report::{cost, say_engine};
use model::{Certificate, ProblemType};
use roles::client::Answer;
use roles::measured::Measured;
use serde::Serialize;
use serde_json::{Value, json};

use crate::options::Infer;
use crate::refused::Refused;
use crate::services::check_client;
use crate::session::Session;
use crate::texts::{given, located};

/// A label with its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Label {
    /// Name.
    pub label: String,
    /// Softmax of the logits, or the sigmoid of its own where several labels may hold, or the number that is asked for.
    pub score: f64,
}

/// Classifies the texts of the command line and prints what was found.
pub fn run(options: &Infer, out: &mut dyn Write) -> Result<()> {
    let begin = Instant::now();
    let source = &options.source;
    if check_client(&source.services, out)? {
        return Ok(());
    }
    let texts = given(options)?;
    let bar = cli::bar(source.quiet, "", texts.len() as u64);
    let mut session = Session::open(source, &bar)?;
    let (labels, problem, engine) = (session.labels.clone(), session.problem, session.engine());
    session.check_pairs(texts.iter().map(|(_, second)| second.as_deref()), "see --text-pair and --pairs")?;
    let texts = texts.iter().map(|(text, second)| (text.as_str(), second.as_deref()));
    let encoded = convert::encode(&session.tokenizer, &session.spec.shape, texts, options.length)
        .map_err(|error| located(options, error))?;
    for text in &encoded.truncated {
        let most = session.tokenizer.max_length();
        bar.suspend(|| cli::log(&format!("warning: text {text} has more than {most} tokens; its end was cut off")));
    }
    let mut measured = Measured::default();
    let (mut results, mut refused) = (Vec::new(), Refused::default());
    bar.set_message("classifying");
    for batch in session.batches(&encoded.samples)? {
        let answer = session.classify(batch)?;
        bar.inc(batch.len() as u64);
        measured.add(&answer.measured);
        for (at, (sample, logits)) in batch.iter().zip(&answer.logits).enumerate() {
            let certified = answer.certified(&session.spec, at);
            let given = refused.gives(certified, source.uncertified);
            let ranked = if given { rank(&labels, logits, problem) } else { Vec::new() };
            if source.json {
                let mut result = json!({ "tokens": sample.ids.len(), "certified": certified });
                say_run(&mut result, &answer, at);
                if let Some(best) = ranked.first() {
                    result["label"] = json!(best.label);
                    result["score"] = json!(best.score);
                    result["logits"] = json!(logits);
                }
                results.push(result);
            } else {
                let all = problem == ProblemType::Regression;
                let top = if all { ranked.len() } else { ranked.len().min(options.top_k as usize) };
                let line = serde_json::to_string(&ranked[..top])?;
                bar.suspend(|| writeln!(out, "{line}").and_then(|()| out.flush()))?;
            }
        }
    }
    bar.finish_and_clear();
    let security = session.security();
    session.finish()?;
    if source.json {
        let mut object = json!({
            "results": results,
            "problem_type": problem,
            "cost": cost(&measured),
            "seconds": {
                "offline": measured.offline_seconds,
                "online": measured.online_seconds,
                "total": begin.elapsed().as_secs_f64(),
            },
            "security": security,
        });
        say_engine(&mut object, engine);
        writeln!(out, "{}", serde_json::to_string_pretty(&object)?)?;
    }
    out.flush()?;
    refused.outcome(source.uncertified)
}

/// Adds to what is said of a text how it was run: to how many rows it was padded, and how far it was from its promises.
fn say_run(result: &mut Value, answer: &Answer, at: usize) {
    if answer.texts.is_padded() {
        result["padded"] = json!(answer.texts.lengths()[at]);
    }
    if let Some(Certificate { total, limit }) = answer.certificates.get(at) {
        result["certificate"] = json!({ "total": total, "limit": limit });
    }
}

/// Labels with their scores, best first; numbers in the model's order.
pub fn rank(labels: &[String], logits: &[f64], problem: ProblemType) -> Vec<Label> {
    let scores: Vec<f64> = match problem {
        ProblemType::SingleLabel => {
            let most = logits.iter().copied().fold(f64::MIN, f64::max);
            let powers: Vec<f64> = logits.iter().map(|v| (v - most).exp()).collect();
            let sum: f64 = powers.iter().sum();
            powers.iter().map(|p| p / sum).collect()
        }
        ProblemType::MultiLabel => logits.iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect(),
        ProblemType::Regression => logits.to_vec(),
    };
    let name = |at: usize| labels.get(at).cloned().unwrap_or_else(|| format!("LABEL_{at}"));
    let scored = scores.into_iter().enumerate().map(|(at, score)| Label { label: name(at), score });
    let mut ranked: Vec<Label> = scored.collect();
    if problem != ProblemType::Regression {
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    }
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_follow_from_what_the_logits_mean() {
        let labels: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        let scores = |problem| {
            let ranked = rank(&labels, &[-1.0, 2.0, 0.5], problem);
            ranked.into_iter().map(|l| (l.label, (l.score * 1e4).round() / 1e4)).collect::<Vec<_>>()
        };
        let expected = |pairs: [(&str, f64); 3]| pairs.map(|(label, score)| (label.to_string(), score));
        // exp(-3), 1 and exp(-1.5) over their sum
        assert_eq!(scores(ProblemType::SingleLabel), expected([("b", 0.7856), ("c", 0.1753), ("a", 0.0391)]));
        assert_eq!(scores(ProblemType::MultiLabel), expected([("b", 0.8808), ("c", 0.6225), ("a", 0.2689)]));
        assert_eq!(scores(ProblemType::Regression), expected([("a", -1.0), ("b", 2.0), ("c", 0.5)]));
        assert_eq!(rank(&[], &[0.0], ProblemType::SingleLabel)[0].label, "LABEL_0");
    }
}
