//! Attention of a layer: what a BERT declares of its heads, and all heads and texts side by side.

use super::{Bert, BertComparison, BertFunction, BertSite, BertWeight, Pass, Tokens};
use crate::attention::{Gates, attend};
use crate::config::{AttentionKind, TWO_RELU_EPSILON};
use crate::engine::{Block, Engine, FEATURES, Head, HeadPadding, Rhs, SoftmaxHead};
use crate::operation::Operation;
use crate::relu_attention::{ReluHead, attend_relu};
use crate::shape::{Texts, token_class};
use crate::softmax::{SoftmaxGates, softmax};

impl Bert {
    fn head(&self, layer: usize, head: usize, text: usize, (rows, class): (usize, usize)) -> Head {
        // what softmax opens does not depend on the class
        let class = if self.shape.attention == AttentionKind::Softmax { 0 } else { class };
        Head {
            text,
            tokens: rows,
            shift: self.shape.shifts[layer][head],
            squares: self.site(BertSite::Squares { layer, head, class }),
            reciprocal: self.function(BertFunction::Reciprocal { layer, head, class }),
            reciprocal_out: self.site(BertSite::Reciprocal { layer, head, class }),
            mixed: self.site(BertSite::Mixed { layer, head, class }),
            attention: self.site(BertSite::Attention { layer }),
            weighted: self.site(BertSite::Weighted { layer }),
            defect: self.site(BertSite::ReciprocalDefect { layer, head }),
        }
    }

    /// The same heads of texts with what 2ReLU opens beyond 2Quad.
    fn relu_heads(&self, layer: usize, heads: &[Head], texts: &Texts) -> Vec<ReluHead> {
        let of = |(number, head): (usize, &Head)| {
            let (class, number) = (texts.class(head.tokens, &self.shape), number % self.shape.heads);
            ReluHead {
                head: *head,
                epsilon: TWO_RELU_EPSILON,
                power: self.site(BertSite::Power { layer }),
                raised: self.site(BertSite::Raised { layer, head: number, class }),
                raised_sum: self.site(BertSite::RaisedSum { layer, head: number, class }),
            }
        };
        heads.iter().enumerate().map(of).collect()
    }

    /// A head of softmax on a text whose rows that attend begin at `first` of all that do.
    fn softmax_head(
        &self,
        (layer, head): (usize, usize),
        (text, rows): (usize, usize),
        (first, asking): (usize, usize),
        padded: bool,
    ) -> SoftmaxHead {
        let class = 0;
        let features = self.shape.row_shifts.get(layer).map_or([0.0; FEATURES], |heads| heads[head]);
        let padded_rows = self.shape.padded_length(rows);
        let of_length = token_class(padded_rows);
        let padding = self.shape.paddings.get(layer).map(|heads| &heads[head]).filter(|_| padded);
        SoftmaxHead {
            text,
            rows,
            padded_rows,
            padding: padding.map(|of| HeadPadding { depth: of.depth, row: of.rows[of_length] }),
            own: (0..asking).collect(),
            predicted: (first, head),
            features,
            exponential: self.function(BertFunction::Exponential { layer, head }),
            identity: self.function(BertFunction::Identity { layer, head }),
            rough_exponential: self.function(BertFunction::RoughExponential { layer, head }),
            rough: self.function(BertFunction::Rough { layer, head, class: of_length }),
            reciprocal: self.function(BertFunction::Reciprocal { layer, head, class }),
            exponential_out: self.site(BertSite::Exponential { layer, head }),
            squares: self.site(BertSite::Squares { layer, head, class }),
            sum: self.site(BertSite::Sum { layer, head }),
            rough_out: self.site(BertSite::Rough { layer, head }),
            mixed: self.site(BertSite::Mixed { layer, head, class }),
            corrected: self.site(BertSite::Corrected { layer, head }),
            corrected_sum: self.site(BertSite::CorrectedSum { layer, head }),
            reciprocal_out: self.site(BertSite::Reciprocal { layer, head, class }),
            attention: self.site(BertSite::Attention { layer }),
            defect: self.site(BertSite::ReciprocalDefect { layer, head }),
            exponential_defect: self.site(BertSite::ExponentialDefect { layer, head }),
        }
    }
}

