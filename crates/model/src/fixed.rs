//! One interpreter for every engine that computes on scaled integers.
//!
//! [`Fixed`] knows shapes and scales: it looks openings up in the network's [`Scales`], aligns sums, and hands plain demands to
//! an [`Arithmetic`], which knows integers only (in clear, as shares, as masks, or not at all).

use std::sync::Arc;

use ring64::Dims;

use crate::arithmetic::{Arithmetic, Evaluation, Form, PhaseOpening, PhaseSegment, Place, Value, WireOpening};
use crate::comparisons::Comparisons;
use crate::defect::{norm_defect, reciprocal_defect};
use crate::engine::{Block, Engine, Flipped, Norm, Opened, Reciprocal, Rhs, Rotation, SoftmaxHead};
use crate::network::{Network, Output};
use crate::opening::{Curve, STRETCH_FRAC, Segment};
use crate::operation::Operation;
use crate::relative::row_shift;
use crate::scales::Scales;
use crate::signs::{Signs, flip, signs};
use crate::spec_error::{LEAST_HEADROOM, SpecError};
use crate::table::{Comparison, Function, Read, Site, Table, Weight};

/// Fractional bits of the sines and cosines of a [`Rotation`].
const ROTATION_FRAC: i32 = 14;

/// The engine over an arithmetic.
#[derive(Debug)]
pub struct Fixed<A> {
    scales: Arc<Scales>,
    /// What computes.
    pub arithmetic: A,
}

/// What runs of a network give on an arithmetic, in order.
pub type Outputs<A> = Vec<Output<Value<<A as Arithmetic>::Share>>>;

impl<A: Comparisons> Fixed<A> {
    /// An engine for one network's scales.
    pub fn new(scales: Arc<Scales>, arithmetic: A) -> Fixed<A> {
        Fixed { scales, arithmetic }
    }

    /// Runs a network over batches one after the other, each on its input, with one state.
    ///
    /// # Panics
    ///
    /// Where there are not as many inputs as batches.
    pub fn run<N: Network>(
        &mut self,
        network: &N,
        batches: &[N::Batch],
        inputs: &[Value<A::Share>],
    ) -> Result<Outputs<A>, A::Error> {
        assert_eq!(inputs.len(), batches.len(), "one input a batch");
        let mut state = network.begin();
        let mut outputs = Vec::with_capacity(batches.len());
        for (batch, input) in batches.iter().zip(inputs) {
            if !outputs.is_empty() {
                self.arithmetic.begin_run()?;
            }
            outputs.push(network.run(self, batch, &mut state, input)?);
        }
        Ok(outputs)
    }

    fn wire_opening(&self, form: Form, site: Site) -> Result<(WireOpening, Form), A::Error> {
        let to = self.scales.opening(site);
        let shift = form.frac - to.frac;
        let spare = 64 - i64::from(shift) - i64::from(to.bits);
        if !(0..64).contains(&shift) || spare < LEAST_HEADROOM || to.bits < 2 {
            let (from, least, bits) = (form.frac, LEAST_HEADROOM, to.bits);
            let site = self.scales.table()[site].name.to_string();
            return Err(SpecError::Headroom { site, from, to: to.frac, bits, spare, least }.into());
        }
        let opening = WireOpening { rows: form.rows, cols: form.cols, shift: shift as u32, bits: to.bits };
        Ok((opening, Form { frac: to.frac, ..form }))
    }

    fn phase_opening(&self, form: Form, function: Function) -> Result<(PhaseOpening, Form), A::Error> {
        let (curve, by) = self.scales.curve(function);
        let (to, most) = (curve.frac - by, curve.segments.iter().map(|s| s.series.modulus_bits).max().unwrap_or(64));
        let shift = form.frac - to;
        let spare = 64 - i64::from(shift) - i64::from(most);
        // a function of one column is one of every column
        let fits = curve.cols() == form.cols || curve.cols() == 1;
        if !(0..64).contains(&shift) || spare < 0 || !fits {
            let site = self.scales.table()[function].name.to_string();
            return Err(SpecError::Headroom { site, from: form.frac, to, bits: most, spare, least: 0 }.into());
        }
        let segment = |s: &Segment| PhaseSegment { cols: s.cols, modulus_bits: s.series.modulus_bits };
        let segments = curve.segments.iter().map(segment).collect();
        let rows = rows_of(curve, form);
        Ok((PhaseOpening { rows, shift: shift as u32, segments }, Form { frac: to, ..form }))
    }
}

