//! Roles as services of different operators.

mod chaos;
mod joining;
