//! Links that record, break or slow down what passes, for tests and measurements.

mod faulty;
mod recorded;
mod shaped;

pub use faulty::{Fault, Faulty};
pub use recorded::{Direction, Record, Recorded, Recording};
pub use shaped::{Shape, Shaped};
