//! The network of a spec with its scales: its curves by the functions that read them, and its comparisons.

use std::sync::Arc;

use crate::bert::{Bert, BertComparison, BertFunction, InputKind};
use crate::compared::{Compared, Pace};
use crate::function_spec::{ActivationSpec, PoolerSpec};
use crate::network::{Calibrated, Network};
use crate::opening::Curve;
use crate::scales::{Scaled, Scales};
use crate::shape::SHORTEST_CLASS;
use crate::softmax_spec::SoftmaxCurves;
use crate::spec::{HeadSpec, LayerSpec, Spec};

impl Spec {
    /// The network with these scales.
    pub fn calibrated(&self, kind: InputKind) -> Calibrated<Bert> {
        let network = Bert::new(self.shape.clone(), kind);
        let curves = Curves::of(self);
        let scales = Scales::new(
            network.table().clone(),
            self.input_extra,
            |site| self.opening(network.site_of(site)),
            |function| curves.scaled(network.function_of(function)),
            |weight| self.weight_frac(network.weight_of(weight)),
        );
        let scales = scales
            .comparing(|comparison| self.compared(network.comparison_of(comparison)))
            .with_thresholds(|function| self.thresholds(network.function_of(function)));
        let (reciprocals, exponentials) = self.defect_weights.unwrap_or((0, 0));
        let scales = scales.with_defects(reciprocals, exponentials);
        Calibrated { network, scales: Arc::new(scales) }
    }
}

impl Spec {
    /// How a comparison is made.
    pub(crate) fn compared(&self, comparison: BertComparison) -> Compared {
        let compared = match comparison {
            BertComparison::Scores { layer } => self.layers[layer].compared,
            BertComparison::Sums { layer } => self.layers[layer].compared_sums,
            BertComparison::Activation { layer } => self.layers[layer].function.compared(),
            BertComparison::Pooler => self.pooler.relu().map(|relu| relu.compared),
        };
        compared.unwrap_or_default()
    }

    /// Every comparison of many values made at this pace; those of sums stay in one round.
    pub fn set_pace(&mut self, pace: Pace) {
        for layer in &mut self.layers {
            layer.compared = layer.compared.map(|compared| Compared { pace, ..compared });
            if let ActivationSpec::Relu(relu) = &mut layer.function {
                relu.compared.pace = pace;
            }
        }
        if let PoolerSpec::Relu(relu) = &mut self.pooler {
            relu.compared.pace = pace;
        }
    }

    /// Below what the argument of a function is multiplied with a larger power: of the reciprocals of 2ReLU.
    fn thresholds(&self, function: BertFunction) -> Vec<f64> {
        let BertFunction::Reciprocal { layer, head, class } = function else { return Vec::new() };
        let Some(raised) = self.layers[layer].heads.get(head).and_then(|head| head.raised.as_ref()) else {
            return Vec::new();
        };
        let unit = f64::powi(2.0, self.shape.class_exponent(class));
        raised.thresholds().map(|threshold| threshold * unit).collect()
    }
}

/// A spec's curves.
struct Curves {
    /// Exponent of the class of the shortest padded texts.
    shortest: i32,
    roots: Vec<Arc<Curve>>,
    /// By layer and head, and for the shortest padded texts.
    reciprocals: Vec<Vec<[Arc<Curve>; 2]>>,
    /// By layer and head.
    softmax: Vec<Vec<SoftmaxCurves>>,
    gelus: Vec<Arc<Curve>>,
    tanh: Arc<Curve>,
}

impl Curves {
    fn of(spec: &Spec) -> Curves {
        let shared = |curve: &Curve| Arc::new(curve.clone());
        let unasked = Arc::new(Curve { frac: 0, stretch: 0, segments: Vec::new() });
        let asked = |curve: Option<&Curve>| curve.map_or_else(|| unasked.clone(), shared);
        let head = |head: &HeadSpec| {
            let reciprocal = shared(&head.reciprocal);
            let padded = head.padded.as_ref().map_or_else(|| reciprocal.clone(), |padded| shared(&padded.reciprocal));
            [reciprocal, padded]
        };
        let heads = |layer: &LayerSpec| layer.heads.iter().map(head).collect();
        Curves {
            shortest: spec.shape.class_exponent(SHORTEST_CLASS),
            roots: spec.norms.iter().map(|norm| asked(norm.division.as_ref().map(|d| &d.inverse_root))).collect(),
            reciprocals: spec.layers.iter().map(heads).collect(),
            softmax: spec.layers.iter().map(|l| l.softmax.iter().map(SoftmaxCurves::of).collect()).collect(),
            gelus: spec.layers.iter().map(|layer| asked(layer.function.gelu())).collect(),
            tanh: asked(spec.pooler.tanh()),
        }
    }

    fn of_softmax(&self, layer: usize, head: usize) -> Option<&SoftmaxCurves> {
        self.softmax.get(layer)?.get(head)
    }

    /// The curve of a function, and by how much the class of lengths shifts its scales: sums of 2Quad are read in units of
    /// `2^class`, rough ones of softmax in units of their own.
    fn scaled(&self, function: BertFunction) -> Scaled {
        let softmax = |layer: usize, head: usize| &self.softmax[layer][head];
        match function {
            BertFunction::InverseRoot { norm } => (self.roots[norm].clone(), 0),
            BertFunction::Exponential { layer, head } => (softmax(layer, head).exponential.clone(), 0),
            BertFunction::Identity { layer, head } => (softmax(layer, head).identity.clone(), 0),
            BertFunction::RoughExponential { layer, head } => (softmax(layer, head).rough_exponential.clone(), 0),
            BertFunction::Rough { layer, head, class } => {
                let of = softmax(layer, head);
                (of.rough.clone(), of.units[class])
            }
            BertFunction::Reciprocal { layer, head, class } => match (self.of_softmax(layer, head), class) {
                (Some(of), _) => (of.reciprocal.clone(), 0),
                (None, SHORTEST_CLASS) => (self.reciprocals[layer][head][1].clone(), self.shortest),
                (None, class) => (self.reciprocals[layer][head][0].clone(), class as i32),
            },
            BertFunction::Gelu { layer } => (self.gelus[layer].clone(), 0),
            BertFunction::Tanh => (self.tanh.clone(), 0),
        }
    }
}
