//! What a BERT declares: its weights, sites and functions, with their numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::positions::RELATIVE_BUCKETS;
use crate::activation::{Activation, Pooler};
use crate::config::AttentionKind;
use crate::operation::Operation;
use crate::shape::{SHORTEST_CLASS, Shape, TOKEN_CLASSES};
use crate::table::{Comparison, Function, Parameter, Read, Site, Smooth, Table, Weight};

/// A weight of the folded network (see [`crate::fold()`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BertWeight {
    /// Token table over segment table, one row a word, then one row a segment.
    Embedding,
    /// One row a position; added, never multiplied.
    Position,
    /// Attention query of a layer, `1/sqrt(head size)` folded in.
    Query(usize),
    /// Attention key.
    Key(usize),
    /// Attention value.
    Value(usize),
    /// Of softmax attention, what of the shift of a head's rows of scores is predicted from the rows of the layer: a column a head.
    Shift(usize),
    /// With relative positions, the bias of scores: a column with [`crate::RELATIVE_BUCKETS`] numbers a head. Each layer has its own
    /// copy at the scale of its scores.
    RelativeBias(usize),
    /// Attention output, centred.
    AttentionOutput(usize),
    /// The scale (gamma) of the LayerNorm of that number, as the residual carries it.
    Residual(usize),
    /// First feed-forward matrix.
    Up(usize),
    /// Second feed-forward matrix, centred.
    Down(usize),
    /// Pooler.
    Pooler,
    /// Classifier.
    Classifier,
}

/// Where a value is opened. `norm` counts LayerNorms: 0 after the embedding, `1 + 2 l` after the attention and `2 + 2 l`
/// after the feed-forward part of layer `l`; `class` is the class of a text's length ([`crate::Texts::class`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the fields are named above")]
pub enum BertSite {
    /// One-hot rows of tokens and segments.
    OneHot,
    /// Centred input of a LayerNorm.
    NormInput { norm: usize },
    /// `sqrt(width / sum of squares)` of a row.
    InverseDeviation { norm: usize },
    /// Output of a LayerNorm before its scale and shift; of one that only subtracts the mean its centred input.
    Normal { norm: usize },
    /// What is missing to a LayerNorm's promise.
    NormDefect { norm: usize },
    /// Attention query.
    Query { layer: usize },
    /// Attention key.
    Key { layer: usize },
    /// Attention value.
    Value { layer: usize },
    /// Attention scores, before the shift.
    Scores { layer: usize },
    /// `(score + c)^2`; of 2ReLU, the score where it is positive.
    Squares { layer: usize, head: usize, class: usize },
    /// These times values, not yet normalised.
    Mixed { layer: usize, head: usize, class: usize },
    /// Of 2ReLU, with what a sum of positive scores is multiplied.
    Power { layer: usize },
    /// Positive scores times values, times that.
    Raised { layer: usize, head: usize, class: usize },
    /// The sum, times that.
    RaisedSum { layer: usize, head: usize, class: usize },
    /// One over the sum of a row of them.
    Reciprocal { layer: usize, head: usize, class: usize },
    /// What is missing to the promise of one over a sum of squares.
    ReciprocalDefect { layer: usize, head: usize },
    /// Of softmax, `exp(s / 2)` of a shifted score.
    Exponential { layer: usize, head: usize },
    /// Of softmax in two steps, the sum of a row.
    Sum { layer: usize, head: usize },
    /// About one over it.
    Rough { layer: usize, head: usize },
    /// Squares times values, times that.
    Corrected { layer: usize, head: usize },
    /// The sum times that.
    CorrectedSum { layer: usize, head: usize },
    /// By how much the scores that the exponentials were made of differ from the scores.
    ExponentialDefect { layer: usize, head: usize },
    /// Attention output of a head.
    Attention { layer: usize },
    /// The same where weights were normalised before they met the values.
    Weighted { layer: usize },
    /// Input of an activation that reads an opened value: ReLU, and the square of a quadratic.
    ActivationInput { layer: usize },
    /// Output of the activation.
    Activation { layer: usize },
    /// Input of a pooler that takes a ReLU.
    PoolerInput,
    /// Output of the pooler.
    Pooled,
}

