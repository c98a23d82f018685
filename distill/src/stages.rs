//! The student's two stages.

use std::path::Path;

use anyhow::Result;
use candle_core::{Device, Tensor};
use model::Config;

use crate::atomic;
use crate::bert::{Bert, Trace};
use crate::folder::Folder;
use crate::judge;
use crate::loss::{mean_square, with_teacher, with_truth};
use crate::options::Options;
use crate::pipeline::{Data, plan};
use crate::progress::over;
use crate::range::{penalty, score_range};
use crate::state::Stage;
use crate::student::Student;
use crate::training::{Loss, Run, train};

/// Stage 1: the teacher's hidden states and attention scores. The teacher runs without dropout.
pub fn layers(options: &Options, run: &mut Run, teacher: &Folder, student: &mut Student, data: &Data) -> Result<()> {
    run.state.enter(Stage::Layers);
    if run.state.stage > Stage::Layers {
        return Ok(());
    }
    let plan = plan(options, Stage::Layers, data.train.len());
    let frozen = student.shares_embeddings && !options.stage1_train_embeddings;
    // The pooler and the head have no part in this stage's loss, and weight decay must not touch them.
    let weights = student.weights.trainable(|name| {
        (frozen && name.starts_with("bert.embeddings.")) || name.contains("pooler") || name.starts_with("classifier")
    })?;
    let tutor = Bert::new(&teacher.config, &teacher.weights.detached())?;
    let learns_from = student.learns_from.clone();
    let config = with_dropout(&student.config, options.stage1_dropout);
    train(run, &plan, &config, &weights, data, |model, turn| {
        let wanted = tutor.encode(turn.batch, None)?;
        let trace = model.encode(turn.batch, Some(turn.key))?;
        let (mut scores, mut hidden) = (Vec::new(), Vec::new());
        if !frozen {
            hidden.push(mean_square(&trace.hidden[0], &wanted.hidden[0])?);
        }
        for (mine, &its) in learns_from.iter().enumerate() {
            let mut target = wanted.scores[its].clone();
            if options.range_penalty > 0.0 {
                // To softmax a score of -8 is next to nothing, but to 2Quad it is as much as one of -2.
                let (low, high) = score_range(&config, mine);
                target = target.clamp(low, high)?;
            }
            scores.push(mean_square(&trace.scores[mine], &target)?);
            hidden.push(mean_square(&trace.hidden[mine + 1], &wanted.hidden[its + 1])?);
        }
        let scores = Tensor::stack(&scores, 0)?.sum_all()?;
        let hidden = Tensor::stack(&hidden, 0)?.sum_all()?;
        let total = (&scores + &hidden)?;
        let parts = vec![("scores", scores), ("hidden", hidden)];
        within_range(Loss { total, parts }, options, &trace, &config)
    })?;
    student.weights = weights.detached();
    Ok(())
}

/// Stage 2: the teacher's answers, the true ones, or both.
pub fn prediction(
    options: &Options,
    run: &mut Run,
    teacher: &Folder,
    student: &mut Student,
    data: &Data,
) -> Result<()> {
    run.state.enter(Stage::Prediction);
    let plan = plan(options, Stage::Prediction, data.train.len());
    if plan.schedule.steps == 0 {
        return Ok(());
    }
    let weights = student.weights.trainable(|_| false)?;
    let answers = match options.soft_weight > 0.0 {
        true => Some(answers(options, &run.out.join("teacher_logits.safetensors"), teacher, data)?),
        false => None,
    };
    let config = with_dropout(&student.config, options.stage2_dropout);
    train(run, &plan, &config, &weights, data, |model, turn| {
        let trace = model.encode(turn.batch, Some(turn.key))?;
        let logits = model.classify(&trace.hidden[config.num_hidden_layers], turn.batch, Some(turn.key))?;
        let mut parts = Vec::new();
        let mut weighted = Vec::new();
        if let Some(answers) = &answers {
            let chosen: Vec<u32> = turn.chosen.iter().map(|&i| i as u32).collect();
            let wanted = answers.index_select(&Tensor::new(chosen, &Device::Cpu)?, 0)?;
            let soft = with_teacher(&logits, &wanted)?;
            weighted.push((&soft * options.soft_weight)?);
            parts.push(("soft", soft));
        }
        if options.gold_weight > 0.0 {
            let gold = with_truth(&logits, &data.train.answers(turn.chosen)?)?;
            weighted.push((&gold * options.gold_weight)?);
            parts.push(("gold", gold));
        }
        let total = Tensor::stack(&weighted, 0)?.sum_all()?;
        within_range(Loss { total, parts }, options, &trace, &config)
    })?;
    student.weights = weights.detached();
    Ok(())
}

/// The loss with the penalty on values outside their range.
fn within_range(mut loss: Loss, options: &Options, trace: &Trace, config: &Config) -> Result<Loss> {
    if options.range_penalty > 0.0 {
        let range = penalty(trace, config)?;
        loss.total = (loss.total + (&range * options.range_penalty)?)?;
        loss.parts.push(("range", range));
    }
    Ok(loss)
}

fn with_dropout(config: &Config, dropout: Option<f32>) -> Config {
    let mut config = config.clone();
    if let Some(p) = dropout {
        config.hidden_dropout_prob = p;
        config.attention_probs_dropout_prob = p;
    }
    config
}

/// The teacher's logits for the training set, computed once a run.
fn answers(options: &Options, path: &Path, teacher: &Folder, data: &Data) -> Result<Tensor> {
    const NAME: &str = "logits";
    let size = (data.train.len(), data.question.target.outputs());
    if path.is_file()
        && let Some(stored) = candle_core::safetensors::load(path, &Device::Cpu)?.remove(NAME)
        && stored.dims() == [size.0, size.1]
    {
        return Ok(stored);
    }
    let model = Bert::new(&teacher.config, &teacher.weights.detached())?;
    let rows = over(options.quiet, "stage 2: asking the teacher", data.train.len(), |step| {
        judge::logits(&model, &data.train, step)
    })?;
    let logits = Tensor::from_vec(rows.concat(), size, &Device::Cpu)?;
    atomic::write_tensors(path, [(NAME, logits.clone())], ("format", "pt".into()))?;
    Ok(logits)
}
