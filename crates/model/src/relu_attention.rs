//! 2ReLU attention: positive scores over their sum, whatever that is.
//!
//! A row of scores may be positive everywhere, hardly anywhere or nowhere, so that its sum spreads further than one series of `1/v`
//! holds. Positive scores are opened; their row sums follow from them, and are compared with thresholds a fixed ratio apart. What they
//! are multiplied with, a power of that ratio, brings all of them into one interval, and the values that they weighted as well: it
//! cancels where these are multiplied with one over the sum. Rounds after the scores:
//!
//! | opened | |
//! |---|---|
//! | bits of the scores | one round, or two |
//! | positive scores | their row sums are local, and `e` is added to them |
//! | bits of the sums less thresholds | one round, or two |
//! | positive scores times values, and the powers | |
//! | both products with the powers | of values, and of the sums: a phase, and a wire for the check |
//! | one over the sums | |
//! | attention | |

use crate::attention::{Gates, mix, with};
use crate::checks::Checks;
use crate::compare::relu;
use crate::engine::{Engine, Head};
use crate::operation::Operation;
use crate::table::{Comparison, Site};

/// Ratio of neighbouring thresholds, as an exponent of two.
pub(crate) const STEP_BITS: i32 = 6;

/// A head of 2ReLU on one text, and what a network declares of it. Its squares are its positive scores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReluHead {
    /// What any head has.
    pub(crate) head: Head,
    /// What is added to the sum of a row.
    pub(crate) epsilon: f32,
    /// With what the sum is multiplied.
    pub(crate) power: Site,
    /// Positive scores times values, times that.
    pub(crate) raised: Site,
    /// The sum, times that.
    pub(crate) raised_sum: Site,
}

/// 2ReLU attention of opened scores, opened. Keys of padding are zero, so their scores are, and what is positive of them.
pub(crate) fn attend_relu<E: Engine>(
    engine: &mut E,
    part: usize,
    (scores, values): (Vec<E::Wire>, Vec<E::Wire>),
    [of_scores, of_sums]: [Comparison; 2],
    (heads, gates): (&[ReluHead], Option<Gates<'_, E::Wire>>),
    checks: &mut Checks<E>,
) -> Result<Vec<E::Wire>, E::Error> {
    engine.begin(part, Operation::Softmax)?;
    let positive = relu(engine, &scores.iter().map(|scores| (scores, of_scores)).collect::<Vec<_>>())?;
    drop(scores);
    let (weights, _) = checks.open(engine, &with(&positive, |i| heads[i].head.squares), &[])?;
    drop(positive);
    let sums: Vec<_> =
        weights.iter().zip(heads).map(|(weights, head)| engine.raised_sums(weights, head.epsilon)).collect();
    let powers = powers(engine, &sums, heads, of_sums)?;
    let mixed = mix(engine, part, weights, values)?;
    engine.begin(part, Operation::Softmax)?;
    let mut asked = with(&mixed, |i| heads[i].head.mixed);
    asked.extend(with(&powers, |i| heads[i].power));
    let (mut mixed, _) = checks.open(engine, &asked, &[])?;
    let powers = mixed.split_off(heads.len());

    let [mixed, sums] = multiplied(engine, (&mixed, &sums), &powers)?;
    let mut asked = with(&mixed, |i| heads[i].raised);
    asked.extend(with(&sums, |i| heads[i].raised_sum));
    let (mut mixed, phases) = checks.open(engine, &asked, &with(&sums, |i| heads[i].head.reciprocal))?;
    let sums = mixed.split_off(heads.len());

    let attending = gates.as_ref().and_then(|gates| gates.attending);
    let all = heads;
    let heads = all.iter().map(|head| &head.head);
    let phases = phases.into_iter().zip(heads.clone());
    let reciprocals = match attending {
        None => engine.evaluate(&phases.map(|(p, head)| (p, head.reciprocal)).collect::<Vec<_>>())?,
        Some(gates) => {
            let gated: Vec<_> = phases.map(|(p, head)| (p, head.reciprocal, &gates[head.text])).collect();
            engine.gated_evaluate(&gated)?
        }
    };
    let (reciprocals, _) = checks.open(engine, &with(&reciprocals, |i| all[i].head.reciprocal_out), &[])?;
    let gate = |head: &Head| attending.map(|gates| &gates[head.text]);
    let held: Vec<_> =
        sums.iter().zip(&reciprocals).zip(heads.clone()).map(|((d, r), head)| (d, r, gate(head))).collect();
    checks.reciprocals(engine, &held, heads.map(|head| (head.defect, head.text)))?;
    let weighted = engine.scale_rows(&mixed.iter().zip(&reciprocals).collect::<Vec<_>>())?;
    Ok(checks.open(engine, &with(&weighted, |i| all[i].head.attention), &[])?.0)
}

/// With what each row sum is multiplied: a power of the ratio of thresholds for those that are below, and one for the others. Nothing
/// from an engine that takes sums of any size.
fn powers<E: Engine>(
    engine: &mut E,
    sums: &[E::Wire],
    heads: &[ReluHead],
    compared: Comparison,
) -> Result<Vec<E::Share>, E::Error> {
    let mut less = Vec::with_capacity(sums.len());
    for (sums, head) in sums.iter().zip(heads) {
        less.push(engine.less_thresholds(sums, head.head.reciprocal));
    }
    let signs = engine.signs(&less.iter().flatten().map(|less| (less, compared)).collect::<Vec<_>>())?;
    let flipped = engine.flip(&signs.iter().map(|signs| (signs, Vec::new())).collect::<Vec<_>>())?;
    let mut signs = flipped.into_iter().map(|(sign, _)| sign);
    let mut powers = Vec::with_capacity(sums.len());
    for less in &less {
        let mut sum: Option<E::Share> = None;
        for (number, sign) in signs.by_ref().take(less.len()).enumerate() {
            // a sign of minus one adds what the next power has more than the last: (1 - s) / 2 of it
            let more = (1 << (STEP_BITS * (number as i32 + 1))) - (1 << (STEP_BITS * number as i32));
            let twice = engine.affine(sign, -1, -more);
            let more = engine.half(twice);
            sum = Some(match sum {
                None => engine.affine(more, 1, 1),
                Some(sum) => engine.add(sum, more)?,
            });
        }
        powers.extend(sum);
    }
    Ok(powers)
}

/// Fractional bits that a product with an integer gets beyond those of its factor, so that it may be opened finer.
const FINER: u32 = 8;

/// Both products with the powers, the sums with more fractional bits than they need.
fn multiplied<E: Engine>(
    engine: &mut E,
    (mixed, sums): (&[E::Wire], &[E::Wire]),
    powers: &[E::Wire],
) -> Result<[Vec<E::Share>; 2], E::Error> {
    let (mixed, sums) = match powers.is_empty() {
        true => {
            let mut shared =
                |wires: &[E::Wire]| wires.iter().map(|wire| engine.shared(wire)).collect::<Result<Vec<_>, _>>();
            (shared(mixed)?, shared(sums)?)
        }
        false => {
            let mixed = engine.scale_rows(&mixed.iter().zip(powers).collect::<Vec<_>>())?;
            (mixed, engine.mul(&sums.iter().zip(powers).collect::<Vec<_>>())?)
        }
    };
    let finer = |sum: E::Share| {
        let sum = engine.affine(sum, 0, 1 << FINER);
        (0..FINER).fold(sum, |sum, _| engine.half(sum))
    };
    Ok([mixed, sums.into_iter().map(finer).collect()])
}
