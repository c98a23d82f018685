//! What stands between two products: the activation of a layer, and the pooler's.

use super::{Bert, BertComparison, BertFunction, BertSite, BertWeight, Pass};
use crate::activation::{Activation, Pooler};
use crate::compare::relu;
use crate::engine::Engine;
use crate::norm::apply;
use crate::operation::Operation;

impl<E: Engine> Pass<'_, E> {
    /// The feed-forward part of a layer, before it is added to what it read. Biases reach the rows that a gate lets through.
    pub(super) fn feed_forward(
        &mut self,
        layer: usize,
        x: &E::Wire,
        gate: Option<&E::Wire>,
    ) -> Result<E::Share, E::Error> {
        let part = Bert::part(layer);
        self.engine.begin(part, Operation::Others)?;
        let up = self.gated_by(x, BertWeight::Up(layer), gate)?;
        self.engine.begin(part, Operation::Gelu)?;
        let activation = self.activation(layer, up)?;
        let activation = self.open(&activation, BertSite::Activation { layer })?;
        self.engine.begin(part, Operation::Others)?;
        self.gated_by(&activation, BertWeight::Down(layer), gate)
    }

    fn activation(&mut self, layer: usize, up: E::Share) -> Result<E::Share, E::Error> {
        match self.bert.shape.activation {
            Activation::Gelu | Activation::GeluTanh => {
                let gelu = self.bert.function(BertFunction::Gelu { layer });
                let curved = apply(self.engine, self.checks, &up, gelu)?;
                let straight = self.engine.half(up);
                self.engine.add(curved, straight)
            }
            Activation::Relu => {
                self.rectified(&up, BertSite::ActivationInput { layer }, BertComparison::Activation { layer })
            }
            // the quadratic is the square of a line, and a constant: both are folded into the products around it
            Activation::Quad => {
                let up = self.open(&up, BertSite::ActivationInput { layer })?;
                Ok(one(self.engine.square(&[up])?))
            }
        }
    }

    /// What the classifier reads of the first row of each text, opened.
    pub(super) fn pooled(&mut self, x: &E::Wire) -> Result<E::Wire, E::Error> {
        let pooled = self.linear(x, BertWeight::Pooler)?;
        let pooled = match self.bert.shape.pooler {
            Pooler::Tanh => {
                let tanh = self.bert.function(BertFunction::Tanh);
                apply(self.engine, self.checks, &pooled, tanh)?
            }
            Pooler::Relu => self.rectified(&pooled, BertSite::PoolerInput, BertComparison::Pooler)?,
        };
        self.open(&pooled, BertSite::Pooled)
    }

    /// ReLU: one round to open its input, and one or two to compare it.
    fn rectified(&mut self, x: &E::Share, site: BertSite, compared: BertComparison) -> Result<E::Share, E::Error> {
        let x = self.open(x, site)?;
        Ok(one(relu(self.engine, &[(&x, self.bert.comparison(compared))])?))
    }
}

fn one<T>(mut values: Vec<T>) -> T {
    assert_eq!(values.len(), 1, "an engine answers as many values as it was asked");
    values.remove(0)
}
