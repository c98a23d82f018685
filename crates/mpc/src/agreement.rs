//! What all roles agree on before the first correlation, and the keys that follow from it.

use hkdf::Hkdf;
use model::Plan;
use ring64::Key;
use sha2::{Digest, Sha256};

use crate::weights::Party;

/// One attempt at one request. Every key of the masked engine is bound to all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Random name of the bundle.
    pub bundle: [u8; 16],
    /// Digest of the calibrated spec.
    pub spec: [u8; 32],
    /// Digest of the plan ([`plan_digest`]).
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
    /// The key of a party's streams, from the dealer's root. P1's is independent of P0's.
    pub fn stream_key(&self, root: &Key, party: Party) -> Key {
        self.derive(
            root,
            match party {
                Party::Zero => b"masked-wire streams of P0",
                Party::One => b"masked-wire streams of P1",
            },
        )
    }

    /// The key that masks the logits on their way to the client, from a root that the dealer never has.
    pub fn output_key(&self, root: &Key) -> Key {
        self.derive(root, b"masked-wire output mask")
    }

    fn derive(&self, root: &Key, label: &[u8]) -> Key {
        let mut key = [0; 32];
        let (request, attempt) = (self.request.to_le_bytes(), self.attempt.to_le_bytes());
        // fixed lengths after the label, whose length comes first: injective
        let length = [label.len() as u8];
        let info: [&[u8]; 11] = [
            &length,
            label,
            &self.bundle,
            &self.spec,
            &self.plan,
            &self.session,
            &request,
            &attempt,
            &self.nonces[0],
            &self.nonces[1],
            &self.nonces[2],
        ];
        let expanded = Hkdf::<Sha256>::new(None, root.as_bytes()).expand_multi_info(&info, &mut key);
        assert!(expanded.is_ok(), "HKDF-SHA256 gives up to 8160 bytes, 32 were asked for");
        let derived = Key::from_bytes(key);
        // best effort: `black_box` keeps the store from being dropped
        key.fill(0);
        std::hint::black_box(&key);
        derived
    }
}

/// Digest of a plan: two roles that agree on it meet the same demands in the same order.
pub fn plan_digest(plan: &Plan) -> [u8; 32] {
    let text = serde_json::to_vec(plan).unwrap_or_default();
    assert!(!text.is_empty(), "a plan of numbers and names is always JSON");
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_agreement_changes_every_key() {
        let base = Agreement {
            bundle: [0; 16],
            spec: [0; 32],
            plan: [0; 32],
            session: [0; 16],
            request: 0,
            attempt: 0,
            nonces: [[0; 32]; 3],
        };
        let root = Key::from_bytes([7; 32]);
        let mut variants = vec![base; 10];
        variants[1].bundle[15] = 1;
        variants[2].spec[0] = 1;
        variants[3].plan[31] = 1;
        variants[4].session[0] = 1;
        variants[5].request = 1;
        variants[6].attempt = 1;
        (0..3).for_each(|i| variants[7 + i].nonces[i][0] = 1);
        let mut keys = std::collections::BTreeSet::new();
        for variant in &variants {
            keys.insert(*variant.stream_key(&root, Party::Zero).as_bytes());
            keys.insert(*variant.stream_key(&root, Party::One).as_bytes());
            keys.insert(*variant.output_key(&root).as_bytes());
        }
        assert_eq!(keys.len(), 3 * variants.len());
    }
}
