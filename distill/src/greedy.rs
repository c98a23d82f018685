//! LayerNorm without its division, layer by layer from the last to the first, as far as the score allows: the greedy way
//! of the privacy-computing-friendly transformer.
//!
//! A layer without the division starts from factors that hold the mean deviation its rows had, is trained with stage 2's
//! objective, and goes back to what it was if the score on the development set falls too far.

use std::rc::Rc;

use anyhow::Result;

use crate::bert::Bert;
use crate::evaluate::evaluate;
use crate::folder::Folder;
use crate::ops::log_variances;
use crate::options::Options;
use crate::output::NORMS;
use crate::parallel::ProcessGroup;
use crate::pipeline::Data;
use crate::plan::plan;
use crate::stages::{PredictionObjective, with_dropout};
use crate::state::{NormTrial, Stage};
use crate::student::Student;
use crate::training::{Run, train};
use crate::weights::Weights;

/// Texts from which a layer's deviations are taken.
const TEXTS: usize = 64;

/// Leaves the division out where it costs little.
pub fn norms(options: &Options, run: &mut Run, teacher: &Folder, student: &mut Student, data: &Data) -> Result<()> {
    let (out, group) = (run.out.clone(), Rc::clone(&run.group));
    // One file for every number of layers without the division, so that a resumed run finds the one that matches its state.
    let name = |student: &Student| format!("{NORMS}{}.safetensors", student.config.linear_layer_norms.len());
    let write = |student: &Student| match group.leads() {
        true => student.weights.write(&out.join(name(student)), false),
        false => Ok(()),
    };
    let without = run.state.norms.iter().filter(|trial| trial.kept).map(|trial| trial.layer);
    student.config.linear_layer_norms = without.collect();
    if run.state.stage < Stage::Norms {
        run.state.enter(Stage::Norms);
        write(student)?;
    } else {
        let device = student.weights.device()?.clone();
        let (name, config) = (name(student), &student.config);
        let files = group.broadcast_files(&out, &[&name])?;
        student.weights = Weights::read_file(&files.folder().join(name), config)?.on(&device)?;
    }
    let plan = plan(options, Stage::Norms, data.train.lengths(), group.size());
    let teacher_model = Bert::new(&teacher.config, &teacher.weights.detached())?;
    let texts = plan.texts().saturating_mul(student.config.num_hidden_layers as u64);
    let objective = PredictionObjective::new(options, run, (teacher, &teacher_model), data, texts)?;
    let mut before = score(&group, student, data)?;
    for layer in (0..student.config.num_hidden_layers).rev() {
        if run.state.norms.iter().any(|trial| trial.layer == layer) {
            continue;
        }
        let mut trial = student.config.clone();
        trial.linear_layer_norms.push(layer);
        let weights =
            without_division(&group, student, layer, data)?.trainable(|name| options.objectives.freezes(name))?;
        let config = with_dropout(&trial, options.stage2_dropout);
        train(run, &plan, &config, &weights, data, |model, step| objective.loss(model, step))?;
        let tried = Student { config: trial, weights: weights.detached(), ..student.clone() };
        let metric = score(&group, &tried, data)?;
        let kept = metric > before - options.objectives.norm_drop;
        run.state.norms.push(NormTrial { layer, metric, kept });
        run.state.begin();
        if !options.quiet {
            let verdict = if kept { "stays without" } else { "keeps" };
            cli::log(&format!("layer {layer} {verdict} the division: {metric:.4}, before {before:.4}"));
        }
        if kept {
            *student = tried;
            before = metric;
            write(student)?;
        }
    }
    Ok(())
}

/// The score on the development set, computed by rank 0.
fn score(group: &ProcessGroup, student: &Student, data: &Data) -> Result<f64> {
    let score = match group.leads() {
        true => {
            let model = Bert::new(&student.config, &student.weights)?;
            evaluate(&model, &data.dev, &data.task, &|_| group.alive())?.metrics.main()
        }
        false => 0.0,
    };
    group.broadcast_f64(score)
}

/// The student's weights with a layer's factors made smaller by the deviation that its rows have in the mean.
fn without_division(group: &ProcessGroup, student: &Student, layer: usize, data: &Data) -> Result<Weights> {
    let model = Bert::new(&student.config, &student.weights)?;
    let chosen: Vec<usize> = (0..data.train.len().min(TEXTS)).collect();
    let batch = data.train.pack(&chosen, student.config.num_attention_heads, model.device())?;
    let trace = model.encode(&batch, None)?;
    let mut weights = student.weights.clone();
    for (norm, place) in [("attention.output", 1), ("output", 2)] {
        let logs = log_variances(&trace.norm_inputs[place + 2 * layer])?;
        let mean = logs.iter().map(|log| f64::from(-log / 2.0).exp()).sum::<f64>() / logs.len().max(1) as f64;
        let name = format!("bert.encoder.layer.{layer}.{norm}.LayerNorm.weight");
        weights = weights.scaled(&name, group.broadcast_f64(mean)?)?;
    }
    Ok(weights)
}
