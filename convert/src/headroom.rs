//! How far a series holds beyond the arguments that were seen, found out on its own integers.

use model::Curve;

/// Relative error from which on a series is out of its domain.
const LOST: f64 = 1e-2;
/// How far a step goes.
const STEP: f64 = 1.02;
/// Beyond this factor nothing is looked for.
const MOST: f64 = 64.0;

/// By which factors the smallest and the largest argument could be passed before the result is off by a hundredth. The first
/// segment's series; both ends are positive.
pub(crate) fn factors(curve: &Curve, function: &dyn Fn(f64) -> f64, (lo, hi): (f64, f64)) -> (f64, f64) {
    (reach(curve, function, lo, 1.0 / STEP), reach(curve, function, hi, STEP))
}

fn reach(curve: &Curve, function: &dyn Fn(f64) -> f64, from: f64, step: f64) -> f64 {
    let mut factor = 1.0;
    while (1.0 / MOST..MOST).contains(&factor) && holds(curve, function, from * factor * step) {
        factor *= step;
    }
    f64::max(factor, 1.0 / factor)
}

fn holds(curve: &Curve, function: &dyn Fn(f64) -> f64, v: f64) -> bool {
    let right = function(v);
    let value = curve.segments.first().and_then(|segment| segment.series.at(v, curve.frac));
    value.is_some_and(|value| (value - right).abs() <= LOST * right.abs())
}

#[cfg(test)]
mod tests {
    use model::{Problem, Segment, Terms};

    use super::*;

    #[test]
    fn a_series_holds_up_to_the_ends_of_its_fit_and_not_much_further() {
        let function = |v: f64| 1.0 / v;
        let problem =
            Problem { function: &function, domain: (1.0, 14.0), period: 16.0, terms: Terms::All, relative: true };
        let fit = problem.fit(48, 22, 18);
        assert!(fit.error < 1e-3);
        let curve =
            Curve { frac: 12, stretch: 0, segments: vec![Segment { cols: 1, series: fit.rounded(16, 22, 18, 0) }] };
        let (below, above) = factors(&curve, &function, (2.0, 7.0));
        assert!((2.0..2.6).contains(&below), "{below}");
        assert!((1.9..2.2).contains(&above), "{above}");
    }
}
