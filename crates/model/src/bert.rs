//! BERT for classification, with 2Quad attention, written once.
//!
//! Fifteen openings a layer: query, key, value / scores / squares and their sums / mixed values and reciprocals / attention /
//! (centred sum, its square sum, inverse deviation, normal) / GeLU in / GeLU out / the same four again. The network is the
//! folded one ([`crate::fold()`]): LayerNorm's scale and shift live in the weights of its readers, the residual stream is centred.

use crate::certificate::{Checks, Classified};
use crate::engine::{Block, Engine, Function, Rhs, Site, Weight};
use crate::shape::{Shape, Texts};

/// What the client shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// One row a token: a one in the column of the word, a one in the column of the segment. The table stays private.
    OneHot,
    /// One row a token: the embedding after its LayerNorm, before scale and shift. The client has the table.
    Embedded,
}

/// Logits of a batch, one row a text, and the certificate of each text, from the client's shared input of that kind.
pub fn classify<E: Engine>(
    engine: &mut E,
    shape: &Shape,
    texts: &Texts,
    kind: InputKind,
    input: &E::Share,
) -> Result<Classified<E::Share>, E::Error> {
    let mut checks = Checks::new(texts);
    let checked = &mut checks;
    let mut x = match kind {
        InputKind::OneHot => embed(engine, checked, texts, input)?,
        InputKind::Embedded => open(engine, checked, input, Site::Normal { norm: 0 })?,
    };
    for layer in 0..shape.layers {
        x = encode(engine, checked, shape, texts, layer, &x)?;
    }
    if !engine.skips_unread_rows() {
        x = first_rows(engine, shape, texts, &x);
    }
    let pooled = engine.linear(&x, Weight::Pooler)?;
    let pooled = apply(engine, checked, &pooled, Function::Tanh)?;
    let pooled = open(engine, checked, &pooled, Site::Pooled)?;
    let logits = engine.linear(&pooled, Weight::Classifier)?;
    Ok(Classified { logits, certificates: checks.certificates(engine)? })
}

fn embed<E: Engine>(
    engine: &mut E,
    checks: &mut Checks<E>,
    texts: &Texts,
    input: &E::Share,
) -> Result<E::Wire, E::Error> {
    let one_hot = open(engine, checks, input, Site::OneHot)?;
    let sum = engine.linear(&one_hot, Weight::Embedding)?;
    drop(one_hot);
    let sum = engine.add_rows(sum, Weight::Position, &texts.positions())?;
    normalise(engine, checks, &sum, 0, texts.lengths().to_vec())
}

/// One encoder layer. The last one computes the first row of each text only, because nothing reads the others, unless the
/// engine runs the network as it was published.
fn encode<E: Engine>(
    engine: &mut E,
    checks: &mut Checks<E>,
    shape: &Shape,
    texts: &Texts,
    layer: usize,
    x: &E::Wire,
) -> Result<E::Wire, E::Error> {
    let last = layer + 1 == shape.layers && engine.skips_unread_rows();
    let firsts;
    let asking = if last {
        firsts = first_rows(engine, shape, texts, x);
        &firsts
    } else {
        x
    };
    let rows = || if last { vec![1; texts.len()] } else { texts.lengths().to_vec() };
    let attention = attend(engine, checks, shape, texts, layer, x, asking)?;
    let output = engine.linear(&attention, Weight::AttentionOutput(layer))?;
    let carried = engine.residual(asking, Weight::Residual(2 * layer))?;
    let sum = engine.add(output, carried)?;
    let x = normalise(engine, checks, &sum, 2 * layer + 1, rows())?;

    let up = engine.linear(&x, Weight::Up(layer))?;
    let curved = apply(engine, checks, &up, Function::Gelu { layer })?;
    let straight = engine.half(up);
    let activation = engine.add(curved, straight)?;
    let activation = open(engine, checks, &activation, Site::Activation { layer })?;
    let down = engine.linear(&activation, Weight::Down(layer))?;
    let carried = engine.residual(&x, Weight::Residual(2 * layer + 1))?;
    let sum = engine.add(down, carried)?;
    normalise(engine, checks, &sum, 2 * layer + 2, rows())
}

