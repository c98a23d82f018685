//! The defects of a run on their way: those that wait for the next round, and those that were opened.
//!
//! Inside its domain a series is right to a few ten-thousandths; above it, it gives what it happens to give, and no opened
//! word shows it. But `r = sqrt(width / v)` of a LayerNorm makes rows whose squares sum to `width`, and `r = 1 / D` of an
//! attention row makes `r D = 1`. What is missing to that is the *defect* of a row (of each LayerNorm), or of a row and head
//! (of each attention). It is opened beside what the network opens anyway, and the squares of all defects of a text add up to
//! its *certificate*, which the client alone learns, with the logits. See `docs/masked-wires.md`.

use crate::engine::{Block, Engine, Norm, Opened, Reciprocal, SoftmaxHead};
use crate::table::{Function, Site};

/// To which rows of which texts a column of defects belongs.
#[derive(Clone, Debug)]
enum Rows {
    /// So many rows of each text in turn.
    OfAll(Vec<usize>),
    /// Rows of one text.
    Of(usize),
}

/// The defects of a run on their way: those that wait for the next round, and those that were opened.
pub struct Checks<E: Engine> {
    pending: Vec<(E::Share, Site, Rows)>,
    /// By text.
    opened: Vec<Vec<E::Wire>>,
}

impl<E: Engine> Checks<E> {
    /// For a batch of so many texts.
    pub fn new(texts: usize) -> Checks<E> {
        Checks { pending: Vec::new(), opened: (0..texts).map(|_| Vec::new()).collect() }
    }

    /// Holds the rows that a LayerNorm made to what it promises; so many rows of each text, of which a gate may leave out some.
    pub fn norm(
        &mut self,
        engine: &mut E,
        (normal, inverse): (&E::Wire, &E::Wire),
        norm: &Norm,
        (rows, gate): (Vec<usize>, Option<&E::Wire>),
    ) -> Result<(), E::Error> {
        let defect = engine.norm_defect(normal, inverse, norm, gate)?;
        self.pending.extend(defect.map(|share| (share, norm.defect, Rows::OfAll(rows))));
        Ok(())
    }

    /// Holds reciprocals to the sums that they are of, both opened, with the site of each one's defects and its text.
    pub(crate) fn reciprocals(
        &mut self,
        engine: &mut E,
        pairs: &[Reciprocal<'_, E::Wire>],
        heads: impl Iterator<Item = (Site, usize)>,
    ) -> Result<(), E::Error> {
        let defects = engine.reciprocal_defects(pairs)?.into_iter().zip(heads);
        self.pending.extend(defects.map(|(share, (site, text))| (share, site, Rows::Of(text))));
        Ok(())
    }

    /// Holds what the identity made of the phases of a head to the scores that these were opened from.
    pub(crate) fn identity(
        &mut self,
        engine: &mut E,
        (identity, relative): (&E::Share, &E::Share),
        head: &SoftmaxHead,
    ) -> Result<(), E::Error> {
        let defect = engine.identity_defect(identity, relative)?;
        self.pending.extend(defect.map(|share| (share, head.exponential_defect, Rows::Of(head.text))));
        Ok(())
    }

    /// Opens what the network asks for, and the defects that wait beside it: the round is there anyway.
    pub fn open(
        &mut self,
        engine: &mut E,
        wires: &[(&E::Share, Site)],
        phases: &[(&E::Share, Function)],
    ) -> Result<Opened<E>, E::Error> {
        let pending = std::mem::take(&mut self.pending);
        let mut asked = wires.to_vec();
        asked.extend(pending.iter().map(|(share, site, _)| (share, *site)));
        let (mut opened, phases) = engine.open(&asked, phases)?;
        let defects = opened.split_off(wires.len());
        for (defect, (_, _, rows)) in defects.into_iter().zip(&pending) {
            match rows {
                Rows::Of(text) => self.opened[*text].push(defect),
                Rows::OfAll(rows) => self.share_out(engine, &defect, rows),
            }
        }
        Ok((opened, phases))
    }

    /// Gives each text its rows.
    fn share_out(&mut self, engine: &mut E, defect: &E::Wire, rows: &[usize]) {
        let mut row = 0;
        for (of_text, rows) in self.opened.iter_mut().zip(rows) {
            of_text.push(engine.block(defect, Block { row, rows: *rows, col: 0, cols: 1 }));
            row += rows;
        }
    }

    /// The certificate of each text, or none at all where the engine does not check itself. Defects that still wait are opened in a
    /// round of their own.
    pub fn certificates(mut self, engine: &mut E) -> Result<Vec<E::Share>, E::Error> {
        if !self.pending.is_empty() {
            self.open(engine, &[], &[])?;
        }
        let without = self.opened.iter().filter(|defects| defects.is_empty()).count();
        assert!(without == 0 || without == self.opened.len(), "a network checks all texts or none");
        let mut certificates = Vec::with_capacity(self.opened.len());
        for defects in self.opened {
            if !defects.is_empty() {
                let column = engine.assemble(&defects.into_iter().map(|wire| vec![wire]).collect::<Vec<_>>());
                certificates.extend(engine.square_total(&column)?);
            }
        }
        Ok(certificates)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::arithmetic::{Form, Value};
    use crate::clear::Clear;
    use crate::opening::{Curve, DEFECT, Opening};
    use crate::operation::Operation;
    use crate::quantise::Quantised;
    use crate::scales::Scales;
    use crate::table::{Smooth, Table};

    /// A network may end with a LayerNorm: what no later round opens is opened for the certificates, and not left out of them.
    #[test]
    fn defects_that_no_later_round_opens_are_in_the_certificates() {
        let (mut table, operation) = (Table::default(), Operation::LayerNorm);
        let smooth = Smooth::InverseRoot { width: 4.0, epsilon: 0.0 };
        let norm = Norm {
            input: table.site("input", operation),
            inverse_root: table.function("inverse root", operation, smooth),
            inverse_deviation: table.site("inverse deviation", operation),
            normal: table.site("normal", operation),
            defect: table.defect("defect", operation),
        };
        let opening = |site| if site == norm.defect { DEFECT } else { Opening { frac: 12, bits: 16 } };
        let curve = Arc::new(Curve { frac: 0, stretch: 0, segments: Vec::new() });
        let scales = Scales::new(Arc::new(table), 0, opening, |_| (curve.clone(), 0), |_| 0);
        let weights = Quantised::new();
        let mut engine = Clear::new(Arc::new(scales), &weights);
        let wire = |cols: usize, numbers: &[f64]| Value {
            form: Form { rows: 2, cols, frac: 12 },
            data: numbers.iter().map(|number| ring64::encode(*number, 12).unwrap()).collect(),
        };
        // squares of the first row sum to its width; those of the second, of another text, do not
        let normal = wire(4, &[1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0078125]);
        let inverse = wire(1, &[1.0, 1.0]);
        let mut checks = Checks::new(2);
        checks.norm(&mut engine, (&normal, &inverse), &norm, (vec![1, 1], None)).unwrap();
        let certificates = checks.certificates(&mut engine).unwrap();
        let numbers: Vec<f64> = certificates.iter().map(|c| ring64::decode(c.data[0], c.form.frac)).collect();
        let missing = (1.0078125f64.powi(2) - 1.0) / 4.0;
        assert_eq!(numbers.len(), 2);
        assert_eq!(numbers[0], 0.0);
        // within the bits of an opened defect
        assert!((numbers[1] - missing.powi(2)).abs() < 1e-7, "{numbers:?}");
    }
}
