//! Several series of one phase: their harmonics are the same, so that the sines and cosines that were dealt for one serve all.

use std::vec::IntoIter;

use model::{Evaluation, join_columns};

use super::online::{Online, Wire, next};
use crate::party::Party;

impl Online<'_, '_, '_> {
    /// The series of a phase that has others beside it, in order.
    pub(super) fn evaluate_beside(
        &self,
        asked: &Evaluation<'_, Vec<Vec<u64>>, Wire>,
        dealt: &mut IntoIter<Vec<u64>>,
    ) -> Vec<Vec<u64>> {
        let waves: Vec<Vec<u64>> = asked.phase.iter().map(|_| next(dealt)).collect();
        let one = |curve: &model::Curve| {
            let segments = asked.phase.iter().zip(&curve.segments).zip(&waves);
            let parts: Vec<_> = segments
                .map(|((phase, segment), waves)| {
                    let series = &segment.series;
                    let constant = if self.party() == Party::One { series.constant as u64 } else { 0 };
                    let mut z = vec![constant; phase.len()];
                    series.turn().with_kernel(self.kernel()).series_add(series.terms(), phase, waves, &mut z);
                    (z, segment.cols)
                })
                .collect();
            join_columns(&parts, asked.rows)
        };
        asked.curves().map(one).collect()
    }
}
