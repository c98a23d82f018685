//! The name of a role's public key, by which others know the role.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// What every pin begins with: a pin is not mistaken for another digest.
const PREFIX: &str = "pb1-";

/// The SHA-256 of a role's public key. Who holds the key is the role that a configuration gives this pin; a pin is public.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pin([u8; 32]);

/// Why a text is no pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// It begins otherwise.
    #[error("a pin begins with `pb1-`; copy it whole, as `runtime keys new` printed it")]
    Prefix,
    /// It has too few or too many digits.
    #[error("a pin has 64 digits after `pb1-`, this has {0}; copy it whole, as `runtime keys new` printed it")]
    Length(usize),
    /// There is something else among its digits.
    #[error("digit {0} after `pb1-` is not one of 0-9 and a-f; copy the pin whole, as `runtime keys new` printed it")]
    Digit(usize),
}

impl Pin {
    /// The pin of a public key, given its `SubjectPublicKeyInfo` as DER.
    pub(crate) fn of_public_key(info: &[u8]) -> Pin {
        Pin(Sha256::digest(info).into())
    }

    /// The SHA-256.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Pin, PinError> {
        let digits = text.strip_prefix(PREFIX).ok_or(PinError::Prefix)?;
        let count = digits.chars().count();
        if count != 64 {
            return Err(PinError::Length(count));
        }
        let mut digest = [0; 32];
        for (at, digit) in digits.chars().enumerate() {
            let value = digit.to_digit(16).ok_or(PinError::Digit(at + 1))?;
            digest[at / 2] = digest[at / 2] << 4 | value as u8;
        }
        Ok(Pin(digest))
    }
}

impl Serialize for Pin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pin, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_as_it_is_written_and_nothing_else_is_one() {
        let pin = Pin::of_public_key(b"a key");
        let text = pin.to_string();
        assert_eq!(text, format!("pb1-{}", hex::encode(Sha256::digest(b"a key"))));
        assert_eq!((text.parse(), format!("{pin:?}")), (Ok(pin), text.clone()));
        assert_eq!(text[4..].to_uppercase().parse::<Pin>(), Err(PinError::Prefix));
        assert_eq!(text[..67].parse::<Pin>(), Err(PinError::Length(63)));
        assert_eq!(format!("{text}0").parse::<Pin>(), Err(PinError::Length(65)));
        for odd in ["+", "é", " ", "g"] {
            assert_eq!(format!("{}{odd}", &text[..67]).parse::<Pin>(), Err(PinError::Digit(64)), "{odd}");
        }
    }
}
