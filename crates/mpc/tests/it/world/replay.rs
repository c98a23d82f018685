//! The same network on unmasked values of a run that took place: each operation is computed exactly in clear from what the
//! run had opened before, and each opening must be that result, rounded by less than one unit.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    Arithmetic, Block, Comparing, Comparisons, Evaluation, Fixed, Flipping, InputKind, Joining, Network as _,
    PhaseOpening, Place, Quantised, Rhs, RowShift, Series, SignBits, Spec, SpecError, Texts, Weight, WireOpening,
    assemble, copy_block, join_columns, split_columns,
};
use ring64::{Dims, Kernel, low_bits};

/// The largest difference seen of an opened value to the exact one, in units.
#[derive(Clone, Copy, Debug, Default)]
pub struct Worst {
    /// After exact operations: below one.
    pub rounding: f64,
    /// After a series, whose dealt sines are rounded too.
    pub series: f64,
    /// Openings checked.
    pub openings: usize,
}

/// Replays a run: `opened` are its opened words and `masks` their masks, both by demand. Gives the exact logits.
pub fn replay(
    (spec, weights): (&Arc<Spec>, &Quantised),
    (texts, kind): (&Texts, InputKind),
    input: Vec<u64>,
    opened: &BTreeMap<u64, Vec<u64>>,
    masks: &BTreeMap<u64, Vec<u64>>,
) -> (Vec<u64>, Worst) {
    let replay = Replay { weights, opened, masks, demand: 0, worst: Worst::default() };
    let calibrated = spec.calibrated(kind);
    let mut engine = Fixed::new(calibrated.scales.clone(), replay);
    let input = calibrated.input(texts, Exact { words: input, noise: 0.0 });
    let logits = calibrated.network.run(&mut engine, texts, &mut (), &input).unwrap().results;
    (logits.data.words, engine.arithmetic.worst)
}

/// Exact words, and by how many units of them the run may differ.
pub struct Exact {
    words: Vec<u64>,
    noise: f64,
}

struct Replay<'a> {
    weights: &'a Quantised,
    opened: &'a BTreeMap<u64, Vec<u64>>,
    masks: &'a BTreeMap<u64, Vec<u64>>,
    demand: u64,
    worst: Worst,
}

impl Replay<'_> {
    fn exact(&mut self, words: Vec<u64>) -> Exact {
        self.demand += 1;
        Exact { words, noise: 0.0 }
    }

    /// The values of the next opening; the run's are `exact >> shift`, rounded, modulo `2^kept`.
    fn unmask(&mut self, exact: &[u64], noise: f64, shift: u32, kept: u32, offset: u64) -> Vec<u64> {
        let (opened, masks) = (&self.opened[&self.demand], &self.masks[&self.demand]);
        let unit = (1u64 << shift) as f64;
        let spare = 64 - kept - shift;
        let mut values = Vec::with_capacity(exact.len());
        for ((x, a), z) in opened.iter().zip(masks).zip(exact) {
            let value = x.wrapping_sub(*a).wrapping_sub(offset) & low_bits(kept);
            // both modulo 2^(kept + shift)
            let error = ((value << shift).wrapping_sub(*z) << spare) as i64 >> spare;
            let error = error as f64 / unit;
            let allowed = 1.0 + noise / unit;
            assert!(error.abs() < allowed, "demand {}: {error} units off, {allowed} allowed", self.demand);
            let worst = if noise == 0.0 { &mut self.worst.rounding } else { &mut self.worst.series };
            *worst = worst.max(error.abs());
            values.push(value);
        }
        assert_eq!(values.len(), exact.len());
        self.demand += 1;
        self.worst.openings += 1;
        values
    }
}

/// What masked evaluation of a series may add to evaluation in clear, at worst: both factors of both products of a harmonic
/// are rounded to the nearest integer (from a table right to one of 2^30), and so is the term in clear.
fn noise(series: &Series) -> f64 {
    let wave = f64::powi(2.0, series.trig_frac as i32);
    let term = |(g, h): (&i64, &i64)| 1.3 * wave + (g.unsigned_abs() + h.unsigned_abs()) as f64 + 1.0;
    series.cosines.iter().zip(&series.sines).map(term).sum()
}