/// A phase, what is evaluated at it, and the gate of its rows.
type Asked<'a, A> = (&'a Value<<A as Arithmetic>::Phase>, Function, Option<&'a Value<<A as Arithmetic>::Wire>>);

impl<A: Arithmetic> Fixed<A> {
    fn product(
        &mut self,
        x: &Value<A::Wire>,
        weight: Weight,
        gate: Option<&Value<A::Wire>>,
    ) -> Result<Value<A::Share>, A::Error> {
        let parameter = &self.scales.table()[weight];
        let (cols, bias) = (parameter.cols, parameter.bias);
        let form = Form { cols, frac: x.form.frac + self.scales.weight_frac(weight), ..x.form };
        let dims = Dims { m: x.form.rows, k: x.form.cols, n: cols };
        let gate = gate.filter(|_| bias).map(|gate| column(gate, x.form.rows));
        Ok(Value { form, data: self.arithmetic.linear(&x.data, weight, dims, gate)? })
    }

    fn series(&mut self, x: &[Asked<'_, A>]) -> Result<Vec<Value<A::Share>>, A::Error> {
        let curves: Vec<_> = x.iter().map(|(_, function, _)| self.scales.curve(*function)).collect();
        let mut asked = Vec::with_capacity(x.len());
        for ((phase, _, gate), (curve, _)) in x.iter().zip(&curves) {
            let (rows, phase) = (rows_of(curve, phase.form), &phase.data);
            asked.push(Evaluation { phase, rows, curve, also: Vec::new(), gate: gate.map(|gate| column(gate, rows)) });
        }
        let results = self.arithmetic.evaluate(&asked)?;
        Ok(attach(x.iter().zip(&curves).map(|((p, ..), c)| Form { frac: result_frac(*c), ..p.form }), results))
    }
}

/// Rows of a phase that a curve is evaluated at: of a function of one column, all elements.
fn rows_of(curve: &Curve, form: Form) -> usize {
    if curve.cols() == 1 { form.count() } else { form.rows }
}

/// Fractional bits of what a curve gives.
fn result_frac((curve, shift): (&Curve, i32)) -> i32 {
    curve.segments[0].series.out_frac() + shift
}

/// The numbers of a gate of so many rows.
fn column<T>(gate: &Value<T>, rows: usize) -> &T {
    assert_eq!(gate.form, Form { rows, cols: 1, frac: 0 }, "a gate has one integer a row");
    &gate.data
}

/// Where a round opens: what its wires say, or its phases; defects come beside what a round is for.
fn place<'t, S>(table: &'t Table, wires: &[(S, Site)], phases: &[(S, Function)]) -> Place<'t> {
    let site = wires.iter().map(|(_, site)| &table[*site]).find(|site| !site.defect);
    let function = phases.first().map(|(_, function)| &table[*function]);
    let name = site.map(|s| &s.name).or(function.map(|f| &f.name)).map_or("", |name| name);
    let (of_wires, of_phases) = (site.map(|s| s.operation), function.map(|f| f.operation));
    let (one, other) = (of_wires.or(of_phases), of_phases.or(of_wires));
    Place { name, wires: one.unwrap_or_default(), phases: other.unwrap_or_default() }
}

impl<A: Comparisons> Engine for Fixed<A> {
    type Wire = Value<A::Wire>;
    type Phase = Value<A::Phase>;
    type Share = Value<A::Share>;
    type Signs = Signs<A::Phase>;
    type Error = A::Error;

    fn begin(&mut self, part: usize, operation: Operation) -> Result<(), Self::Error> {
        self.arithmetic.begin(part, operation)
    }

    fn linear(&mut self, x: &Self::Wire, weight: Weight) -> Result<Self::Share, Self::Error> {
        self.product(x, weight, None)
    }

