//! What a run trains on.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// `cpu`, `cuda:0`, `scripted`.
    pub device: String,
    /// The hardware's own name.
    pub name: String,
    pub dtype: String,
    /// What multiplies where there is a choice, as for bf16 on the processor: the run's own, which it began with and keeps to
    /// wherever it is there. The attempt says what took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// What matrix products alone do there, on all threads: FLOP/s, by short probes before and after each attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub product_probes: Vec<f64>,
    pub threads: usize,
}

impl DeviceInfo {
    /// What [`kernel`](Self::kernel) is where bf16 is widened and multiplied by the kernels for f32.
    pub const F32_KERNELS: &str = "f32 kernels";

    /// The number format and what multiplies: `f32`, `bf16 by AMX`, or `bf16, multiplied in f32`.
    pub fn format(&self) -> String {
        match self.kernel.as_deref() {
            None => self.dtype.clone(),
            Some(Self::F32_KERNELS) => format!("{}, multiplied in f32", self.dtype),
            Some(kernel) => format!("{} by {kernel}", self.dtype),
        }
    }

    /// What matrix products alone do there: the best of the probes, in FLOP/s. `None` where there was one alone, and where they
    /// lie so far apart that something else must have had the machine during one of them.
    pub fn product_flops_per_sec(&self) -> Option<f64> {
        const APART: f64 = 1.5;
        let [_, _, ..] = self.product_probes.as_slice() else { return None };
        let most = self.product_probes.iter().copied().fold(0.0, f64::max);
        let least = self.product_probes.iter().copied().fold(f64::INFINITY, f64::min);
        (most > 0.0 && most <= APART * least).then_some(most)
    }
}
