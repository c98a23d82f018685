//! Whether a run can be believed: smooth functions held to the relations that define them.
//!
//! Inside its domain a series is right to a few ten-thousandths; above it, it gives what it happens to give, and no opened
//! word shows it. But `r = sqrt(width / v)` of a LayerNorm makes rows whose squares sum to `width`, and `r = 1 / D` of an
//! attention row makes `r D = 1`. What is missing to that is the *defect* of a row (of each LayerNorm), or of a row and head
//! (of each attention). It is opened beside what the network opens anyway, and the squares of all defects of a text add up to
//! its *certificate*, which the client alone learns, with the logits. See `docs/masked-wires.md`.
//!
//! Cost: 8 dealt bytes and one opened word a defect, 8 dealt bytes a text, no round.

use std::ops::RangeInclusive;

use crate::choose::ChooseError;
use crate::engine::{Block, Engine, Function, Opened, Site};
use crate::fixed::{Arithmetic, Fixed, Form, Value};
use crate::shape::{TOKEN_CLASSES, Texts, token_class};
use crate::spec::{Opening, Spec};

/// How defects are opened: units of a millionth, and a range in which every answer that is accepted lies.
pub(crate) const DEFECT: Opening = Opening { frac: 20, bits: 14 };
/// Fractional bits of a certificate's share: sums of squares of opened defects.
pub const CERTIFICATE_FRAC: i32 = 2 * DEFECT.frac;
/// Fractional bits of certificates as clients read them: of the coarsest, the most that is accepted is 2^-7, below 1e-2.
pub const CERTIFICATE_FRACS: RangeInclusive<i32> = 9..=CERTIFICATE_FRAC;
/// Units of a certificate that are accepted; a right answer has none or one, the second and third are room for rounding.
const ACCEPTED_UNITS: f64 = 4.0;
/// How far above the certificate of an ordinary text the bound is.
pub const ORDINARY: f64 = 10.0;
/// Class of lengths from which on the bound is as large as it may be.
const FULL_CLASS: i32 = 7;
/// Fractional bits of a defect's share, before it is opened.
const SHARE_FRAC: i32 = 44;
/// The same where the epsilon of a LayerNorm is seen: it is multiplied by an integer of its own, which must not be small.
const EPSILON_SHARE_FRAC: i32 = 48;
/// Fractional bits of `1/width` at least, for rows of any scale: a reciprocal that rounds to nothing makes a defect of nothing.
/// Where the share then is too fine to be opened, planning says so.
const WIDTH_FRAC: i32 = 20;
/// Share of a row's square sum that its epsilon may take and still be left out.
const EPSILON_SEEN: f64 = 1e-4;

/// What a network gives: logits, one row a text, and how far it was from its own promises.
#[derive(Clone, Debug)]
pub struct Classified<S> {
    /// One row a text.
    pub logits: S,
    /// The certificate of each text, one number each with [`CERTIFICATE_FRAC`] fractional bits; none where the engine does not
    /// check itself.
    pub certificates: Vec<S>,
}

/// To which rows of which texts a column of defects belongs.
#[derive(Clone, Debug)]
enum Rows {
    /// So many rows of each text in turn.
    OfAll(Vec<usize>),
    /// Rows of one text.
    Of(usize),
}

/// The defects of a run on their way: those that wait for the next round, and those that were opened.
pub struct Checks<E: Engine> {
    pending: Vec<(E::Share, Function, Rows)>,
    /// By text.
    opened: Vec<Vec<E::Wire>>,
}

impl<E: Engine> Checks<E> {
    /// For a batch of so many texts.
    pub(crate) fn new(texts: &Texts) -> Checks<E> {
        Checks { pending: Vec::new(), opened: (0..texts.len()).map(|_| Vec::new()).collect() }
    }

