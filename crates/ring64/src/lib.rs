//! ring64