/// The first row of each text, the one that the classifier reads.
fn first_rows<E: Engine>(engine: &mut E, shape: &Shape, texts: &Texts, x: &E::Wire) -> E::Wire {
    let first = |b: Block| vec![engine.block(x, Block { cols: shape.width, ..b })];
    let rows: Vec<_> = texts.blocks(true).map(first).collect();
    engine.assemble(&rows)
}

/// Attention of all heads and texts: query, key and value in one round, scores in another, then [`Engine::attention`].
fn attend<E: Engine>(
    engine: &mut E,
    checks: &mut Checks<E>,
    shape: &Shape,
    texts: &Texts,
    layer: usize,
    x: &E::Wire,
    asking: &E::Wire,
) -> Result<E::Wire, E::Error> {
    let last = layer + 1 == shape.layers && engine.skips_unread_rows();
    let query = engine.linear(asking, Weight::Query(layer))?;
    let key = engine.linear(x, Weight::Key(layer))?;
    let value = engine.linear(x, Weight::Value(layer))?;
    let sites = [Site::Query { layer }, Site::Key { layer }, Site::Value { layer }];
    let asked = [(&query, sites[0]), (&key, sites[1]), (&value, sites[2])];
    let (opened, _) = checks.open(engine, &asked, &[])?;
    let [query, key, value] = three(opened);

    let head = |rows: (usize, usize), h: usize| Block {
        row: rows.0,
        rows: rows.1,
        col: h * shape.head_size(),
        cols: shape.head_size(),
    };
    let mut pairs = Vec::new();
    let mut values = Vec::new();
    let mut heads = Vec::new();
    let mut asked = 0;
    for (number, text) in texts.blocks(false).enumerate() {
        let asks = if last { 1 } else { text.rows };
        for h in 0..shape.heads {
            let of_query = engine.block(&query, head((asked, asks), h));
            let of_key = engine.block(&key, head((text.row, text.rows), h));
            pairs.push((of_query, of_key));
            values.push(engine.block(&value, head((text.row, text.rows), h)));
            let shift = shape.shifts[layer][h];
            heads.push(Head { layer, head: h, text: number, tokens: text.rows, shift });
        }
        asked += asks;
    }
    drop((query, key, value));

    let scores = engine.matmul(&pairs, Rhs::Transposed)?;
    drop(pairs);
    let (scores, _) = checks.open(engine, &with(&scores, |_| Site::Scores { layer }), &[])?;
    let mut mixed = engine.attention(scores, values, &heads, checks)?.into_iter();
    let grid: Vec<Vec<_>> = (0..texts.len()).map(|_| mixed.by_ref().take(shape.heads).collect()).collect();
    Ok(engine.assemble(&grid))
}

/// One head on one text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// Layer.
    pub layer: usize,
    /// Head.
    pub head: usize,
    /// Number of the text in the batch.
    pub text: usize,
    /// Tokens of the text.
    pub tokens: usize,
    /// `c` of 2Quad.
    pub shift: f32,
}

impl Head {
    fn squares(&self) -> Site {
        Site::Squares { layer: self.layer, head: self.head, tokens: self.tokens }
    }
    fn mixed(&self) -> Site {
        Site::Mixed { layer: self.layer, head: self.head, tokens: self.tokens }
    }
    fn reciprocal_out(&self) -> Site {
        Site::Reciprocal { layer: self.layer, head: self.head, tokens: self.tokens }
    }
    /// One over the sum of a row of squares.
    pub fn reciprocal(&self) -> Function {
        Function::Reciprocal { layer: self.layer, head: self.head, tokens: self.tokens }
    }
}

