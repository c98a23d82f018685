//! Padded texts over real processes: what everybody sees of two texts of one class is the same, and the answer is that of the text
//! alone.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::folder::Place;
use bundle::{Embedding, WriteOptions};
use cli::exit::BAD_INPUT;
use convert::Student;
use local::deployment::Deployment;
use local::settings::LocalSettings;
use model::{Lengths, Sample};
use mpc::Planned;
use mpc::masked::Plan;
use roles::settings::Settings;
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(600);
/// Largest difference of a logit to that of the text alone.
const TOLERANCE: f64 = 0.02;

fn sample(tokens: usize, step: usize) -> Sample {
    Sample { ids: (0..tokens).map(|i| ((i * step + 4) % 29) as u32).collect(), segments: vec![0; tokens] }
}

#[test]
fn texts_of_one_class_cost_the_same_and_give_the_logits_of_the_text_alone() {
    let place = Place::new();
    let student = Student::read(&place.student()).unwrap();
    let converted = convert::convert(&student, &student.stored_ranges().unwrap()).unwrap();
    let fewest = converted.spec.padded.unwrap().fewest;
    for embedding in [Embedding::Private, Embedding::Client] {
        let folder = place.root.path().join(format!("{embedding:?}"));
        let options = WriteOptions { overwrite: false, progress: None };
        convert::write_bundle(&student, &converted, embedding, &folder, options).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_runtime"));
        let mut settings = LocalSettings::of(Settings { lengths: Lengths::Padded, ..Settings::within(DEADLINE) });
        settings.threads = 1;
        let mut deployment = Deployment::start_with(program, &folder, &settings).unwrap();
        let mut seen = Vec::new();
        for tokens in [fewest, 7, 12, 16] {
            let sample = sample(tokens, 5);
            let exact = converted.spec.texts(&[tokens], Lengths::Exact).unwrap();
            let float = student.folded.logits(&exact, &sample.ids, &sample.segments).unwrap();
            let answer = (0..8).find_map(|_| {
                let answer = deployment.classify(std::slice::from_ref(&sample)).unwrap();
                (answer.measured.restarts == 0).then_some(answer)
            });
            let answer = answer.expect("eight restarts in a row");
            for (private, float) in answer.logits[0].iter().zip(&float) {
                assert!((private - f64::from(*float)).abs() < TOLERANCE, "{tokens} tokens: {private}, float {float}");
            }
            assert_eq!(answer.certified(&converted.spec, 0), Some(true));
            let measured = answer.measured;
            seen.push((measured.rounds, measured.online_bytes_each_way, measured.offline_bytes));
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{embedding:?}: {seen:?}");
        let texts = converted.spec.texts(&[7], Lengths::Padded).unwrap();
        let plan = Plan::new(&converted.spec.calibrated(embedding.input_kind()), &[texts]).unwrap();
        assert_eq!(seen[0].0, plan.cost().rounds as u64);
        deployment.finish().unwrap();
    }
}

fn infer(place: &Place, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runtime"));
    command.args(["infer", "--threads", "1", "--quiet", "--json", "--text", "a b c"]).args(more);
    command.env("PRIVATE_BERT_CACHE", place.root.path().join("cache")).output().unwrap()
}

fn object(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What `infer` does if it is not told otherwise, and how it is told.
#[test]
fn the_length_of_a_text_is_private_unless_it_is_said_to_be_public() {
    let place = Place::new();
    let student = place.student();
    let model = ["--model", student.to_str().unwrap()];
    let padded = object(&infer(&place, &model));
    let exact = object(&infer(&place, &[&model[..], &["--exact-lengths"]].concat()));
    let beaver = object(&infer(&place, &[&model[..], &["--engine", "beaver"]].concat()));
    let public =
        |object: &Value, what: &str| object["security"]["public"].as_array().unwrap().iter().any(|p| p == what);
    for (object, is_padded) in [(&padded, true), (&exact, false), (&beaver, false)] {
        assert_eq!(object["results"][0]["padded"].is_number(), is_padded, "{object}");
        assert_eq!(public(object, "class of lengths of each text"), is_padded, "{object}");
        assert_eq!(public(object, "tokens of each text"), !is_padded, "{object}");
    }
    assert_eq!(padded["results"][0]["padded"], 16);
    assert_eq!(padded["results"][0]["label"], exact["results"][0]["label"]);
    assert_eq!(padded["cost"]["rounds"], exact["cost"]["rounds"]);
}

/// A bundle that was made before texts could be padded says so, and runs them as they are.
#[test]
fn a_bundle_without_scales_for_padded_texts_is_refused_by_name() {
    let place = Place::new();
    let student = Student::read(&place.student()).unwrap();
    let mut converted = convert::convert(&student, &student.stored_ranges().unwrap()).unwrap();
    std::sync::Arc::make_mut(&mut converted.spec).give_up_padding();
    let folder = place.root.path().join("old");
    let options = WriteOptions { overwrite: false, progress: None };
    convert::write_bundle(&student, &converted, Embedding::Private, &folder, options).unwrap();
    let bundle = ["--bundle", folder.to_str().unwrap()];
    let refused = infer(&place, &bundle);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(BAD_INPUT), "{said}");
    assert!(said.contains("no scales for padded texts") && said.contains("--exact-lengths"), "{said}");
    assert!(refused.stdout.is_empty());
    object(&infer(&place, &[&bundle[..], &["--exact-lengths"]].concat()));
}
