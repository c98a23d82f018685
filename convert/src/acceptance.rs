//! How large a certificate is accepted: as those of ordinary texts have it.

use std::sync::Arc;

use model::{CERTIFICATE_FRACS, ORDINARY, SHORTEST_CLASS};

use crate::comparison::Comparison;
use crate::conversion::Converted;
use crate::error::ConvertError;

impl Converted {
    /// Holds the bounds of certificates to those of texts of the kind that the model is for: ten times as much is accepted, or
    /// the conversion is refused.
    pub fn accept(&mut self, comparison: &Comparison) -> Result<(), ConvertError> {
        let spec = Arc::make_mut(&mut self.spec);
        for (class, largest) in comparison.certificates.iter().enumerate() {
            while ORDINARY * largest > spec.certificate_limit(class) {
                let coarsest = spec.certificate_frac(class) == *CERTIFICATE_FRACS.start();
                match &mut spec.padded {
                    // texts may still have their exact lengths
                    Some(_) if class == SHORTEST_CLASS && coarsest => spec.give_up_padding(),
                    Some(padded) if class == SHORTEST_CLASS => padded.certificate -= 1,
                    _ if coarsest => {
                        let (tokens, limit) = (1 << class, spec.certificate_limit(class) / ORDINARY);
                        return Err(ConvertError::Certificate { tokens, largest: *largest, limit });
                    }
                    _ => spec.certificates[class] -= 1,
                }
                if class == SHORTEST_CLASS && spec.padded.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}
