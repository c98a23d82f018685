//! The network over shares: [`model::classify`] interpreted by protocols, at the fixed scale of [`FRAC`] bits.

use std::sync::Arc;

use model::secformer::{PUBLISHED, REFITTED, ROOT_STEPS};
use model::{
    Block, Checks, Engine, Form, Function, Functions, Head, InputKind, Opened, Operation, Rhs, Site, Spec, SpecError,
    Texts, Value, Weight, token_class, two_quad,
};
use ring64::Dims;

use super::network::NetworkRing;
use super::options::{FRAC, Options, Sines};
use crate::protocol::arithmetic::add_shifted;
use crate::protocol::divide::Reciprocal;
use crate::protocol::fixed::{FixedPoint, Tensor, over_power_of_two};
use crate::protocol::ring::Wave;
use crate::protocol::root::Root;
use crate::protocol::{gelu, root, softmax};

/// A network's interpreter.
struct Beaver<'s, 'r, R> {
    spec: &'s Spec,
    options: Options,
    fixed: FixedPoint<'r, R>,
}

/// Classifies a batch over a ring; gives the logits and their fractional bits.
pub(super) fn classify_on<R: NetworkRing>(
    ring: &mut R,
    spec: &Arc<Spec>,
    texts: &Texts,
    kind: InputKind,
    options: Options,
    input: R::Share,
) -> Result<(R::Share, i32), R::Error> {
    let fixed = FixedPoint { ring, frac: FRAC, truncation: options.truncation };
    let mut engine = Beaver { spec, options, fixed };
    let input = Value { form: model::input_form(spec, kind, texts), data: input };
    let logits = model::classify(&mut engine, &spec.shape, texts, kind, &input)?.logits;
    Ok((logits.data, logits.form.frac))
}

impl<R: NetworkRing> Beaver<'_, '_, R> {
    fn published(&self) -> bool {
        self.options.functions != Functions::Series
    }

    /// The scale to which a value is truncated before it is read.
    fn frac_of(&self, site: Site) -> i32 {
        match site {
            // zeros and ones need no fraction; the table has the digits
            Site::OneHot => self.spec.opening(site).frac,
            _ if self.published() => FRAC,
            _ => self.spec.opening(site).frac,
        }
    }

    /// A calibrated curve, by Pi_Sin: one demand for each class of columns.
    fn curve(&mut self, x: &Tensor<R>, function: Function) -> Result<Tensor<R>, R::Error> {
        let (curve, by) = self.spec.curve(function);
        let x = self.fixed.at_scale(x, curve.frac - by)?;
        let (mut parts, mut col) = (Vec::new(), 0);
        for segment in &curve.segments {
            let block = Block { row: 0, rows: x.form.rows, col, cols: segment.cols };
            let part = self.fixed.block(&x, block);
            parts.push(self.fixed.sine(&part, &Wave::of(&segment.series))?);
            col += segment.cols;
        }
        Ok(over_power_of_two(self.fixed.assemble(&[parts]), by))
    }

    /// `GeLU(x) - x / 2` as the published functions have it.
    fn gelu(&mut self, x: &Tensor<R>) -> Result<Tensor<R>, R::Error> {
        match (self.options.functions, self.options.sines) {
            (Functions::MpcFormer, _) => gelu::quadratic_gelu(&mut self.fixed, x),
            (Functions::Exact, _) => gelu::taylor_gelu(&mut self.fixed, x, gelu::TAYLOR_BREAKPOINT, gelu::TAYLOR_TERMS),
            (_, Sines::Published) => gelu::sine_gelu(&mut self.fixed, x, &PUBLISHED),
            (_, Sines::Refitted) => gelu::sine_gelu(&mut self.fixed, x, &REFITTED),
        }
    }

    /// The inverse deviation of a LayerNorm's sums of squares.
    fn inverse_root(&mut self, x: &Tensor<R>, norm: usize) -> Result<Tensor<R>, R::Error> {
        let shape = &self.spec.shape;
        let root = Root { width: shape.width, eps: shape.eps, eta: self.spec.root_eta(norm), steps: ROOT_STEPS };
        root::inverse_root(&mut self.fixed, x, &root)
    }

