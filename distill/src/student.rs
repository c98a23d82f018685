//! The student: where it starts, and which of the teacher's layers it learns from.

use std::path::Path;

use anyhow::{Result, ensure};
use cli::coded;
use cli::exit::{BAD_INPUT, USAGE};
use datasets::Tokenizer;
use model::{AttentionShift, Config};

use crate::design::Design;
use crate::folder::Folder;
use crate::weights::Weights;

/// A student before its first step.
#[derive(Clone, Debug)]
pub struct Student {
    /// Its configuration, with its own functions.
    pub config: Config,
    /// Its weights.
    pub weights: Weights,
    /// The teacher's layer that each of its layers learns from.
    pub learns_from: Vec<usize>,
    /// Whether its embedding tables are the teacher's.
    pub shares_embeddings: bool,
}

/// `count` of `all` layers, evenly spaced, the last one among them.
pub fn evenly(all: usize, count: usize) -> Vec<usize> {
    (1..=count).map(|layer| layer * all / count - 1).collect()
}

/// Refuses more layers than what the student starts from has.
pub fn check_layers(wanted: Option<usize>, all: usize) -> Result<()> {
    match wanted {
        Some(count) if !(1..=all).contains(&count) => {
            Err(coded(USAGE, format!("--student-layers is {count}; what the student starts from has 1 to {all}")))
        }
        _ => Ok(()),
    }
}

/// Refuses to start from a folder whose tokenizer gives other ids than the teacher's, because its embedding rows would belong
/// to other words.
pub fn check_tokenizer(teacher: &Tokenizer, folder: &Path) -> Result<()> {
    let own = Tokenizer::load(folder, teacher.max_length())?;
    match teacher.differs_from(&own) {
        None => Ok(()),
        Some(how) => Err(coded(
            BAD_INPUT,
            format!(
                "student and teacher must share their tokenizer, and that of {} differs (the teacher's is the one): {how}; \
                 choose another --student",
                folder.display()
            ),
        )),
    }
}

/// A student that starts from `start`, or from the teacher, with `layers` of its layers, or all.
pub fn start(teacher: &Folder, start: Option<Folder>, layers: Option<usize>, design: &Design) -> Result<Student> {
    let (mut config, mut weights) = match &start {
        Some(folder) => (folder.config.clone(), folder.weights.clone()),
        None => (teacher.config.clone(), teacher.weights.clone()),
    };
    let (mine, its) = (&config, &teacher.config);
    let unlike = |what: String| coded(BAD_INPUT, format!("{what}; choose another --student"));
    ensure!(
        mine.vocab_size == its.vocab_size,
        unlike(format!(
            "student and teacher must share their vocabulary: {} words against {}",
            mine.vocab_size, its.vocab_size
        ))
    );
    ensure!(
        mine.hidden_size == its.hidden_size && mine.num_attention_heads == its.num_attention_heads,
        unlike(format!(
            "stage 1 needs a student as wide as its teacher: hidden size {} with {} heads against {} with {}",
            mine.hidden_size, mine.num_attention_heads, its.hidden_size, its.num_attention_heads
        ))
    );
    if start.as_ref().is_some_and(|folder| !folder.has_head) {
        weights = weights.with_top_of(&teacher.weights)?;
    }
    let all = config.num_hidden_layers;
    let count = layers.unwrap_or(all);
    check_layers(layers, all)?;
    let (most, cure) = (its.num_hidden_layers, "choose fewer --student-layers");
    ensure!(
        count <= most,
        coded(USAGE, format!("a student of {count} layers cannot learn from a teacher of {most}; {cure}"))
    );
    let linear = &config.linear_layer_norms;
    ensure!(
        linear.is_empty(),
        unlike(format!("a student must start with whole LayerNorms, those of the layers {linear:?} have no division"))
    );
    let kept = evenly(all, count);
    weights = weights.keep_layers(&kept);
    if let AttentionShift::PerHead(rows) = &config.attention_shift {
        config.attention_shift = AttentionShift::PerHead(kept.iter().map(|&layer| rows[layer].clone()).collect());
    }
    let shares_embeddings = weights.has_embeddings_of(&teacher.weights)?;
    config.num_hidden_layers = count;
    design.apply(&mut config);
    config.check()?;
    let learns_from = evenly(teacher.config.num_hidden_layers, count);
    Ok(Student { config, weights, learns_from, shares_embeddings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_evenly_spaced_and_end_with_the_last() {
        assert_eq!(evenly(6, 4), [0, 2, 3, 5]);
        assert_eq!(evenly(6, 3), [1, 3, 5]);
        assert_eq!(evenly(12, 6), [1, 3, 5, 7, 9, 11]);
        assert_eq!(evenly(6, 6), [0, 1, 2, 3, 4, 5]);
        assert_eq!(evenly(6, 1), [5]);
    }
}
