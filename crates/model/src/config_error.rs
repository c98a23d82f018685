//! Why a configuration cannot be used.

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not JSON, or a required key is missing or of the wrong type.
    #[error("config.json: {0}")]
    Json(#[from] serde_json::Error),
    /// A value is out of the supported range.
    #[error("config.json: `{key}` is {got}; supported: {expected}")]
    Unsupported {
        /// The key at fault.
        key: &'static str,
        /// Its value.
        got: String,
        /// What would do.
        expected: String,
    },
}
