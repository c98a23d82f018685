//! The shipped student at all kinds of lengths, over three processes: the shortest, the longest, and those beside a power of
//! two, where scales change.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bundle::{Embedding, WriteOptions};
use convert::{Converted, Student};
use local::deployment::Deployment;
use model::{Sample, Texts, clear_logits};
use mpc::Cost;
use mpc::Planned;
use mpc::masked::Plan;
use net::HEADER_LEN;
use roles::client::Answer;
use roles::measured::Measured;
use runtime::shipped::SHIPPED;

const LENGTHS: [usize; 10] = [1, 2, 3, 16, 17, 127, 128, 129, 511, 512];
/// With an embedding of the client's own only the first layer's input differs.
const CLIENT_LENGTHS: [usize; 3] = [1, 129, 512];
/// Largest difference of a logit: what `convert` accepts of fixed point.
const TOLERANCE: f64 = convert::TOLERANCE;

/// A text of so many tokens: sentences one after another, between the marks that a tokenizer sets.
fn sample(student: &Student, tokens: usize) -> Sample {
    let sentences = include_str!("sentences.txt").replace('\t', " ");
    let encoding = student.tokenizer.encode(&sentences, None).unwrap();
    let (first, words, last) = match &encoding.ids[..] {
        [first, words @ .., last] => (*first, words, *last),
        _ => panic!("no tokens"),
    };
    let mut ids = vec![first];
    ids.extend(words.iter().cycle().take(tokens.saturating_sub(2)));
    ids.extend((tokens > 1).then_some(last));
    Sample { segments: vec![0; ids.len()], ids }
}

/// Largest difference of a logit; infinite where one is not a number.
fn gap(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.map(|d| if d.is_nan() { f64::INFINITY } else { d }).fold(0.0, f64::max)
}

/// The logits in floating point and in fixed point in clear.
fn in_clear(student: &Student, converted: &Converted, texts: &Texts, sample: &Sample) -> [Vec<f64>; 2] {
    let Sample { ids, segments } = sample;
    let float = student.folded.logits(texts, ids, segments).unwrap();
    let clear = clear_logits(&converted.spec, &converted.quantised, texts, ids, segments).unwrap();
    [float.iter().map(|v| f64::from(*v)).collect(), clear.concat()]
}

/// Runs until one attempt was enough: one that restarts stops half-way and cannot be held against the plan. Every answer counts.
fn answers(deployment: &mut Deployment, sample: &Sample) -> Vec<Answer> {
    let mut answers = Vec::new();
    while answers.len() < 8 {
        answers.push(deployment.classify(std::slice::from_ref(sample)).unwrap());
        if answers.last().unwrap().measured.restarts == 0 {
            return answers;
        }
    }
    panic!("eight runs in a row restarted")
}

fn assert_as_planned(measured: &Measured, cost: &Cost) {
    assert_eq!(measured.rounds, cost.rounds as u64);
    assert_eq!(measured.online_bytes_each_way, (cost.opened_bytes + cost.frames * HEADER_LEN) as u64);
    let dealt = cost.dealt_bytes + 64 + (mpc::deal_frames(cost.dealt_bytes) + 2) * HEADER_LEN;
    assert_eq!(measured.offline_bytes, dealt as u64);
}

#[test]
#[ignore = "long: .ci/run runs it by name"]
fn every_length_costs_what_was_planned_and_gives_the_logits_in_clear() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(SHIPPED);
    let student = Student::read(&folder).unwrap();
    let converted = convert::convert(&student, &student.stored_ranges().unwrap()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let mut known = BTreeMap::new();
    for (embedding, lengths) in [(Embedding::Private, &LENGTHS[..]), (Embedding::Client, &CLIENT_LENGTHS)] {
        let bundle = root.path().join(format!("{embedding:?}"));
        let options = WriteOptions { overwrite: false, progress: None };
        convert::write_bundle(&student, &converted, embedding, &bundle, options).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_runtime"));
        let mut deployment = Deployment::start(program, &bundle, Duration::from_secs(600)).unwrap();
        for &tokens in lengths {
            let sample = sample(&student, tokens);
            let texts = Texts::new(&[tokens], student.shape()).unwrap();
            let [float, clear] = known.entry(tokens).or_insert_with(|| in_clear(&student, &converted, &texts, &sample));
            let cost = Plan::new(&converted.spec.calibrated(embedding.input_kind()), &[texts]).unwrap().cost();
            let answers = answers(&mut deployment, &sample);
            let (mut to_float, mut to_clear) = (0.0f64, 0.0f64);
            for answer in &answers {
                to_float = to_float.max(gap(&answer.logits[0], float));
                to_clear = to_clear.max(gap(&answer.logits[0], clear));
            }
            let restarts: u32 = answers.iter().map(|answer| answer.measured.restarts).sum();
            eprintln!(
                "{embedding:?}, {tokens} tokens: {to_float:.4} to float, {to_clear:.4} to clear, {restarts} restarts, planned {:.4}",
                cost.restart_probability
            );
            assert!(to_float < TOLERANCE, "{embedding:?}, {tokens} tokens: {to_float:.4} to float");
            assert!(to_clear < TOLERANCE, "{embedding:?}, {tokens} tokens: {to_clear:.4} to clear");
            assert_as_planned(&answers.last().unwrap().measured, &cost);
            assert!(cost.restart_probability < 0.2, "{tokens} tokens: {}", cost.restart_probability);
            assert!(cost.rounds <= 16 * student.shape().layers + 8);
        }
        deployment.finish().unwrap();
    }
}
