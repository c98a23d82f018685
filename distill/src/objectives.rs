//! The student's training objectives and their length in tokens, beside the published recipe.

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::options::{amount, fraction};
use crate::state::Stage;

/// What stage 1 compares of the attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttentionLoss {
    /// The scores before softmax and 2Quad, by their mean squared difference (MPCFormer, SecFormer).
    Scores,
    /// The weights after them, by their cross-entropy: scores may go where 2Quad wants them.
    Weights,
}

/// What a student is taught.
#[derive(Clone, Debug, Args, Serialize)]
pub struct Objectives {
    /// Weight of the loss with the teacher's answers in stage 2.
    #[arg(long, default_value_t = 1.0, value_parser = amount)]
    pub soft_weight: f64,
    /// Weight of the loss with the true answers in stage 2.
    #[arg(long, default_value_t = 0.0, value_parser = amount)]
    pub gold_weight: f64,
    /// What stage 1 compares of the attention.
    #[arg(long, value_enum, default_value_t = AttentionLoss::Scores)]
    pub attention_loss: AttentionLoss,
    /// Replace this share of the words in every other text of a batch by others of the training set; the teacher answers
    /// what it is shown.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = fraction)]
    pub augment: f64,
    /// Show stage 1 up to this share of texts more, cut to two to four tokens: nothing a user types is shorter, training
    /// texts seldom are as short, and `convert` wants ranges that hold for them too.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = fraction)]
    pub short_texts: f64,
    /// Train no embedding tables, the teacher's neither: they are half of a small model's weights, and a step is shorter.
    #[arg(long)]
    pub freeze_embeddings: bool,
    /// Train the teacher on so many tokens, not for a number of epochs.
    #[arg(long, value_name = "N", value_parser = tokens)]
    pub teacher_tokens: Option<u64>,
    /// The same for stage 1.
    #[arg(long, value_name = "N", value_parser = tokens)]
    pub stage1_tokens: Option<u64>,
    /// The same for stage 2.
    #[arg(long, value_name = "N", value_parser = tokens)]
    pub stage2_tokens: Option<u64>,
    /// With --layer-norm linear: train on so many tokens for every layer whose division is left out [default: an epoch].
    #[arg(long, value_name = "N", value_parser = tokens)]
    pub norm_tokens: Option<u64>,
    /// With --layer-norm linear: a layer keeps its division where leaving it out costs this much of the score.
    #[arg(long, value_name = "DROP", default_value_t = 0.02, value_parser = amount)]
    pub norm_drop: f64,
}

/// A number of tokens; `_` may stand between its digits.
fn tokens(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| "expected a number of tokens".into())
}

impl Objectives {
    /// Whether a weight is left as it is.
    pub fn freezes(&self, name: &str) -> bool {
        self.freeze_embeddings && name.starts_with("bert.embeddings.")
    }

    /// The tokens of a stage, where they are given.
    pub fn tokens(&self, stage: Stage) -> Option<u64> {
        match stage {
            Stage::Teacher => self.teacher_tokens,
            Stage::Layers => self.stage1_tokens,
            Stage::Prediction => self.stage2_tokens,
            Stage::Norms => self.norm_tokens,
        }
    }
}
