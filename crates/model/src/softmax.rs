//! Softmax attention on masked wires: no maximum, no comparison, and no exponential of a large range.
//!
//! Softmax does not change when a row of scores is shifted, and the logarithm of a row's sum of exponentials can be predicted
//! linearly from what is a share before any score is opened ([`SoftmaxHead::features`]). So the sum of the shifted row keeps within a
//! narrow range, and one series is its reciprocal. Rounds after query, key and value:
//!
//! | opened | |
//! |---|---|
//! | `s' = s - m`, a phase | |
//! | `f = exp(s' / 2)` | and, where sums spread too far, the row sums of a smaller power, a phase |
//! | `e = f^2`, row sums `D`, a phase | or, in two steps, `D` and a rough reciprocal `rho` |
//! | `u = e V`, `r = 1 / D` | or `u` and `D rho`, a phase |
//! | `u r` | or `u rho` and `r = 1 / (D rho)`, and one round later their product |

use crate::attention::{mix, with};
use crate::checks::Checks;
use crate::engine::{Engine, SoftmaxHead};
use crate::operation::Operation;

/// The gates of each text's rows, where texts are padded.
pub(crate) struct SoftmaxGates<'g, E: Engine> {
    /// Of the rows that are attended to: scores with padding come to lie where exponentials are nothing.
    pub(crate) attended: &'g [E::Share],
    /// Of the rows that attend; none where all of them are tokens.
    pub(crate) attending: Option<&'g [E::Wire]>,
}

impl<E: Engine> Clone for SoftmaxGates<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: Engine> Copy for SoftmaxGates<'_, E> {}

