//! The run directory on disk: the only thing that the recording half and the reporting half share.

pub mod manifest;