    /// Weights of attention from scores.
    fn weights(&mut self, scores: Vec<Tensor<R>>, heads: &[Head]) -> Result<Vec<Tensor<R>>, R::Error> {
        if self.options.functions == Functions::Exact {
            // exponentials of a row less its maximum are at most one each
            let etas: Vec<_> = heads.iter().map(|h| token_class(h.tokens) as i32).collect();
            let reciprocal = Reciprocal::Newton { steps: softmax::NEWTON_STEPS };
            return softmax::softmax(&mut self.fixed, &scores, &etas, softmax::EXP_SQUARINGS, reciprocal);
        }
        let etas: Vec<_> = heads.iter().map(|h| self.spec.division_eta(h.layer, h.head, h.tokens)).collect();
        let shifts: Vec<_> = heads.iter().map(|h| h.shift).collect();
        let reciprocal = Reciprocal::Goldschmidt { steps: self.options.division_steps };
        softmax::two_quad(&mut self.fixed, scores, &shifts, &etas, reciprocal)
    }
}

impl<R: NetworkRing> Engine for Beaver<'_, '_, R> {
    type Wire = Tensor<R>;
    type Phase = Tensor<R>;
    type Share = Tensor<R>;
    type Error = R::Error;

    fn linear(&mut self, x: &Tensor<R>, weight: Weight) -> Result<Tensor<R>, R::Error> {
        if let Some(part) = weight.begins_part(self.spec.shape.layers) {
            self.fixed.ring.begin_part(part);
        }
        self.fixed.ring.begin_operation(Operation::Others);
        let cols = model::columns_of(self.spec, weight);
        let form = Form { cols, frac: x.form.frac + self.spec.weight_frac(weight), ..x.form };
        let product = self.fixed.ring.linear(&x.data, weight, Dims { m: x.form.rows, k: x.form.cols, n: cols })?;
        let Some(bias) = self.fixed.ring.bias(weight, cols)? else { return Ok(Value { form, data: product }) };
        // the finer of both scales: nothing of a bias is cut off
        let bias_frac = self.spec.bias_frac(weight);
        let frac = form.frac.max(bias_frac);
        if frac - form.frac.min(bias_frac) >= 64 {
            return Err(SpecError::Sum { one: form.frac, other: bias_frac }.into());
        }
        let (i, j) = (frac - form.frac, frac - bias_frac);
        let data = add_shifted(self.fixed.ring, (&product, i as u32), (&bias, j as u32));
        Ok(Value { form: Form { frac, ..form }, data })
    }

    fn add_rows(&mut self, x: Tensor<R>, weight: Weight, rows: &[usize]) -> Result<Tensor<R>, R::Error> {
        let form = Form { frac: self.spec.weight_frac(weight), ..x.form };
        let added = Value { form, data: self.fixed.ring.weight_rows(weight, rows, form.cols)? };
        self.add(x, added)
    }

    fn residual(&mut self, x: &Tensor<R>, weight: Weight) -> Result<Tensor<R>, R::Error> {
        self.fixed.ring.begin_operation(Operation::Others);
        let form = Form { frac: x.form.frac + self.spec.weight_frac(weight), ..x.form };
        Ok(Value { form, data: self.fixed.ring.residual(&x.data, weight, form.rows, form.cols)? })
    }

    fn matmul(&mut self, pairs: &[(Tensor<R>, Tensor<R>)], rhs: Rhs) -> Result<Vec<Tensor<R>>, R::Error> {
        let before = self.fixed.ring.begin_operation(Operation::Others);
        let dims = |(a, b): &(Tensor<R>, Tensor<R>)| match rhs {
            Rhs::AsIs => Dims { m: a.form.rows, k: a.form.cols, n: b.form.cols },
            Rhs::Transposed => Dims { m: a.form.rows, k: a.form.cols, n: b.form.rows },
        };
        let dims: Vec<_> = pairs.iter().map(dims).collect();
        let data: Vec<_> = pairs.iter().map(|(a, b)| (&a.data, &b.data)).collect();
        let products = self.fixed.ring.matmul(&data, &dims, rhs)?;
        self.fixed.ring.begin_operation(before);
        let mut values = Vec::with_capacity(products.len());
        for (((a, b), d), data) in pairs.iter().zip(&dims).zip(products) {
            values.push(Value { form: Form { rows: d.m, cols: d.n, frac: a.form.frac + b.form.frac }, data });
        }
        Ok(values)
    }

