//! GeLU, the exact one and the one by tanh, and what students may have in its place: a square, and ReLU.

use serde::{Deserialize, Serialize};

/// What stands in the feed-forward parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x (1 + erf(x / sqrt 2)) / 2`: `gelu` in `config.json`.
    #[default]
    Gelu,
    /// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`: `gelu_new` and `gelu_pytorch_tanh`.
    GeluTanh,
    /// `0.125 x^2 + 0.25 x + 0.5` (MPCFormer): `quad`. A square of the folded argument.
    Quad,
    /// `max(x, 0)`: `relu`. By comparisons.
    Relu,
}

impl Activation {
    /// Every name in `config.json` that is understood.
    pub const NAMES: [&str; 5] = ["gelu", "gelu_new", "gelu_pytorch_tanh", "quad", "relu"];

    /// By its name in `config.json`.
    pub fn named(name: &str) -> Option<Activation> {
        match name {
            "gelu" => Some(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Some(Activation::GeluTanh),
            "quad" => Some(Activation::Quad),
            "relu" => Some(Activation::Relu),
            _ => None,
        }
    }

    /// Whether it is a GeLU, which a series stands for.
    pub fn is_gelu(self) -> bool {
        matches!(self, Activation::Gelu | Activation::GeluTanh)
    }

    /// Whether this is the exact one, which specs do not mention.
    pub(crate) fn is_exact(&self) -> bool {
        *self == Activation::Gelu
    }

    /// The function.
    pub fn value(self, x: f64) -> f64 {
        match self {
            Activation::Gelu => gelu(x),
            Activation::GeluTanh => gelu_tanh(x),
            Activation::Quad => 0.125 * x * x + 0.25 * x + 0.5,
            Activation::Relu => x.max(0.0),
        }
    }

    /// The function less `x / 2`: an even function for both GeLUs, which a series of cosines and `|x| / 2` describe.
    pub fn even_part(self, x: f64) -> f64 {
        self.value(x) - x / 2.0
    }
}

/// What the pooler makes of the first row of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooler {
    /// Hyperbolic tangent: a BERT's.
    #[default]
    Tanh,
    /// `max(x, 0)`: what a DistilBERT's head has in its place.
    Relu,
}

impl Pooler {
    /// Whether this is a BERT's, which neither configurations nor specs mention.
    pub(crate) fn is_usual(&self) -> bool {
        *self == Pooler::Tanh
    }
}

/// The exact GeLU, `x (1 + erf(x / sqrt 2)) / 2`.
pub fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// GeLU by tanh, `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
pub fn gelu_tanh(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_half_the_argument_both_are_even() {
        for activation in [Activation::Gelu, Activation::GeluTanh] {
            for step in 0..=1240 {
                let x = f64::from(step) / 10.0;
                let gap = activation.even_part(x) - activation.even_part(-x);
                assert!(gap.abs() < 1e-12 * (1.0 + x), "{activation:?}, {x}: {gap}");
            }
        }
    }

    /// Values of torch's `gelu` with `approximate="none"` and `"tanh"`, in double precision.
    #[test]
    fn values_are_those_of_torch() {
        for (x, exact, tanh) in TORCH {
            assert!((gelu(x) - exact).abs() < 1e-12, "{x}: {}", gelu(x));
            assert!((gelu_tanh(x) - tanh).abs() < 1e-12, "{x}: {}", gelu_tanh(x));
        }
    }

    const TORCH: [(f64, f64, f64); 5] = [
        (-3.0, -0.00404969409489031, -0.0036373920817729943),
        (-0.75, -0.16997051428265111, -0.17003944483437966),
        (0.5, 0.34573123063700656, 0.34571400982514394),
        (1.7, 1.6242387133104768, 1.624105895551156),
        (4.0, 3.9998733150326675, 3.9999297540518075),
    ];
}
