//! A student and a bundle that an earlier commit left still load, and give the logits that they gave then.

use std::fs;
use std::path::{Path, PathBuf};

use crate::sessions::{DEADLINE, convert, program};
use bundle::Embedding;
use convert::Student;
use local::deployment::Deployment;
use model::{Sample, Texts, clear_logits};

/// Of series and scales that a machine fits anew, and of a private run's random rounding.
const ROUNDING: f64 = 0.005;

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kept")
}

fn samples() -> Vec<Sample> {
    let sample = |tokens: usize, step: usize| Sample {
        ids: (0..tokens).map(|i| ((i * step + 4) % 29) as u32).collect(),
        segments: (0..tokens).map(|i| u32::from(i > tokens / 2)).collect(),
    };
    vec![sample(3, 1), sample(16, 3), sample(9, 7)]
}

/// What was kept, copied to where it can be opened: git keeps no permissions.
fn copied() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in ["student", "bundle/client", "bundle/dealer", "bundle/party0", "bundle/party1"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
        for entry in fs::read_dir(kept().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, root.path().join(folder).join(path.file_name().unwrap())).unwrap();
        }
    }
    root
}

fn float(student: &Student, sample: &Sample) -> Vec<f64> {
    let texts = Texts::new(&[sample.ids.len()], student.shape()).unwrap();
    let logits = student.folded.logits(&texts, &sample.ids, &sample.segments).unwrap();
    logits.iter().map(|v| f64::from(*v)).collect()
}

fn recorded() -> Vec<Vec<f64>> {
    serde_json::from_slice(&fs::read(kept().join("logits.json")).unwrap()).unwrap()
}

fn assert_close(got: &[f64], expected: &[f64], most: f64) {
    assert_eq!(got.len(), expected.len());
    assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < most), "{got:?} where {expected:?} was recorded");
}

#[test]
fn a_kept_student_gives_its_logits_in_floating_and_in_fixed_point() {
    let root = copied();
    let student = Student::read(&root.path().join("student")).unwrap();
    let converted = convert::convert(&student, &student.stored_ranges().unwrap()).unwrap();
    for (sample, expected) in samples().iter().zip(recorded()) {
        assert_close(&float(&student, sample), &expected, 1e-5);
        let texts = Texts::new(&[sample.ids.len()], student.shape()).unwrap();
        let (spec, words) = (&converted.spec, &converted.quantised);
        let clear = clear_logits(spec, words, &texts, &sample.ids, &sample.segments).unwrap().concat();
        assert_close(&clear, &expected, ROUNDING);
    }
}

#[test]
fn a_kept_bundle_gives_its_logits_privately() {
    let root = copied();
    let mut deployment = Deployment::start(program(), &root.path().join("bundle"), DEADLINE).unwrap();
    for (sample, expected) in samples().into_iter().zip(recorded()) {
        let answer = deployment.classify(&[sample]).unwrap();
        assert_close(&answer.logits[0], &expected, ROUNDING);
    }
    deployment.finish().unwrap();
}

/// Writes `kept`: cargo test -p runtime --test it kept:: -- --ignored
#[test]
#[ignore = "keeps what this commit writes, in place of what an earlier one wrote"]
fn a_student_and_its_bundle_are_kept() {
    let place = crate::folder::Place::new();
    fs::create_dir_all(kept().join("student")).unwrap();
    for entry in fs::read_dir(place.student()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, kept().join("student").join(path.file_name().unwrap())).unwrap();
    }
    let student = Student::read(&place.student()).unwrap();
    convert(&place.student(), Embedding::Private, &kept().join("bundle"));
    let logits: Vec<_> = samples().iter().map(|sample| float(&student, sample)).collect();
    fs::write(kept().join("logits.json"), serde_json::to_vec(&logits).unwrap()).unwrap();
}
