//! Trials of services: three operators and their clients as processes of one machine, under load and under faults.

pub mod asking;
pub mod chaos;
pub mod deployment;
pub mod load;
pub mod outcome;
pub mod proxy;
pub mod report;
pub mod shaped;
