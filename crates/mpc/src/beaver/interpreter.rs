//! A network over shares: a [`Network`] interpreted by protocols, at the fixed scale of [`FRAC`] bits.

use model::secformer::{PUBLISHED, REFITTED, ROOT_STEPS};
use model::{
    Attending, Block, Calibrated, Comparison, Engine, Flipped, Form, Function, Functions, Head, Network, Opened,
    Operation, Output, Read, Rhs, Rotation, Scales, Site, Smooth, SoftmaxHead, SpecError, Value, Weight, token_class,
};
use ring64::Dims;

use super::network::NetworkRing;
use super::options::{FRAC, Options, Sines};
use crate::protocol::arithmetic::{add_shifted, affine_public, sub};
use crate::protocol::compare::negative;
use crate::protocol::divide::Reciprocal;
use crate::protocol::fixed::{FixedPoint, Tensor, over_power_of_two};
use crate::protocol::ring::Wave;
use crate::protocol::root::Root;
use crate::protocol::{gelu, root, softmax};

/// A network's interpreter.
struct Interpreter<'s, 'r, R> {
    scales: &'s Scales,
    /// What the network says that it is at.
    scope: Operation,
    options: Options,
    fixed: FixedPoint<'r, R>,
}

/// Runs a network over a ring, on each batch in turn with one state; gives the results and their fractional bits.
pub(super) fn run_on<N: Network, R: NetworkRing>(
    ring: &mut R,
    calibrated: &Calibrated<N>,
    batches: &[N::Batch],
    options: Options,
    inputs: Vec<R::Share>,
) -> Result<Vec<(R::Share, i32)>, R::Error> {
    let fixed = FixedPoint { ring, frac: FRAC, truncation: options.truncation };
    let mut engine = Interpreter { scales: &calibrated.scales, scope: Operation::default(), options, fixed };
    let mut state = calibrated.network.begin();
    let mut outputs = Vec::with_capacity(batches.len());
    assert_eq!(inputs.len(), batches.len(), "one input a batch");
    for (batch, input) in batches.iter().zip(inputs) {
        let input = calibrated.input(batch, input);
        let Output { results, .. } = calibrated.network.run(&mut engine, batch, &mut state, &input)?;
        outputs.push((results.data, results.form.frac));
    }
    Ok(outputs)
}

impl<R: NetworkRing> Interpreter<'_, '_, R> {
    fn published(&self) -> bool {
        self.options.functions != Functions::Series
    }

    /// The scale to which a value is truncated before it is read.
    fn frac_of(&self, site: Site) -> i32 {
        match self.scales.table()[site].integers {
            // the table that they choose from has the digits
            true => self.scales.opening(site).frac,
            false if self.published() => FRAC,
            false => self.scales.opening(site).frac,
        }
    }

    /// A calibrated curve, by Pi_Sin: one demand for each class of columns.
    fn curve(&mut self, x: &Tensor<R>, function: Function) -> Result<Tensor<R>, R::Error> {
        let (curve, by) = self.scales.curve(function);
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
    fn inverse_root(
        &mut self,
        x: &Tensor<R>,
        function: Function,
        (width, eps): (f64, f64),
    ) -> Result<Tensor<R>, R::Error> {
        let eta = self.scales.half_period(function);
        let root = Root { width: width as usize, eps, eta, steps: ROOT_STEPS };
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
        let etas: Vec<_> = heads.iter().map(|h| self.scales.half_period(h.reciprocal)).collect();
        let shifts: Vec<_> = heads.iter().map(|h| h.shift).collect();
        let reciprocal = Reciprocal::Goldschmidt { steps: self.options.division_steps };
        softmax::two_quad(&mut self.fixed, scores, &shifts, &etas, reciprocal)
    }
}

impl<R: NetworkRing> Engine for Interpreter<'_, '_, R> {
    type Wire = Tensor<R>;
    type Phase = Tensor<R>;
    type Share = Tensor<R>;
    type Signs = Tensor<R>;
    type Error = R::Error;

    fn begin(&mut self, part: usize, operation: Operation) -> Result<(), R::Error> {
        self.scope = operation;
        self.fixed.ring.begin(part, operation);
        Ok(())
    }

