//! `runner` trains GPT-2-style language models from TOML experiment files and writes down what happened, so that people can
//! look, compare and repeat.
//!
//! ```text
//! experiments/*.toml                                               runs/<experiment>/<run>/
//!       |                                                               ^            |
//!       v                                                               |            v
//!  config: layers -> sweep points -> validated RunPlans               sinks       store::read
//!       |                                                               ^            |
//!       v                                                               | Event      v
//!  launcher: a process for each run ------->  train loop  --------------+      report (+ metric, stats, units)
//!                                           /          \                             |
//!                                    data: batches    Engine                         v
//!                                   (plain Vec, B x T) model + ops + optim      reports/*.md, *.svg
//!                                                      on dfdx, any device
//!  |------------------------------ record half ----------------------------| files |---- report half ----|
//! ```
//!
//! The two halves meet only at files on disk. Nothing in the loop knows about Markdown; nothing in the reports knows about
//! tensors: `runner report` on last month's directory works on a laptop without a GPU.
//!
//! The words, the same in code, files and documentation: an **experiment** is a TOML file, a **point** is one assignment of a
//! sweep, a **run** is one training of one point with one seed, an **engine** computes its steps, an **event** is what it
//! says, a **sink** listens, a **record** is what is on disk, a **report** is what people read. A **step** is an optimizer
//! step, everywhere.
//!
//! | to add a ... | touch |
//! |---|---|
//! | metric | one entry in [`metric`]; header, progress line and plots follow from its traits |
//! | figure that a run comes down to | one entry in [`metric::figures`]; manifest, key numbers and comparisons follow |
//! | plot of a run | a variant of [`metric::Plot`], its entry in `report/run/figures.rs` |
//! | sink | a file in [`sinks`], one line where sinks are opened |
//! | configuration key | its row in `config/keys/rows` (meaning, type, default, range), which is its field in the plan; `RUNNER_WRITE_DEFAULTS=1 cargo test defaults` writes `defaults.toml` from the rows; its use |
//! | name that other programs have for a key | where its words do not say it: a line in `config/names`, and one in `config/tests/elsewhere.txt` |
//! | reason why a key does nothing beside others | an entry in the `RULES` of `config/plan/idle.rs` |
//! | optimizer | what is known of it: a file and a line in [`facts::optimizer`]; what it does: a file and an arm in [`optim`] |
//! | schedule | a variant with its word in `config/keys/rows/schedule.rs`; the compiler points at the arm |
//! | form of a corpus | a variant of `Form` and how it is recognised in `data/form.rs`, its arm in `data/reader.rs` |
//! | operation | a method of the trait in [`ops`] with a body composed from dfdx operations; its fused twins in `ops/cpu` and `ops/cuda` |
//! | device | one arm in [`engine::open`] |
//! | number format | a variant of `DtypeKind` with its word in `config/keys/rows/hardware.rs`, and what it is refused for in `config/plan/rules.rs`; on a GPU a type in `ops/format.rs`, on the processor an `Operand` in `ops/cpu` |
//! | kernel for GPUs | a `.cu` file in `ops/cuda`, which the build compiles and the program carries; for an operation of dfdx's that was not used on a GPU before, its row in `ops/cuda/table.rs` |
//! | function of NVIDIA's libraries | its row in `engine/device/loaded/forwards.rs` |
//! | kernel for bf16 | a file in `ops/cpu/bf16`, a variant of its `Kernel` |
//! | report section | a function and its entry in the `SECTIONS` of [`report`] |
//! | picture of a comparison | a file in `report/compare/figures`, its line in the `PLANS` there |
//! | export format | a file in [`export`], a variant and its arm in `cmd/export.rs` |
//! | format of weights that people bring and that is not read | a variant of [`model::foreign`], with what to do |
//! | command | a file in [`cmd`], one arm in [`cli`] |
//! | field of `ls` and of `--json` | a row in `cmd/listing/fields.rs`; the figures of [`metric`] follow |
//!
//! Which part may name which is held by `tests/architecture.rs`.
//!
//! What users read: `README.md`, `--help`, `runner explain` (from the rows of [`config`], as `config/defaults.toml` has them), and `runs/README.md` on files, resuming and
//! exit codes. Figures and how they were measured stand in `benches/README.md`.

pub mod belonging;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod data;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod event;
pub mod export;
pub mod facts;
pub mod files;
pub mod generate;
pub mod infer;
pub mod launcher;
pub mod machine;
pub mod markdown;
pub mod metric;
pub mod model;
pub mod monitor;
pub mod ops;
pub mod optim;
pub mod pretrained;
pub mod report;
pub mod serve;
pub mod shell;
pub mod sinks;
pub mod stats;
pub mod store;
pub mod terminal;
pub mod threads;
pub mod train;
pub mod units;
