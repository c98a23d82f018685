//! Temporary.
#![allow(clippy::unwrap_used, missing_docs, unused)]
use model::*;
use ndarray::Array2;
use rayon::prelude::*;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Mutex;

struct Look<'a> {
    spec: &'a Spec,
    gelu: f64,
    tanh: f64,
    norm: f64,
    sum: f64,
}
impl Observer for Look<'_> {
    fn wire(&mut self, _: Site, _: &Array2<f32>) {}
    fn phase(&mut self, function: Function, value: &Array2<f32>) {
        let period = |c: &Curve, s: &Segment| f64::powi(2.0, s.series.modulus_bits as i32 - c.frac);
        let (curve, shift) = self.spec.curve(function);
        let mut col = 0;
        for s in &curve.segments {
            let p = period(curve, s);
            for row in value.rows() {
                for c in col..col + s.cols {
                    let v = f64::from(row[c]).abs();
                    match function {
                        Function::Gelu { .. } => self.gelu = self.gelu.max(v / (p / 2.0)),
                        Function::Tanh => self.tanh = self.tanh.max(v / (p / 2.0)),
                        Function::InverseRoot { .. } => self.norm = self.norm.max(v / p),
                        Function::Reciprocal { .. } => self.sum = self.sum.max(v / f64::powi(2.0, shift) / p),
                    }
                }
            }
            col += s.cols;
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let student = convert::Student::read(Path::new(&args[1])).unwrap();
    let begin = std::time::Instant::now();
    let ranges = student.stored_ranges().unwrap();
    let ranges = match std::env::var("RANGES") {
        Ok(p) => serde_json::from_slice(&std::fs::read(p).unwrap()).unwrap(),
        _ => ranges,
    };
    if let Ok(p) = std::env::var("DUMP") {
        let u = convert::unusual(&student).unwrap();
        eprintln!("unusual {} texts {} tokens", u.len(), u.iter().map(|s| s.ids.len()).sum::<usize>());
        let mut r = ranges.clone();
        r.unusual = Some(Box::new(calibrate_unusual(&student.folded, &u, &|| ()).unwrap()));
        std::fs::write(p, serde_json::to_vec(&r).unwrap()).unwrap();
        eprintln!("observed {:?}", begin.elapsed());
    }
    let c = convert::convert(&student, &ranges).unwrap();
    eprintln!("converted in {:?}", begin.elapsed());
    for t in [16usize, 128, 512] {
        let cost = Plan::new(&c.spec, &Texts::new(&[t], &c.spec.shape).unwrap(), InputKind::OneHot).unwrap().cost();
        eprintln!("{t}: {cost:?}");
    }
    let h: Vec<String> =
        c.spec.norms.iter().map(|n| n.inverse_root.segments[0].series.harmonics.len().to_string()).collect();
    eprintln!("norms {}", h.join(" "));
    for l in &c.spec.layers {
        let h: Vec<String> =
            l.heads.iter().map(|n| n.reciprocal.segments[0].series.harmonics.len().to_string()).collect();
        let g: Vec<String> =
            l.gelu.segments.iter().map(|n| format!("{}x{}", n.cols, n.series.harmonics.len())).collect();
        eprintln!("heads {} gelu {}", h.join(" "), g.join(" "));
    }
    if args.len() < 3 {
        return;
    }
    let file = std::io::BufReader::new(std::fs::File::open(&args[2]).unwrap());
    let texts: Vec<(String, String, Option<String>)> = file
        .lines()
        .map(|l| {
            let v: serde_json::Value = serde_json::from_str(&l.unwrap()).unwrap();
            (
                v["kind"].as_str().unwrap().into(),
                v["text"].as_str().unwrap().into(),
                v["text_pair"].as_str().map(String::from),
            )
        })
        .collect();
    let out = Mutex::new(std::io::stdout());
    let length = datasets::Length::default();
    texts.par_iter().enumerate().for_each(|(i, (kind, text, pair))| {
        let e = match convert::encode(&student.tokenizer, student.shape(), [(text.as_str(), pair.as_deref())], length) { Ok(e) => e, Err(e) => { eprintln!("{kind} {e}"); return } };
        let s = &e.samples[0];
        let t = Texts::new(&[s.ids.len()], student.shape()).unwrap();
        let mut f = Float::new(&c.folded, Look { spec: &c.spec, gelu: 0.0, tanh: 0.0, norm: 0.0, sum: 0.0 });
        let float: Vec<f64> = f.logits(&t, &s.ids, &s.segments).unwrap().iter().map(|v| f64::from(*v)).collect();
        let (clear, cert) = clear_certified(&c.spec, &c.quantised, &t, &s.ids, &s.segments).unwrap().remove(0);
        let diff = float.iter().zip(&clear).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let o = &f.observer;
        let line = serde_json::json!({"n": i, "kind": kind, "tokens": s.ids.len(), "cert": cert, "diff": diff, "float": float, "clear": clear, "gelu": o.gelu, "tanh": o.tanh, "norm": o.norm, "sum": o.sum});
        writeln!(out.lock().unwrap(), "{line}").unwrap();
    });
}
