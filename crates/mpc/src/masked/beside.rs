//! Several series of one phase: their harmonics are the same, so that the sines and cosines that were dealt for one serve all.

use std::rc::Rc;

use model::{Curve, Evaluation, join_columns};
use ring64::Kernel;

use crate::party::Party;

/// A party's shares of all series of a phase, in order, by the waves of each segment.
pub(super) fn beside(
    asked: &Evaluation<'_, Vec<Vec<u64>>, Rc<Vec<u64>>>,
    waves: &[Vec<u64>],
    party: Party,
    kernel: Kernel,
) -> Vec<Vec<u64>> {
    let one = |curve: &Curve| {
        let segments = asked.phase.iter().zip(&curve.segments).zip(waves);
        let parts: Vec<_> = segments
            .map(|((phase, segment), waves)| {
                let series = &segment.series;
                let constant = if party == Party::One { series.constant as u64 } else { 0 };
                let mut z = vec![constant; phase.len()];
                series.turn().with_kernel(kernel).series_add(series.terms(), phase, waves, &mut z);
                (z, segment.cols)
            })
            .collect();
        join_columns(&parts, asked.rows)
    };
    asked.curves().map(one).collect()
}
