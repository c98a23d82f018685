//! The student's two stages.

use std::borrow::Cow;

use anyhow::Result;
use candle_core::Tensor;
use model::{AttentionKind, Config};

use crate::bert::{Bert, ForwardTrace};
use crate::folder::Folder;
use crate::loss::{attention_entropy, mean_square, with_teacher, with_truth};
use crate::objectives::AttentionLoss;
use crate::ops::{clamp, score_distance};
use crate::options::Options;
use crate::parallel::Shard;
use crate::pipeline::Data;
use crate::plan::plan;
use crate::range::{penalty, score_range};
use crate::state::Stage;
use crate::student::Student;
use crate::teacher_logits::teacher_logits;
use crate::training::{Loss, Run, Step, train};

/// The data of stage 1: with `--short-texts` the training set and shortened copies of some texts.
pub fn stage1_data<'a>(options: &Options, data: &'a Data) -> Cow<'a, Data> {
    match options.objectives.short_texts {
        0.0 => Cow::Borrowed(data),
        share => Cow::Owned(Data {
            train: data.train.with_short(share),
            task: data.task.clone(),
            dev: data.dev.clone(),
            test: None,
        }),
    }
}

/// Stage 1: the teacher's hidden states and attention scores. The teacher runs without dropout.
pub fn layers(options: &Options, run: &mut Run, teacher: &Folder, student: &mut Student, data: &Data) -> Result<()> {
    run.state.enter(Stage::Layers);
    if run.state.stage > Stage::Layers {
        return Ok(());
    }
    let data = &*stage1_data(options, data);
    let plan = plan(options, Stage::Layers, data.train.lengths(), run.group.size());
    let frozen = options.objectives.freeze_embeddings || student.shares_embeddings && !options.stage1_train_embeddings;
    // The pooler and the head have no part in this stage's loss, and weight decay must not touch them.
    let weights = student.weights.trainable(|name| {
        (frozen && name.starts_with("bert.embeddings.")) || name.contains("pooler") || name.starts_with("classifier")
    })?;
    let teacher_model = Bert::new(&teacher.config, &teacher.weights.detached())?;
    let learns_from = student.learns_from.clone();
    let config = with_dropout(&student.config, options.stage1_dropout);
    train(run, &plan, &config, &weights, data, |model, step| {
        let wanted = teacher_model.encode(step.batch, None)?;
        let trace = model.encode(step.batch, Some(step.key))?;
        let (mut attention, mut hidden) = (Vec::new(), Vec::new());
        let ragged = step.batch.ragged();
        if !frozen {
            hidden.push(mean_square(&trace.hidden[0], &wanted.hidden[0])?);
        }
        for (mine, &its) in learns_from.iter().enumerate() {
            attention.push(match options.objectives.attention_loss {
                AttentionLoss::Scores => {
                    let mut target = wanted.scores[its].clone();
                    if options.range_penalty > 0.0 && config.attention_softmax == AttentionKind::TwoQuad {
                        // Softmax gives a score of -8 hardly any weight, but 2Quad with c = 5 gives it as much as a score of -2.
                        let (low, high) = score_range(&config, mine);
                        target = clamp(&target, low, high)?;
                    }
                    score_distance(&trace.scores[mine], &target, ragged)?
                }
                AttentionLoss::Weights => {
                    let rows = ragged.tokens() * ragged.heads();
                    attention_entropy(&trace.weights[mine], &wanted.weights[its], rows)?
                }
            });
            hidden.push(mean_square(&trace.hidden[mine + 1], &wanted.hidden[its + 1])?);
        }
        let attention = Tensor::stack(&attention, 0)?.sum_all()?;
        let attention = match options.objectives.attention_loss {
            AttentionLoss::Scores => step.shard.over_scores(&attention)?,
            AttentionLoss::Weights => step.shard.over_tokens(&attention)?,
        };
        let hidden = step.shard.over_tokens(&Tensor::stack(&hidden, 0)?.sum_all()?)?;
        let total = (&attention + &hidden)?;
        let parts = vec![("attention", attention), ("hidden", hidden)];
        within_range(Loss { total, parts }, options, &trace, &config, step.shard)
    })?;
    student.weights = weights.detached();
    Ok(())
}

