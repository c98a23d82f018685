//! How large a certificate is accepted: as those of ordinary texts have it.

use std::sync::Arc;

use model::{CERTIFICATE_FRACS, ORDINARY};

use crate::comparison::Comparison;
use crate::conversion::Converted;
use crate::error::ConvertError;

impl Converted {
    /// Holds the bounds of certificates to those of texts of the kind that the model is for: ten times as much is accepted, or
    /// the conversion is refused.
    pub fn accept(&mut self, comparison: &Comparison) -> Result<(), ConvertError> {
        let spec = Arc::make_mut(&mut self.spec);
        for (class, largest) in comparison.certificates.iter().enumerate() {
            let tokens = 1 << class;
            while ORDINARY * largest > spec.certificate_limit(tokens) {
                if spec.certificates[class] == *CERTIFICATE_FRACS.start() {
                    let limit = spec.certificate_limit(tokens) / ORDINARY;
                    return Err(ConvertError::Certificate { tokens, largest: *largest, limit });
                }
                spec.certificates[class] -= 1;
            }
        }
        Ok(())
    }
}
