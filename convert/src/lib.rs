//! From a student as `distill` leaves it to a bundle that `runtime` runs.
//!
//! [`Student::read`] takes a Hugging Face folder, [`convert()`] chooses scales and series and rounds the weights,
//! [`compare`] holds the fixed-point network against the floating-point one, [`write_bundle`] splits it between the roles.
//! `runtime` calls the same functions to convert a student on first use.

mod acceptance;
mod calibration;
mod comparison;
mod conversion;
mod error;
mod fitting;
mod headroom;
mod memory;
mod options;
mod paths;
mod program;
mod report;
mod stop;
mod student;

pub use calibration::{Encoded, Sentences, encode, encode_with, observe, unusual};
pub use comparison::{Comparison, Suspect, TOLERANCE, compare};
pub use conversion::{Converted, convert, write_bundle};
pub use error::{ConvertError, exit_code};
pub use fitting::convert_over;
pub use memory::check as check_memory;
pub use options::{Options, Who};
pub use program::run;
pub use report::{CostAt, Report, Row};
pub use student::Student;
