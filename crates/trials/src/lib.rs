//! Trials of services: three operators and their clients as processes of one machine, under load and under faults.

pub mod asking;
pub mod deployment;
pub mod proxy;
