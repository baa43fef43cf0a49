//! The rows: each key's meaning, type, default and range, and the enums whose words keys take. What stands above a key is what
//! people read of it in `defaults.toml`, by `runner explain` and in editors.

mod checkpoint;
mod data;
mod experiment;
mod hardware;
mod model;
mod on_failure;
mod optimizer;
mod reference;
mod sample;
mod schedule;
mod scripted;
mod target;
mod train;

pub use data::{Separator, TokenizerKind, WindowOrder};
pub use hardware::{DeviceChoice, DtypeKind, Requirement};
pub use schedule::ScheduleKind;
pub use scripted::ScriptedFailure;
pub use target::TargetMetric;

pub(in crate::config) use checkpoint::CheckpointSection;
pub(in crate::config) use data::DataSection;
pub(in crate::config) use experiment::ExperimentSection;
pub(in crate::config) use hardware::HardwareSection;
pub(in crate::config) use model::ModelSection;
pub(in crate::config) use on_failure::OnFailureSection;
pub(in crate::config) use optimizer::OptimizerSection;
pub(in crate::config) use reference::ReferenceSection;
pub(in crate::config) use sample::SampleSection;
pub(in crate::config) use schedule::ScheduleSection;
pub(in crate::config) use scripted::ScriptedSection;
pub(in crate::config) use target::TargetSection;
pub(in crate::config) use train::TrainSection;
