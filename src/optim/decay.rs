//! Which parameters weight decay shrinks.

use crate::config::experiment::OptimizerPlan;
use crate::model::params::Parameter;

/// The rate for this parameter; 0 when it is left alone: biases and layer norms, unless all decay as PyTorch's default does.
pub fn decay(plan: &OptimizerPlan, parameter: &Parameter) -> f64 {
    if plan.decay_all || parameter.is_matrix() { plan.weight_decay } else { 0.0 }
}