/// Attention of each head and text, opened, from scores that were not.
pub(crate) fn softmax<E: Engine>(
    engine: &mut E,
    part: usize,
    (scores, predicted, values): (Vec<E::Share>, &E::Share, Vec<E::Wire>),
    (heads, gates): (&[SoftmaxHead], Option<SoftmaxGates<'_, E>>),
    checks: &mut Checks<E>,
) -> Result<Vec<E::Wire>, E::Error> {
    engine.begin(part, Operation::Softmax)?;
    let two: Vec<bool> = heads.iter().map(|head| engine.takes_two_steps(head.rough)).collect();
    let in_two = |steps: bool| (0..heads.len()).filter(move |i| two[*i] == steps).collect::<Vec<_>>();
    let (one, two) = (in_two.clone()(false), in_two(true));

    let (exponentials, rough_sums) = exponentials(engine, (scores, predicted), (heads, &two, gates), checks)?;
    let rough_phases: Vec<_> = two.iter().zip(&rough_sums).map(|(i, sum)| (sum, heads[*i].rough)).collect();
    let asked = with(&exponentials, |i| heads[i].exponential_out);
    let (exponentials, rough_phases) = checks.open(engine, &asked, &rough_phases)?;
    drop(rough_sums);

    let squares = engine.square(&exponentials)?;
    drop(exponentials);
    let sums: Vec<_> = squares.iter().map(|s| engine.row_sums(s)).collect();
    let roughs: Vec<_> = rough_phases.into_iter().zip(&two).map(|(phase, i)| (phase, heads[*i].rough)).collect();
    let roughs = engine.evaluate(&roughs)?;
    let mut asked = with(&squares, |i| heads[i].squares);
    asked.extend(two.iter().map(|i| (&sums[*i], heads[*i].sum)));
    asked.extend(two.iter().zip(&roughs).map(|(i, rough)| (rough, heads[*i].rough_out)));
    let phases: Vec<_> = one.iter().map(|i| (&sums[*i], heads[*i].reciprocal)).collect();
    let (mut squares, phases) = checks.open(engine, &asked, &phases)?;
    let mut of_two = squares.split_off(heads.len());
    let roughs = of_two.split_off(two.len());
    drop(sums);
    // what reciprocals are held to: the sums of what the values are weighted with
    let weights: Vec<_> = squares.iter().filter_map(|s| engine.opened_row_sums(s)).collect();

    let mixed = mix(engine, part, squares, values)?;
    engine.begin(part, Operation::Softmax)?;
    let attending = gates.and_then(|gates| gates.attending);
    let reciprocals = reciprocals(engine, phases, (heads, &one), attending)?;
    let products = engine.mul(&of_two.iter().zip(&roughs).collect::<Vec<_>>())?;
    let mut asked = with(&mixed, |i| heads[i].mixed);
    asked.extend(one.iter().zip(&reciprocals).map(|(i, r)| (r, heads[*i].reciprocal_out)));
    let phases: Vec<_> = two.iter().zip(&products).map(|(i, product)| (product, heads[*i].reciprocal)).collect();
    let (mut mixed, phases) = checks.open(engine, &asked, &phases)?;
    let reciprocals = mixed.split_off(heads.len());

    if !weights.is_empty() {
        let gate = |i: &usize| attending.map(|gates| &gates[heads[*i].text]);
        let held: Vec<_> = one.iter().zip(&reciprocals).map(|(i, r)| (&weights[*i], r, gate(i))).collect();
        checks.reciprocals(engine, &held, one.iter().map(|i| (heads[*i].defect, heads[*i].text)))?;
    }
    let pairs: Vec<_> = one.iter().zip(&reciprocals).map(|(i, r)| (&mixed[*i], r)).collect();
    let weighted = engine.scale_rows(&pairs)?;
    if two.is_empty() {
        return Ok(checks.open(engine, &with(&weighted, |i| heads[i].attention), &[])?.0);
    }

    let weights: Vec<_> = two.iter().map(|i| &weights[*i]).collect();
    second_step(engine, (&one, &weighted), (&two, &mixed, phases, &roughs, &weights), (heads, attending), checks)
}

/// The last two rounds where heads take two steps: their attention, and that of the others, which is done.
#[allow(clippy::type_complexity)]
fn second_step<E: Engine>(
    engine: &mut E,
    (one, weighted): (&[usize], &[E::Share]),
    (two, mixed, phases, roughs, weights): (&[usize], &[E::Wire], Vec<E::Phase>, &[E::Wire], &[&E::Wire]),
    (heads, attending): (&[SoftmaxHead], Option<&[E::Wire]>),
    checks: &mut Checks<E>,
) -> Result<Vec<E::Wire>, E::Error> {
    let reciprocals = reciprocals(engine, phases, (heads, two), attending)?;
    let pairs: Vec<_> = two.iter().zip(roughs).map(|(i, rough)| (&mixed[*i], rough)).collect();
    let corrected = engine.scale_rows(&pairs)?;
    let held: Vec<_> = weights.iter().zip(roughs).map(|(weights, rough)| (*weights, rough)).collect();
    let held = engine.mul(&held)?;
    let mut asked: Vec<_> = one.iter().zip(weighted).map(|(i, share)| (share, heads[*i].attention)).collect();
    asked.extend(two.iter().zip(&reciprocals).map(|(i, share)| (share, heads[*i].reciprocal_out)));
    asked.extend(two.iter().zip(&corrected).map(|(i, share)| (share, heads[*i].corrected)));
    asked.extend(two.iter().zip(&held).map(|(i, share)| (share, heads[*i].corrected_sum)));
    let (mut attended, _) = checks.open(engine, &asked, &[])?;
    let mut reciprocals = attended.split_off(one.len());
    let mut corrected = reciprocals.split_off(two.len());
    let held = corrected.split_off(two.len());

    let gate = |i: &usize| attending.map(|gates| &gates[heads[*i].text]);
    let held: Vec<_> = held.iter().zip(&reciprocals).zip(two).map(|((sum, r), i)| (sum, r, gate(i))).collect();
    checks.reciprocals(engine, &held, two.iter().map(|i| (heads[*i].defect, heads[*i].text)))?;
    let weighted = engine.scale_rows(&corrected.iter().zip(&reciprocals).collect::<Vec<_>>())?;
    let asked: Vec<_> = two.iter().zip(&weighted).map(|(i, share)| (share, heads[*i].attention)).collect();
    let (last, _) = checks.open(engine, &asked, &[])?;
    let mut by_head: Vec<(usize, E::Wire)> =
        one.iter().chain(two).copied().zip(attended.into_iter().chain(last)).collect();
    by_head.sort_by_key(|(i, _)| *i);
    Ok(by_head.into_iter().map(|(_, wire)| wire).collect())
}

/// One over each sum; nothing in rows of padding, whatever their sums are.
fn reciprocals<E: Engine>(
    engine: &mut E,
    sums: Vec<E::Phase>,
    (heads, numbers): (&[SoftmaxHead], &[usize]),
    attending: Option<&[E::Wire]>,
) -> Result<Vec<E::Share>, E::Error> {
    let sums = sums.into_iter().zip(numbers.iter().map(|i| &heads[*i]));
    match attending {
        None => engine.evaluate(&sums.map(|(sum, head)| (sum, head.reciprocal)).collect::<Vec<_>>()),
        Some(gates) => {
            let gated: Vec<_> = sums.map(|(sum, head)| (sum, head.reciprocal, &gates[head.text])).collect();
            engine.gated_evaluate(&gated)
        }
    }
}

/// `exp(s' / 2)` of each head, and row sums of a smaller power of those in two steps. What the exponentials were made of is held to
/// the scores.
#[allow(clippy::type_complexity)]
fn exponentials<E: Engine>(
    engine: &mut E,
    (scores, predicted): (Vec<E::Share>, &E::Share),
    (heads, two, gates): (&[SoftmaxHead], &[usize], Option<SoftmaxGates<'_, E>>),
    checks: &mut Checks<E>,
) -> Result<(Vec<E::Share>, Vec<E::Share>), E::Error> {
    let shifted = |(scores, head): (E::Share, &SoftmaxHead)| {
        engine.relative(scores, predicted, gates.map(|gates| &gates.attended[head.text]), head)
    };
    let relative: Vec<_> = scores.into_iter().zip(heads).map(shifted).collect::<Result<_, _>>()?;
    let (_, phases) = checks.open(engine, &[], &with(&relative, |i| heads[i].exponential))?;
    let functions = |(i, phase)| {
        let head: &SoftmaxHead = &heads[i];
        let mut functions = vec![head.exponential, head.identity];
        functions.extend(two.contains(&i).then_some(head.rough_exponential));
        (phase, functions)
    };
    let asked: Vec<_> = phases.into_iter().enumerate().map(functions).collect();
    let mut values = engine.evaluate_all(&asked)?.into_iter();
    let (mut made, mut rough_sums) = (Vec::new(), Vec::new());
    for (relative, (head, (_, functions))) in relative.iter().zip(heads.iter().zip(&asked)) {
        made.extend(values.next());
        if let Some(identity) = values.next() {
            checks.identity(engine, (&identity, relative), head)?;
        }
        if functions.len() > 2
            && let Some(rough) = values.next()
        {
            rough_sums.push(engine.row_sums(&rough));
        }
    }
    Ok((made, rough_sums))
}