    fn square(&mut self, x: &[Tensor<R>]) -> Result<Vec<Tensor<R>>, R::Error> {
        self.fixed.squares(x)
    }

    fn square_sum(&mut self, x: &Tensor<R>) -> Result<Tensor<R>, R::Error> {
        let form = Form { frac: 2 * x.form.frac, ..x.form };
        let squares = Value { form, data: self.fixed.ring.square(&x.data)? };
        Ok(self.fixed.row_sums(&squares))
    }

    fn scale_rows(&mut self, pairs: &[(&Tensor<R>, &Tensor<R>)]) -> Result<Vec<Tensor<R>>, R::Error> {
        self.fixed.scale_rows(pairs)
    }

    fn evaluate(&mut self, x: &[(Tensor<R>, Function)]) -> Result<Vec<Tensor<R>>, R::Error> {
        let mut results = Vec::with_capacity(x.len());
        for (x, function) in x {
            self.fixed.ring.begin_operation(function.operation());
            results.push(match function {
                Function::Gelu { .. } if self.published() => self.gelu(x)?,
                Function::InverseRoot { norm } if self.published() => self.inverse_root(x, *norm)?,
                // the papers do not speak of the pooler's tangent
                _ => self.curve(x, *function)?,
            });
        }
        Ok(results)
    }

    fn add(&mut self, a: Tensor<R>, b: Tensor<R>) -> Result<Tensor<R>, R::Error> {
        let frac = a.form.frac.max(b.form.frac);
        if frac - a.form.frac.min(b.form.frac) >= 64 {
            return Err(SpecError::Sum { one: a.form.frac, other: b.form.frac }.into());
        }
        let (i, j) = (frac - a.form.frac, frac - b.form.frac);
        let data = add_shifted(self.fixed.ring, (&a.data, i as u32), (&b.data, j as u32));
        Ok(Value { form: Form { frac, ..a.form }, data })
    }

    fn half(&mut self, x: Tensor<R>) -> Tensor<R> {
        over_power_of_two(x, 1)
    }

    fn row_sums(&mut self, x: &Tensor<R>) -> Tensor<R> {
        self.fixed.row_sums(x)
    }

    fn offset(&mut self, x: Tensor<R>, by: f32) -> Tensor<R> {
        self.fixed.offset(&x, f64::from(by))
    }

    fn block(&mut self, x: &Tensor<R>, block: Block) -> Tensor<R> {
        self.fixed.block(x, block)
    }

    fn attention(
        &mut self,
        scores: Vec<Tensor<R>>,
        values: Vec<Tensor<R>>,
        heads: &[Head],
        checks: &mut Checks<Self>,
    ) -> Result<Vec<Tensor<R>>, R::Error> {
        self.fixed.ring.begin_operation(Operation::Softmax);
        if !self.published() {
            return two_quad(self, scores, values, heads, checks);
        }
        let weights = self.weights(scores, heads)?;
        let pairs: Vec<_> = weights.into_iter().zip(values).collect();
        let mixed = self.matmul(&pairs, Rhs::AsIs)?;
        self.fixed.ring.begin_operation(Operation::Others);
        self.fixed.all_at_scale(&mixed, FRAC)
    }

    fn skips_unread_rows(&self) -> bool {
        !self.published()
    }

    fn assemble(&mut self, grid: &[Vec<Tensor<R>>]) -> Tensor<R> {
        self.fixed.assemble(grid)
    }

    fn open(
        &mut self,
        wires: &[(&Tensor<R>, Site)],
        phases: &[(&Tensor<R>, Function)],
    ) -> Result<Opened<Self>, R::Error> {
        let operation = match (wires.first(), phases.first()) {
            (Some((_, site)), _) => site.operation(),
            (None, Some((_, function))) => function.operation(),
            (None, None) => Operation::Others,
        };
        self.fixed.ring.begin_operation(operation);
        let asked: Vec<_> = wires.iter().map(|(x, site)| (*x, self.frac_of(*site))).collect();
        let wires = self.fixed.rescale(&asked)?;
        // a function brings its argument to the scale that it wants
        Ok((wires, phases.iter().map(|(x, _)| self.fixed.copy(x)).collect()))
    }
}