    /// Holds the rows that a LayerNorm made to what it promises; so many rows of each text.
    pub(crate) fn norm(
        &mut self,
        engine: &mut E,
        (normal, inverse): (&E::Wire, &E::Wire),
        norm: usize,
        rows: Vec<usize>,
    ) -> Result<(), E::Error> {
        let defect = engine.norm_defect(normal, inverse, norm)?;
        self.pending.extend(defect.map(|share| (share, Function::InverseRoot { norm }, Rows::OfAll(rows))));
        Ok(())
    }

    /// Holds reciprocals to the sums that they are of, both opened; `of` says of each which function and which text it is.
    pub(crate) fn reciprocals(
        &mut self,
        engine: &mut E,
        pairs: &[(&E::Wire, &E::Wire)],
        of: impl Iterator<Item = (Function, usize)>,
    ) -> Result<(), E::Error> {
        let defects = engine.reciprocal_defects(pairs)?.into_iter().zip(of);
        self.pending.extend(defects.map(|(share, (function, text))| (share, function, Rows::Of(text))));
        Ok(())
    }

    /// Opens what the network asks for, and the defects that wait beside it: the round is there anyway.
    pub(crate) fn open(
        &mut self,
        engine: &mut E,
        wires: &[(&E::Share, Site)],
        phases: &[(&E::Share, Function)],
    ) -> Result<Opened<E>, E::Error> {
        let pending = std::mem::take(&mut self.pending);
        let mut asked = wires.to_vec();
        asked.extend(pending.iter().map(|(share, function, _)| (share, Site::Defect { function: *function })));
        let (mut opened, phases) = engine.open(&asked, phases)?;
        let defects = opened.split_off(wires.len());
        for (defect, (_, _, rows)) in defects.into_iter().zip(&pending) {
            match rows {
                Rows::Of(text) => self.opened[*text].push(defect),
                Rows::OfAll(rows) => self.share_out(engine, &defect, rows),
            }
        }
        Ok((opened, phases))
    }

    /// Gives each text its rows.
    fn share_out(&mut self, engine: &mut E, defect: &E::Wire, rows: &[usize]) {
        let mut row = 0;
        for (of_text, rows) in self.opened.iter_mut().zip(rows) {
            of_text.push(engine.block(defect, Block { row, rows: *rows, col: 0, cols: 1 }));
            row += rows;
        }
    }

    /// The certificate of each text; each must have been opened what it is made of.
    pub(crate) fn certificates(self, engine: &mut E) -> Result<Vec<E::Share>, E::Error> {
        debug_assert!(self.pending.is_empty(), "every defect is opened before the last round ends");
        let mut certificates = Vec::with_capacity(self.opened.len());
        for defects in self.opened {
            if !defects.is_empty() {
                let column = engine.assemble(&defects.into_iter().map(|wire| vec![wire]).collect::<Vec<_>>());
                certificates.extend(engine.square_total(&column)?);
            }
        }
        Ok(certificates)
    }
}

/// How large certificates may be, by token class, where the squared defects of a row come to so much in the mean. Rows that
/// are off by so much that logits would be were never seen with less than this bound in all; up to 2^7 tokens the bound is
/// proportional to the tokens, so that one row alone cannot be far off. An ordinary text stays ten times below it.
pub(crate) fn certificate_fracs(of_a_row: f64) -> Result<Vec<i32>, ChooseError> {
    let frac = |class: usize| {
        let expected = of_a_row * f64::powi(2.0, class as i32);
        let enough = (ACCEPTED_UNITS / (ORDINARY * expected)).log2().floor();
        let finest = CERTIFICATE_FRACS.start() + (FULL_CLASS - class as i32).max(0);
        if enough < f64::from(*CERTIFICATE_FRACS.start()) {
            return Err(ChooseError::Range {
                place: format!("a text of {} tokens", 1 << class),
                what: "expected sum of squared defects of all series",
                value: expected,
                limit: ACCEPTED_UNITS * f64::powi(2.0, -CERTIFICATE_FRACS.start()) / ORDINARY,
                cure: "arguments of 1/sqrt and 1/sum spread too far for series this good: train with distill's --range-penalty and --short-texts, or calibrate on other texts",
            });
        }
        Ok(finest.min(enough as i32))
    };
    (0..TOKEN_CLASSES).map(frac).collect()
}

