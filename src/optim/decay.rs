//! Which parameters weight decay shrinks.

use crate::config::experiment::OptimizerPlan;
use crate::model::params::Parameter;

/// Weight decay as the plan asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Decay {
    rate: f64,
    /// Biases and layer norms too, as PyTorch's default does.
    all: bool,
}

impl Decay {
    pub fn new(plan: &OptimizerPlan) -> Self {
        Self { rate: plan.weight_decay, all: plan.decay_all }
    }

    /// The rate for this parameter; 0 when it is left alone.
    pub fn of(self, parameter: &Parameter) -> f64 {
        if self.all || parameter.is_matrix() { self.rate } else { 0.0 }
    }
}
