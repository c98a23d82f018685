//! What comparisons demand.

use model::{Comparing, Comparisons, Flipping, Joining, SignBits, SpecError};

use super::super::demand::Demand;
use super::super::plan::Planner;

impl Comparisons for Planner {
    fn difference(&mut self, _: &(), _: &()) {}

    fn compare(&mut self, x: &[Comparing<'_, ()>]) -> Result<Vec<SignBits<()>>, SpecError> {
        self.demand(self.scope, x.iter().map(|asked| Demand::Compare { count: asked.count, chunks: asked.chunks }));
        Ok(x.iter().map(|_| SignBits { first: (), others: () }).collect())
    }

    fn join(&mut self, x: Vec<Joining<'_, (), ()>>) -> Result<Vec<()>, SpecError> {
        self.demand(self.scope, x.iter().map(|asked| Demand::Join { count: asked.count, chunks: asked.chunks }));
        Ok(vec![(); x.len()])
    }

    fn flip(&mut self, x: &[Flipping<'_, (), ()>]) -> Result<Vec<Vec<()>>, SpecError> {
        for Flipping { depth, count, wires, .. } in x {
            let (count, depth) = (*count, *depth);
            self.demand(self.scope, [Demand::Signs { count, depth }]);
            self.demand(self.scope, wires.iter().map(|_| Demand::Flip { count, depth }));
        }
        Ok(x.iter().map(|asked| vec![(); 1 + asked.wires.len()]).collect())
    }
}