    fn gated_linear(&mut self, x: &Self::Wire, weight: Weight, gate: &Self::Wire) -> Result<Self::Share, Self::Error> {
        self.product(x, weight, Some(gate))
    }

    fn add_rows(&mut self, x: Self::Share, weight: Weight, rows: &[usize]) -> Result<Self::Share, Self::Error> {
        let form = x.form;
        Ok(Value { form, data: self.arithmetic.add_rows(x.data, weight, rows, form.cols)? })
    }

    fn add_entries(&mut self, x: Self::Share, weight: Weight, entries: &[usize]) -> Result<Self::Share, Self::Error> {
        assert_eq!(x.form.count(), entries.len(), "an entry an element");
        Ok(Value { form: x.form, data: self.arithmetic.add_rows(x.data, weight, entries, 1)? })
    }

    fn residual(&mut self, x: &Self::Wire, weight: Weight) -> Result<Self::Share, Self::Error> {
        let form = Form { frac: x.form.frac + self.scales.weight_frac(weight), ..x.form };
        let centred = self.scales.table()[weight].read == Read::Columns { centred: true };
        Ok(Value { form, data: self.arithmetic.residual(&x.data, weight, (form.rows, form.cols), centred)? })
    }

    fn matmul(&mut self, pairs: &[(Self::Wire, Self::Wire)], rhs: Rhs) -> Result<Vec<Self::Share>, Self::Error> {
        let dims = |(a, b): &(Self::Wire, Self::Wire)| {
            let (k, n) = match rhs {
                Rhs::AsIs => (b.form.rows, b.form.cols),
                Rhs::Transposed => (b.form.cols, b.form.rows),
            };
            assert_eq!(a.form.cols, k, "inner dimensions of a product");
            Dims { m: a.form.rows, k, n }
        };
        let dims: Vec<_> = pairs.iter().map(dims).collect();
        let data: Vec<_> = pairs.iter().map(|(a, b)| (&a.data, &b.data)).collect();
        let products = self.arithmetic.matmul(&data, &dims, rhs)?;
        let form = |((a, b), d): (&(Self::Wire, Self::Wire), &Dims)| Form {
            rows: d.m,
            cols: d.n,
            frac: a.form.frac + b.form.frac,
        };
        Ok(attach(pairs.iter().zip(&dims).map(form), products))
    }

    fn square(&mut self, x: &[Self::Wire]) -> Result<Vec<Self::Share>, Self::Error> {
        let data: Vec<_> = x.iter().map(|x| (&x.data, x.form.count())).collect();
        let squares = self.arithmetic.square(&data)?;
        Ok(attach(x.iter().map(|x| Form { frac: 2 * x.form.frac, ..x.form }), squares))
    }

    fn square_sum(&mut self, x: &Self::Wire) -> Result<Self::Share, Self::Error> {
        let form = Form { cols: 1, frac: 2 * x.form.frac, ..x.form };
        Ok(Value { form, data: self.arithmetic.square_sum(&x.data, x.form.rows, x.form.cols)? })
    }

    fn scale_rows(&mut self, pairs: &[(&Self::Wire, &Self::Wire)]) -> Result<Vec<Self::Share>, Self::Error> {
        let data: Vec<_> = pairs.iter().map(|(a, r)| (&a.data, &r.data)).collect();
        let dims: Vec<_> = pairs.iter().map(|(a, _)| (a.form.rows, a.form.cols)).collect();
        let scaled = self.arithmetic.scale_rows(&data, &dims)?;
        Ok(attach(pairs.iter().map(|(a, r)| Form { frac: a.form.frac + r.form.frac, ..a.form }), scaled))
    }

    fn evaluate(&mut self, x: &[(Self::Phase, Function)]) -> Result<Vec<Self::Share>, Self::Error> {
        self.series(&x.iter().map(|(phase, function)| (phase, *function, None)).collect::<Vec<_>>())
    }

