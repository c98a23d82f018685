//! Logits that PyTorch computes from the student's folder, with no code of ours but `scripts/student_logits.py`.
//!
//! `pytorch.json` holds them for the texts of `sentences.txt`, a tab between the two of a pair. To make it anew, with a Python
//! that has torch and safetensors:
//! `PYTHON=python3 cargo test -p runtime --test it independent:: -- --ignored`

use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::folder::Place;
use bundle::{Embedding, WriteOptions};
use convert::Student;
use local::deployment::Deployment;
use model::{Sample, Tensors, Texts};
use runtime::shipped::SHIPPED;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Between `Float` and PyTorch: both compute in 32 bits.
const FLOAT_TOLERANCE: f64 = 1e-4;
/// Between the private run and PyTorch.
const PRIVATE_TOLERANCE: f64 = 0.05;

/// What the script computed, and how.
#[derive(Serialize, Deserialize)]
struct Fixture {
    command: String,
    torch: String,
    texts: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    text: String,
    pair: Option<String>,
    ids: Vec<u32>,
    segments: Vec<u32>,
    logits: Vec<f64>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn shipped() -> PathBuf {
    root().join("models").join(SHIPPED)
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("pytorch.json")).unwrap()
}

/// The texts of `sentences.txt` in the tokens of this student.
fn tokenised(student: &Student) -> Vec<(&'static str, Option<&'static str>, Sample)> {
    let read = |line: &'static str| {
        let (text, pair) = line.split_once('\t').map_or((line, None), |(text, pair)| (text, Some(pair)));
        let encoding = student.tokenizer.encode(text, pair).unwrap();
        assert!(!encoding.truncated, "{line}");
        (text, pair, Sample { ids: encoding.ids, segments: encoding.type_ids })
    };
    include_str!("sentences.txt").lines().map(read).collect()
}

fn float(student: &Student, sample: &Sample) -> Vec<f64> {
    let texts = Texts::new(&[sample.ids.len()], student.shape()).unwrap();
    let logits = student.folded.logits(&texts, &sample.ids, &sample.segments).unwrap();
    logits.iter().map(|v| f64::from(*v)).collect()
}

/// The largest difference; infinite where one is not a number.
fn gap(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.map(|d| if d.is_nan() { f64::INFINITY } else { d }).fold(0.0, f64::max)
}

#[test]
fn float_computes_what_pytorch_computed() {
    let student = Student::read(&shipped()).unwrap();
    let (tokenised, fixture) = (tokenised(&student), fixture());
    assert_eq!((tokenised.len(), fixture.texts.len()), (40, 40));
    let mut largest = 0.0f64;
    for ((text, pair, sample), line) in tokenised.iter().zip(&fixture.texts) {
        assert_eq!((*text, *pair), (&line.text[..], line.pair.as_deref()));
        assert_eq!((&sample.ids, &sample.segments), (&line.ids, &line.segments), "{text}");
        let gap = gap(&float(&student, sample), &line.logits);
        assert!(gap < FLOAT_TOLERANCE, "{text}: {gap:.1e}");
        largest = largest.max(gap);
    }
    eprintln!("Float and PyTorch {} differ by {largest:.1e} at most", fixture.torch);
}

