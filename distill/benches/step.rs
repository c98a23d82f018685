//! Steps of stage 2 on demand, for `scripts/step_time.py`: a model's folder as argument, a request a line on standard
//! input, its steps' seconds, losses and gradient norms a line on standard output.

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use datasets::Target;
use distill::adamw::{AdamW, AdamWConfig};
use distill::bert::{Bert, PackedBatch};
use distill::folder::Folder;
use distill::loss::with_teacher;
use distill::ops::DropoutKey;
use distill::parallel::ProcessGroup;
use distill::range::penalty;
use serde::{Deserialize, Serialize};

/// Steps with one batch.
#[derive(Deserialize)]
struct Request {
    steps: u64,
    texts: Vec<Vec<u32>>,
    /// The teacher's logits.
    teacher: Vec<Vec<f32>>,
    dropout: bool,
    range_penalty: f64,
    rate: f64,
}

#[derive(Default, Serialize)]
struct Answer {
    seconds: Vec<f64>,
    losses: Vec<f32>,
    norms: Vec<f64>,
}

fn main() -> Result<()> {
    // `cargo bench` and `cargo test --benches` pass flags only, and then there is nothing to do.
    let Some(folder) = std::env::args().nth(1).filter(|argument| !argument.starts_with("--")) else {
        return Ok(());
    };
    let folder = Folder::read(Path::new(&folder), 0)?;
    let weights = folder.weights.trainable(|_| false)?;
    let model = Bert::new(&folder.config, &weights)?;
    let layers = folder.config.num_hidden_layers;
    let target = Target::of_model(&folder.names(), false);
    let mut optimiser = AdamW::new(AdamWConfig::default(), &weights);
    let (group, mut taken) = (ProcessGroup::alone(), 0);
    for line in std::io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?).context("a request")?;
        let segments: Vec<Vec<u32>> = request.texts.iter().map(|text| vec![0; text.len()]).collect();
        let (all, lengths): (Vec<usize>, Vec<usize>) = request.texts.iter().map(Vec::len).enumerate().unzip();
        let shard = group.shard(&all, &lengths);
        let wanted = Tensor::new(request.teacher, &Device::Cpu)?;
        let mut answer = Answer::default();
        for _ in 0..request.steps {
            let clock = Instant::now();
            let texts = request.texts.iter().zip(&segments).map(|(ids, segments)| (&ids[..], &segments[..]));
            let batch = PackedBatch::new(texts, folder.config.num_attention_heads, &Device::Cpu)?;
            let key = request.dropout.then_some(DropoutKey { seed: 0, step: taken });
            let trace = model.encode(&batch, key)?;
            let mut loss = with_teacher(&model.classify(&trace.hidden[layers], &batch, key)?, &wanted, &target)?;
            if request.range_penalty > 0.0 {
                loss = (loss + (penalty(&trace, &folder.config, &shard)? * request.range_penalty)?)?;
            }
            let norm = optimiser.step(&weights, &loss.backward()?, request.rate)?;
            answer.losses.push(loss.to_scalar()?);
            answer.norms.push(norm);
            drop((trace, loss));
            answer.seconds.push(clock.elapsed().as_secs_f64());
            taken += 1;
        }
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, &answer)?;
        writeln!(out)?;
        out.flush()?;
    }
    Ok(())
}