    fn linear(&mut self, x: &Tensor<R>, weight: Weight) -> Result<Tensor<R>, R::Error> {
        let cols = self.scales.table()[weight].cols;
        let form = Form { cols, frac: x.form.frac + self.scales.weight_frac(weight), ..x.form };
        let product = self.fixed.ring.linear(&x.data, weight, Dims { m: x.form.rows, k: x.form.cols, n: cols })?;
        let Some(bias) = self.fixed.ring.bias(weight, cols)? else { return Ok(Value { form, data: product }) };
        // the finer of both scales: nothing of a bias is cut off
        let bias_frac = self.scales.bias_frac(weight);
        let frac = form.frac.max(bias_frac);
        if frac - form.frac.min(bias_frac) >= 64 {
            return Err(SpecError::Sum { one: form.frac, other: bias_frac }.into());
        }
        let (i, j) = (frac - form.frac, frac - bias_frac);
        let data = add_shifted(self.fixed.ring, (&product, i as u32), (&bias, j as u32));
        Ok(Value { form: Form { frac, ..form }, data })
    }

    /// Padded texts are refused here, or where the embedding is normalised, before anything else is asked for them.
    fn gated_linear(&mut self, _: &Tensor<R>, _: Weight, _: &Tensor<R>) -> Result<Tensor<R>, R::Error> {
        Err(SpecError::Padding.into())
    }

    fn add_rows(&mut self, x: Tensor<R>, weight: Weight, rows: &[usize]) -> Result<Tensor<R>, R::Error> {
        let form = Form { frac: self.scales.weight_frac(weight), ..x.form };
        let added = Value { form, data: self.fixed.ring.weight_rows(weight, rows, form.cols)? };
        self.add(x, added)
    }

    fn add_entries(&mut self, x: Tensor<R>, weight: Weight, entries: &[usize]) -> Result<Tensor<R>, R::Error> {
        let form = Form { frac: self.scales.weight_frac(weight), ..x.form };
        let added = Value { form, data: self.fixed.ring.weight_rows(weight, entries, 1)? };
        self.add(x, added)
    }

    fn residual(&mut self, x: &Tensor<R>, weight: Weight) -> Result<Tensor<R>, R::Error> {
        let form = Form { frac: x.form.frac + self.scales.weight_frac(weight), ..x.form };
        let centred = self.scales.table()[weight].read == Read::Columns { centred: true };
        Ok(Value { form, data: self.fixed.ring.residual(&x.data, weight, (form.rows, form.cols), centred)? })
    }

    fn matmul(&mut self, pairs: &[(Tensor<R>, Tensor<R>)], rhs: Rhs) -> Result<Vec<Tensor<R>>, R::Error> {
        let dims = |(a, b): &(Tensor<R>, Tensor<R>)| match rhs {
            Rhs::AsIs => Dims { m: a.form.rows, k: a.form.cols, n: b.form.cols },
            Rhs::Transposed => Dims { m: a.form.rows, k: a.form.cols, n: b.form.rows },
        };
        let dims: Vec<_> = pairs.iter().map(dims).collect();
        let data: Vec<_> = pairs.iter().map(|(a, b)| (&a.data, &b.data)).collect();
        let products = self.fixed.ring.matmul(&data, &dims, rhs)?;
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
            let entry = &self.scales.table()[*function];
            self.fixed.ring.begin_operation(entry.operation);
            results.push(match entry.smooth {
                Smooth::EvenPart(_) if self.published() => self.gelu(x)?,
                Smooth::InverseRoot { width, epsilon } if self.published() => {
                    self.inverse_root(x, *function, (width, epsilon))?
                }
                // the papers do not speak of the pooler's tangent
                _ => self.curve(x, *function)?,
            });
        }
        self.fixed.ring.begin_operation(self.scope);
        Ok(results)
    }

