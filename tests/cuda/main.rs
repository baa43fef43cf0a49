//! Training on a GPU, as a whole: memory that runs out, waiting, leaks, and the program itself. What it computes is tested
//! beside the engine.
//!
//! This needs the emulator of `tests/cuda-emulator` in the driver's place, which `.ci/cuda-emulated` puts there, because a
//! real GPU cannot be told to fail. Without it these tests are ignored.
#![cfg(all(feature = "cuda", unix))]

mod alone;
mod doctor;
mod emulator;
mod launches;
mod memory;
mod program;
#[expect(dead_code, reason = "the tests of the program use the rest")]
#[path = "../program/shop.rs"]
mod shop;