/// A smooth function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the fields are named at BertSite")]
pub enum BertFunction {
    /// `sqrt(width / v)` of a LayerNorm's sum of squares.
    InverseRoot { norm: usize },
    /// `1 / d` of the sum of an attention row, in units of the token count.
    Reciprocal { layer: usize, head: usize, class: usize },
    /// Of softmax, `exp(s / 2)` of a shifted score.
    Exponential { layer: usize, head: usize },
    /// The shifted score, by the same harmonics.
    Identity { layer: usize, head: usize },
    /// Of softmax in two steps, a smaller power of the exponential.
    RoughExponential { layer: usize, head: usize },
    /// A power of the sum of a row of these, which is about one over the sum of exponentials.
    Rough { layer: usize, head: usize, class: usize },
    /// `GeLU(x) - x / 2`, with the GeLU of the shape.
    Gelu { layer: usize },
    /// Hyperbolic tangent of the pooler.
    Tanh,
}

/// A comparison with zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the fields are named at BertSite")]
pub enum BertComparison {
    /// Of 2ReLU, the scores of all heads.
    Scores { layer: usize },
    /// The sums of the positive ones, less a threshold.
    Sums { layer: usize },
    /// The input of ReLU.
    Activation { layer: usize },
    /// The pooler's.
    Pooler,
}

/// The LayerNorm of that number in words.
pub(crate) fn norm_name(norm: usize) -> String {
    match norm.checked_sub(1) {
        None => "embedding LayerNorm".into(),
        Some(n) => format!("layer {} {} LayerNorm", n / 2, if n % 2 == 0 { "attention" } else { "output" }),
    }
}

/// The table, and which number stands for what.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) table: Arc<Table>,
    pub(super) weights: BTreeMap<BertWeight, Weight>,
    pub(super) sites: BTreeMap<BertSite, Site>,
    pub(super) functions: BTreeMap<BertFunction, Function>,
    pub(super) comparisons: BTreeMap<BertComparison, Comparison>,
    pub(super) of_weight: Vec<BertWeight>,
    pub(super) of_site: Vec<BertSite>,
    pub(super) of_function: Vec<BertFunction>,
    pub(super) of_comparison: Vec<BertComparison>,
}

impl Declared {
    /// All that a BERT of this shape has, in the order in which it meets it.
    pub(super) fn of(shape: &Shape) -> Declared {
        let mut declaring = Declaring { shape, table: Table::default(), of: Default::default() };
        declaring.embedding();
        (0..shape.layers).for_each(|layer| declaring.layer(layer));
        declaring.head();
        let Declaring { table, of: (of_weight, of_site, of_function, of_comparison), .. } = declaring;
        let weights = of_weight.iter().copied().zip(table.parameters().map(|(weight, _)| weight)).collect();
        let sites = of_site.iter().copied().zip(table.sites()).collect();
        let functions = of_function.iter().copied().zip(table.functions()).collect();
        let comparisons = of_comparison.iter().copied().zip(table.comparisons()).collect();
        let table = Arc::new(table);
        Declared { table, weights, sites, functions, comparisons, of_weight, of_site, of_function, of_comparison }
    }
}

struct Declaring<'s> {
    shape: &'s Shape,
    table: Table,
    of: (Vec<BertWeight>, Vec<BertSite>, Vec<BertFunction>, Vec<BertComparison>),
}

