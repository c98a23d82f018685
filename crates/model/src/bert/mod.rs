//! BERT for classification: what it declares, and how it runs, with each of the functions that a student may have.
//!
//! Fifteen openings a layer: query, key, value / scores / squares and their sums / mixed values and reciprocals / attention /
//! (centred sum, its square sum, inverse deviation, normal) / GeLU in / GeLU out / the same four again. That is with 2Quad and GeLU;
//! ReLU and 2ReLU open bits too, and a LayerNorm that only subtracts the mean is open once. The network is the folded one
//! ([`crate::fold()`]): LayerNorm's scale and shift live in the weights of its readers, the residual stream is centred.

mod attention;
mod clear;
mod declared;
mod feed_forward;
mod float;
mod positions;

use std::rc::Rc;
use std::sync::Arc;

pub use clear::{ClearError, clear_certified, clear_logits, clear_trace};
pub(crate) use declared::norm_name;
pub use declared::{BertComparison, BertFunction, BertSite, BertWeight};
pub use positions::RELATIVE_BUCKETS;

use declared::Declared;

use crate::checks::Checks;
use crate::engine::{Block, Engine, Norm};
use crate::network::{Input, Network, Output};
use crate::norm::{normalise, open};
use crate::operation::Operation;
use crate::shape::{Shape, Texts};
use crate::table::{Comparison, Function, Parameter, Site, Table, Weight};

/// What the client shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// One row a token: a one in the column of the word, a one in the column of the segment. The table stays private.
    OneHot,
    /// One row a token: the embedding after its LayerNorm, before scale and shift. The client has the table.
    Embedded,
}

/// A BERT of one shape, whose clients share one kind of input.
#[derive(Clone, Debug)]
pub struct Bert {
    /// Its shape.
    pub shape: Shape,
    /// What its clients share.
    pub kind: InputKind,
    declared: Arc<Declared>,
}

impl Bert {
    /// The most encoder layers.
    pub const MOST_LAYERS: usize = 24;
    /// The most positions, which is the longest text.
    pub const MOST_POSITIONS: usize = 512;
    /// The largest width.
    pub const MOST_WIDTH: usize = 8192;
    /// The largest width of the feed-forward part.
    pub const MOST_INNER: usize = 32_768;
    /// The most words.
    pub const MOST_WORDS: usize = 1 << 20;
    /// The most segments.
    pub const MOST_SEGMENTS: usize = 16;
    /// The most heads of a layer: each is declared by itself.
    pub const MOST_HEADS: usize = 256;
    /// The most classes.
    pub const MOST_LABELS: usize = 1 << 12;

    /// A BERT of this shape.
    pub fn new(shape: Shape, kind: InputKind) -> Bert {
        let declared = Arc::new(Declared::of(&shape));
        Bert { shape, kind, declared }
    }

    /// The number of a weight.
    pub fn weight(&self, weight: BertWeight) -> Weight {
        self.declared.weights[&weight]
    }

    /// The number of a site.
    pub fn site(&self, site: BertSite) -> Site {
        self.declared.sites[&site]
    }

    /// The number of a function.
    pub fn function(&self, function: BertFunction) -> Function {
        self.declared.functions[&function]
    }

    /// The number of a comparison.
    pub fn comparison(&self, comparison: BertComparison) -> Comparison {
        self.declared.comparisons[&comparison]
    }

    /// Which weight a number stands for.
    pub fn weight_of(&self, weight: Weight) -> BertWeight {
        self.declared.of_weight[weight.index()]
    }

    /// Which site a number stands for.
    pub fn site_of(&self, site: Site) -> BertSite {
        self.declared.of_site[site.index()]
    }

    /// Which function a number stands for.
    pub fn function_of(&self, function: Function) -> BertFunction {
        self.declared.of_function[function.index()]
    }

    /// Which comparison a number stands for.
    pub fn comparison_of(&self, comparison: Comparison) -> BertComparison {
        self.declared.of_comparison[comparison.index()]
    }

    /// The weights that the parties hold, in the order of their declaration: all of them, or all but the tables of a client that
    /// embeds.
    pub fn weights_of_parties(&self) -> impl Iterator<Item = (Weight, &Parameter)> {
        let held = |weight: &BertWeight| match weight {
            BertWeight::Embedding | BertWeight::Position => self.kind == InputKind::OneHot,
            _ => true,
        };
        self.declared.table.parameters().filter(move |(weight, _)| held(&self.weight_of(*weight)))
    }

