//! Records alone, and connections with other implementations of TLS.

mod connections;
mod records;
