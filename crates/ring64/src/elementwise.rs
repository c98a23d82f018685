//! Sums, differences and signs of slices: memory-bound loops that need no kernel of their own.

/// `a[i] += b[i]`.
///
/// # Panics
/// When the lengths differ.
pub fn add_assign(a: &mut [u64], b: &[u64]) {
    zip(a, b, "add_assign", u64::wrapping_add);
}

/// `a[i] -= b[i]`.
///
/// # Panics
/// When the lengths differ.
pub fn sub_assign(a: &mut [u64], b: &[u64]) {
    zip(a, b, "sub_assign", u64::wrapping_sub);
}

/// `a[i] = -a[i]`.
pub fn neg_assign(a: &mut [u64]) {
    a.iter_mut().for_each(|x| *x = x.wrapping_neg());
}

/// `a[i] <<= d`.
///
/// # Panics
/// When `d >= 64`.
pub fn shift_left_assign(a: &mut [u64], d: u32) {
    assert!(d < 64, "shift_left_assign: shift of {d} bits, a word has 64");
    a.iter_mut().for_each(|x| *x <<= d);
}

/// `a[i] &= mask`.
pub fn mask_assign(a: &mut [u64], mask: u64) {
    a.iter_mut().for_each(|x| *x &= mask);
}

fn zip(a: &mut [u64], b: &[u64], name: &str, f: impl Fn(u64, u64) -> u64) {
    assert_eq!(a.len(), b.len(), "{name}: lengths differ");
    a.iter_mut().zip(b).for_each(|(x, &y)| *x = f(*x, y));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_wrap_and_undo_each_other() {
        let mut a = vec![u64::MAX, 5];
        add_assign(&mut a, &[2, 3]);
        assert_eq!(a, [1, 8]);
        sub_assign(&mut a, &[2, 3]);
        assert_eq!(a, [u64::MAX, 5]);
        neg_assign(&mut a);
        assert_eq!(a, [1, 5u64.wrapping_neg()]);
    }

    #[test]
    fn shifting_and_masking_are_what_they_say() {
        let mut a = vec![3, 1 << 63];
        shift_left_assign(&mut a, 63);
        assert_eq!(a, [1 << 63, 0]);
        let mut a = vec![0xABCD];
        mask_assign(&mut a, 0xFF);
        assert_eq!(a, [0xCD]);
    }

    #[test]
    #[should_panic(expected = "add_assign: lengths differ")]
    fn differing_lengths_are_a_programmer_error() {
        add_assign(&mut [0], &[]);
    }
}
