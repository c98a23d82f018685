//! The network interpreted on nothing but openings: whether its scales can be run, and how often a run restarts.

use ring64::{Dims, Rhs};

use crate::arithmetic::{Arithmetic, Evaluation, PhaseOpening, Place, RowShift, WireOpening};
use crate::comparisons::{Comparing, Comparisons, Flipping, Joining, SignBits};
use crate::engine::Block;
use crate::fixed::Fixed;
use crate::network::{Calibrated, Network};
use crate::spec_error::SpecError;
use crate::table::Weight;

/// Probability that a run over a batch on masked wires restarts; an error where a scale does not fit its value.
pub fn restart_probability<N: Network>(calibrated: &Calibrated<N>, batch: &N::Batch) -> Result<f64, SpecError> {
    let mut engine = Fixed::new(calibrated.scales.clone(), Openings { keep: 1.0 });
    let input = calibrated.input(batch, ());
    calibrated.network.run(&mut engine, batch, &mut calibrated.network.begin(), &input)?;
    Ok(1.0 - engine.arithmetic.keep)
}

/// Probability that no opening so far was below its range.
struct Openings {
    keep: f64,
}

impl Arithmetic for Openings {
    type Wire = ();
    type Phase = ();
    type Share = ();
    type Error = SpecError;

    fn linear(&mut self, _: &(), _: Weight, _: Dims, _: Option<&()>) -> Result<(), SpecError> {
        Ok(())
    }
    fn add_rows(&mut self, _: (), _: Weight, _: &[usize], _: usize) -> Result<(), SpecError> {
        Ok(())
    }
    fn residual(&mut self, _: &(), _: Weight, _: (usize, usize), _: bool) -> Result<(), SpecError> {
        Ok(())
    }
    fn matmul(&mut self, _: &[(&(), &())], dims: &[Dims], _: Rhs) -> Result<Vec<()>, SpecError> {
        Ok(vec![(); dims.len()])
    }
    fn square(&mut self, x: &[(&(), usize)]) -> Result<Vec<()>, SpecError> {
        Ok(vec![(); x.len()])
    }
    fn square_sum(&mut self, _: &(), _: usize, _: usize) -> Result<(), SpecError> {
        Ok(())
    }
    fn scale_rows(&mut self, _: &[(&(), &())], dims: &[(usize, usize)]) -> Result<Vec<()>, SpecError> {
        Ok(vec![(); dims.len()])
    }
    fn evaluate(&mut self, x: &[Evaluation<'_, (), ()>]) -> Result<Vec<()>, SpecError> {
        Ok(vec![(); x.iter().flat_map(Evaluation::curves).count()])
    }
    fn relative(&mut self, _: (), _: &(), _: Option<&()>, _: &RowShift) {}
    fn add(&mut self, _: ((), u32), _: ((), u32)) {}
    fn row_sums(&mut self, _: &(), _: usize, _: usize) {}
    fn opened_row_sums(&mut self, _: &(), _: usize, _: usize) {}
    fn rotate(&mut self, _: (), _: usize, _: &[u64], _: &[u64]) {}
    fn affine(&mut self, _: (), _: u64, _: u64) {}
    fn offset(&mut self, _: (), _: u64) {}
    fn gated_offset(&mut self, _: (), _: u64, _: &()) {}
    fn shared(&mut self, _: &()) -> Result<(), SpecError> {
        Ok(())
    }
    fn block(&mut self, _: &(), _: usize, _: Block) {}
    fn assemble(&mut self, _: &[Vec<(&(), usize, usize)>]) {}
    fn open(
        &mut self,
        _: &Place<'_>,
        wires: &[(&(), WireOpening)],
        phases: &[(&(), PhaseOpening)],
    ) -> Result<(Vec<()>, Vec<()>), SpecError> {
        for (_, opening) in wires {
            self.keep *= 1.0 - opening.restart_probability();
        }
        Ok((vec![(); wires.len()], vec![(); phases.len()]))
    }
}

impl Comparisons for Openings {
    fn difference(&mut self, _: &(), _: &()) {}
    fn compare(&mut self, x: &[Comparing<'_, ()>]) -> Result<Vec<SignBits<()>>, SpecError> {
        Ok(x.iter().map(|_| SignBits { first: (), others: () }).collect())
    }
    fn join(&mut self, x: Vec<Joining<'_, (), ()>>) -> Result<Vec<()>, SpecError> {
        Ok(vec![(); x.len()])
    }
    fn flip(&mut self, x: &[Flipping<'_, (), ()>]) -> Result<Vec<Vec<()>>, SpecError> {
        Ok(x.iter().map(|asked| vec![(); 1 + asked.wires.len()]).collect())
    }
}