impl Declaring<'_> {
    fn embedding(&mut self) {
        self.of.1.push(BertSite::OneHot);
        let one_hot = self.table.integers("the input's one-hot rows", Operation::Others);
        self.norm(0);
        let (d, rows, positions) = (self.shape.width, self.shape.one_hot(), self.shape.positions);
        self.weight(BertWeight::Embedding, "embedding".into(), (rows, d), Read::Lookup, one_hot);
        self.weight(BertWeight::Position, "position".into(), (positions, d), Read::Added, one_hot);
    }

    /// An encoder layer: its weights in the order of a bundle's file.
    fn layer(&mut self, l: usize) {
        let (d, inner) = (self.shape.width, self.shape.inner);
        let before = self.of_site(BertSite::Normal { norm: 2 * l });
        let site = |of: fn(usize) -> BertSite| of(l);
        let named = |what: &str| format!("layer {l}: {what}");
        self.site(site(|layer| BertSite::Query { layer }), named("query"), Operation::Others);
        self.site(site(|layer| BertSite::Key { layer }), named("key"), Operation::Others);
        self.site(site(|layer| BertSite::Value { layer }), named("value"), Operation::Others);
        self.site(site(|layer| BertSite::Scores { layer }), named("attention scores"), Operation::Softmax);
        if self.shape.attention == AttentionKind::TwoRelu {
            let (scores, sums) = (BertComparison::Scores { layer: l }, BertComparison::Sums { layer: l });
            self.comparison(scores, named("2ReLU of attention scores"), Operation::Softmax);
            self.comparison(sums, named("sums of positive attention scores"), Operation::Softmax);
            self.of.1.push(BertSite::Power { layer: l });
            self.table.integers(named("powers that sums of positive scores are multiplied with"), Operation::Softmax);
        }
        for head in 0..self.shape.heads {
            match self.shape.attention {
                AttentionKind::Softmax => self.softmax_head(l, head),
                _ => self.attention_head(l, head),
            }
        }
        let attended = named("attention output");
        let attention = self.site(site(|layer| BertSite::Attention { layer }), attended.clone(), Operation::Softmax);
        self.site(site(|layer| BertSite::Weighted { layer }), attended, Operation::Others);
        let middle = self.norm(2 * l + 1);
        let activation = self.activation(l);
        self.norm(2 * l + 2);

        let name = |what: &str| format!("layer.{l}.{what}");
        self.weight(BertWeight::Query(l), name("query"), (d, d), Read::Product, before);
        self.weight(BertWeight::Key(l), name("key"), (d, d), Read::Product, before);
        self.weight(BertWeight::Value(l), name("value"), (d, d), Read::Product, before);
        if self.shape.attention == AttentionKind::Softmax {
            self.weight(BertWeight::Shift(l), name("shift"), (d, self.shape.heads), Read::Product, before);
        }
        if self.shape.relative_positions {
            let rows = self.shape.heads * RELATIVE_BUCKETS;
            self.weight(BertWeight::RelativeBias(l), name("relative_bias"), (rows, 1), Read::Added, before);
        }
        self.weight(BertWeight::AttentionOutput(l), name("attention_output"), (d, d), Read::Product, attention);
        self.residual(2 * l, before);
        self.weight(BertWeight::Up(l), name("up"), (d, inner), Read::Product, middle);
        self.weight(BertWeight::Down(l), name("down"), (inner, d), Read::Product, activation);
        self.residual(2 * l + 1, middle);
    }

    /// An activation; gives the site of its output.
    fn activation(&mut self, layer: usize) -> Site {
        let named = |what: &str| format!("layer {layer}: {what}");
        let (out, of_input) = (BertSite::Activation { layer }, BertSite::ActivationInput { layer });
        match self.shape.activation {
            of @ (Activation::Gelu | Activation::GeluTanh) => {
                let out = self.site(out, named("GeLU's output"), Operation::Gelu);
                let function = BertFunction::Gelu { layer };
                self.function(function, named("GeLU"), Operation::Gelu, Smooth::EvenPart(of));
                out
            }
            Activation::Relu => {
                self.site(of_input, named("ReLU's input"), Operation::Gelu);
                self.comparison(BertComparison::Activation { layer }, named("ReLU"), Operation::Gelu);
                self.site(out, named("ReLU's output"), Operation::Gelu)
            }
            Activation::Quad => {
                self.site(of_input, named("the quadratic's input"), Operation::Gelu);
                self.site(out, named("the quadratic's output"), Operation::Gelu)
            }
        }
    }

    /// A head; its sites are declared once a class of lengths.
    fn attention_head(&mut self, layer: usize, head: usize) {
        let named = |what: &str| -> Arc<str> { Arc::from(format!("layer {layer} head {head}: {what}")) };
        let [squares, mixed, reciprocal]: [Arc<str>; 3] = match self.shape.attention {
            AttentionKind::TwoRelu => {
                ["positive attention scores", "positive scores times values", "one over the attention sum"]
            }
            _ => ["squares of attention scores", "squares times values", "one over the attention sum"],
        }
        .map(named);
        for class in 0..=SHORTEST_CLASS {
            self.site(BertSite::Squares { layer, head, class }, squares.clone(), Operation::Others);
            self.site(BertSite::Mixed { layer, head, class }, mixed.clone(), Operation::Softmax);
            if self.shape.attention == AttentionKind::TwoRelu {
                self.site(BertSite::Raised { layer, head, class }, mixed.clone(), Operation::Softmax);
                let sum = named("sum of positive scores");
                self.site(BertSite::RaisedSum { layer, head, class }, sum, Operation::Softmax);
            }
            self.site(BertSite::Reciprocal { layer, head, class }, reciprocal.clone(), Operation::Softmax);
            let function = BertFunction::Reciprocal { layer, head, class };
            self.function(function, reciprocal.clone(), Operation::Softmax, Smooth::Reciprocal);
        }
        let defect = BertSite::ReciprocalDefect { layer, head };
        self.defect(defect, named("defect of one over the attention sum"), Operation::Softmax);
    }

    /// A head of softmax: what it opens does not depend on the length of the text, but for the rough sums.
    fn softmax_head(&mut self, layer: usize, head: usize) {
        let (class, named) = (0, |what: &str| format!("layer {layer} head {head}: {what}"));
        let softmax = Operation::Softmax;
        for (site, what, operation) in [
            (BertSite::Exponential { layer, head }, "exponentials of half the scores", softmax),
            (BertSite::Squares { layer, head, class }, "exponentials of the scores", Operation::Others),
            (BertSite::Sum { layer, head }, "the attention sum", softmax),
            (BertSite::Rough { layer, head }, "about one over the attention sum", softmax),
            (BertSite::Mixed { layer, head, class }, "exponentials times values", softmax),
            (BertSite::Corrected { layer, head }, "these times about one over the sum", softmax),
            (BertSite::CorrectedSum { layer, head }, "the sum times about one over it", softmax),
            (BertSite::Reciprocal { layer, head, class }, "one over the attention sum", softmax),
        ] {
            self.site(site, named(what), operation);
        }
        let (half, one) = (Smooth::Exponential { over: 2.0 }, Smooth::Reciprocal);
        let score = named("the attention scores, shifted");
        self.function(BertFunction::Exponential { layer, head }, score.clone(), softmax, half);
        self.function(BertFunction::Identity { layer, head }, score.clone(), softmax, Smooth::Identity);
        self.function(BertFunction::RoughExponential { layer, head }, score, softmax, half);
        for class in 0..TOKEN_CLASSES {
            let name = named("a rough attention sum");
            self.function(BertFunction::Rough { layer, head, class }, name, softmax, one);
        }
        self.function(
            BertFunction::Reciprocal { layer, head, class },
            named("one over the attention sum"),
            softmax,
            one,
        );
        self.defect(BertSite::ReciprocalDefect { layer, head }, named("defect of one over the attention sum"), softmax);
        self.defect(BertSite::ExponentialDefect { layer, head }, named("defect of the exponentials"), softmax);
    }

    fn head(&mut self) {
        let (d, labels, layers) = (self.shape.width, self.shape.labels, self.shape.layers);
        let last = self.of_site(BertSite::Normal { norm: 2 * layers });
        let pooled = self.site(BertSite::Pooled, "the pooler's output", Operation::Others);
        match self.shape.pooler {
            Pooler::Tanh => {
                self.function(BertFunction::Tanh, "the pooler's tanh", Operation::Others, Smooth::Tanh);
            }
            Pooler::Relu => {
                self.site(BertSite::PoolerInput, "the pooler's input", Operation::Others);
                self.comparison(BertComparison::Pooler, "the pooler's ReLU", Operation::Others);
            }
        }
        self.weight(BertWeight::Pooler, "pooler".into(), (d, d), Read::Product, last);
        self.weight(BertWeight::Classifier, "classifier".into(), (d, labels), Read::Product, pooled);
    }

    /// A LayerNorm; gives the site of its output.
    fn norm(&mut self, norm: usize) -> Site {
        let (width, epsilon) = (self.shape.width as f64, self.shape.eps);
        let named = |what: &str| format!("{}: {what}", norm_name(norm));
        if self.shape.is_linear(norm) {
            return self.site(BertSite::Normal { norm }, named("output"), Operation::LayerNorm);
        }
        self.site(BertSite::NormInput { norm }, named("input"), Operation::LayerNorm);
        self.site(BertSite::InverseDeviation { norm }, named("one over the deviation"), Operation::LayerNorm);
        let normal = self.site(BertSite::Normal { norm }, named("output"), Operation::LayerNorm);
        self.defect(BertSite::NormDefect { norm }, named("defect"), Operation::LayerNorm);
        let root = Smooth::InverseRoot { width, epsilon };
        let function = BertFunction::InverseRoot { norm };
        self.function(function, named("one over the deviation"), Operation::LayerNorm, root);
        normal
    }

    fn residual(&mut self, norm: usize, input: Site) {
        let dims = (2, self.shape.width);
        let name = format!("norm.{norm}.residual");
        self.weight(BertWeight::Residual(norm), name, dims, Read::Columns { centred: true }, input);
    }

    fn weight(&mut self, weight: BertWeight, name: String, (rows, cols): (usize, usize), read: Read, input: Site) {
        let (bias, stream) = (read == Read::Product, stream(weight));
        self.table.parameter(Parameter { name, rows, cols, bias, read, input, stream });
        self.of.0.push(weight);
    }

    fn site(&mut self, site: BertSite, name: impl Into<Arc<str>>, operation: Operation) -> Site {
        self.of.1.push(site);
        self.table.site(name, operation)
    }

    fn defect(&mut self, site: BertSite, name: impl Into<Arc<str>>, operation: Operation) {
        self.of.1.push(site);
        self.table.defect(name, operation);
    }

    fn function(&mut self, function: BertFunction, name: impl Into<Arc<str>>, operation: Operation, smooth: Smooth) {
        self.of.2.push(function);
        self.table.function(name, operation, smooth);
    }

    fn comparison(&mut self, comparison: BertComparison, name: impl Into<Arc<str>>, operation: Operation) {
        self.of.3.push(comparison);
        self.table.comparison(name, operation);
    }

    /// The number of a site that was declared.
    fn of_site(&self, site: BertSite) -> Site {
        let declared = self.of.1.iter().zip(self.table.sites()).find(|(of, _)| **of == site);
        let Some((_, number)) = declared else { panic!("{site:?} is declared before what reads it") };
        number
    }
}

/// The streams of a weight: its kind and its layer each have bits of their own, above those of a weight's parts.
fn stream(weight: BertWeight) -> u64 {
    let (kind, number) = match weight {
        BertWeight::Embedding => (0, 0),
        BertWeight::Position => (1, 0),
        BertWeight::Query(l) => (2, l),
        BertWeight::Key(l) => (3, l),
        BertWeight::Value(l) => (4, l),
        BertWeight::AttentionOutput(l) => (5, l),
        BertWeight::Residual(n) => (6, n),
        BertWeight::Up(l) => (7, l),
        BertWeight::Down(l) => (8, l),
        BertWeight::Pooler => (9, 0),
        BertWeight::Classifier => (10, 0),
        BertWeight::Shift(l) => (11, l),
        BertWeight::RelativeBias(l) => (12, l),
    };
    (number as u64) << 16 | kind << 8
}
