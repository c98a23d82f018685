//! What networks make of signs: written once, for every engine.
//!
//! `max(x, y) = (x + y + |x - y|) / 2`, and a choice between two values is their mean with the sign that chooses between half of their
//! difference and its opposite. A difference of opened values is one, so a maximum opens signs and winners, no differences.

use crate::engine::{Block, Engine};
use crate::table::{Comparison, Site};

/// `|x|`.
pub fn abs<E: Engine>(engine: &mut E, x: &[(&E::Wire, Comparison)]) -> Result<Vec<E::Share>, E::Error> {
    let signs = engine.signs(x)?;
    let asked: Vec<_> = signs.iter().zip(x).map(|(signs, (x, _))| (signs, vec![*x])).collect();
    Ok(engine.flip(&asked)?.into_iter().flat_map(|(_, products)| products).collect())
}

/// `max(x, 0)`.
pub fn relu<E: Engine>(engine: &mut E, x: &[(&E::Wire, Comparison)]) -> Result<Vec<E::Share>, E::Error> {
    let absolute = abs(engine, x)?;
    let half = |(absolute, (x, _)): (E::Share, &(&E::Wire, Comparison))| {
        let x = engine.shared(x)?;
        let sum = engine.add(x, absolute)?;
        Ok(engine.half(sum))
    };
    absolute.into_iter().zip(x).map(half).collect()
}

/// One where `x < 0`, zero elsewhere, without a product.
pub fn negative<E: Engine>(engine: &mut E, signs: &E::Signs) -> Result<E::Share, E::Error> {
    let (sign, _) = one(engine.flip(&[(signs, Vec::new())])?);
    let twice = engine.affine(sign, -1, -1);
    Ok(engine.half(twice))
}

/// Of each pair, the left value where the sign is one and the right one where it is minus one.
pub fn select<E: Engine>(
    engine: &mut E,
    signs: &E::Signs,
    pairs: &[(&E::Wire, &E::Wire)],
) -> Result<Vec<E::Share>, E::Error> {
    let differences: Vec<_> = pairs.iter().map(|(x, y)| engine.difference(x, y)).collect();
    let (_, flipped) = one(engine.flip(&[(signs, differences.iter().collect())])?);
    flipped.into_iter().zip(pairs).map(|(flipped, pair)| mean(engine, *pair, flipped)).collect()
}

/// The largest value of each row of a matrix of so many rows and columns. Winners are opened at `site`, whose scale is that of `x`;
/// `comparison` has a range of one bit more, that of differences. In each step the right half of the columns meets the left one: two
/// rounds, three where it is lean, and `ceil(log2(cols))` steps.
pub fn maximum<E: Engine>(
    engine: &mut E,
    mut x: E::Wire,
    (rows, mut cols): (usize, usize),
    comparison: Comparison,
    site: Site,
) -> Result<E::Wire, E::Error> {
    while cols > 1 {
        let (left, right) = halves(engine, &x, (rows, cols));
        let difference = engine.difference(&left, &right);
        let signs = one(engine.signs(&[(&difference, comparison)])?);
        let winners = select(engine, &signs, &[(&left, &right)])?;
        x = one(engine.open(&[(&winners[0], site)], &[])?.0);
        cols = cols.div_ceil(2);
    }
    Ok(x)
}

/// The largest value of each row, and the number of a column where it stands: of equal ones any, the same in clear as in private.
/// Columns are opened at `columns`, a site of integers.
///
/// # Panics
///
/// Where there are not two columns.
pub fn argmax<E: Engine>(
    engine: &mut E,
    mut x: E::Wire,
    (rows, mut cols): (usize, usize),
    comparison: Comparison,
    (values, columns): (Site, Site),
) -> Result<(E::Wire, E::Wire), E::Error> {
    assert!(cols > 1, "one column is the largest");
    // by how much the column of each value is to the right of where it stands now
    let mut moved: Option<E::Wire> = None;
    loop {
        let (left, right) = halves(engine, &x, (rows, cols));
        let by = cols / 2;
        let difference = engine.difference(&left, &right);
        let signs = one(engine.signs(&[(&difference, comparison)])?);
        let (winners, places) = match &moved {
            None => {
                let (sign, flipped) = one(engine.flip(&[(&signs, vec![&difference])])?);
                let twice = engine.affine(sign, -1, -(by as i32));
                (mean(engine, (&left, &right), one(flipped))?, engine.half(twice))
            }
            Some(moved) => {
                let (stays, comes) = halves(engine, moved, (rows, cols));
                let comes = engine.offset(comes, by as f32);
                let mut chosen = select(engine, &signs, &[(&left, &right), (&stays, &comes)])?.into_iter();
                match (chosen.next(), chosen.next()) {
                    (Some(winners), Some(places)) => (winners, places),
                    _ => unreachable!("an engine answers as many values as it was asked"),
                }
            }
        };
        let mut opened = engine.open(&[(&winners, values), (&places, columns)], &[])?.0;
        let places = opened.pop();
        (x, cols) = (one(opened), cols.div_ceil(2));
        match places {
            Some(places) if cols == 1 => return Ok((x, places)),
            places => moved = places,
        }
    }
}

/// `(x + y + flipped) / 2`.
fn mean<E: Engine>(engine: &mut E, (x, y): (&E::Wire, &E::Wire), flipped: E::Share) -> Result<E::Share, E::Error> {
    let (x, y) = (engine.shared(x)?, engine.shared(y)?);
    let sum = engine.add(x, y)?;
    let twice = engine.add(sum, flipped)?;
    Ok(engine.half(twice))
}

/// The first and the last half of the columns; of an odd number both have the middle one.
fn halves<E: Engine>(engine: &mut E, x: &E::Wire, (rows, cols): (usize, usize)) -> (E::Wire, E::Wire) {
    let half = cols.div_ceil(2);
    let mut block = |col| engine.block(x, Block { row: 0, rows, col, cols: half });
    (block(0), block(cols - half))
}

fn one<T>(mut values: Vec<T>) -> T {
    assert_eq!(values.len(), 1, "an engine answers as many values as it was asked");
    values.remove(0)
}