impl Arithmetic for Replay<'_> {
    type Wire = Vec<u64>;
    type Phase = Vec<Vec<u64>>;
    type Share = Exact;
    type Error = SpecError;

    fn linear(
        &mut self,
        x: &Vec<u64>,
        weight: Weight,
        dims: Dims,
        gate: Option<&Vec<u64>>,
    ) -> Result<Exact, SpecError> {
        let w = &self.weights[&weight];
        let mut y = match (&w.bias, gate) {
            (None, _) => vec![0; dims.m * dims.n],
            (Some(bias), None) => bias.repeat(dims.m),
            (Some(bias), Some(gate)) => gate.iter().flat_map(|g| bias.iter().map(|b| g.wrapping_mul(*b))).collect(),
        };
        Kernel::Scalar.gemm(dims, x, &w.weight, Rhs::AsIs, &mut y);
        Ok(self.exact(y))
    }

    fn add_rows(&mut self, mut x: Exact, weight: Weight, rows: &[usize], cols: usize) -> Result<Exact, SpecError> {
        let table = &self.weights[&weight].weight;
        for (out, row) in x.words.chunks_mut(cols).zip(rows) {
            ring64::add_assign(out, &table[row * cols..(row + 1) * cols]);
        }
        Ok(x)
    }

    fn residual(
        &mut self,
        x: &Vec<u64>,
        weight: Weight,
        (_, cols): (usize, usize),
        _: bool,
    ) -> Result<Exact, SpecError> {
        let (gamma, mean) = self.weights[&weight].weight.split_at(cols);
        let row = |row: &[u64]| {
            let mean = row.iter().zip(mean).fold(0u64, |sum, (x, m)| sum.wrapping_add(x.wrapping_mul(*m)));
            row.iter().zip(gamma).map(|(x, g)| x.wrapping_mul(*g).wrapping_sub(mean)).collect::<Vec<_>>()
        };
        let words = x.chunks(cols).flat_map(row).collect();
        Ok(self.exact(words))
    }

    fn matmul(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[Dims], rhs: Rhs) -> Result<Vec<Exact>, SpecError> {
        let product = |((a, b), d): (&(&Vec<u64>, &Vec<u64>), &Dims)| {
            let mut c = vec![0; d.m * d.n];
            Kernel::Scalar.gemm(*d, a, b, rhs, &mut c);
            self.exact(c)
        };
        Ok(pairs.iter().zip(dims).map(product).collect())
    }

    fn square(&mut self, x: &[(&Vec<u64>, usize)]) -> Result<Vec<Exact>, SpecError> {
        Ok(x.iter().map(|(x, _)| self.exact(x.iter().map(|v| v.wrapping_mul(*v)).collect())).collect())
    }

    fn square_sum(&mut self, x: &Vec<u64>, rows: usize, cols: usize) -> Result<Exact, SpecError> {
        assert_eq!(x.len(), rows * cols);
        let sum = |row: &[u64]| row.iter().fold(0u64, |sum, v| sum.wrapping_add(v.wrapping_mul(*v)));
        Ok(self.exact(x.chunks(cols).map(sum).collect()))
    }

    fn scale_rows(
        &mut self,
        pairs: &[(&Vec<u64>, &Vec<u64>)],
        dims: &[(usize, usize)],
    ) -> Result<Vec<Exact>, SpecError> {
        let mut scaled = Vec::with_capacity(pairs.len());
        for ((a, r), (_, cols)) in pairs.iter().zip(dims) {
            let rows = a.chunks(*cols).zip(r.iter());
            scaled.push(self.exact(rows.flat_map(|(row, r)| row.iter().map(|v| v.wrapping_mul(*r))).collect()));
        }
        Ok(scaled)
    }

    fn evaluate(&mut self, x: &[Evaluation<'_, Vec<Vec<u64>>, Vec<u64>>]) -> Result<Vec<Exact>, SpecError> {
        self.demand += x.iter().map(|asked| asked.curve.segments.len() as u64).sum::<u64>();
        let one = |(asked, curve): (&Evaluation<'_, Vec<Vec<u64>>, Vec<u64>>, &model::Curve)| {
            let Evaluation { phase: phases, rows, gate, .. } = asked;
            let parts: Vec<_> =
                phases.iter().zip(&curve.segments).map(|(p, s)| (s.series.evaluate(p), s.cols)).collect();
            let noise = curve.segments.iter().map(|s| noise(&s.series)).fold(0.0, f64::max);
            let mut words = join_columns(&parts, *rows);
            if let Some(gate) = gate {
                let cols = words.len() / rows;
                words.iter_mut().enumerate().for_each(|(at, v)| *v = v.wrapping_mul(gate[at / cols]));
            }
            Exact { words, noise }
        };
        Ok(x.iter().flat_map(|asked| asked.curves().map(move |curve| (asked, curve))).map(one).collect())
    }

    fn relative(&mut self, mut scores: Exact, predicted: &Exact, gates: Option<&Exact>, by: &RowShift) -> Exact {
        by.apply(&mut scores.words, &predicted.words, gates.map(|gates| gates.words.as_slice()), true);
        assert!(scores.noise == 0.0 && predicted.noise == 0.0, "products are exact");
        scores
    }

    fn add(&mut self, a: (Exact, u32), b: (Exact, u32)) -> Exact {
        let words = a.0.words.iter().zip(&b.0.words).map(|(x, y)| (x << a.1).wrapping_add(y << b.1)).collect();
        let up = |noise: f64, by: u32| noise * f64::powi(2.0, by as i32);
        Exact { words, noise: up(a.0.noise, a.1) + up(b.0.noise, b.1) }
    }

    fn row_sums(&mut self, x: &Exact, _: usize, cols: usize) -> Exact {
        let words = x.words.chunks(cols).map(|row| row.iter().fold(0u64, |s, v| s.wrapping_add(*v))).collect();
        Exact { words, noise: x.noise * cols as f64 }
    }

    fn opened_row_sums(&mut self, x: &Vec<u64>, _: usize, cols: usize) -> Vec<u64> {
        x.chunks(cols).map(|row| row.iter().fold(0u64, |s, v| s.wrapping_add(*v))).collect()
    }

    fn rotate(&mut self, _: Exact, _: usize, _: &[u64], _: &[u64]) -> Exact {
        unreachable!("a BERT rotates nothing")
    }

    fn affine(&mut self, x: Exact, plus: u64, times: u64) -> Exact {
        let words = x.words.iter().map(|z| z.wrapping_add(plus).wrapping_mul(times)).collect();
        Exact { words, noise: x.noise * (times as i64).unsigned_abs() as f64 }
    }

    fn offset(&mut self, x: Vec<u64>, by: u64) -> Vec<u64> {
        x.into_iter().map(|v| v.wrapping_add(by)).collect()
    }

    fn gated_offset(&mut self, x: Vec<u64>, by: u64, gate: &Vec<u64>) -> Vec<u64> {
        let cols = gate.len();
        let added = |(at, v): (usize, u64)| v.wrapping_add(by.wrapping_mul(gate[at % cols]));
        x.into_iter().enumerate().map(added).collect()
    }

    fn shared(&mut self, x: &Vec<u64>) -> Result<Exact, SpecError> {
        Ok(Exact { words: x.clone(), noise: 0.0 })
    }

    fn block(&mut self, x: &Vec<u64>, cols: usize, block: Block) -> Vec<u64> {
        copy_block(x, cols, block)
    }

    fn assemble(&mut self, grid: &[Vec<(&Vec<u64>, usize, usize)>]) -> Vec<u64> {
        assemble(grid)
    }

    fn open(
        &mut self,
        _: &Place<'_>,
        wires: &[(&Exact, WireOpening)],
        phases: &[(&Exact, PhaseOpening)],
    ) -> Result<(Vec<Vec<u64>>, Vec<Vec<Vec<u64>>>), SpecError> {
        let signed = |value: u64, kept: u32| ((value << (64 - kept)) as i64 >> (64 - kept)) as u64;
        let wires = wires.iter().map(|(z, o)| {
            let values = self.unmask(&z.words, z.noise, o.shift, o.kept(), 1 << (o.bits - 1));
            values.into_iter().map(|v| signed(v, o.kept())).collect()
        });
        let wires = wires.collect();
        let phases = phases.iter().map(|(z, o)| {
            let parts = split_columns(&z.words, o.rows, &o.segments.iter().map(|s| s.cols).collect::<Vec<_>>());
            let segments = parts.iter().zip(&o.segments);
            segments.map(|(part, s)| self.unmask(part, z.noise, o.shift, s.modulus_bits, 0)).collect()
        });
        Ok((wires, phases.collect()))
    }
}

impl Comparisons for Replay<'_> {
    fn difference(&mut self, _: &Vec<u64>, _: &Vec<u64>) -> Vec<u64> {
        unreachable!("a BERT compares nothing")
    }

    fn compare(&mut self, _: &[Comparing<'_, Vec<u64>>]) -> Result<Vec<SignBits<Exact>>, SpecError> {
        unreachable!("a BERT compares nothing")
    }

    fn join(&mut self, _: Vec<Joining<'_, Exact, Vec<Vec<u64>>>>) -> Result<Vec<Exact>, SpecError> {
        unreachable!("a BERT compares nothing")
    }

    fn flip(&mut self, _: &[Flipping<'_, Vec<Vec<u64>>, Vec<u64>>]) -> Result<Vec<Vec<Exact>>, SpecError> {
        unreachable!("a BERT compares nothing")
    }
}
