//! Attention of opened scores on values: 2Quad in four rounds, or weights that an engine normalised before.

use ring64::Rhs;

use crate::checks::Checks;
use crate::engine::{Attending, Engine, Head};
use crate::operation::Operation;

/// Attention of each head and text, opened, in this part of the network.
pub fn attend<E: Engine>(
    engine: &mut E,
    part: usize,
    scores: Vec<E::Wire>,
    values: Vec<E::Wire>,
    heads: &[Head],
    checks: &mut Checks<E>,
) -> Result<Vec<E::Wire>, E::Error> {
    engine.begin(part, Operation::Softmax)?;
    match engine.attention_weights(scores, heads)? {
        Attending::Scores(scores) => two_quad(engine, part, scores, values, heads, checks),
        Attending::Weights(weights) => {
            engine.begin(part, Operation::Others)?;
            let pairs: Vec<_> = weights.into_iter().zip(values).collect();
            let mixed = engine.matmul(&pairs, Rhs::AsIs)?;
            Ok(checks.open(engine, &with(&mixed, |i| heads[i].weighted), &[])?.0)
        }
    }
}

/// 2Quad attention of opened scores in four rounds; normalised after the mixing, so that the square matrices are opened twice
/// and not three times.
fn two_quad<E: Engine>(
    engine: &mut E,
    part: usize,
    scores: Vec<E::Wire>,
    values: Vec<E::Wire>,
    heads: &[Head],
    checks: &mut Checks<E>,
) -> Result<Vec<E::Wire>, E::Error> {
    let shifted: Vec<_> = scores.into_iter().zip(heads).map(|(s, head)| engine.offset(s, head.shift)).collect();
    let squares = engine.square(&shifted)?;
    drop(shifted);
    let sums: Vec<_> = squares.iter().map(|s| engine.row_sums(s)).collect();
    let (squares, sums) =
        checks.open(engine, &with(&squares, |i| heads[i].squares), &with(&sums, |i| heads[i].reciprocal))?;
    // what the reciprocals are held to: the sums of the squares that the values are weighted with
    let weights: Vec<_> = squares.iter().filter_map(|s| engine.opened_row_sums(s)).collect();

    engine.begin(part, Operation::Others)?;
    let pairs: Vec<_> = squares.into_iter().zip(values).collect();
    let mixed = engine.matmul(&pairs, Rhs::AsIs)?;
    drop(pairs);
    engine.begin(part, Operation::Softmax)?;
    let sums: Vec<_> = sums.into_iter().zip(heads).map(|(s, head)| (s, head.reciprocal)).collect();
    let reciprocals = engine.evaluate(&sums)?;
    let mut asked = with(&mixed, |i| heads[i].mixed);
    asked.extend(with(&reciprocals, |i| heads[i].reciprocal_out));
    let (mut mixed, _) = checks.open(engine, &asked, &[])?;
    let reciprocals = mixed.split_off(heads.len());
    let held: Vec<_> = weights.iter().zip(&reciprocals).collect();
    checks.reciprocals(engine, &held, heads)?;

    let pairs: Vec<_> = mixed.iter().zip(&reciprocals).collect();
    let weighted = engine.scale_rows(&pairs)?;
    Ok(checks.open(engine, &with(&weighted, |i| heads[i].attention), &[])?.0)
}

fn with<T, S>(values: &[T], site: impl Fn(usize) -> S) -> Vec<(&T, S)> {
    values.iter().enumerate().map(|(i, v)| (v, site(i))).collect()
}