    fn gated_evaluate(&mut self, _: &[(Tensor<R>, Function, &Tensor<R>)]) -> Result<Vec<Tensor<R>>, R::Error> {
        Err(SpecError::Padding.into())
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

    fn raised_sums(&mut self, weights: &Tensor<R>, epsilon: f32) -> Tensor<R> {
        let (sums, unit) = (self.fixed.row_sums(weights), f64::powi(2.0, -weights.form.frac));
        self.fixed.offset(&sums, f64::from(epsilon).max(unit))
    }

    fn less_thresholds(&mut self, sums: &Tensor<R>, reciprocal: Function) -> Vec<Tensor<R>> {
        self.scales.thresholds(reciprocal).iter().map(|by| self.fixed.offset(sums, -by)).collect()
    }

    fn offset(&mut self, x: Tensor<R>, by: f32) -> Tensor<R> {
        self.fixed.offset(&x, f64::from(by))
    }

    fn gated_offset(&mut self, x: Tensor<R>, _: f32, _: &Tensor<R>) -> Tensor<R> {
        x
    }

    fn gate(&mut self, columns: Tensor<R>) -> Tensor<R> {
        columns
    }

    fn block(&mut self, x: &Tensor<R>, block: Block) -> Tensor<R> {
        self.fixed.block(x, block)
    }

    fn mul(&mut self, pairs: &[(&Tensor<R>, &Tensor<R>)]) -> Result<Vec<Tensor<R>>, R::Error> {
        let column = |x: &Tensor<R>| Form { rows: x.form.count(), cols: 1, ..x.form };
        let mut columns = Vec::with_capacity(pairs.len());
        for (x, y) in pairs {
            let [a, b] = [x, y].map(|v| Value { form: column(v), data: self.fixed.copy(v).data });
            columns.push((a, b));
        }
        let products = self.fixed.scale_rows(&columns.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>())?;
        let shaped = |(product, (x, _)): (Tensor<R>, &(&Tensor<R>, &Tensor<R>))| Value {
            form: Form { frac: product.form.frac, ..x.form },
            data: product.data,
        };
        Ok(products.into_iter().zip(pairs).map(shaped).collect())
    }

    /// On all 64 bits, whatever the comparison's range.
    fn signs(&mut self, x: &[(&Tensor<R>, Comparison)]) -> Result<Vec<Tensor<R>>, R::Error> {
        let mut signs = Vec::with_capacity(x.len());
        for (x, comparison) in x {
            self.fixed.ring.begin_operation(self.scales.table()[*comparison].operation);
            let negative = negative(self.fixed.ring, &x.data)?;
            let data = affine_public(self.fixed.ring, 1, 2u64.wrapping_neg(), &negative);
            signs.push(Value { form: Form { frac: 0, ..x.form }, data });
        }
        self.fixed.ring.begin_operation(self.scope);
        Ok(signs)
    }

    fn flip(&mut self, x: &[(&Tensor<R>, Vec<&Tensor<R>>)]) -> Result<Vec<Flipped<Self>>, R::Error> {
        let mut flipped = Vec::with_capacity(x.len());
        for (signs, values) in x {
            let pairs: Vec<_> = values.iter().map(|value| (*signs, *value)).collect();
            let products = if pairs.is_empty() { Vec::new() } else { self.mul(&pairs)? };
            flipped.push((self.fixed.copy(signs), products));
        }
        Ok(flipped)
    }

    fn shared(&mut self, x: &Tensor<R>) -> Result<Tensor<R>, R::Error> {
        Ok(self.fixed.copy(x))
    }

    fn difference(&mut self, x: &Tensor<R>, y: &Tensor<R>) -> Tensor<R> {
        assert_eq!(x.form, y.form, "a difference of values of one shape and scale");
        Value { form: x.form, data: sub(self.fixed.ring, &x.data, &y.data) }
    }

    fn affine(&mut self, x: Tensor<R>, plus: i32, times: i32) -> Tensor<R> {
        let x = self.fixed.offset(&x, f64::from(plus));
        Value { form: x.form, data: affine_public(self.fixed.ring, 0, i64::from(times) as u64, &x.data) }
    }

    fn rotate(&mut self, x: Tensor<R>, by: &Rotation) -> Tensor<R> {
        self.fixed.rotate(&x, by)
    }

    fn evaluate_all(&mut self, _: &[(Tensor<R>, Vec<Function>)]) -> Result<Vec<Tensor<R>>, R::Error> {
        Err(SpecError::SoftmaxSeries.into())
    }

    fn relative(
        &mut self,
        _: Tensor<R>,
        _: &Tensor<R>,
        _: Option<&Tensor<R>>,
        _: &SoftmaxHead,
    ) -> Result<Tensor<R>, R::Error> {
        Err(SpecError::SoftmaxSeries.into())
    }

    fn mixes_weights(&self) -> bool {
        self.published()
    }

    fn attention_weights(&mut self, scores: Vec<Tensor<R>>, heads: &[Head]) -> Result<Attending<Tensor<R>>, R::Error> {
        Ok(match self.published() {
            true => Attending::Weights(self.weights(scores, heads)?),
            false => Attending::Scores(scores),
        })
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
        let table = self.scales.table();
        let operation = match (wires.first(), phases.first()) {
            (Some((_, site)), _) => table[*site].operation,
            (None, Some((_, function))) => table[*function].operation,
            (None, None) => Operation::Others,
        };
        self.fixed.ring.begin_operation(operation);
        let asked: Vec<_> = wires.iter().map(|(x, site)| (*x, self.frac_of(*site))).collect();
        let wires = self.fixed.rescale(&asked)?;
        self.fixed.ring.begin_operation(self.scope);
        // a function brings its argument to the scale that it wants
        Ok((wires, phases.iter().map(|(x, _)| self.fixed.copy(x)).collect()))
    }
}
