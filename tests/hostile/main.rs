//! Input that was damaged, or made to do harm: experiment files, checkpoints, run directories and names. Whatever it is, the
//! program must not panic, not run out of memory or time, and not write where it was not told to; and what it refuses it
//! must say where.
//!
//! Each property is tried on a small number of random cases. `RUNNER_FUZZ_CASES=20000 cargo test --release --test hostile`
//! tries that many of each instead.

mod allocation;
mod cases;
mod checkpoint;
mod edit;
mod experiments;
mod listing;
mod names;
mod run_directory;
mod runs;
#[cfg(unix)]
mod special_files;

#[global_allocator]
static ALLOCATOR: allocation::Counting = allocation::Counting;
