//! Medians of measurements and of counts.

/// The middle one of some measurements; between the middle two of an even number.
pub(crate) fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    let (below, above) = (seconds.len().saturating_sub(1) / 2, seconds.len() / 2);
    match seconds.get(below).zip(seconds.get(above)) {
        Some((below, above)) => (below + above) / 2.0,
        None => 0.0,
    }
}

/// The middle one of some counts; the lower of the middle two of an even number, so that it is one that was seen.
pub(crate) fn median_count(mut counts: Vec<u64>) -> u64 {
    counts.sort_unstable();
    counts.get(counts.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!((median(vec![]), median_count(vec![])), (0.0, 0));
        assert_eq!((median_count(vec![9, 1, 5]), median_count(vec![9, 1])), (5, 1));
    }
}