    fn evaluate_all(&mut self, x: &[(Self::Phase, Vec<Function>)]) -> Result<Vec<Self::Share>, Self::Error> {
        let curves = |functions: &[Function]| functions.iter().map(|f| self.scales.curve(*f)).collect::<Vec<_>>();
        let curves: Vec<_> = x.iter().map(|(_, functions)| curves(functions)).collect();
        let mut asked = Vec::with_capacity(x.len());
        for ((phase, _), curves) in x.iter().zip(&curves) {
            let also = curves[1..].iter().map(|(curve, _)| *curve).collect();
            let (curve, rows) = (curves[0].0, rows_of(curves[0].0, phase.form));
            asked.push(Evaluation { phase: &phase.data, rows, curve, also, gate: None });
        }
        let results = self.arithmetic.evaluate(&asked)?;
        let forms = x.iter().zip(&curves).flat_map(|((phase, _), curves)| {
            curves.iter().map(|curve| Form { frac: result_frac(*curve), ..phase.form })
        });
        Ok(attach(forms, results))
    }

    fn relative(
        &mut self,
        scores: Self::Share,
        predicted: &Self::Share,
        gates: Option<&Self::Share>,
        head: &SoftmaxHead,
    ) -> Result<Self::Share, Self::Error> {
        let gates = gates.map(|gates| column(gates, head.rows));
        let stretch = self.scales.curve(head.exponential).0.stretch;
        let (by, to) = row_shift((scores.form, predicted.form), head, stretch);
        let up = if stretch == 0 { 0 } else { STRETCH_FRAC };
        let data = self.arithmetic.relative(scores.data, &predicted.data, gates, &by);
        Ok(Value { form: Form { frac: to + up, ..scores.form }, data })
    }

    fn takes_two_steps(&self, rough: Function) -> bool {
        !self.scales.curve(rough).0.segments.is_empty()
    }

    fn identity_defect(
        &mut self,
        identity: &Self::Share,
        relative: &Self::Share,
    ) -> Result<Option<Self::Share>, Self::Error> {
        let (made, of) = (self.row_sums(identity), self.row_sums(relative));
        let minus = Value { form: of.form, data: self.arithmetic.affine(of.data, 0, 1u64.wrapping_neg()) };
        let Value { form, data } = self.add(made, minus)?;
        let up = self.scales.identity_weight();
        Ok(Some(Value { form: Form { frac: form.frac + up, ..form }, data }))
    }

    fn gated_evaluate(&mut self, x: &[(Self::Phase, Function, &Self::Wire)]) -> Result<Vec<Self::Share>, Self::Error> {
        self.series(&x.iter().map(|(phase, function, gate)| (phase, *function, Some(*gate))).collect::<Vec<_>>())
    }

    fn add(&mut self, a: Self::Share, b: Self::Share) -> Result<Self::Share, Self::Error> {
        assert_eq!((a.form.rows, a.form.cols), (b.form.rows, b.form.cols), "shapes of a sum");
        let frac = a.form.frac.max(b.form.frac);
        if frac - a.form.frac.min(b.form.frac) >= 64 {
            return Err(SpecError::Sum { one: a.form.frac, other: b.form.frac }.into());
        }
        let up = |v: &Self::Share| (frac - v.form.frac) as u32;
        let (i, j) = (up(&a), up(&b));
        Ok(Value { form: Form { frac, ..a.form }, data: self.arithmetic.add((a.data, i), (b.data, j)) })
    }

    fn half(&mut self, x: Self::Share) -> Self::Share {
        Value { form: Form { frac: x.form.frac + 1, ..x.form }, data: x.data }
    }

    fn row_sums(&mut self, x: &Self::Share) -> Self::Share {
        let data = self.arithmetic.row_sums(&x.data, x.form.rows, x.form.cols);
        Value { form: Form { cols: 1, ..x.form }, data }
    }