    /// The part of the network that a layer is: after the embedding (0) and before the head.
    fn part(layer: usize) -> usize {
        1 + layer
    }

    fn norm(&self, norm: usize) -> Norm {
        Norm {
            input: self.site(BertSite::NormInput { norm }),
            inverse_root: self.function(BertFunction::InverseRoot { norm }),
            inverse_deviation: self.site(BertSite::InverseDeviation { norm }),
            normal: self.site(BertSite::Normal { norm }),
            defect: self.site(BertSite::NormDefect { norm }),
        }
    }
}

impl Network for Bert {
    type Batch = Texts;
    type State<E: Engine> = ();

    fn table(&self) -> &Arc<Table> {
        &self.declared.table
    }

    fn input(&self, texts: &Texts) -> Input {
        let (cols, site) = match self.kind {
            InputKind::OneHot => (self.shape.one_hot(), BertSite::OneHot),
            // and a column that counts the tokens of each row: one, or none
            InputKind::Embedded => (self.shape.width + usize::from(texts.is_padded()), BertSite::Normal { norm: 0 }),
        };
        Input { rows: texts.rows(), cols, site: self.site(site) }
    }

    fn begin<E: Engine>(&self) {}

    /// Logits of a batch, one row a text.
    fn run<E: Engine>(
        &self,
        engine: &mut E,
        texts: &Texts,
        _: &mut (),
        input: &E::Share,
    ) -> Result<Output<E::Share>, E::Error> {
        engine.begin(0, Operation::Others)?;
        let mut checks = Checks::new(texts.len());
        let mut run = Pass { bert: self, engine, checks: &mut checks, texts, gates: None };
        let mut x = match self.kind {
            InputKind::OneHot => run.embed(input)?,
            InputKind::Embedded => run.embedded(input)?,
        };
        for layer in 0..self.shape.layers {
            x = run.encode(layer, &x)?;
        }
        let logits = run.classify(x)?;
        Ok(Output { results: logits, certificates: checks.certificates(engine)? })
    }
}

/// One run over a batch.
struct Pass<'r, E: Engine> {
    bert: &'r Bert,
    engine: &'r mut E,
    checks: &'r mut Checks<E>,
    texts: &'r Texts,
    /// Where texts are padded, which rows are tokens.
    gates: Option<Rc<Tokens<E>>>,
}

/// Ones in the rows of tokens, zeros in those of padding.
struct Tokens<E: Engine> {
    /// Of all rows.
    all: E::Wire,
    /// Of the rows of each text.
    of_text: Vec<E::Wire>,
    /// The same as shares, where attention is softmax.
    shared: Vec<E::Share>,
}

