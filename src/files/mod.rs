//! Files, and the disk below them, whatever stands in them: opened only if they are files, written whole or not at all, with names
//! that every system takes.

pub mod atomic;
pub mod disk;
pub mod home;
mod names;
pub mod plain;
mod sum;

pub use names::{
    FOLDER_LONGEST, FOLDER_SIGNS, RUN_SIGNS, is_device_name, is_file_name, is_folder_name, is_run_name,
    why_no_folder_name,
};
pub use sum::{Sum, hex, sha256};