    fn mul(&mut self, pairs: &[(&Self::Wire, &Self::Wire)]) -> Result<Vec<Self::Share>, Self::Error> {
        // a column of numbers, each times the number beside it
        let data: Vec<_> = pairs.iter().map(|(a, b)| (&a.data, &b.data)).collect();
        let dims: Vec<_> = pairs.iter().map(|(a, _)| (a.form.count(), 1)).collect();
        let same = |(a, b): &(&Self::Wire, &Self::Wire)| (a.form.rows, a.form.cols) == (b.form.rows, b.form.cols);
        assert!(pairs.iter().all(same), "shapes of an elementwise product");
        let products = self.arithmetic.scale_rows(&data, &dims)?;
        Ok(attach(pairs.iter().map(|(a, b)| Form { frac: a.form.frac + b.form.frac, ..a.form }), products))
    }

    fn signs(&mut self, x: &[(&Self::Wire, Comparison)]) -> Result<Vec<Self::Signs>, Self::Error> {
        signs(&mut self.arithmetic, &self.scales, x)
    }

    fn flip(&mut self, x: &[(&Self::Signs, Vec<&Self::Wire>)]) -> Result<Vec<Flipped<Self>>, Self::Error> {
        flip(&mut self.arithmetic, x)
    }

    fn shared(&mut self, x: &Self::Wire) -> Result<Self::Share, Self::Error> {
        Ok(Value { form: x.form, data: self.arithmetic.shared(&x.data)? })
    }

    fn difference(&mut self, x: &Self::Wire, y: &Self::Wire) -> Self::Wire {
        assert_eq!(x.form, y.form, "a difference of values of one shape and scale");
        Value { form: x.form, data: self.arithmetic.difference(&x.data, &y.data) }
    }

    fn affine(&mut self, x: Self::Share, plus: i32, times: i32) -> Self::Share {
        let plus = (f64::from(plus) * f64::powi(2.0, x.form.frac)) as i64 as u64;
        Value { form: x.form, data: self.arithmetic.affine(x.data, plus, i64::from(times) as u64) }
    }

    fn rotate(&mut self, x: Self::Share, by: &Rotation) -> Self::Share {
        assert!(by.angles.len() == x.form.rows && by.angles.iter().all(|row| 2 * row.len() == x.form.cols), "angles");
        let (cos, sin) = by.words(ROTATION_FRAC);
        let form = Form { frac: x.form.frac + ROTATION_FRAC, ..x.form };
        Value { form, data: self.arithmetic.rotate(x.data, form.cols, &cos, &sin) }
    }

    fn norm_defect(
        &mut self,
        normal: &Self::Wire,
        inverse: &Self::Wire,
        of: &Norm,
        gate: Option<&Self::Wire>,
    ) -> Result<Option<Self::Share>, Self::Error> {
        let gate = gate.map(|gate| column(gate, normal.form.rows));
        norm_defect(&mut self.arithmetic, &self.scales, (normal, inverse), of, gate).map(Some)
    }

    fn opened_row_sums(&mut self, x: &Self::Wire) -> Option<Self::Wire> {
        let data = self.arithmetic.opened_row_sums(&x.data, x.form.rows, x.form.cols);
        Some(Value { form: Form { cols: 1, ..x.form }, data })
    }

