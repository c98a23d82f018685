//! Tests of configurations: what is read, what is laid over it, and the words in which it is refused.

mod examples;
mod files;
mod layers;
mod pins;
mod read;
mod refused;
