//! All roles on one machine, as processes of their own: how they are started, monitored and ended, and where
//! the bundles are kept that they run on.
//!
//! For trying and for measuring: it protects nothing, and says so.

pub mod cache;
mod children;
pub mod cores;
pub mod deployment;
mod ending;
mod exited;
mod first_line;
pub mod flags;
pub mod interrupt;
pub mod network;
pub mod parent;
pub mod report;
pub mod settings;
pub mod stock;
