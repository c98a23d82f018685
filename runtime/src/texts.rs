//! The texts that `infer` was given.

use std::fs;
use std::io::{Read, stdin};

use anyhow::Result;
use cli::coded;
use cli::exit::{BAD_INPUT, USAGE};
use convert::ConvertError;
use datasets::Text;

use crate::options::Infer;

/// Texts from flags, from a file or from standard input.
pub fn given(options: &Infer) -> Result<Vec<Text>> {
    if !options.text.is_empty() {
        return flags(&options.text, &options.text_pair);
    }
    let from = options.file.as_ref().map_or("standard input".to_string(), |file| file.display().to_string());
    let mut bytes = Vec::new();
    let read = match &options.file {
        Some(file) => fs::read(file).map(|all| bytes = all),
        None => stdin().read_to_end(&mut bytes).map(drop),
    };
    read.map_err(|e| coded(BAD_INPUT, format!("{from}: {e}")))?;
    let texts = lines(&from, bytes, options.pairs)?;
    match (texts.is_empty(), &options.file) {
        (false, _) => Ok(texts),
        (true, Some(_)) => Err(coded(BAD_INPUT, format!("{from}: no text; expected one a line"))),
        (true, None) => {
            Err(coded(USAGE, "no text was given; use --text, --file, or one text a line on standard input"))
        }
    }
}

fn flags(texts: &[String], seconds: &[String]) -> Result<Vec<Text>> {
    if !seconds.is_empty() && seconds.len() != texts.len() {
        let (texts, seconds) = (texts.len(), seconds.len());
        let message = format!("--text was given {texts} and --text-pair {seconds} times; each pair takes one of both");
        return Err(coded(USAGE, message));
    }
    for (flag, values) in [("--text", texts), ("--text-pair", seconds)] {
        if let Some(at) = values.iter().position(|text| text.trim().is_empty()) {
            let message = format!("text {} is empty ({flag}); give every text at least one word", at + 1);
            return Err(coded(USAGE, message));
        }
    }
    let mut seconds = seconds.iter().cloned();
    Ok(texts.iter().map(|text| (text.clone(), seconds.next())).collect())
}

/// An error over a text, in the words of the place that it came from: a text of which nothing is left is an empty one.
pub fn located(options: &Infer, error: ConvertError) -> anyhow::Error {
    let ConvertError::Data(datasets::Error::Nothing { text, second }) = error else { return error.into() };
    let left = "nothing is left of it without control and zero-width characters";
    if options.text.is_empty() {
        let from = options.file.as_ref().map_or("standard input".to_string(), |file| file.display().to_string());
        let message =
            format!("{from}, line {text}: expected at least one word in every text, got an empty one ({left})");
        return coded(BAD_INPUT, message);
    }
    let flag = if second { "--text-pair" } else { "--text" };
    coded(USAGE, format!("text {text} is empty ({flag}): {left}; give every text at least one word"))
}

/// One text a line, or two with a tab between.
fn lines(from: &str, bytes: Vec<u8>, pairs: bool) -> Result<Vec<Text>> {
    let all = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        coded(BAD_INPUT, format!("{from}: not UTF-8 at byte {at}; save the file as UTF-8"))
    })?;
    let all = all.strip_prefix('\u{feff}').unwrap_or(&all);
    let mut texts = Vec::new();
    // blank lines at the end are no texts
    for (at, line) in all.trim_end_matches(['\n', '\r']).lines().enumerate() {
        let wrong = |expected: &str, got: String| {
            Err(coded(BAD_INPUT, format!("{from}, line {}: expected {expected}, got {got}", at + 1)))
        };
        let text = match (pairs, line.split_once('\t')) {
            (false, _) => (line, None),
            (true, Some((text, second))) if !second.contains('\t') => (text, Some(second)),
            (true, _) => {
                return wrong("two texts with one tab between", format!("{} tabs", line.matches('\t').count()));
            }
        };
        if text.0.trim().is_empty() || text.1.is_some_and(|second| second.trim().is_empty()) {
            return wrong("at least one word in every text", "an empty one".into());
        }
        texts.push((text.0.to_string(), text.1.map(str::to_string)));
    }
    Ok(texts)
}