impl<E: Engine> Pass<'_, E> {
    fn embed(&mut self, input: &E::Share) -> Result<E::Wire, E::Error> {
        let one_hot = self.open(input, BertSite::OneHot)?;
        // a token has one segment, padding has none
        self.read_gates(&one_hot, (self.bert.shape.words, self.bert.shape.segments))?;
        let sum = self.linear(&one_hot, BertWeight::Embedding)?;
        drop(one_hot);
        let position = self.bert.weight(BertWeight::Position);
        let sum = self.engine.add_rows(sum, position, &self.texts.positions())?;
        let gates = self.gates.clone();
        let gate = gates.as_deref().map(|tokens| &tokens.all);
        self.normalise(0, &sum, 0, (self.texts.lengths().to_vec(), gate))
    }

    /// Rows that the client embedded.
    fn embedded(&mut self, input: &E::Share) -> Result<E::Wire, E::Error> {
        let rows = self.open(input, BertSite::Normal { norm: 0 })?;
        if !self.texts.is_padded() {
            return Ok(rows);
        }
        let cols = self.bert.shape.width;
        self.read_gates(&rows, (cols, 1))?;
        Ok(self.engine.block(&rows, Block { row: 0, rows: self.texts.rows(), col: 0, cols }))
    }

    /// Takes the gates out of the columns of the input that count tokens.
    fn read_gates(&mut self, input: &E::Wire, (col, cols): (usize, usize)) -> Result<(), E::Error> {
        if self.texts.is_padded() {
            let columns = self.engine.block(input, Block { row: 0, rows: self.texts.rows(), col, cols });
            let all = self.engine.gate(columns);
            let blocks = self.texts.blocks(false);
            let of_text: Vec<_> = blocks.map(|text| self.engine.block(&all, Block { cols: 1, ..text })).collect();
            let of_softmax = if self.is_softmax() { of_text.as_slice() } else { &[] };
            let shared = of_softmax.iter().map(|gate| self.engine.shared(gate)).collect::<Result<_, _>>()?;
            self.gates = Some(Rc::new(Tokens { all, of_text, shared }));
        }
        Ok(())
    }

    /// One encoder layer. The last one computes the first row of each text only, because nothing reads the others, unless the
    /// engine runs the network as it was published.
    fn encode(&mut self, layer: usize, x: &E::Wire) -> Result<E::Wire, E::Error> {
        let part = Bert::part(layer);
        let last = self.reads_first_rows_only(layer);
        let firsts;
        let asking = if last {
            firsts = self.first_rows(x);
            &firsts
        } else {
            x
        };
        let rows = if last { vec![1; self.texts.len()] } else { self.texts.lengths().to_vec() };
        // the first row of a text is a token
        let gates = self.gates.clone().filter(|_| !last);
        let gate = gates.as_deref().map(|tokens| &tokens.all);
        let attention = self.attend(layer, x, asking)?;
        self.engine.begin(part, Operation::Others)?;
        // a LayerNorm that does not divide leaves rows of padding as they come: biases must not reach them
        let linear = gate.filter(|_| self.bert.shape.is_linear(2 * layer + 1));
        let output = self.gated_by(&attention, BertWeight::AttentionOutput(layer), linear)?;
        let carried = self.residual(asking, 2 * layer)?;
        let sum = self.engine.add(output, carried)?;
        let x = self.normalise(part, &sum, 2 * layer + 1, (rows.clone(), gate))?;

        let down = self.feed_forward(layer, &x, linear)?;
        let carried = self.residual(&x, 2 * layer + 1)?;
        let sum = self.engine.add(down, carried)?;
        self.normalise(part, &sum, 2 * layer + 2, (rows, gate))
    }

    /// The pooler and the classifier over the first row of each text.
    fn classify(&mut self, mut x: E::Wire) -> Result<E::Share, E::Error> {
        if !self.engine.skips_unread_rows() {
            x = self.first_rows(&x);
        }
        self.engine.begin(Bert::part(self.bert.shape.layers), Operation::Others)?;
        let pooled = self.pooled(&x)?;
        self.linear(&pooled, BertWeight::Classifier)
    }

    fn reads_first_rows_only(&self, layer: usize) -> bool {
        layer + 1 == self.bert.shape.layers && self.engine.skips_unread_rows()
    }

    /// The first row of each text, the one that the classifier reads.
    fn first_rows(&mut self, x: &E::Wire) -> E::Wire {
        let cols = self.bert.shape.width;
        let rows: Vec<_> = self.texts.blocks(true).map(|b| vec![self.engine.block(x, Block { cols, ..b })]).collect();
        self.engine.assemble(&rows)
    }

    fn linear(&mut self, x: &E::Wire, weight: BertWeight) -> Result<E::Share, E::Error> {
        self.engine.linear(x, self.bert.weight(weight))
    }

    /// A product whose bias only reaches the rows that a gate lets through, where there is one.
    fn gated_by(&mut self, x: &E::Wire, weight: BertWeight, gate: Option<&E::Wire>) -> Result<E::Share, E::Error> {
        match gate {
            None => self.linear(x, weight),
            Some(gate) => self.engine.gated_linear(x, self.bert.weight(weight), gate),
        }
    }

    fn residual(&mut self, x: &E::Wire, norm: usize) -> Result<E::Share, E::Error> {
        self.engine.residual(x, self.bert.weight(BertWeight::Residual(norm)))
    }

    fn normalise(
        &mut self,
        part: usize,
        x: &E::Share,
        norm: usize,
        rows: (Vec<usize>, Option<&E::Wire>),
    ) -> Result<E::Wire, E::Error> {
        if self.bert.shape.is_linear(norm) {
            self.engine.begin(part, Operation::LayerNorm)?;
            return self.open(x, BertSite::Normal { norm });
        }
        normalise(self.engine, self.checks, part, x, &self.bert.norm(norm), rows)
    }

    fn open(&mut self, x: &E::Share, site: BertSite) -> Result<E::Wire, E::Error> {
        open(self.engine, self.checks, x, self.bert.site(site))
    }
}
