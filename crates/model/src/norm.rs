//! LayerNorm, and smooth functions as layers use them.

use crate::checks::Checks;
use crate::engine::{Engine, Norm};
use crate::operation::Operation;
use crate::table::{Function, Site};

/// LayerNorm without its scale and shift, of a centred input with so many rows of each text: four rounds. Rows that a gate
/// does not let through become zero, whatever they hold.
pub fn normalise<E: Engine>(
    engine: &mut E,
    checks: &mut Checks<E>,
    part: usize,
    x: &E::Share,
    norm: &Norm,
    (rows, gate): (Vec<usize>, Option<&E::Wire>),
) -> Result<E::Wire, E::Error> {
    engine.begin(part, Operation::LayerNorm)?;
    let x = open(engine, checks, x, norm.input)?;
    let sum = engine.square_sum(&x)?;
    let inverse = match gate {
        None => apply(engine, checks, &sum, norm.inverse_root)?,
        Some(gate) => {
            let (_, phases) = checks.open(engine, &[], &[(&sum, norm.inverse_root)])?;
            let asked: Vec<_> = phases.into_iter().map(|p| (p, norm.inverse_root, gate)).collect();
            one(engine.gated_evaluate(&asked)?)
        }
    };
    let inverse = open(engine, checks, &inverse, norm.inverse_deviation)?;
    let normal = engine.scale_rows(&[(&x, &inverse)])?;
    let normal = open(engine, checks, &normal[0], norm.normal)?;
    checks.norm(engine, (&normal, &inverse), norm, (rows, gate))?;
    Ok(normal)
}

/// A smooth function of a share: one round to open the phase.
pub fn apply<E: Engine>(
    engine: &mut E,
    checks: &mut Checks<E>,
    x: &E::Share,
    function: Function,
) -> Result<E::Share, E::Error> {
    let (_, phases) = checks.open(engine, &[], &[(x, function)])?;
    let asked: Vec<_> = phases.into_iter().map(|p| (p, function)).collect();
    Ok(one(engine.evaluate(&asked)?))
}

/// Opens one value in one round.
pub fn open<E: Engine>(engine: &mut E, checks: &mut Checks<E>, x: &E::Share, site: Site) -> Result<E::Wire, E::Error> {
    Ok(one(checks.open(engine, &[(x, site)], &[])?.0))
}

fn one<T>(mut values: Vec<T>) -> T {
    assert_eq!(values.len(), 1, "an engine answers as many values as it was asked");
    values.remove(0)
}
