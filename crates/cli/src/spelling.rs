//! Flags may be spelt with `_` for `-`, as `run_glue.py` spells them.

use std::ffi::OsString;

/// A command line with its flags spelt with `-` where they came with `_`; what follows `--` stays as it is.
pub fn dashed(args: impl IntoIterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut flags = true;
    args.into_iter().map(move |arg| {
        flags &= arg != "--";
        if flags { dashes(arg) } else { arg }
    })
}

/// `--data_dir=a_b` as `--data-dir=a_b`.
fn dashes(arg: OsString) -> OsString {
    match arg.to_str() {
        Some(text) if text.starts_with("--") => {
            let (name, value) = text.split_at(text.find('=').unwrap_or(text.len()));
            format!("{}{value}", name.replace('_', "-")).into()
        }
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_flags_change() {
        let given = ["my_program", "--data_dir=a_b", "--max_samples", "a_b", "-o", "c_d", "--", "--e_f"];
        let spelt: Vec<OsString> = dashed(given.map(OsString::from)).collect();
        assert_eq!(spelt, ["my_program", "--data-dir=a_b", "--max-samples", "a_b", "-o", "c_d", "--", "--e_f"]);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_utf8_passes_unchanged() {
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(b"--o\xff_t".to_vec());
        assert_eq!(dashed([odd.clone()]).collect::<Vec<_>>(), [odd]);
    }
}