impl Spec {
    /// Fractional bits at which the client reads the certificate of a text of so many tokens.
    pub fn certificate_frac(&self, tokens: usize) -> i32 {
        self.certificates[token_class(tokens)]
    }

    /// The largest certificate with which the answer to a text of so many tokens is accepted.
    pub fn certificate_limit(&self, tokens: usize) -> f64 {
        ACCEPTED_UNITS * f64::powi(2.0, -self.certificate_frac(tokens))
    }

    /// Whether a certificate is one of a right answer. A sum of squares that wrapped is negative, or too large.
    pub fn certifies(&self, tokens: usize, certificate: f64) -> bool {
        (0.0..=self.certificate_limit(tokens)).contains(&certificate)
    }

    /// Fractional bits of the share of a LayerNorm's defect, and whether its epsilon is a part of the relation that can be
    /// seen: `sum(normal^2) / width + epsilon r^2 = 1`.
    fn norm_defect_frac(&self, norm: usize) -> (i32, bool) {
        let inverse = self.norms[norm].inverse_deviation;
        let most = f64::powi(2.0, 2 * (inverse.bits as i32 - 1 - inverse.frac));
        let seen = self.shape.eps * most > EPSILON_SEEN;
        let usual = if seen { EPSILON_SHARE_FRAC } else { SHARE_FRAC };
        (usual.max(2 * self.norms[norm].normal.frac + WIDTH_FRAC), seen)
    }
}

/// `sum(normal^2) / width + epsilon r^2 - 1` of each row.
pub(crate) fn norm_defect<A: Arithmetic>(
    engine: &mut Fixed<A>,
    normal: &Value<A::Wire>,
    inverse: &Value<A::Wire>,
    norm: usize,
) -> Result<Value<A::Share>, A::Error> {
    let Form { rows, cols, frac } = normal.form;
    let (to, with_epsilon) = engine.spec().norm_defect_frac(norm);
    let epsilon = engine.spec().shape.eps;
    let arithmetic = &mut engine.arithmetic;
    let power = |bits: i32| f64::powi(2.0, bits);
    let sum = arithmetic.square_sum(&normal.data, rows, cols)?;
    let minus_width = (cols as u64).wrapping_shl((2 * frac) as u32).wrapping_neg();
    let over_width = (power(to - 2 * frac) / cols as f64).round() as u64;
    let mut data = arithmetic.affine(sum, minus_width, over_width);
    let times_epsilon = (epsilon * power(to - 2 * inverse.form.frac)).round() as u64;
    if with_epsilon && times_epsilon > 0 {
        let squares = arithmetic.square(&[(&inverse.data, rows)])?;
        for square in squares {
            let scaled = arithmetic.affine(square, 0, times_epsilon);
            data = arithmetic.add((data, 0), (scaled, 0));
        }
    }
    Ok(Value { form: Form { rows, cols: 1, frac: to }, data })
}

/// `D r - 1` of each row of each pair.
#[allow(clippy::type_complexity)] // of an associated type of an associated type
pub(crate) fn reciprocal_defects<A: Arithmetic>(
    engine: &mut Fixed<A>,
    pairs: &[(&Value<A::Wire>, &Value<A::Wire>)],
) -> Result<Vec<Value<A::Share>>, A::Error> {
    let products = engine.scale_rows(pairs)?;
    let defect = |Value { form, data }: Value<A::Share>| {
        let to = form.frac.max(SHARE_FRAC);
        // a scale beyond the ring's is refused where the defect is opened
        let minus_one = 1u64.checked_shl(form.frac.max(0) as u32).unwrap_or(0).wrapping_neg();
        let up = 1u64.checked_shl((to - form.frac) as u32).unwrap_or(0);
        Value { form: Form { frac: to, ..form }, data: engine.arithmetic.affine(data, minus_one, up) }
    };
    Ok(products.into_iter().map(defect).collect())
}
