//! Attention of opened scores on values: 2Quad in four rounds, or weights that an engine normalised before. Softmax: `softmax.rs`;
//! 2ReLU: `relu_attention.rs`.

use ring64::Rhs;

use crate::checks::Checks;
use crate::engine::{Attending, Engine, Head};
use crate::operation::Operation;

/// The gates of each text's rows, where texts are padded.
#[derive(Debug)]
pub struct Gates<'g, W> {
    /// Of the rows that are attended to.
    pub attended: &'g [W],
    /// Of the rows that attend; none where all of them are tokens.
    pub attending: Option<&'g [W]>,
}

/// Attention of each head and text, opened, in this part of the network. Rows of padding are not attended to.
///
/// # Panics
///
/// With gates, on an engine that normalises weights before they mix.
pub fn attend<E: Engine>(
    engine: &mut E,
    part: usize,
    (scores, values): (Vec<E::Wire>, Vec<E::Wire>),
    (heads, gates): (&[Head], Option<Gates<'_, E::Wire>>),
    checks: &mut Checks<E>,
) -> Result<Vec<E::Wire>, E::Error> {
    engine.begin(part, Operation::Softmax)?;
    match engine.attention_weights(scores, heads)? {
        Attending::Scores(scores) => two_quad(engine, part, (scores, values), (heads, gates), checks),
        Attending::Weights(weights) => {
            assert!(gates.is_none(), "published functions know no padding");
            let mixed = mix(engine, part, weights, values)?;
            Ok(checks.open(engine, &with(&mixed, |i| heads[i].weighted), &[])?.0)
        }
    }
}

/// 2Quad attention of opened scores in four rounds; normalised after the mixing, so that the square matrices are opened twice
/// and not three times.
fn two_quad<E: Engine>(
    engine: &mut E,
    part: usize,
    (scores, values): (Vec<E::Wire>, Vec<E::Wire>),
    (heads, gates): (&[Head], Option<Gates<'_, E::Wire>>),
    checks: &mut Checks<E>,
) -> Result<Vec<E::Wire>, E::Error> {
    // keys of padding are zero: without a shift so are its scores, whoever attends
    let shift = |(scores, head): (E::Wire, &Head)| match &gates {
        None => engine.offset(scores, head.shift),
        Some(gates) => engine.gated_offset(scores, head.shift, &gates.attended[head.text]),
    };
    let shifted: Vec<_> = scores.into_iter().zip(heads).map(shift).collect();
    let squares = engine.square(&shifted)?;
    drop(shifted);
    let sums: Vec<_> = squares.iter().map(|s| engine.row_sums(s)).collect();
    let (squares, sums) =
        checks.open(engine, &with(&squares, |i| heads[i].squares), &with(&sums, |i| heads[i].reciprocal))?;
    // what the reciprocals are held to: the sums of the squares that the values are weighted with
    let weights: Vec<_> = squares.iter().filter_map(|s| engine.opened_row_sums(s)).collect();

    let mixed = mix(engine, part, squares, values)?;
    engine.begin(part, Operation::Softmax)?;
    let attending = gates.as_ref().and_then(|gates| gates.attending);
    let sums = sums.into_iter().zip(heads);
    let reciprocals = match attending {
        None => engine.evaluate(&sums.map(|(s, head)| (s, head.reciprocal)).collect::<Vec<_>>())?,
        Some(gates) => {
            let gated: Vec<_> = sums.map(|(s, head)| (s, head.reciprocal, &gates[head.text])).collect();
            engine.gated_evaluate(&gated)?
        }
    };
    let mut asked = with(&mixed, |i| heads[i].mixed);
    asked.extend(with(&reciprocals, |i| heads[i].reciprocal_out));
    let (mut mixed, _) = checks.open(engine, &asked, &[])?;
    let reciprocals = mixed.split_off(heads.len());
    let gate = |head: &Head| attending.map(|gates| &gates[head.text]);
    let held: Vec<_> = weights.iter().zip(&reciprocals).zip(heads).map(|((d, r), head)| (d, r, gate(head))).collect();
    checks.reciprocals(engine, &held, heads.iter().map(|head| (head.defect, head.text)))?;

    let pairs: Vec<_> = mixed.iter().zip(&reciprocals).collect();
    let weighted = engine.scale_rows(&pairs)?;
    Ok(checks.open(engine, &with(&weighted, |i| heads[i].attention), &[])?.0)
}

/// Values as they are weighted, a product of matrices a head.
pub(crate) fn mix<E: Engine>(
    engine: &mut E,
    part: usize,
    weights: Vec<E::Wire>,
    values: Vec<E::Wire>,
) -> Result<Vec<E::Share>, E::Error> {
    engine.begin(part, Operation::Others)?;
    engine.matmul(&weights.into_iter().zip(values).collect::<Vec<_>>(), Rhs::AsIs)
}

pub(crate) fn with<T, S>(values: &[T], site: impl Fn(usize) -> S) -> Vec<(&T, S)> {
    values.iter().enumerate().map(|(i, v)| (v, site(i))).collect()
}
