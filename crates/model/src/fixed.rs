//! One interpreter for every engine that computes on scaled integers.
//!
//! [`Fixed`] knows shapes and scales: it looks openings up in the [`Spec`], aligns sums, and hands plain demands to an
//! [`Arithmetic`], which knows integers only (in clear, as shares, as masks, or not at all).

use std::fmt;
use std::sync::Arc;

use ring64::Dims;

use crate::bert::InputKind;
use crate::certificate::{norm_defect, reciprocal_defects};
use crate::engine::{Block, Engine, Function, Opened, Rhs, Site, Weight};
use crate::functions::Operation;
use crate::shape::Texts;
use crate::spec::{LEAST_HEADROOM, Spec, SpecError};

/// Shape and scale of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Fractional bits.
    pub frac: i32,
}

impl Form {
    /// Elements.
    pub fn count(&self) -> usize {
        self.rows * self.cols
    }
}

/// A value of an arithmetic with its form.
#[derive(Clone)]
pub struct Value<T> {
    /// Shape and scale.
    pub form: Form,
    /// What the arithmetic keeps.
    pub data: T,
}

impl<T> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value {{ form: {:?}, data: secret }}", self.form)
    }
}

/// A value to open: the share loses its `drop` lowest bits, the `64 - drop` others are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireOpening {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Bits of the share below the wire's unit.
    pub drop: u32,
    /// Signed range of the wire in bits.
    pub bits: u32,
}

impl WireOpening {
    /// Elements.
    pub fn count(&self) -> usize {
        self.rows * self.cols
    }
    /// `K`: bits exchanged for each element.
    pub fn kept(&self) -> u32 {
        64 - self.drop
    }
}

/// A class of columns of a phase: `modulus_bits` are exchanged for each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseSegment {
    /// Columns.
    pub cols: usize,
    /// The period of the function is `2^modulus_bits` units.
    pub modulus_bits: u32,
}

/// A value to open for a periodic function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseOpening {
    /// Rows.
    pub rows: usize,
    /// Bits of the share below the phase's unit.
    pub drop: u32,
    /// Classes of columns.
    pub segments: Vec<PhaseSegment>,
}

impl PhaseOpening {
    /// Columns of all segments.
    pub fn cols(&self) -> usize {
        self.segments.iter().map(|s| s.cols).sum()
    }
}

/// Where the network opens something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name in errors and plans.
    pub name: String,
    /// Which operation its wires belong to; where there are none, that of its phases.
    pub wires: Operation,
    /// Which operation its phases belong to, and what is evaluated at them; where there are none, that of its wires.
    pub phases: Operation,
}

impl Place {
    fn of<S>(wires: &[(S, Site)], phases: &[(S, Function)]) -> Place {
        // defects come beside what a round is for
        let of = wires.iter().map(|(_, site)| *site).find(|site| !matches!(site, Site::Defect { .. }));
        let (site, function) = (of, phases.first().map(|(_, function)| *function));
        let name = match (site, function) {
            (Some(site), _) => format!("{site:?}"),
            (None, Some(function)) => format!("{function:?}"),
            (None, None) => String::new(),
        };
        let (of_wires, of_phases) = (site.map(Site::operation), function.map(Function::operation));
        let (one, other) = (of_wires.or(of_phases), of_phases.or(of_wires));
        Place { name, wires: one.unwrap_or_default(), phases: other.unwrap_or_default() }
    }
}

/// Integers modulo 2^64, with shapes and scales already resolved. `_many` in one call means one round where a round is due.
pub trait Arithmetic {
    /// An opened matrix.
    type Wire;
    /// An opened phase.
    type Phase;
    /// A matrix of shares.
    type Share;
    /// What can go wrong.
    type Error: From<SpecError>;