/// Stage 2: the teacher's predictions, the true labels, or both.
pub fn prediction(
    options: &Options,
    run: &mut Run,
    teacher: &Folder,
    student: &mut Student,
    data: &Data,
) -> Result<()> {
    run.state.enter(Stage::Prediction);
    if run.state.stage > Stage::Prediction {
        return Ok(());
    }
    let plan = plan(options, Stage::Prediction, data.train.lengths(), run.group.size());
    if plan.schedule.steps == 0 {
        return Ok(());
    }
    let weights = student.weights.trainable(|name| options.objectives.freezes(name))?;
    let teacher_model = Bert::new(&teacher.config, &teacher.weights.detached())?;
    let objective = PredictionObjective::new(options, run, (teacher, &teacher_model), data, plan.texts())?;
    let config = with_dropout(&student.config, options.stage2_dropout);
    train(run, &plan, &config, &weights, data, |model, step| objective.loss(model, step))?;
    student.weights = weights.detached();
    Ok(())
}

/// Where the teacher's logits come from.
enum TeacherLogits {
    /// They are not used.
    Unused,
    /// Computed for each batch: the training takes fewer texts than the set has, or augmented ones.
    PerBatch,
    /// Computed for the whole training set before.
    Precomputed(Tensor),
}

/// Stage 2's objective: the loss with the teacher's logits, with the true labels, or both.
pub(crate) struct PredictionObjective<'a> {
    options: &'a Options,
    teacher_model: &'a Bert,
    source: TeacherLogits,
    data: &'a Data,
}

impl<'a> PredictionObjective<'a> {
    /// For a training of so many texts, those that come again counted again.
    pub(crate) fn new(
        options: &'a Options,
        run: &Run,
        (teacher, teacher_model): (&Folder, &'a Bert),
        data: &'a Data,
        texts: u64,
    ) -> Result<PredictionObjective<'a>> {
        let objectives = &options.objectives;
        let source = if objectives.soft_weight == 0.0 {
            TeacherLogits::Unused
        } else if objectives.augment > 0.0 || texts < data.train.len() as u64 {
            TeacherLogits::PerBatch
        } else {
            TeacherLogits::Precomputed(teacher_logits(options, run, (teacher, teacher_model), data)?)
        };
        Ok(PredictionObjective { options, teacher_model, source, data })
    }

    pub(crate) fn loss(&self, model: &Bert, step: &Step<'_>) -> Result<Loss> {
        let (options, objectives, config) = (self.options, &self.options.objectives, model.config());
        let trace = model.encode(step.batch, Some(step.key))?;
        let logits = model.classify(&trace.hidden[config.num_hidden_layers], step.batch, Some(step.key))?;
        let (mut terms, mut parts) = (Vec::new(), Vec::new());
        let wanted = match &self.source {
            TeacherLogits::Unused => None,
            TeacherLogits::PerBatch => Some(self.teacher_model.logits(step.batch, None)?),
            TeacherLogits::Precomputed(answers) => {
                let chosen: Vec<u32> = step.chosen.iter().map(|&i| i as u32).collect();
                Some(answers.index_select(&Tensor::new(chosen, answers.device())?, 0)?)
            }
        };
        if let Some(wanted) = wanted {
            let soft = step.shard.over_texts(&with_teacher(&logits, &wanted, &self.data.task.target)?)?;
            terms.push((&soft * objectives.soft_weight)?);
            parts.push(("soft", soft));
        }
        if objectives.gold_weight > 0.0 {
            let gold = with_truth(&logits, &self.data.train.batch_labels(step.chosen, model.device())?)?;
            let gold = step.shard.over_texts(&gold)?;
            terms.push((&gold * objectives.gold_weight)?);
            parts.push(("gold", gold));
        }
        let total = Tensor::stack(&terms, 0)?.sum_all()?;
        within_range(Loss { total, parts }, options, &trace, config, step.shard)
    }
}

/// The loss with the penalty on values outside their range.
fn within_range(
    mut loss: Loss,
    options: &Options,
    trace: &ForwardTrace,
    config: &Config,
    shard: &Shard<'_>,
) -> Result<Loss> {
    if options.range_penalty > 0.0 {
        let range = penalty(trace, config, shard)?;
        loss.total = (loss.total + (&range * options.range_penalty)?)?;
        loss.parts.push(("range", range));
    }
    Ok(loss)
}

pub(crate) fn with_dropout(config: &Config, dropout: Option<f64>) -> Config {
    let mut config = config.clone();
    if let Some(p) = dropout.map(|p| p as f32) {
        config.hidden_dropout_prob = p;
        config.attention_probs_dropout_prob = p;
    }
    config
}
