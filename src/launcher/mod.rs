//! Gives each plan its run directory and has it trained.
//!
//! What trains a run gets nothing but the directory: frozen config in, files out. So it makes no difference whether that
//! happens in this process, in a child, or on another machine.

pub mod host;
pub mod local;
pub mod memory;
pub mod requirements;
