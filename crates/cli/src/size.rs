//! Sizes of memory as people write them.

/// Bytes as people write them.
pub fn human(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        b if b >= 9.95e8 => format!("{:.1} GB", b / 1e9),
        b if b >= 9.95e5 => format!("{:.0} MB", b / 1e6),
        b => format!("{:.0} kB", (b / 1e3).ceil()),
    }
}

/// Bytes as people write them, read; or what would be right.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || "expected a size such as 6G, 800M or 1.5GB".to_string();
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match lower[digits.len()..].trim_end_matches("ib").trim_end_matches('b') {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "t" => 1e12,
        _ => return Err(wrong()),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok((number * unit) as u64),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [("6G", 6_000_000_000), ("800M", 800_000_000), ("1.5gb", 1_500_000_000), ("10 kB", 10_000)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert!(["", "G", "six", "-1G", "6X", "nan", "inf"].iter().all(|text| size(text).is_err()));
    }
}
