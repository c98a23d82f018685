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

/// A command line in which texts may begin with `-`: after one of `flags`, what looks like a text and not like a flag is
/// bound to it with `=`. `--text --json` stays a mistake, for a text that was forgotten must not swallow a flag.
pub fn with_texts(args: impl IntoIterator<Item = OsString>, flags: &[&str]) -> Vec<OsString> {
    let mut args = args.into_iter().peekable();
    let mut bound = Vec::new();
    while let Some(arg) = args.next() {
        if arg == "--" {
            bound.push(arg);
            break;
        }
        let awaited = flags.iter().any(|flag| arg == *flag);
        match args.next_if(|next| awaited && next.to_str().is_some_and(is_text_with_dash)) {
            Some(text) => {
                let mut both = arg;
                both.push("=");
                both.push(text);
                bound.push(both);
            }
            None => bound.push(arg),
        }
    }
    bound.extend(args);
    bound
}

/// Whether an argument begins with `-` and cannot be a flag: there is white space in it, or no letter follows its dashes.
fn is_text_with_dash(arg: &str) -> bool {
    let after = arg.trim_start_matches('-');
    let flag_like = after.starts_with(|c: char| c.is_ascii_alphabetic()) || arg == "--";
    arg.starts_with('-') && (!flag_like || arg.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_begin_with_a_dash_and_does_not_swallow_a_flag() {
        let spelt = |args: &[&str]| {
            let bound = with_texts(args.iter().map(OsString::from), &["--text", "--text-pair"]);
            bound.into_iter().map(|arg| arg.into_string().unwrap()).collect::<Vec<_>>()
        };
        for text in ["-5 degrees", "-5", "- a dash", "---", "-", "-q is a flag", "--json is one too", "-\u{20ac}5"] {
            assert_eq!(spelt(&["--text", text]), [format!("--text={text}")]);
        }
        assert_eq!(spelt(&["--text", "--"]), ["--text", "--"]);
        for line in [&["--text", "--json"][..], &["--text", "-q"], &["--text", "plain"], &["--file", "-5 degrees"]] {
            assert_eq!(spelt(line), line);
        }
        assert_eq!(spelt(&["--text-pair", "-1", "--", "--text", "-5 a"]), ["--text-pair=-1", "--", "--text", "-5 a"]);
    }

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
