//! Gives each plan its run directory and has it trained by a process of its own.
//!
//! What trains a run gets nothing but the directory: frozen config in, files out. `runner exec RUN_DIR` is that command, and a
//! sweep's parent starts it like any cluster would. So whatever becomes of one run, panic, abort, `kill -9` or memory that ran
//! out, the others go on, and the parent can say what happened.
//!
//! [`Launcher`] makes directories ([`prepare`]), [`again`] decides what a run that is there already needs, [`local`] keeps a
//! number of processes going ([`child`]), [`death`] says why one is gone, and [`retry`] whether it is tried again; [`estimate`] says
//! beforehand how long it may all take.

pub mod again;
pub mod child;
pub mod death;
pub mod disk;
pub mod estimate;
pub mod lease;
pub mod local;
pub mod memory;
pub mod patience;
pub mod prepare;
pub mod provenance;
pub mod requirements;
pub mod retry;

pub use prepare::Launcher;
