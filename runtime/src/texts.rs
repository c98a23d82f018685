//! Texts of the command line as tokens.

use std::fs;
use std::io::{Read, stdin};

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::{BAD_INPUT, USAGE};
use datasets::Tokenizer;
use model::Sample;

use crate::options::Infer;

/// The texts that `infer` was given: flags, a file, or standard input, one text a line.
pub fn given(options: &Infer) -> Result<Vec<String>> {
    let texts: Vec<String> = match &options.file {
        _ if !options.text.is_empty() => options.text.clone(),
        Some(file) => {
            let read = fs::read(file).map_err(|e| coded(BAD_INPUT, format!("{}: {e}", file.display())))?;
            lines(read, &file.display().to_string())?
        }
        None => {
            let mut read = Vec::new();
            stdin().read_to_end(&mut read).context("reading texts from standard input")?;
            lines(read, "standard input")?
        }
    };
    if texts.is_empty() {
        return Err(coded(USAGE, "no text was given; use --text, --file, or one text a line on standard input"));
    }
    match texts.iter().position(|t| t.trim().is_empty()) {
        Some(at) => Err(coded(USAGE, format!("text {} is empty; give every text at least one word", at + 1))),
        None => Ok(texts),
    }
}

fn lines(bytes: Vec<u8>, from: &str) -> Result<Vec<String>> {
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        coded(BAD_INPUT, format!("{from}: not UTF-8 at byte {at}; save the file as UTF-8"))
    })?;
    Ok(text.lines().map(str::to_string).collect())
}

/// A text as tokens, and whether its end was cut off.
pub fn tokens(tokenizer: &Tokenizer, text: &str, pair: Option<&str>) -> Result<(Sample, bool)> {
    let encoding = tokenizer.encode(text, pair)?;
    Ok((Sample { ids: encoding.ids, segments: encoding.type_ids }, encoding.truncated))
}
