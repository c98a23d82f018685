//! Links that record or break what passes, for tests and measurements.

mod faulty;
mod recorded;

pub use faulty::{Fault, Faulty};
pub use recorded::{Direction, Record, Recorded, Recording};
