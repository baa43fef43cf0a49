//! The run directory on disk: the only thing that the recording half and the reporting half share.
//!
//! [`RunDir`] knows where each file lies, [`manifest`] and [`row_record`] what stands in it, [`read`](fn@read) makes a
//! [`RunRecord`] of whatever a run left behind, and [`scan`] finds runs.

pub mod archive;
pub mod checksums;
mod error;
mod find;
#[cfg(test)]
pub(crate) mod fixture;
mod lock;
pub mod manifest;
mod metrics_csv;
mod pattern;
pub mod planned;
mod read;
mod record_sizes;
mod results;
mod run_dir;
pub mod scan;
pub mod tags;
mod tail;
pub mod trash;
mod turn;

pub use crate::event::{Memorisation, NGRAM_WORDS, SampleText, VerbatimCopy};
pub use error::StoreError;
pub use lock::{Announcer, BEAT, FRESH, WriteLock, Writer};
pub use metrics_csv::{metrics_header, read_rows, row_record, write_rows};
pub use read::{RunRecord, read};
pub use record_sizes::RecordSizes;
pub use results::{Results, Totals};
pub use run_dir::{CheckpointsDir, Identity, RunDir};
pub use tail::{Tail, tail};
pub use turn::Turn;

/// Number of the line that the byte at `offset` stands in, from 1.
fn line_at(bytes: &[u8], offset: usize) -> usize {
    1 + bytes.iter().take(offset).filter(|&&byte| byte == b'\n').count()
}
