//! The protocols on a party's shares.

use std::time::{Duration, Instant};

use model::{Network, Operation, Weight};
use net::{Frame, Header, Link};
use ring64::{Dims, Harmonics, Kernel, Rhs, add_assign, low_bits, pack, packed_len, sub_assign, unpack, unpack_add};

use super::deal::{products, scale_parts, turn};
use super::demand::FRAME;
use super::interpreter::run_on;
use super::network::NetworkRing;
use super::options::Options;
use super::weights::Shares;
use crate::dealt::DealtReader;
use crate::error::MpcError;
use crate::flow::MOST_AHEAD;
use crate::kind;
use crate::party::Party;
use crate::protocol::ring::{Ring, Wave};
use crate::protocol::truncate::{OFFSET, finish};
use crate::run::{OutputShare, Run};
use crate::streams::{Purpose, Streams};
use crate::trace::{Trace, Tracing};

/// Evaluates a network on this party's shares of the inputs, one a batch, with the streams of one agreement, which it uses up,
/// and at P1 with what the dealer sends. What it cost is added to `trace`.
#[allow(clippy::too_many_arguments, reason = "what a party has, each its own")]
pub fn online<N: Network, S: Streams>(
    run: &Run<'_, N>,
    options: Options,
    weights: &Shares,
    streams: S,
    dealt: Option<DealtReader<'_>>,
    inputs: Vec<Vec<u64>>,
    peer: &mut dyn Link,
    trace: &mut Trace,
) -> Result<Vec<OutputShare>, MpcError> {
    let Run { calibrated, batches, request, kernel, .. } = *run;
    let party = weights.party;
    match (party, &dealt) {
        (Party::Zero, Some(_)) => return Err(MpcError::Role { party, what: "a dealt stream, which is P1's" }),
        (Party::One, None) => return Err(MpcError::Role { party, what: "no dealt stream" }),
        _ => {}
    }
    if inputs.len() != batches.len() {
        return Err(MpcError::Role { party, what: "not one input a batch" });
    }
    for (batch, input) in batches.iter().zip(&inputs) {
        let expected = calibrated.input_count(batch);
        if input.len() != expected {
            return Err(MpcError::Opening { expected, got: input.len() });
        }
    }
    let tracing = Tracing::begin(trace);
    let mut ring = Online { weights, streams, dealt, peer, request, number: 0, kernel, tracing };
    let outputs = run_on(&mut ring, calibrated, batches, options, inputs)?;
    if let Some(dealt) = ring.dealt.take() {
        dealt.finish()?;
    }
    let share = |(results, frac)| OutputShare { results, frac, certificates: Vec::new() };
    Ok(outputs.into_iter().map(share).collect())
}

pub(crate) struct Online<'w, 'd, 'p, 't, S> {
    pub(crate) weights: &'w Shares,
    pub(crate) streams: S,
    pub(crate) dealt: Option<DealtReader<'d>>,
    pub(crate) peer: &'p mut dyn Link,
    pub(crate) request: u64,
    /// Of the demand, which is also the step of its frames.
    pub(crate) number: u64,
    pub(crate) kernel: Kernel,
    pub(crate) tracing: Tracing<'t>,
}

impl<S: Streams> Online<'_, '_, '_, '_, S> {
    fn party(&self) -> Party {
        self.weights.party
    }

    /// This party's half of masks of the present demand. Each purpose is drawn once a demand.
    fn mask(&mut self, purpose: Purpose, count: usize) -> Vec<u64> {
        self.streams.words(self.number, purpose, count, self.kernel)
    }

    /// This party's half of dealt values of the present demand.
    fn dealt(&mut self, purpose: Purpose, count: usize) -> Result<Vec<u64>, MpcError> {
        match &mut self.dealt {
            None => Ok(self.streams.words(self.number, purpose, count, self.kernel)),
            Some(reader) => reader.words(count, 64),
        }
    }

    /// `x - a` of both parties together, for the words of this party's half. One round, and the end of a demand.
    fn open(&mut self, own: Vec<u64>) -> Result<Vec<u64>, MpcError> {
        let mut sum = own;
        let theirs = self.exchange(&sum, 64)?;
        self.unpacked(unpack_add(&theirs, 64, &mut sum))?;
        Ok(sum)
    }