    fn reciprocal_defects(&mut self, pairs: &[Reciprocal<'_, Self::Wire>]) -> Result<Vec<Self::Share>, Self::Error> {
        let products = self.scale_rows(&pairs.iter().map(|(sum, inverse, _)| (*sum, *inverse)).collect::<Vec<_>>())?;
        let up = self.scales.reciprocal_weight();
        let defect = |(product, (.., gate)): (Self::Share, &Reciprocal<'_, Self::Wire>)| {
            let gate = gate.map(|gate| column(gate, product.form.rows));
            let Value { form, data } = reciprocal_defect(&mut self.arithmetic, product, gate)?;
            Ok(Value { form: Form { frac: form.frac + up, ..form }, data })
        };
        products.into_iter().zip(pairs).map(defect).collect()
    }

    fn square_total(&mut self, x: &Self::Wire) -> Result<Option<Self::Share>, Self::Error> {
        let form = Form { rows: 1, cols: 1, frac: 2 * x.form.frac };
        Ok(Some(Value { form, data: self.arithmetic.square_sum(&x.data, 1, x.form.count())? }))
    }

    fn raised_sums(&mut self, weights: &Self::Wire, epsilon: f32) -> Self::Wire {
        let (rows, cols, form) = (weights.form.rows, weights.form.cols, Form { cols: 1, ..weights.form });
        let data = self.arithmetic.opened_row_sums(&weights.data, rows, cols);
        // one over a sum of nothing must be something
        let unit = f64::powi(2.0, -form.frac) as f32;
        self.offset(Value { form, data }, epsilon.max(unit))
    }

    fn less_thresholds(&mut self, sums: &Self::Wire, reciprocal: Function) -> Vec<Self::Wire> {
        let whole = Block { row: 0, rows: sums.form.rows, col: 0, cols: 1 };
        let scales = self.scales.clone();
        let copies = scales.thresholds(reciprocal).iter().map(|by| (self.block(sums, whole), *by as f32));
        copies.collect::<Vec<_>>().into_iter().map(|(sums, by)| self.offset(sums, -by)).collect()
    }

    fn offset(&mut self, x: Self::Wire, by: f32) -> Self::Wire {
        let by = (f64::from(by) * f64::powi(2.0, x.form.frac)).round() as i64 as u64;
        Value { form: x.form, data: self.arithmetic.offset(x.data, by) }
    }

    fn gated_offset(&mut self, x: Self::Wire, by: f32, gate: &Self::Wire) -> Self::Wire {
        let by = (f64::from(by) * f64::powi(2.0, x.form.frac)).round() as i64 as u64;
        Value { form: x.form, data: self.arithmetic.gated_offset(x.data, by, column(gate, x.form.cols)) }
    }

    fn gate(&mut self, columns: Self::Wire) -> Self::Wire {
        let Form { rows, cols, .. } = columns.form;
        let data = self.arithmetic.opened_row_sums(&columns.data, rows, cols);
        Value { form: Form { rows, cols: 1, frac: 0 }, data }
    }

    fn block(&mut self, x: &Self::Wire, block: Block) -> Self::Wire {
        assert!(block.row + block.rows <= x.form.rows && block.col + block.cols <= x.form.cols, "a block inside");
        let form = Form { rows: block.rows, cols: block.cols, ..x.form };
        Value { form, data: self.arithmetic.block(&x.data, x.form.cols, block) }
    }

    fn assemble(&mut self, grid: &[Vec<Self::Wire>]) -> Self::Wire {
        let frac = grid[0][0].form.frac;
        let rows = grid.iter().map(|row| row[0].form.rows).sum();
        let cols = grid[0].iter().map(|b| b.form.cols).sum();
        let data: Vec<Vec<_>> =
            grid.iter().map(|row| row.iter().map(|b| (&b.data, b.form.rows, b.form.cols)).collect()).collect();
        Value { form: Form { rows, cols, frac }, data: self.arithmetic.assemble(&data) }
    }

    fn open(
        &mut self,
        wires: &[(&Self::Share, Site)],
        phases: &[(&Self::Share, Function)],
    ) -> Result<Opened<Self>, Self::Error> {
        let (mut ask_wires, mut wire_forms) = (Vec::new(), Vec::new());
        for (share, site) in wires {
            let (opening, form) = self.wire_opening(share.form, *site)?;
            ask_wires.push((&share.data, opening));
            wire_forms.push(form);
        }
        let (mut ask_phases, mut phase_forms) = (Vec::new(), Vec::new());
        for (share, function) in phases {
            let (opening, form) = self.phase_opening(share.form, *function)?;
            ask_phases.push((&share.data, opening));
            phase_forms.push(form);
        }
        let place = place(self.scales.table(), wires, phases);
        let sites = wires.iter().map(|(_, site)| *site);
        let (opened, phases) = self.arithmetic.open(&place, &ask_wires, &ask_phases)?;
        for ((site, form), wire) in sites.zip(&wire_forms).zip(&opened) {
            self.arithmetic.opened(site, *form, wire);
        }
        Ok((attach(wire_forms.into_iter(), opened), attach(phase_forms.into_iter(), phases)))
    }
}

fn attach<T>(forms: impl Iterator<Item = Form>, data: Vec<T>) -> Vec<Value<T>> {
    forms.zip(data).map(|(form, data)| Value { form, data }).collect()
}
