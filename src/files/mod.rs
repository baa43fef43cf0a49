//! Files, and the disk below them, whatever stands in them: opened only if they are files, written whole or not at all, with names
//! that every system takes.

pub mod atomic;
pub mod disk;
mod names;
pub mod plain;
mod sum;

pub use names::{is_device_name, is_file_name, is_folder_name, is_run_name};
pub use sum::{Sum, hex, sha256};
