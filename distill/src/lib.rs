//! Training: a teacher, a student whose functions can be computed on shares, and what carries one to the other.

pub mod adamw;
pub mod atomic;
pub mod bad_file;
pub mod bert;
pub mod calibration;
pub mod card;
pub mod checkpoint;
pub mod environment;
pub mod folder;
pub mod judge;
pub mod loss;
pub mod ops;
pub mod options;
pub mod output;
pub mod pipeline;
pub mod place;
pub mod progress;
pub mod question;
pub mod range;
pub mod samples;
pub mod schedule;
pub mod stages;
pub mod state;
pub mod student;
pub mod training;
pub mod weights;
