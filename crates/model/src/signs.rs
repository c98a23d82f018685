//! Signs on any arithmetic that compares: which bits are opened in which round.

use crate::arithmetic::{Form, PhaseOpening, PhaseSegment, Place, Value};
use crate::compared::Pace;
use crate::comparisons::{Comparing, Comparisons, Flipping, Joining, SignBits};
use crate::scales::Scales;
use crate::spec_error::SpecError;
use crate::table::Comparison;

/// Fractional bits by which a product with a sign is finer than its factor: with [`crate::Engine::half`] beside it, opening it at the factor's
/// scale drops 16 bits, and 48 are exchanged instead of 64.
const FLIPPED_FRAC: u32 = 15;

/// Signs of a matrix, of which every bit is open under a mask.
#[derive(Debug)]
pub struct Signs<P> {
    form: Form,
    bits: Vec<P>,
    depth: usize,
}

/// Signs of wires: one round, or two where one of them is lean.
pub(crate) fn signs<A: Comparisons>(
    arithmetic: &mut A,
    scales: &Scales,
    x: &[(&Value<A::Wire>, Comparison)],
) -> Result<Vec<Signs<A::Phase>>, A::Error> {
    let Some((_, first)) = x.first() else { return Ok(Vec::new()) };
    let entry = &scales.table()[*first];
    let place = Place { name: &entry.name, wires: entry.operation, phases: entry.operation };
    let (asked, paces) = asked::<A>(scales, x)?;
    let bits = arithmetic.compare(&asked)?;
    let mut openings = Vec::with_capacity(2 * x.len());
    for ((bits, asked), pace) in bits.iter().zip(&asked).zip(&paces) {
        if *pace == Pace::Fast {
            openings.push((&bits.first, rows_of_bits(1, asked.count)));
        }
        openings.push((&bits.others, rows_of_bits(asked.chunks.others(), asked.count)));
    }
    let mut opened = arithmetic.open(&place, &[], &openings)?.1.into_iter();
    let (mut signs, mut lean) = (Vec::with_capacity(x.len()), Vec::new());
    for (((x, _), SignBits { first, .. }), (asked, pace)) in x.iter().zip(bits).zip(asked.iter().zip(&paces)) {
        let open = if *pace == Pace::Fast { 2 } else { 1 };
        if *pace == Pace::Lean {
            lean.push((signs.len(), first));
        }
        let bits = opened.by_ref().take(open).collect();
        signs.push(Signs { form: x.form, bits, depth: asked.chunks.depth() });
    }
    if !lean.is_empty() {
        join(arithmetic, &place, lean, &asked, &mut signs)?;
    }
    Ok(signs)
}

/// How each is compared.
#[allow(clippy::type_complexity)]
fn asked<'a, A: Comparisons>(
    scales: &Scales,
    x: &[(&'a Value<A::Wire>, Comparison)],
) -> Result<(Vec<Comparing<'a, A::Wire>>, Vec<Pace>), SpecError> {
    let (mut asked, mut paces) = (Vec::with_capacity(x.len()), Vec::with_capacity(x.len()));
    for (x, comparison) in x {
        let compared = scales.compared(*comparison);
        if !compared.is_possible() {
            let (name, bits, cut) = (scales.table()[*comparison].name.to_string(), compared.bits, compared.cut);
            return Err(SpecError::Comparison { name, bits, cut });
        }
        asked.push(Comparing { wire: &x.data, count: x.form.count(), chunks: compared.chunks() });
        paces.push(compared.pace);
    }
    Ok((asked, paces))
}

/// The second round of lean signs: their own bits take the place of those that they are made of.
fn join<A: Comparisons>(
    arithmetic: &mut A,
    place: &Place<'_>,
    lean: Vec<(usize, A::Share)>,
    asked: &[Comparing<'_, A::Wire>],
    signs: &mut [Signs<A::Phase>],
) -> Result<(), A::Error> {
    let places: Vec<_> = lean.iter().map(|(at, _)| *at).collect();
    let joining = |(at, first): (usize, A::Share)| {
        let Comparing { count, chunks, .. } = asked[at];
        Joining { first, others: &signs[at].bits[0], count, chunks }
    };
    let joined = arithmetic.join(lean.into_iter().map(joining).collect())?;
    let openings = joined.iter().zip(&places).map(|(bit, at)| (bit, rows_of_bits(1, asked[*at].count)));
    let opened = arithmetic.open(place, &[], &openings.collect::<Vec<_>>())?.1;
    for (bit, at) in opened.into_iter().zip(places) {
        (signs[at].bits, signs[at].depth) = (vec![bit], 1);
    }
    Ok(())
}

/// Signs and their products with wires of the same shape, all at [`FLIPPED_FRAC`] more fractional bits.
#[allow(clippy::type_complexity)]
pub(crate) fn flip<A: Comparisons>(
    arithmetic: &mut A,
    x: &[(&Signs<A::Phase>, Vec<&Value<A::Wire>>)],
) -> Result<Vec<(Value<A::Share>, Vec<Value<A::Share>>)>, A::Error> {
    let wires: Vec<Vec<_>> = x.iter().map(|(_, wires)| wires.iter().map(|wire| &wire.data).collect()).collect();
    let asked = x.iter().zip(&wires).map(|((signs, _), wires)| Flipping {
        bits: &signs.bits,
        depth: signs.depth,
        count: signs.form.count(),
        wires,
    });
    let asked: Vec<_> = asked.collect();
    let flipped = arithmetic.flip(&asked)?;
    let mut all = Vec::with_capacity(x.len());
    for (shares, (signs, wires)) in flipped.into_iter().zip(x) {
        let fracs = std::iter::once(0).chain(wires.iter().map(|wire| {
            assert_eq!((wire.form.rows, wire.form.cols), (signs.form.rows, signs.form.cols), "a sign each");
            wire.form.frac
        }));
        let raised = |(share, frac): (A::Share, i32)| Value {
            form: Form { frac: frac + FLIPPED_FRAC as i32, ..signs.form },
            data: arithmetic.affine(share, 0, 1 << FLIPPED_FRAC),
        };
        let mut shares = shares.into_iter().zip(fracs).map(raised).collect::<Vec<_>>().into_iter();
        all.extend(shares.next().map(|sign| (sign, shares.collect())));
    }
    Ok(all)
}

fn rows_of_bits(rows: usize, count: usize) -> PhaseOpening {
    PhaseOpening { rows, shift: 0, segments: vec![PhaseSegment { cols: count, modulus_bits: 1 }] }
}
