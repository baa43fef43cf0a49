//! What every part may know without knowing the part that does it: names, sizes and words, no tensors and no files. Much of it is
//! written into a run's manifest as it stands here.

mod change;
mod cost;
mod data;
mod device;
mod host;
mod model;
pub mod optimizer;
mod outcome;
mod reference;
mod score;
pub mod words;

pub use change::KeyChange;
pub use cost::{CostInfo, EstimateInfo, StepPart};
pub use data::DataInfo;
pub use device::DeviceInfo;
pub use host::HostInfo;
pub use model::{InitFrom, ModelInfo, ParameterGroup};
pub use outcome::{Status, StopReason};
pub use reference::Reference;
pub use score::Score;
pub use words::Words;
