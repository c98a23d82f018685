//! The name of a key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// What every pin begins with: that it is one, and of which kind.
const PREFIX: &str = "pb1-";

/// SHA-256 of a public key (its `SubjectPublicKeyInfo`). Prints and parses as `pb1-` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pin([u8; 32]);

impl Pin {
    /// The pin of a public key, given its `SubjectPublicKeyInfo` as DER.
    pub(crate) fn of_public_key(info: &[u8]) -> Self {
        Self(Sha256::digest(info).into())
    }

    /// The digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A text that is not a pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a pin: {why}; a pin is `pb1-` and 64 hexadecimal digits, as `runtime keys show` prints it on the \
     machine that has the key"
)]
pub struct PinError {
    why: &'static str,
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let digits = text.strip_prefix(PREFIX).ok_or(PinError { why: "it does not begin with `pb1-`" })?;
        if digits.len() != 64 {
            return Err(PinError { why: "it has not 64 digits" });
        }
        let mut pin = [0; 32];
        hex::decode_to_slice(digits, &mut pin).map_err(|_| PinError { why: "it has a character that is no digit" })?;
        Ok(Self(pin))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Pin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_printed_parsed_and_stored_alike() {
        let pin = Pin::of_public_key(b"a key");
        let text = format!("pb1-{}", hex::encode(Sha256::digest(b"a key")));
        assert_eq!((pin.to_string(), format!("{pin:?}")), (text.clone(), text.clone()));
        assert_eq!(text.parse::<Pin>().unwrap(), pin);
        assert_eq!(serde_json::to_string(&pin).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Pin>(&format!("\"{text}\"")).unwrap(), pin);
        assert_eq!(text.to_uppercase().replacen("PB1-", PREFIX, 1).parse::<Pin>().unwrap(), pin);
    }

    #[test]
    fn what_is_not_a_pin_is_told_what_one_looks_like() {
        let digits = "0".repeat(64);
        let cases = [
            (digits.clone(), "does not begin"),
            (format!("pb2-{digits}"), "does not begin"),
            (format!("pb1-{}", &digits[1..]), "64 digits"),
            (format!("pb1-{}ä", &digits[2..]), "no digit"),
            (format!("pb1-{}g", &digits[1..]), "no digit"),
            (String::new(), "does not begin"),
        ];
        for (text, why) in cases {
            let message = text.parse::<Pin>().unwrap_err().to_string();
            assert!(message.contains(why) && message.contains("`pb1-` and 64 hexadecimal digits"), "{text}: {message}");
        }
        let message = serde_json::from_str::<Pin>("\"key\"").unwrap_err().to_string();
        assert!(message.contains("64 hexadecimal digits"), "{message}");
    }
}
