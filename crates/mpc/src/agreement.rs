//! What all roles agree on before the first correlation, and the keys that follow from it.

use hkdf::Hkdf;
use ring64::Key;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::party::Party;

/// One attempt at one request. Every key of an attempt is bound to all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Random name of the bundle.
    pub bundle: [u8; 16],
    /// Digest of the calibrated spec.
    pub spec: [u8; 32],
    /// Digest of the plan.
    pub plan: [u8; 32],
    /// Random name of the deployment.
    pub session: [u8; 16],
    /// Number of the request in the session.
    pub request: u64,
    /// Number of the attempt: a restart draws everything anew.
    pub attempt: u32,
    /// Fresh nonces of P0, P1 and the dealer.
    pub nonces: [[u8; 32]; 3],
}

impl Agreement {
    /// The key of a party's streams, from the dealer's root and the fresh secret that this party told the dealer for this
    /// attempt. Either alone is enough: a generator that fails at the dealer repeats no key, nor does a party that was restored.
    /// P1's is independent of P0's.
    pub fn stream_key(&self, root: &Key, secret: &Key, party: Party) -> Key {
        let label: &[u8] = match party {
            Party::Zero => b"masked-wire streams of P0",
            Party::One => b"masked-wire streams of P1",
        };
        self.derive(Some(root), secret, label)
    }

    /// The key that masks what the client gets, from a root that the dealer never has. Derived once an attempt.
    pub fn output_key(&self, root: &Key) -> Key {
        self.derive(None, root, b"masked-wire output mask")
    }

    /// What a role tells others, so that they know that they agree. It says nothing secret.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.encoded(b"masked-wire agreement")).into()
    }

    fn derive(&self, salt: Option<&Key>, secret: &Key, label: &[u8]) -> Key {
        let mut key = Zeroizing::new([0; 32]);
        let extracted = Hkdf::<Sha256>::new(salt.map(|salt| &salt.as_bytes()[..]), secret.as_bytes());
        let expanded = extracted.expand(&self.encoded(label), &mut *key);
        assert!(expanded.is_ok(), "HKDF-SHA256 gives up to 8160 bytes, 32 were asked for");
        Key::from_bytes(*key)
    }

    /// All of it, for one purpose. Fixed lengths after the label, whose length comes first: injective.
    fn encoded(&self, label: &[u8]) -> Vec<u8> {
        let Agreement { bundle, spec, plan, session, request, attempt, nonces } = self;
        let (request, attempt) = (request.to_le_bytes(), attempt.to_le_bytes());
        let [zero, one, dealer] = nonces;
        let length = [label.len() as u8];
        let parts: [&[u8]; 11] = [&length, label, bundle, spec, plan, session, &request, &attempt, zero, one, dealer];
        parts.concat()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// One agreement, and others that each differ from it in one part.
    fn variants() -> Vec<Agreement> {
        let base = Agreement {
            bundle: [0; 16],
            spec: [0; 32],
            plan: [0; 32],
            session: [0; 16],
            request: 0,
            attempt: 0,
            nonces: [[0; 32]; 3],
        };
        let mut variants = vec![base; 10];
        variants[1].bundle[15] = 1;
        variants[2].spec[0] = 1;
        variants[3].plan[31] = 1;
        variants[4].session[0] = 1;
        variants[5].request = 1;
        variants[6].attempt = 1;
        (0..3).for_each(|i| variants[7 + i].nonces[i][0] = 1);
        variants
    }

    fn key(byte: u8) -> Key {
        Key::from_bytes([byte; 32])
    }

    #[test]
    fn every_part_of_the_agreement_changes_every_key_and_the_digest() {
        let variants = variants();
        let mut seen = BTreeSet::new();
        for variant in &variants {
            seen.insert(*variant.stream_key(&key(7), &key(8), Party::Zero).as_bytes());
            seen.insert(*variant.stream_key(&key(7), &key(8), Party::One).as_bytes());
            seen.insert(*variant.output_key(&key(8)).as_bytes());
            seen.insert(variant.digest());
        }
        assert_eq!(seen.len(), 4 * variants.len());
    }

    /// A dealer whose generator always gives the same root, and a party that was restored from an image and gives the same
    /// secret: either is harmless while the other is fresh.
    #[test]
    fn a_fresh_root_or_a_fresh_secret_makes_a_fresh_key() {
        let agreement = variants()[0];
        let mut keys = BTreeSet::new();
        for (root, secret) in [(1, 2), (1, 3), (4, 2), (2, 1)] {
            for party in [Party::Zero, Party::One] {
                keys.insert(*agreement.stream_key(&key(root), &key(secret), party).as_bytes());
            }
        }
        assert_eq!(keys.len(), 8);
    }

    #[test]
    fn the_encoding_has_one_length_and_tells_fields_apart() {
        let lengths: BTreeSet<_> = variants().iter().map(|v| v.encoded(b"label").len()).collect();
        assert_eq!(Vec::from_iter(lengths), [1 + 5 + 16 + 32 + 32 + 16 + 8 + 4 + 3 * 32]);
        let base = variants()[0];
        // the same byte in neighbouring fields, at their common edge
        let (mut early, mut late) = (base, base);
        early.spec[31] = 1;
        late.plan[0] = 1;
        assert_ne!(early.digest(), late.digest());
        assert_ne!(base.encoded(b"ab"), base.encoded(b"a"));
    }
}
