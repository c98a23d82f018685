//! What is missing to the relations that smooth functions promise, on scaled integers: see [`crate::Checks`].
//!
//! Cost: 8 dealt bytes and one opened word a defect, no round.

use crate::arithmetic::{Arithmetic, Form, Value};
use crate::engine::Norm;
use crate::scales::Scales;
use crate::table::Smooth;

/// Fractional bits of a defect's share, before it is opened.
const SHARE_FRAC: i32 = 44;
/// The same where the epsilon of a LayerNorm is seen: it is multiplied by an integer of its own, which must not be small.
const EPSILON_SHARE_FRAC: i32 = 48;
/// Fractional bits of `1/width` at least, for rows of any scale: a reciprocal that rounds to nothing makes a defect of nothing.
/// Where the share then is too fine to be opened, planning says so.
const WIDTH_FRAC: i32 = 20;
/// Share of a row's square sum that its epsilon may take and still be left out.
const EPSILON_SEEN: f64 = 1e-4;

/// Fractional bits of the share of a LayerNorm's defect, and its epsilon where that is a part of the relation that can be seen:
/// `sum(normal^2) / width + epsilon r^2 = 1`.
fn norm_defect_frac(scales: &Scales, of: &Norm, normal_frac: i32) -> (i32, Option<f64>) {
    let inverse = scales.opening(of.inverse_deviation);
    let most = f64::powi(2.0, 2 * (inverse.bits as i32 - 1 - inverse.frac));
    let epsilon = match scales.table()[of.inverse_root].smooth {
        Smooth::InverseRoot { epsilon, .. } if epsilon * most > EPSILON_SEEN => Some(epsilon),
        _ => None,
    };
    let usual = if epsilon.is_some() { EPSILON_SHARE_FRAC } else { SHARE_FRAC };
    (usual.max(2 * normal_frac + WIDTH_FRAC), epsilon)
}

/// `sum(normal^2) / width + epsilon r^2 - 1` of each row, or `- g` with a gate `g` of the rows.
pub(crate) fn norm_defect<A: Arithmetic>(
    arithmetic: &mut A,
    scales: &Scales,
    (normal, inverse): (&Value<A::Wire>, &Value<A::Wire>),
    of: &Norm,
    gate: Option<&A::Wire>,
) -> Result<Value<A::Share>, A::Error> {
    let Form { rows, cols, frac } = normal.form;
    let (to, epsilon) = norm_defect_frac(scales, of, frac);
    let power = |bits: i32| f64::powi(2.0, bits);
    let sum = arithmetic.square_sum(&normal.data, rows, cols)?;
    let minus_width = (cols as u64).wrapping_shl((2 * frac) as u32).wrapping_neg();
    let over_width = (power(to - 2 * frac) / cols as f64).round() as u64;
    let mut data = minus_promised(arithmetic, sum, (minus_width, over_width), gate)?;
    let times_epsilon = epsilon.map_or(0, |epsilon| (epsilon * power(to - 2 * inverse.form.frac)).round() as u64);
    if times_epsilon > 0 {
        let squares = arithmetic.square(&[(&inverse.data, rows)])?;
        for square in squares {
            let scaled = arithmetic.affine(square, 0, times_epsilon);
            data = arithmetic.add((data, 0), (scaled, 0));
        }
    }
    Ok(Value { form: Form { rows, cols: 1, frac: to }, data })
}

/// `(x - promised) times`, where a row promises the same in clear or, with a gate, the gate's multiple of it.
fn minus_promised<A: Arithmetic>(
    arithmetic: &mut A,
    x: A::Share,
    (minus_promised, times): (u64, u64),
    gate: Option<&A::Wire>,
) -> Result<A::Share, A::Error> {
    let Some(gate) = gate else { return Ok(arithmetic.affine(x, minus_promised, times)) };
    let gate = arithmetic.shared(gate)?;
    let promised = arithmetic.affine(gate, 0, minus_promised.wrapping_mul(times));
    let x = arithmetic.affine(x, 0, times);
    Ok(arithmetic.add((x, 0), (promised, 0)))
}

/// `D r - 1` of each row, or `D r - g` with a gate `g`, from the product of an opened sum and its opened reciprocal.
pub(crate) fn reciprocal_defect<A: Arithmetic>(
    arithmetic: &mut A,
    product: Value<A::Share>,
    gate: Option<&A::Wire>,
) -> Result<Value<A::Share>, A::Error> {
    let Value { form, data } = product;
    let to = form.frac.max(SHARE_FRAC);
    // a scale beyond the ring's is refused where the defect is opened
    let minus_one = 1u64.checked_shl(form.frac.max(0) as u32).unwrap_or(0).wrapping_neg();
    let up = 1u64.checked_shl((to - form.frac) as u32).unwrap_or(0);
    let data = minus_promised(arithmetic, data, (minus_one, up), gate)?;
    Ok(Value { form: Form { frac: to, ..form }, data })
}