impl<E: Engine> Pass<'_, E> {
    /// Whether attention is softmax on scores that are not opened.
    pub(super) fn is_softmax(&self) -> bool {
        self.bert.shape.attention == AttentionKind::Softmax && !self.engine.mixes_weights()
    }

    /// The same, without the bias in rows of padding, so that they are zero.
    fn gated(&mut self, x: &E::Wire, weight: BertWeight, tokens: Option<&Tokens<E>>) -> Result<E::Share, E::Error> {
        self.gated_by(x, weight, tokens.map(|tokens| &tokens.all))
    }

    /// Attention of all heads and texts: query, key and value in one round, scores in another, then what [`attend`] does.
    pub(super) fn attend(&mut self, layer: usize, x: &E::Wire, asking: &E::Wire) -> Result<E::Wire, E::Error> {
        let (bert, texts, part) = (self.bert, self.texts, Bert::part(layer));
        self.engine.begin(part, Operation::Others)?;
        let (last, of_softmax, tokens) = (self.reads_first_rows_only(layer), self.is_softmax(), self.gates.clone());
        let tokens = tokens.as_deref();
        let gated = tokens.filter(|_| of_softmax);
        // the first row of a text is a token
        let attending = gated.filter(|_| !last);
        let query = self.gated(asking, BertWeight::Query(layer), attending)?;
        let key = self.gated(x, BertWeight::Key(layer), tokens)?;
        let value = self.gated(x, BertWeight::Value(layer), gated)?;
        let sites = [BertSite::Query { layer }, BertSite::Key { layer }, BertSite::Value { layer }];
        let sites = sites.map(|site| bert.site(site));
        let asked = [(&query, sites[0]), (&key, sites[1]), (&value, sites[2])];
        let (opened, _) = self.checks.open(self.engine, &asked, &[])?;
        let [query, key, value] = three(opened);

        let size = bert.shape.head_size();
        let head = |rows: (usize, usize), h: usize| Block { row: rows.0, rows: rows.1, col: h * size, cols: size };
        // what of the rows' shifts is predicted is a share, and never opened
        let predicted = of_softmax.then(|| self.gated(asking, BertWeight::Shift(layer), attending)).transpose()?;
        let (mut pairs, mut values, mut heads, mut asked) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut softmax_heads = Vec::new();
        for (number, text) in texts.blocks(false).enumerate() {
            let asks = if last { 1 } else { text.rows };
            let length = (text.rows, texts.class(text.rows, &bert.shape));
            for h in 0..bert.shape.heads {
                let of_query = self.engine.block(&query, head((asked, asks), h));
                let of_key = self.engine.block(&key, head((text.row, text.rows), h));
                pairs.push((of_query, of_key));
                values.push(self.engine.block(&value, head((text.row, text.rows), h)));
                heads.push(bert.head(layer, h, number, length));
                if of_softmax {
                    let (text, padded) = ((number, text.rows), tokens.is_some());
                    softmax_heads.push(bert.softmax_head((layer, h), text, (asked, asks), padded));
                }
            }
            asked += asks;
        }
        drop((query, key, value));

        let scores = self.engine.matmul(&pairs, Rhs::Transposed)?;
        drop(pairs);
        let scores = self.with_positions(layer, scores)?;
        if let Some(predicted) = predicted {
            let gates = tokens.map(|Tokens { of_text, shared, .. }| SoftmaxGates {
                attended: shared,
                attending: (!last).then_some(of_text.as_slice()),
            });
            let values = (scores, &predicted, values);
            let mixed = softmax(self.engine, part, values, (&softmax_heads, gates), self.checks)?;
            return Ok(self.assembled(mixed));
        }
        let site = bert.site(BertSite::Scores { layer });
        let asked: Vec<_> = scores.iter().map(|s| (s, site)).collect();
        let (scores, _) = self.checks.open(self.engine, &asked, &[])?;
        let gates = tokens.map(|Tokens { of_text, .. }| Gates {
            attended: of_text,
            attending: (!last).then_some(of_text.as_slice()),
        });
        let mixed = self.of_opened(layer, (scores, values), &heads, gates)?;
        Ok(self.assembled(mixed))
    }

    /// Attention of scores that are opened: 2ReLU, or 2Quad and what engines have published.
    fn of_opened(
        &mut self,
        layer: usize,
        values: (Vec<E::Wire>, Vec<E::Wire>),
        heads: &[Head],
        gates: Option<Gates<'_, E::Wire>>,
    ) -> Result<Vec<E::Wire>, E::Error> {
        let (bert, part) = (self.bert, Bert::part(layer));
        if bert.shape.attention != AttentionKind::TwoRelu {
            return attend(self.engine, part, values, (heads, gates), self.checks);
        }
        let compared = [BertComparison::Scores { layer }, BertComparison::Sums { layer }];
        let compared = compared.map(|compared| bert.comparison(compared));
        let heads = bert.relu_heads(layer, heads, self.texts);
        attend_relu(self.engine, part, values, compared, (&heads, gates), self.checks)
    }

    /// The heads of each text side by side.
    fn assembled(&mut self, mixed: Vec<E::Wire>) -> E::Wire {
        let mut mixed = mixed.into_iter();
        let (texts, heads) = (self.texts.len(), self.bert.shape.heads);
        let grid: Vec<Vec<_>> = (0..texts).map(|_| mixed.by_ref().take(heads).collect()).collect();
        self.engine.assemble(&grid)
    }
}

fn three<T>(values: Vec<T>) -> [T; 3] {
    values.try_into().unwrap_or_else(|v: Vec<T>| panic!("an engine answered {} values to 3 questions", v.len()))
}