    /// `x W + b`.
    fn linear(&mut self, x: &Self::Wire, weight: Weight, dims: Dims) -> Result<Self::Share, Self::Error>;
    /// Adds row `rows[i]` of a weight with `cols` columns to row `i`.
    fn add_rows(
        &mut self,
        x: Self::Share,
        weight: Weight,
        rows: &[usize],
        cols: usize,
    ) -> Result<Self::Share, Self::Error>;
    /// `x * g - mean(x * g)` by rows.
    fn residual(
        &mut self,
        x: &Self::Wire,
        weight: Weight,
        rows: usize,
        cols: usize,
    ) -> Result<Self::Share, Self::Error>;
    /// Products.
    fn matmul(
        &mut self,
        pairs: &[(&Self::Wire, &Self::Wire)],
        dims: &[Dims],
        rhs: Rhs,
    ) -> Result<Vec<Self::Share>, Self::Error>;
    /// Squares of matrices with so many elements.
    fn square(&mut self, x: &[(&Self::Wire, usize)]) -> Result<Vec<Self::Share>, Self::Error>;
    /// Sums of squares of rows.
    fn square_sum(&mut self, x: &Self::Wire, rows: usize, cols: usize) -> Result<Self::Share, Self::Error>;
    /// Rows times numbers; `dims` are rows and columns.
    fn scale_rows(
        &mut self,
        pairs: &[(&Self::Wire, &Self::Wire)],
        dims: &[(usize, usize)],
    ) -> Result<Vec<Self::Share>, Self::Error>;
    /// Series, by segments of columns.
    fn evaluate(&mut self, x: &[(&Self::Phase, usize, &crate::spec::Curve)]) -> Result<Vec<Self::Share>, Self::Error>;
    /// `a 2^i + b 2^j`; both shifts are below 64.
    fn add(&mut self, a: (Self::Share, u32), b: (Self::Share, u32)) -> Self::Share;
    /// Sum of each row.
    fn row_sums(&mut self, x: &Self::Share, rows: usize, cols: usize) -> Self::Share;
    /// Sum of each row of an opened matrix.
    fn opened_row_sums(&mut self, x: &Self::Wire, rows: usize, cols: usize) -> Self::Wire;
    /// `(x + plus) times`, both public integers.
    fn affine(&mut self, x: Self::Share, plus: u64, times: u64) -> Self::Share;
    /// Adds a public integer.
    fn offset(&mut self, x: Self::Wire, by: u64) -> Self::Wire;
    /// Copies a block out of a matrix with `cols` columns.
    fn block(&mut self, x: &Self::Wire, cols: usize, block: Block) -> Self::Wire;
    /// Puts blocks together; each comes with its rows and columns.
    fn assemble(&mut self, grid: &[Vec<(&Self::Wire, usize, usize)>]) -> Self::Wire;
    /// Told of each opened wire, where an arithmetic can look at it.
    fn opened(&mut self, _site: Site, _form: Form, _wire: &Self::Wire) {}
    /// Opens all that is listed in one round.
    #[allow(clippy::type_complexity)]
    fn open(
        &mut self,
        place: &Place,
        wires: &[(&Self::Share, WireOpening)],
        phases: &[(&Self::Share, PhaseOpening)],
    ) -> Result<(Vec<Self::Wire>, Vec<Self::Phase>), Self::Error>;
}

/// The engine over an arithmetic.
#[derive(Debug)]
pub struct Fixed<A> {
    spec: Arc<Spec>,
    /// What computes.
    pub arithmetic: A,
}

impl<A: Arithmetic> Fixed<A> {
    /// An engine for one spec.
    pub fn new(spec: Arc<Spec>, arithmetic: A) -> Fixed<A> {
        Fixed { spec, arithmetic }
    }

    /// Scales and series.
    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The client's input, as the engine reads it.
    pub fn input(&self, kind: InputKind, texts: &Texts, data: A::Share) -> Value<A::Share> {
        Value { form: input_form(&self.spec, kind, texts), data }
    }

    fn wire_opening(&self, form: Form, site: Site) -> Result<(WireOpening, Form), A::Error> {
        let to = self.spec.opening(site);
        let drop = form.frac - to.frac;
        let spare = 64 - i64::from(drop) - i64::from(to.bits);
        if !(0..64).contains(&drop) || spare < LEAST_HEADROOM || to.bits < 2 {
            let (from, least, bits) = (form.frac, LEAST_HEADROOM, to.bits);
            return Err(SpecError::Headroom { site: format!("{site:?}"), from, to: to.frac, bits, spare, least }.into());
        }
        let opening = WireOpening { rows: form.rows, cols: form.cols, drop: drop as u32, bits: to.bits };
        Ok((opening, Form { frac: to.frac, ..form }))
    }

