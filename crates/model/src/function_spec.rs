//! What of a spec depends on which functions a student has in place of GeLU, of the pooler's tanh, and of whole LayerNorms.

use serde::{Deserialize, Serialize};

use crate::activation::{Activation, Pooler};
use crate::compared::Compared;
use crate::opening::{Curve, Opening};
use crate::spec_error::SpecError;

/// How the activation of a layer is evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivationSpec {
    /// `GeLU(x) - x/2`, by a series.
    Gelu(Curve),
    /// By a comparison.
    Relu(ReluSpec),
    /// By a square: how its argument is opened.
    Quad(Opening),
}

/// How ReLU is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReluSpec {
    /// Its argument.
    pub input: Opening,
    /// How that is compared with zero.
    pub compared: Compared,
}

/// What the pooler takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolerSpec {
    /// Hyperbolic tangent.
    #[serde(rename = "tanh")]
    Tanh(Curve),
    /// ReLU.
    #[serde(rename = "pooler_relu")]
    Relu(ReluSpec),
}

/// What a LayerNorm opens before its output, where it divides by the deviation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DivisionSpec {
    /// Centred input.
    pub input: Opening,
    /// `sqrt(width / sum of squares)`.
    pub inverse_root: Curve,
    /// The opened inverse deviation.
    pub inverse_deviation: Opening,
}

impl ActivationSpec {
    /// The series of GeLU, if there is one.
    pub fn gelu(&self) -> Option<&Curve> {
        match self {
            ActivationSpec::Gelu(curve) => Some(curve),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn gelu_mut(&mut self) -> Option<&mut Curve> {
        match self {
            ActivationSpec::Gelu(curve) => Some(curve),
            _ => None,
        }
    }

    /// How its argument is opened, where that is a wire.
    pub fn input(&self) -> Option<Opening> {
        match self {
            ActivationSpec::Gelu(_) => None,
            ActivationSpec::Relu(relu) => Some(relu.input),
            ActivationSpec::Quad(input) => Some(*input),
        }
    }

    /// How it is compared, where it is.
    pub fn compared(&self) -> Option<Compared> {
        match self {
            ActivationSpec::Relu(relu) => Some(relu.compared),
            _ => None,
        }
    }

    /// Whether it is how such an activation is evaluated.
    pub(crate) fn is_of(&self, activation: Activation) -> bool {
        match self {
            ActivationSpec::Gelu(_) => activation.is_gelu(),
            ActivationSpec::Relu(_) => activation == Activation::Relu,
            ActivationSpec::Quad(_) => activation == Activation::Quad,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            ActivationSpec::Gelu(_) => "a series",
            ActivationSpec::Relu(_) => "a comparison",
            ActivationSpec::Quad(_) => "a square",
        }
    }

    /// Refuses that of another activation, and a comparison that looks at fewer bits than the value has.
    pub(crate) fn check(&self, layer: usize, activation: Activation) -> Result<(), SpecError> {
        if !self.is_of(activation) {
            let (what, expected) = (format!("layer {layer}: activation"), format!("that of {activation:?}"));
            return Err(SpecError::Shape { what, got: self.name().into(), expected });
        }
        match self {
            ActivationSpec::Relu(relu) => check_compared(&format!("layer {layer}: ReLU"), relu.input, relu.compared),
            _ => Ok(()),
        }
    }
}

impl PoolerSpec {
    /// The series of tanh, if there is one.
    pub fn tanh(&self) -> Option<&Curve> {
        match self {
            PoolerSpec::Tanh(curve) => Some(curve),
            PoolerSpec::Relu(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn tanh_mut(&mut self) -> Option<&mut Curve> {
        match self {
            PoolerSpec::Tanh(curve) => Some(curve),
            PoolerSpec::Relu(_) => None,
        }
    }

    /// The ReLU, if it is one.
    pub fn relu(&self) -> Option<ReluSpec> {
        match self {
            PoolerSpec::Tanh(_) => None,
            PoolerSpec::Relu(relu) => Some(*relu),
        }
    }

    /// Refuses that of another pooler.
    pub(crate) fn check(&self, pooler: Pooler) -> Result<(), SpecError> {
        match (self, pooler) {
            (PoolerSpec::Tanh(_), Pooler::Tanh) => Ok(()),
            (PoolerSpec::Relu(relu), Pooler::Relu) => check_compared("pooler: ReLU", relu.input, relu.compared),
            (_, pooler) => {
                let got = if self.tanh().is_some() { "a series" } else { "a comparison" };
                let (what, expected) = ("pooler".into(), format!("that of {pooler:?}"));
                Err(SpecError::Shape { what, got: got.into(), expected })
            }
        }
    }
}

/// A value beyond the bits that are compared has any sign, and nothing shows it: there are no fewer of them than the wire has.
pub(crate) fn check_compared(what: &str, input: Opening, compared: Compared) -> Result<(), SpecError> {
    let Compared { bits, cut, .. } = compared;
    if !compared.is_possible() {
        return Err(SpecError::Comparison { name: what.into(), bits, cut });
    }
    if bits < input.bits || cut > 0 {
        let (got, expected) =
            (format!("{bits} but the lowest {cut}"), format!("{} or more, and all of them", input.bits));
        return Err(SpecError::Shape { what: format!("{what}: compared bits"), got, expected });
    }
    Ok(())
}