/// 2Quad attention of opened scores in four rounds; normalised after the mixing, so that the square matrices are opened twice
/// and not three times.
pub fn two_quad<E: Engine>(
    engine: &mut E,
    scores: Vec<E::Wire>,
    values: Vec<E::Wire>,
    heads: &[Head],
    checks: &mut Checks<E>,
) -> Result<Vec<E::Wire>, E::Error> {
    let shifted: Vec<_> = scores.into_iter().zip(heads).map(|(s, head)| engine.offset(s, head.shift)).collect();
    let squares = engine.square(&shifted)?;
    drop(shifted);
    let sums: Vec<_> = squares.iter().map(|s| engine.row_sums(s)).collect();
    let (squares, sums) =
        checks.open(engine, &with(&squares, |i| heads[i].squares()), &with(&sums, |i| heads[i].reciprocal()))?;
    // what the reciprocals are held to: the sums of the squares that the values are weighed with
    let weights: Vec<_> = squares.iter().filter_map(|s| engine.opened_row_sums(s)).collect();

    let pairs: Vec<_> = squares.into_iter().zip(values).collect();
    let mixed = engine.matmul(&pairs, Rhs::AsIs)?;
    drop(pairs);
    let sums: Vec<_> = sums.into_iter().zip(heads).map(|(s, head)| (s, head.reciprocal())).collect();
    let reciprocals = engine.evaluate(&sums)?;
    let mut asked = with(&mixed, |i| heads[i].mixed());
    asked.extend(with(&reciprocals, |i| heads[i].reciprocal_out()));
    let (mut mixed, _) = checks.open(engine, &asked, &[])?;
    let reciprocals = mixed.split_off(heads.len());
    let held: Vec<_> = weights.iter().zip(&reciprocals).collect();
    checks.reciprocals(engine, &held, heads.iter().map(|head| (head.reciprocal(), head.text)))?;

    let pairs: Vec<_> = mixed.iter().zip(&reciprocals).collect();
    let weighed = engine.scale_rows(&pairs)?;
    Ok(checks.open(engine, &with(&weighed, |i| Site::Attention { layer: heads[i].layer }), &[])?.0)
}

/// LayerNorm without its scale and shift, of a centred input with so many rows of each text: four rounds.
fn normalise<E: Engine>(
    engine: &mut E,
    checks: &mut Checks<E>,
    x: &E::Share,
    norm: usize,
    rows: Vec<usize>,
) -> Result<E::Wire, E::Error> {
    let x = open(engine, checks, x, Site::NormInput { norm })?;
    let sum = engine.square_sum(&x)?;
    let inverse = apply(engine, checks, &sum, Function::InverseRoot { norm })?;
    let inverse = open(engine, checks, &inverse, Site::InverseDeviation { norm })?;
    let normal = engine.scale_rows(&[(&x, &inverse)])?;
    let normal = open(engine, checks, &normal[0], Site::Normal { norm })?;
    checks.norm(engine, (&normal, &inverse), norm, rows)?;
    Ok(normal)
}

/// A smooth function of a share: one round to open the phase.
fn apply<E: Engine>(
    engine: &mut E,
    checks: &mut Checks<E>,
    x: &E::Share,
    function: Function,
) -> Result<E::Share, E::Error> {
    let (_, phases) = checks.open(engine, &[], &[(x, function)])?;
    let asked: Vec<_> = phases.into_iter().map(|p| (p, function)).collect();
    Ok(one(engine.evaluate(&asked)?))
}

fn open<E: Engine>(engine: &mut E, checks: &mut Checks<E>, x: &E::Share, site: Site) -> Result<E::Wire, E::Error> {
    Ok(one(checks.open(engine, &[(x, site)], &[])?.0))
}

fn with<T, S>(values: &[T], site: impl Fn(usize) -> S) -> Vec<(&T, S)> {
    values.iter().enumerate().map(|(i, v)| (v, site(i))).collect()
}

fn one<T>(mut values: Vec<T>) -> T {
    assert_eq!(values.len(), 1, "an engine answers as many values as it was asked");
    values.remove(0)
}

fn three<T>(values: Vec<T>) -> [T; 3] {
    values.try_into().unwrap_or_else(|v: Vec<T>| panic!("an engine answered {} values to 3 questions", v.len()))
}