#[test]
#[ignore = "long: .ci/run runs it by name"]
fn the_private_run_computes_what_pytorch_computed() {
    let student = Student::read(&shipped()).unwrap();
    let converted = convert::convert(&student, &student.stored_ranges().unwrap()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let bundle = root.path().join("bundle");
    let options = WriteOptions { overwrite: false, progress: None };
    convert::write_bundle(&student, &converted, Embedding::Private, &bundle, options).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_runtime"));
    let mut deployment = Deployment::start(program, &bundle, Duration::from_secs(600)).unwrap();
    let mut largest = 0.0f64;
    for line in fixture().texts {
        let sample = Sample { ids: line.ids, segments: line.segments };
        let answer = deployment.classify(&[sample]).unwrap();
        let gap = gap(&answer.logits[0], &line.logits);
        assert!(gap < PRIVATE_TOLERANCE, "{}: {gap:.4}", line.text);
        largest = largest.max(gap);
    }
    deployment.finish().unwrap();
    eprintln!("the private run and PyTorch differ by {largest:.4} at most");
}

fn python() -> String {
    std::env::var("PYTHON").unwrap_or("python3".into())
}

/// The version of torch, where Python has torch and safetensors.
fn torch() -> Result<String, String> {
    let probe = Command::new(python()).args(["-c", "import torch, safetensors; print(torch.__version__)"]).output();
    let output = probe.map_err(|e| format!("{}: {e}", python()))?;
    let said = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
    let last = said.trim().lines().last().unwrap_or_default().to_string();
    if output.status.success() { Ok(last) } else { Err(format!("{}: {last}", python())) }
}

/// What the script computes from a folder, or says.
fn script(folder: &Path, samples: &[Sample]) -> Result<Vec<Vec<f64>>, String> {
    let mut child = Command::new(python())
        .arg(root().join("scripts/student_logits.py"))
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let texts: Vec<_> = samples.iter().map(|s| json!({"ids": s.ids, "segments": s.segments})).collect();
    // it may end before it reads, where the folder is at fault
    let _ = child.stdin.take().unwrap().write_all(json!(texts).to_string().as_bytes());
    let output = child.wait_with_output().unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The largest difference between `Float` and the script run now.
fn afresh(student: &Student, folder: &Path, samples: &[Sample]) -> f64 {
    let logits = script(folder, samples).unwrap();
    assert_eq!(logits.len(), samples.len());
    samples.iter().zip(&logits).map(|(sample, logits)| gap(&float(student, sample), logits)).fold(0.0, f64::max)
}

#[test]
fn the_script_run_afresh_computes_what_float_computes() {
    let version = match torch() {
        Ok(version) => version,
        Err(reason) => {
            // not `eprintln`, which a test that passes keeps to itself
            let say = "skipped: PyTorch was not run afresh, there is no torch";
            let cure = "pip install torch safetensors, or set PYTHON to a Python that has them";
            writeln!(stderr(), "{say} ({reason}); {cure}").unwrap();
            return;
        }
    };
    let student = Student::read(&shipped()).unwrap();
    let samples: Vec<Sample> = tokenised(&student).into_iter().map(|(_, _, sample)| sample).collect();
    let gap = afresh(&student, &shipped(), &samples);
    eprintln!("{SHIPPED}: Float and PyTorch {version} differ by {gap:.1e} at most");
    assert!(gap < FLOAT_TOLERANCE, "{gap:.1e}");

    // a shift for each head, other types and names of weights, several files
    for (dtype, prefix, files) in [(Dtype::F32, "bert.", 1), (Dtype::BF16, "", 2)] {
        let place = Place::without_calibration();
        place.edit("config.json", "5.0", "[[5.0, 3.5], [-2.0, 6.25]]");
        place.write_weights(&crate::folder::weights(), dtype, prefix);
        let student = Student::read(&place.student()).unwrap();
        let samples = crate::folder::samples(&student, &crate::folder::examples(20));
        if files == 2 {
            split(&place, dtype, prefix);
        }
        let gap = afresh(&student, &place.student(), &samples);
        eprintln!("small student, {dtype:?}: {gap:.1e}");
        assert!(gap < FLOAT_TOLERANCE, "{dtype:?}: {gap:.1e}");
    }

    let place = Place::without_calibration();
    place.edit("config.json", "5.0", "[5.0, 3.5]");
    let refusal = script(&place.student(), &[]).unwrap_err();
    assert_eq!(refusal.trim(), "error: config.json: `attention_shift` should be one number, or 2 rows of 2");
}

/// Puts the weights into two files and an index, as large models come.
fn split(place: &Place, dtype: Dtype, prefix: &str) {
    let whole = place.student().join("model.safetensors");
    let (first, second): (Tensors, Tensors) =
        crate::folder::weights().into_iter().partition(|(name, _)| name.as_str() < "encoder.layer.1");
    let mut index = serde_json::Map::new();
    for (number, part) in [first, second].into_iter().enumerate() {
        let file = format!("model-{:05}-of-00002.safetensors", number + 1);
        index.extend(part.keys().map(|name| (format!("{prefix}{name}"), json!(file))));
        place.write_weights(&part, dtype, prefix);
        fs::rename(&whole, place.student().join(file)).unwrap();
    }
    let index = json!({"metadata": {}, "weight_map": index}).to_string();
    fs::write(place.student().join("model.safetensors.index.json"), index).unwrap();
}

#[test]
#[ignore = "writes pytorch.json anew; needs torch"]
fn write_the_fixture() {
    let student = Student::read(&shipped()).unwrap();
    let texts = tokenised(&student);
    let samples: Vec<Sample> = texts.iter().map(|(_, _, sample)| sample.clone()).collect();
    let logits = script(&shipped(), &samples).unwrap();
    let line = |((text, pair, sample), logits): (_, Vec<f64>)| {
        let (text, pair, Sample { ids, segments }): (&str, Option<&str>, _) = (text, pair, sample);
        Line { text: text.into(), pair: pair.map(String::from), ids, segments, logits }
    };
    let lines: Vec<Line> = texts.into_iter().zip(logits).map(line).collect();
    let lines: Vec<String> = lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    let command = format!("python3 scripts/student_logits.py models/{SHIPPED}, ids and segments on standard input");
    let head = format!("{{\"command\": {},\n\"torch\": {},\n", json!(command), json!(torch().unwrap()));
    let text = format!("{head}\"texts\": [\n{}\n]}}\n", lines.join(",\n"));
    fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/pytorch.json"), text).unwrap();
}
