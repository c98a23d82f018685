//! A text that leaves the domains of the series gets no answer, from the command line to the exit code; the others get theirs.

use std::path::PathBuf;
use std::process::Output;

use crate::folder::{Place, examples};
use crate::outside::runtime;
use bundle::{Embedding, WriteOptions};
use convert::Student;
use model::{Texts, clear_certified, token_class};
use serde_json::Value;

/// A bundle whose first 1/sqrt ends below what half of the texts need, with a text that is certified and one that is not.
fn narrow(place: &Place) -> (PathBuf, [String; 2]) {
    let student = Student::read(&place.student()).unwrap();
    let texts: Vec<String> = examples(40).into_iter().map(|example| example.text).collect();
    let mut stored = student.stored_ranges().unwrap();
    let whole = stored.norms[2].square_sum;
    // narrower and narrower, until some texts leave the domain and some do not
    for part in 1..40 {
        stored.norms[2].square_sum.hi = whole.lo + (whole.hi - whole.lo) * 0.9f32.powi(part) / 3.0;
        stored.unusual = Some(Box::new(stored.clone()));
        let converted = convert::convert(&student, &stored).unwrap();
        let samples = crate::folder::samples(&student, &examples(40));
        let certified = |at: usize| {
            let sample = &samples[at];
            let tokens = sample.ids.len();
            let texts = Texts::new(&[tokens], student.shape()).unwrap();
            let answers =
                clear_certified(&converted.spec, &converted.quantised, &texts, &sample.ids, &sample.segments).unwrap();
            let (limit, total) = (converted.spec.certificate_limit(token_class(tokens)), answers[0].1);
            // far from the bound, so that rounding at random changes nothing
            ((0.0..limit / 8.0).contains(&total), total.abs() > 8.0 * limit)
        };
        let right = (0..texts.len()).find(|at| certified(*at).0);
        let wrong = (0..texts.len()).find(|at| certified(*at).1);
        if let (Some(right), Some(wrong)) = (right, wrong) {
            let options = WriteOptions { overwrite: false, progress: None };
            convert::write_bundle(&student, &converted, Embedding::Private, &place.bundle(), options).unwrap();
            return (place.bundle(), [right, wrong].map(|at| texts[at].clone()));
        }
    }
    panic!("no domain parts the texts");
}

fn said(output: &Output) -> (Option<i32>, Value, String) {
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), json, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_is_not_certified_is_not_answered_unless_it_is_wanted_all_the_same() {
    let place = Place::new();
    let (bundle, [right, wrong]) = narrow(&place);
    let bundle = bundle.display().to_string();
    let args = ["infer", "--bundle", &bundle, "--text", &right, "--text", &wrong, "--text", &right, "--batch", "3"];
    let run = |more: &[&str]| said(&runtime(&place, &[&args[..], more].concat(), b""));

    let (code, json, errors) = run(&["--json"]);
    assert_eq!(code, Some(11), "{errors}");
    assert!(
        errors.contains("1 of 3 texts (number 2) left the domains") && errors.contains("--uncertified"),
        "{errors}"
    );
    let results = json["results"].as_array().unwrap();
    let certified: Vec<&Value> = results.iter().map(|result| &result["certified"]).collect();
    assert_eq!(certified, [true, false, true]);
    assert!(results[1].get("logits").is_none() && results[1].get("label").is_none(), "{}", results[1]);
    assert!(results[0]["logits"].is_array() && results[2]["label"].is_string());

    let output = runtime(&place, &args, b"");
    assert_eq!(output.status.code(), Some(11));
    let lines: Vec<Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line.as_array().unwrap().len()).collect::<Vec<_>>(), [1, 0, 1]);

    let (code, json, errors) = run(&["--json", "--uncertified"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("their logits may be wrong"), "{errors}");
    assert_eq!(json["results"][1]["certified"], false);
    assert!(json["results"][1]["logits"].is_array());

    let (code, json, errors) = run(&["--json", "--engine", "beaver"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(json["results"].as_array().unwrap().iter().all(|result| result["certified"] == Value::Null));
}