    /// The same for words that are shared by exclusive or.
    fn open_bits(&mut self, own: Vec<u64>, bits: u32) -> Result<Vec<u64>, MpcError> {
        let theirs = self.exchange(&own, bits)?;
        let mut other = vec![0; own.len()];
        self.unpacked(unpack(&theirs, bits, &mut other))?;
        let mut sum = own;
        sum.iter_mut().zip(&other).for_each(|(a, b)| *a ^= b);
        Ok(sum)
    }

    fn unpacked(&self, result: Result<(), ring64::PackError>) -> Result<(), MpcError> {
        result.map_err(|source| MpcError::Packed { peer: self.peer.peer().to_string(), what: "opening", source })
    }

    /// Sends the lowest bits of words and gives the peer's, in frames that both cut alike.
    fn exchange(&mut self, words: &[u64], bits: u32) -> Result<Vec<u8>, MpcError> {
        let total = packed_len(words.len(), bits);
        let mut payload = Vec::with_capacity(total);
        pack(words, 0, bits, &mut payload);
        let (mut theirs, mut waited) = (Vec::with_capacity(total), Duration::ZERO);
        let (request, step) = (self.request, self.number as u32);
        let mut receive = |peer: &mut dyn Link, theirs: &mut Vec<u8>| -> Result<(), MpcError> {
            let begin = Instant::now();
            let length = (total - theirs.len()).min(FRAME);
            theirs.extend_from_slice(&peer.expect(kind::OPEN, request, 0, step, Some(length))?);
            waited += begin.elapsed();
            Ok(())
        };
        let mut sent = 0;
        while sent < total {
            let next = (sent + FRAME).min(total);
            self.peer.send(Frame::new(Header::new(kind::OPEN, request, 0, step), payload[sent..next].to_vec()))?;
            sent = next;
            if sent - theirs.len() > MOST_AHEAD {
                receive(self.peer, &mut theirs)?;
            }
        }
        while theirs.len() < total {
            receive(self.peer, &mut theirs)?;
        }
        self.tracing.opened(total, waited);
        self.number += 1;
        Ok(theirs)
    }

    /// Adds a public term of a product, at one party.
    fn at_one(&self, mut own: Vec<u64>, public: &[u64]) -> Vec<u64> {
        if self.party() == Party::One {
            add_assign(&mut own, public);
        }
        own
    }

    /// Products of left and right factors that were opened: `c + e (b + i f) + a f`.
    fn multiply_matrices(&mut self, x: &[&[u64]], y: &[&[u64]], dims: &[Dims], rhs: Rhs) -> Result<Vec<u64>, MpcError> {
        let (left, right): (usize, usize) = (x.iter().map(|x| x.len()).sum(), y.iter().map(|y| y.len()).sum());
        let (a, b) = (self.mask(Purpose::Mask, left), self.mask(Purpose::Right, right));
        let mut z = self.dealt(Purpose::Dealt, dims.iter().map(|d| d.m * d.n).sum())?;
        let (e, f) = self.open_both(x, y, &a, &b)?;
        let b = self.at_one(b, &f);
        products(self.kernel, dims, rhs, &e, &b, &mut z);
        products(self.kernel, dims, rhs, &a, &f, &mut z);
        Ok(z)
    }

    /// Opens the operands of a product under their masks, in one round.
    fn open_both(
        &mut self,
        x: &[&[u64]],
        y: &[&[u64]],
        a: &[u64],
        b: &[u64],
    ) -> Result<(Vec<u64>, Vec<u64>), MpcError> {
        let mut own = Vec::with_capacity(a.len() + b.len());
        x.iter().chain(y).for_each(|words| own.extend_from_slice(words));
        if own.len() != a.len() + b.len() {
            return Err(MpcError::Opening { expected: a.len() + b.len(), got: own.len() });
        }
        sub_assign(&mut own[..a.len()], a);
        sub_assign(&mut own[a.len()..], b);
        let mut opened = self.open(own)?;
        let right = opened.split_off(a.len());
        Ok((opened, right))
    }
}

impl<S: Streams> Ring for Online<'_, '_, '_, '_, S> {
    type Share = Vec<u64>;
    type Error = MpcError;