    fn phase_opening(&self, form: Form, function: Function) -> Result<(PhaseOpening, Form), A::Error> {
        let (curve, shift) = self.spec.curve(function);
        let (to, most) = (curve.frac - shift, curve.segments.iter().map(|s| s.series.modulus_bits).max().unwrap_or(64));
        let drop = form.frac - to;
        let spare = 64 - i64::from(drop) - i64::from(most);
        if !(0..64).contains(&drop) || spare < 0 || curve.cols() != form.cols {
            let site = format!("{function:?}");
            return Err(SpecError::Headroom { site, from: form.frac, to, bits: most, spare, least: 0 }.into());
        }
        let segment = |s: &crate::spec::Segment| PhaseSegment { cols: s.cols, modulus_bits: s.series.modulus_bits };
        let segments = curve.segments.iter().map(segment).collect();
        Ok((PhaseOpening { rows: form.rows, drop: drop as u32, segments }, Form { frac: to, ..form }))
    }
}

/// Shape and scale of the client's input.
pub fn input_form(spec: &Spec, kind: InputKind, texts: &Texts) -> Form {
    let cols = match kind {
        InputKind::OneHot => spec.shape.one_hot(),
        InputKind::Embedded => spec.shape.width,
    };
    Form { rows: texts.rows(), cols, frac: spec.input(kind).1 }
}

/// Columns of a product by a weight.
pub fn columns_of(spec: &Spec, weight: Weight) -> usize {
    match weight {
        Weight::Up(_) => spec.shape.inner,
        Weight::Classifier => spec.shape.labels,
        _ => spec.shape.width,
    }
}

impl<A: Arithmetic> Engine for Fixed<A> {
    type Wire = Value<A::Wire>;
    type Phase = Value<A::Phase>;
    type Share = Value<A::Share>;
    type Error = A::Error;

    fn linear(&mut self, x: &Self::Wire, weight: Weight) -> Result<Self::Share, Self::Error> {
        let cols = columns_of(&self.spec, weight);
        let form = Form { cols, frac: x.form.frac + self.spec.weight_frac(weight), ..x.form };
        let dims = Dims { m: x.form.rows, k: x.form.cols, n: cols };
        Ok(Value { form, data: self.arithmetic.linear(&x.data, weight, dims)? })
    }

    fn add_rows(&mut self, x: Self::Share, weight: Weight, rows: &[usize]) -> Result<Self::Share, Self::Error> {
        let form = x.form;
        Ok(Value { form, data: self.arithmetic.add_rows(x.data, weight, rows, form.cols)? })
    }

    fn residual(&mut self, x: &Self::Wire, weight: Weight) -> Result<Self::Share, Self::Error> {
        let form = Form { frac: x.form.frac + self.spec.weight_frac(weight), ..x.form };
        Ok(Value { form, data: self.arithmetic.residual(&x.data, weight, form.rows, form.cols)? })
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
        let curves: Vec<_> = x.iter().map(|(_, function)| self.spec.curve(*function)).collect();
        let asked: Vec<_> = x.iter().zip(&curves).map(|((p, _), (c, _))| (&p.data, p.form.rows, *c)).collect();
        let results = self.arithmetic.evaluate(&asked)?;
        let frac = |(c, shift): &(&crate::spec::Curve, i32)| c.segments[0].series.out_frac() + shift;
        Ok(attach(x.iter().zip(&curves).map(|((p, _), c)| Form { frac: frac(c), ..p.form }), results))
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

    fn norm_defect(
        &mut self,
        normal: &Self::Wire,
        inverse: &Self::Wire,
        norm: usize,
    ) -> Result<Option<Self::Share>, Self::Error> {
        norm_defect(self, normal, inverse, norm).map(Some)
    }

    fn opened_row_sums(&mut self, x: &Self::Wire) -> Option<Self::Wire> {
        let data = self.arithmetic.opened_row_sums(&x.data, x.form.rows, x.form.cols);
        Some(Value { form: Form { cols: 1, ..x.form }, data })
    }

    fn reciprocal_defects(&mut self, pairs: &[(&Self::Wire, &Self::Wire)]) -> Result<Vec<Self::Share>, Self::Error> {
        reciprocal_defects(self, pairs)
    }

    fn square_total(&mut self, x: &Self::Wire) -> Result<Option<Self::Share>, Self::Error> {
        let form = Form { rows: 1, cols: 1, frac: 2 * x.form.frac };
        Ok(Some(Value { form, data: self.arithmetic.square_sum(&x.data, 1, x.form.count())? }))
    }

    fn offset(&mut self, x: Self::Wire, by: f32) -> Self::Wire {
        let by = (f64::from(by) * f64::powi(2.0, x.form.frac)).round() as i64 as u64;
        Value { form: x.form, data: self.arithmetic.offset(x.data, by) }
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
        let place = Place::of(wires, phases);
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
