//! The hot calls of a private inference, each with inputs of its own: what the benches here time and count.

use std::fmt;

use ring64::{Dims, Harmonics, Kernel, Key, Packed, Prg, Rhs, Turn};

/// The steps of a turn, as a power of two; time and instructions do not depend on it.
const TURN_BITS: u32 = 17;
/// Fractional bits of dealt waves.
const WAVE_FRAC: u32 = 20;

/// A call and its size.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    /// [`Packed::multiply_add`]: activations times a weight.
    MultiplyAdd(Dims),
    /// [`Kernel::gemm`]: attention, where neither factor is known beforehand.
    Gemm(Dims, Rhs),
    /// [`Kernel::mul_add`] of so many words.
    MulAdd(usize),
    /// [`Kernel::row_dot`] of rows and columns.
    RowDot(usize, usize),
    /// [`Kernel::scale_rows_add`] of rows and columns.
    ScaleRowsAdd(usize, usize),
    /// [`Kernel::open_send`] of so many bits, so many words.
    OpenSend(u32, usize),
    /// [`Kernel::open_receive`] of so many bits, so many words, lifted to a range of one bit less.
    OpenReceive(u32, usize),
    /// [`Turn::waves`] of so many odd harmonics, so many angles.
    Waves(usize, usize),
    /// [`Turn::series_add`] of so many odd harmonics, so many angles.
    SeriesAdd(usize, usize),
    /// [`Prg::fill`] of so many words.
    Fill(usize),
}

impl Call {
    /// Makes the inputs; what comes back makes the call on them as often as it is run.
    pub(crate) fn prepare(self, kernel: Kernel) -> Box<dyn FnMut()> {
        let key = Key::from_bytes([1; 32]);
        let mut prg = Prg::with_kernel(&key, 0, kernel);
        let turn = Turn::new(TURN_BITS).with_kernel(kernel);
        match self {
            Self::MultiplyAdd(Dims { m, k, n }) => {
                let (factor, a) = (Packed::new(kernel, k, n, prg.words(k * n)), prg.words(m * k));
                let mut c = prg.words(m * n);
                Box::new(move || factor.multiply_add(m, &a, &mut c))
            }
            Self::Gemm(dims, rhs) => {
                let (a, b) = (prg.words(dims.m * dims.k), prg.words(dims.k * dims.n));
                let mut c = prg.words(dims.m * dims.n);
                Box::new(move || kernel.gemm(dims, &a, &b, rhs, &mut c))
            }
            Self::MulAdd(words) => {
                let (a, b, mut c) = (prg.words(words), prg.words(words), prg.words(words));
                Box::new(move || kernel.mul_add(&a, &b, &mut c))
            }
            Self::RowDot(rows, columns) => {
                let (a, b, mut out) = (prg.words(rows * columns), prg.words(rows * columns), prg.words(rows));
                Box::new(move || kernel.row_dot(columns, &a, &b, &mut out))
            }
            Self::ScaleRowsAdd(rows, columns) => {
                let (a, r, mut c) = (prg.words(rows * columns), prg.words(rows), prg.words(rows * columns));
                Box::new(move || kernel.scale_rows_add(columns, &a, &r, &mut c))
            }
            Self::OpenSend(bits, words) => {
                let (share, mut mask) = (prg.words(words), prg.words(words));
                let mut out = Vec::new();
                Box::new(move || {
                    out.clear();
                    kernel.open_send(&share, 1 << (bits - 2), 0, bits, &mut mask, &mut out);
                })
            }
            Self::OpenReceive(bits, words) => {
                let mut theirs = Vec::new();
                ring64::pack(&prg.words(words), 0, bits, &mut theirs);
                let mut sums = prg.words(words);
                Box::new(move || {
                    kernel.open_receive(&theirs, bits, Some(bits - 1), &mut sums).expect("packed just now");
                })
            }
            Self::Waves(harmonics, angles) => {
                let (multiples, angles) = (odd(harmonics), prg.words(angles));
                let mut out = vec![0; 2 * multiples.len() * angles.len()];
                Box::new(move || turn.waves(&multiples, WAVE_FRAC, &angles, &mut out))
            }
            Self::SeriesAdd(harmonics, angles) => {
                let (multiples, angles) = (odd(harmonics), prg.words(angles));
                let coefficients = |prg: &mut Prg| prg.words(harmonics).iter().map(|w| (w >> 34) as i64).collect();
                let (cosines, sines): (Vec<_>, Vec<_>) = (coefficients(&mut prg), coefficients(&mut prg));
                let (waves, mut sum) = (prg.words(2 * harmonics * angles.len()), prg.words(angles.len()));
                Box::new(move || {
                    let series = Harmonics { multiples: &multiples, cosines: &cosines, sines: &sines };
                    turn.series_add(series, &angles, &waves, &mut sum);
                })
            }
            Self::Fill(words) => {
                let mut out = vec![0; words];
                Box::new(move || prg.fill(&mut out))
            }
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MultiplyAdd(Dims { m, k, n }) => write!(f, "multiply_add {m}x{k}x{n}"),
            Self::Gemm(Dims { m, k, n }, Rhs::AsIs) => write!(f, "gemm {m}x{k}x{n}"),
            Self::Gemm(Dims { m, k, n }, Rhs::Transposed) => write!(f, "gemm {m}x{k}x{n} transposed"),
            Self::MulAdd(words) => write!(f, "mul_add {words} words"),
            Self::RowDot(rows, columns) => write!(f, "row_dot {rows}x{columns}"),
            Self::ScaleRowsAdd(rows, columns) => write!(f, "scale_rows_add {rows}x{columns}"),
            Self::OpenSend(bits, words) => write!(f, "open_send {bits} bits, {words} words"),
            Self::OpenReceive(bits, words) => write!(f, "open_receive {bits} bits, {words} words"),
            Self::Waves(harmonics, angles) => write!(f, "waves {harmonics} harmonics, {angles} angles"),
            Self::SeriesAdd(harmonics, angles) => write!(f, "series_add {harmonics} harmonics, {angles} angles"),
            Self::Fill(words) => write!(f, "fill {words} words"),
        }
    }
}

/// 1, 3, 5, ...: what GeLU's series are made of.
fn odd(harmonics: usize) -> Vec<u32> {
    (1..).step_by(2).take(harmonics).collect()
}

/// From here on everything of rayon runs on this thread: no other is waited for, and none spins.
pub(crate) fn stay_on_this_thread() {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    one.build_global().expect("no pool before this one");
}