    fn multiply(&mut self, x: &Vec<u64>, y: &Vec<u64>) -> Result<Vec<u64>, MpcError> {
        let (a, b) = (self.mask(Purpose::Mask, x.len()), self.mask(Purpose::Right, y.len()));
        let mut z = self.dealt(Purpose::Dealt, x.len())?;
        let (e, f) = self.open_both(&[x], &[y], &a, &b)?;
        let b = self.at_one(b, &f);
        self.kernel.mul_add(&e, &b, &mut z);
        self.kernel.mul_add(&a, &f, &mut z);
        Ok(z)
    }

    fn square(&mut self, x: &Vec<u64>) -> Result<Vec<u64>, MpcError> {
        let a = self.mask(Purpose::Mask, x.len());
        let mut z = self.dealt(Purpose::Dealt, x.len())?;
        let mut own = x.clone();
        sub_assign(&mut own, &a);
        let e = self.open(own)?;
        // c + e (2 a + i e)
        let twice = a.iter().map(|a| a.wrapping_mul(2)).collect();
        let right = self.at_one(twice, &e);
        self.kernel.mul_add(&e, &right, &mut z);
        Ok(z)
    }

    fn scale_rows(&mut self, x: &Vec<u64>, r: &Vec<u64>, parts: &[(usize, usize)]) -> Result<Vec<u64>, MpcError> {
        let (a, b) = (self.mask(Purpose::Mask, x.len()), self.mask(Purpose::Right, r.len()));
        let mut z = self.dealt(Purpose::Dealt, x.len())?;
        let (e, f) = self.open_both(&[x], &[r], &a, &b)?;
        let b = self.at_one(b, &f);
        scale_parts(self.kernel, parts, &e, &b, &mut z);
        scale_parts(self.kernel, parts, &a, &f, &mut z);
        Ok(z)
    }

    fn matmul(&mut self, pairs: &[(&Vec<u64>, &Vec<u64>)], dims: &[Dims], rhs: Rhs) -> Result<Vec<Vec<u64>>, MpcError> {
        let lefts: Vec<_> = pairs.iter().map(|(x, _)| x.as_slice()).collect();
        let rights: Vec<_> = pairs.iter().map(|(_, y)| y.as_slice()).collect();
        let all = self.multiply_matrices(&lefts, &rights, dims, rhs)?;
        let mut rest = all.as_slice();
        let mut each = Vec::with_capacity(dims.len());
        for d in dims {
            let (product, behind) = rest.split_at(d.m * d.n);
            each.push(product.to_vec());
            rest = behind;
        }
        Ok(each)
    }

    fn and(&mut self, x: &Vec<u64>, y: &Vec<u64>) -> Result<Vec<u64>, MpcError> {
        let count = x.len();
        let (a, b) = (self.mask(Purpose::Mask, count), self.mask(Purpose::Right, count));
        let mut z = self.dealt(Purpose::Dealt, count)?;
        let masked = x.iter().zip(&a).chain(y.iter().zip(&b)).map(|(v, mask)| v ^ mask).collect();
        let opened = self.open_bits(masked, 64)?;
        let (e, f) = opened.split_at(count);
        let own = if self.party() == Party::One { u64::MAX } else { 0 };
        for (i, z) in z.iter_mut().enumerate() {
            // c ^ e (b ^ i f) ^ a f
            *z ^= (e[i] & (b[i] ^ (f[i] & own))) ^ (a[i] & f[i]);
        }
        Ok(z)
    }

    fn bit(&mut self, x: &Vec<u64>) -> Result<Vec<u64>, MpcError> {
        let r = self.mask(Purpose::Mask, x.len());
        let mut z = self.dealt(Purpose::Dealt, x.len())?;
        let masked = x.iter().zip(&r).map(|(x, r)| (x ^ r) & 1).collect();
        let opened = self.open_bits(masked, 1)?;
        let one = u64::from(self.party() == Party::One);
        // b = m + r - 2 m r
        for (z, m) in z.iter_mut().zip(&opened) {
            *z = (m & one).wrapping_add(z.wrapping_mul(1u64.wrapping_sub(2 * m)));
        }
        Ok(z)
    }

