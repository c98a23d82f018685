//! Fitted series, evaluated on integers as both parties do.

use model::{Problem, Terms, gelu};

/// Largest error over the domain of a fit with so many harmonics, evaluated on integer phases of `frac` bits.
fn integer_error(problem: &Problem<'_>, count: usize, frac: i32, bits: (u32, u32)) -> f64 {
    let fit = problem.fit(count, bits.0, bits.1);
    let modulus_bits = (problem.period.log2() as i32 + frac) as u32;
    let series = fit.rounded(modulus_bits, bits.0, bits.1, 0);
    let (lo, hi) = problem.domain;
    let xs: Vec<f64> = (0..5000).map(|i| lo + (hi - lo) * f64::from(i) / 4999.0).collect();
    let phases: Vec<u64> =
        xs.iter().map(|x| ((x * f64::powi(2.0, frac)).round() as i64 as u64) & ((1 << modulus_bits) - 1)).collect();
    let error = |(x, v): (&f64, &u64)| {
        let x = (x * f64::powi(2.0, frac)).round() / f64::powi(2.0, frac);
        let y = (problem.function)(x);
        let error = (ring64::decode(*v, series.out_frac()) - y).abs();
        if problem.relative { error / y.abs() } else { error }
    };
    let values = series.evaluate(&phases);
    xs.iter().zip(&values).map(error).fold(0.0, f64::max)
}

#[test]
fn the_even_part_of_gelu_meets_the_published_table() {
    let even = |x: f64| gelu(x) - x / 2.0;
    // domain, period, harmonics, error (design table)
    for (limit, period, count, most) in
        [(4.0, 16.0, 4, 9e-4), (4.0, 16.0, 6, 3e-4), (12.0, 32.0, 8, 1.1e-3), (28.0, 64.0, 16, 1.2e-3)]
    {
        let problem =
            Problem { function: &even, domain: (-limit, limit), period, terms: Terms::EvenOdd, relative: false };
        let error = integer_error(&problem, count, 12, (15, 15));
        assert!(error < most, "GeLU on [-{limit}, {limit}] with {count} harmonics: {error}");
    }
}

#[test]
fn reciprocal_and_inverse_root_keep_their_relative_error() {
    for (ratio, count, most) in [(16.0, 32, 1e-4), (64.0, 128, 4e-4), (128.0, 192, 8e-4)] {
        let function = |v: f64| 1.0 / v;
        let problem = Problem {
            function: &function,
            domain: (1.0, ratio),
            period: ratio * 2.0,
            terms: Terms::All,
            relative: true,
        };
        let error = integer_error(&problem, count, 12, (22, 18));
        assert!(error < most, "1/v over a ratio of {ratio} with {count} harmonics: {error}");
        let function = |v: f64| 1.0 / v.sqrt();
        let problem = Problem { function: &function, ..problem };
        let error = integer_error(&problem, count, 12, (22, 18));
        assert!(error < most, "1/sqrt v over a ratio of {ratio} with {count} harmonics: {error}");
    }
}

#[test]
fn a_period_of_twice_the_domain_does_not_explode() {
    // power-of-two periods are up to 2.2 times the domain
    for ratio in [4.0, 40.0, 100.0] {
        let function = |v: f64| 1.0 / v.sqrt();
        let problem = Problem {
            function: &function,
            domain: (1.0, ratio),
            period: ratio * 2.2,
            terms: Terms::All,
            relative: true,
        };
        let (_, error) = problem.smallest(&[16, 24, 32, 48, 64, 96], (22, 18), 2e-4);
        assert!(error < 5e-4, "1/sqrt v over a ratio of {ratio}: {error}");
    }
}

/// Where the noise alone is above what is aimed at, terms that lower nothing any more are not tried.
#[test]
fn a_fit_ends_where_more_terms_no_longer_help() {
    let function = |v: f64| 0.5 / v;
    let problem =
        Problem { function: &function, domain: (1.0, 140.0), period: 256.0, terms: Terms::All, relative: true };
    let (fit, error) = problem.smallest(&[128, 192, 256], (22, 18), 2e-4);
    let (_, most) = problem.smallest(&[256], (22, 18), 2e-4);
    assert!(error > 8e-4 && error < 1.1 * most, "{error}, with more terms {most}");
    assert_eq!(fit.rounded(20, 22, 18, 0).harmonics.len(), 192);
}

#[test]
fn tanh_is_a_plateau_with_two_flanks() {
    let problem =
        Problem { function: &f64::tanh, domain: (-11.0, 11.0), period: 32.0, terms: Terms::OddOdd, relative: false };
    let error = integer_error(&problem, 32, 12, (16, 16));
    assert!(error < 3e-4, "tanh: {error}");
}
