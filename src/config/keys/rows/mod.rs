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

pub use data::{DataSource, Separator, TokenizerKind, WindowOrder};
pub use hardware::{DeviceChoice, DtypeKind, Requirement};
pub use model::Preset;
pub use schedule::ScheduleKind;
pub use scripted::ScriptedFailure;
pub use target::TargetMetric;

pub use checkpoint::CheckpointPlan;
pub use data::DataPlan;
pub use experiment::ExperimentPlan;
pub use hardware::HardwarePlan;
pub use model::ModelPlan;
pub use on_failure::OnFailurePlan;
pub use optimizer::OptimizerPlan;
pub use reference::ReferencePlan;
pub use sample::SamplePlan;
pub use schedule::SchedulePlan;
pub use scripted::ScriptedPlan;
pub use target::TargetPlan;
pub use train::TrainPlan;