    fn sine(&mut self, x: &Vec<u64>, wave: &Wave) -> Result<Vec<u64>, MpcError> {
        let (count, period, bits) = (x.len(), wave.period, wave.bits());
        let a = self.mask(Purpose::Mask, count);
        let waves = self.dealt(Purpose::Dealt, 2 * wave.multiples.len() * count)?;
        // the period need not divide 2^64: a share is reduced as a signed integer before it is masked
        let reduced = |x: u64| (x as i64).rem_euclid(period as i64) as u64;
        let mut own: Vec<u64> = x.iter().zip(&a).map(|(x, a)| (reduced(*x) + a % period) % period).collect();
        let theirs = self.exchange(&own, bits)?;
        let mut other = vec![0; count];
        self.unpacked(unpack(&theirs, bits, &mut other))?;
        // a peer's word beyond the period is reduced like any other
        own.iter_mut().zip(&other).for_each(|(x, y)| *x = (*x + (y & low_bits(bits))) % period);
        let constant = if self.party() == Party::One { wave.constant as u64 } else { 0 };
        let mut z = vec![constant; count];
        let Wave { multiples, cosines, sines, .. } = wave;
        turn(self.kernel).series_add(Harmonics { multiples, cosines, sines }, &wave.angles(&own), &waves, &mut z);
        Ok(z)
    }

    fn truncate(&mut self, x: &Vec<u64>, parts: &[(usize, u32)]) -> Result<Vec<u64>, MpcError> {
        let r = self.mask(Purpose::Mask, x.len());
        let (high, top) = (self.dealt(Purpose::Dealt, x.len())?, self.dealt(Purpose::Second, x.len())?);
        let offset = if self.party() == Party::Zero { OFFSET } else { 0 };
        let masked = x.iter().zip(&r).map(|(x, r)| x.wrapping_add(*r).wrapping_add(offset)).collect();
        let opened = self.open(masked)?;
        Ok(finish(self.party(), &opened, &high, &top, parts))
    }

    fn count(&self, x: &Vec<u64>) -> usize {
        x.len()
    }

    fn local(
        &mut self,
        inputs: &[&Vec<u64>],
        count: usize,
        compute: impl FnOnce(Party, &[&[u64]]) -> Vec<u64>,
    ) -> Vec<u64> {
        let inputs: Vec<_> = inputs.iter().map(|x| x.as_slice()).collect();
        let result = compute(self.party(), &inputs);
        assert_eq!(result.len(), count, "words of a local computation");
        result
    }
}

impl<S: Streams> NetworkRing for Online<'_, '_, '_, '_, S> {
    fn linear(&mut self, x: &Vec<u64>, weight: Weight, dims: Dims) -> Result<Vec<u64>, MpcError> {
        let w = self.weights.matrix(weight, dims.k * dims.n)?;
        self.multiply_matrices(&[x], &[w], &[dims], Rhs::AsIs)
    }

    fn residual(
        &mut self,
        x: &Vec<u64>,
        weight: Weight,
        (rows, cols): (usize, usize),
        centred: bool,
    ) -> Result<Vec<u64>, MpcError> {
        let w = self.weights.matrix(weight, 2 * cols)?;
        let (a, b) = (self.mask(Purpose::Mask, x.len()), self.mask(Purpose::Right, 2 * cols));
        let mut z = self.dealt(Purpose::Dealt, x.len())?;
        let mut means = centred.then(|| self.dealt(Purpose::Second, rows)).transpose()?;
        let (e, f) = self.open_both(&[x], &[w], &a, &b)?;
        let b = self.at_one(b, &f);
        for (left, right) in [(&e, &b), (&a, &f)] {
            self.kernel.columns_mul_add(cols, left, &right[..cols], &mut z);
            if let Some(means) = &mut means {
                self.kernel.rows_dot_vector(cols, left, &right[cols..], means);
            }
        }
        for (row, mean) in z.chunks_mut(cols).zip(means.iter().flatten()) {
            row.iter_mut().for_each(|v| *v = v.wrapping_sub(*mean));
        }
        Ok(z)
    }

    fn weight_rows(&mut self, weight: Weight, rows: &[usize], cols: usize) -> Result<Vec<u64>, MpcError> {
        self.weights.rows(weight, rows, cols)
    }

    fn bias(&mut self, weight: Weight, cols: usize) -> Result<Option<Vec<u64>>, MpcError> {
        Ok(self.weights.bias(weight, cols)?.map(<[u64]>::to_vec))
    }

    fn begin(&mut self, part: usize, operation: Operation) {
        self.tracing.begin_part(part);
        self.tracing.begin_operation(operation);
    }

    fn begin_operation(&mut self, operation: Operation) {
        self.tracing.begin_operation(operation);
    }
}
