//! What an optimizer keeps from step to step.

use dfdx::prelude::*;

use super::{Moments, Update};
use crate::facts::optimizer::{OptimizerKind, Role};
use crate::model::Gpt;
use crate::model::params::Parameter;

/// Moments by name; which parameter has which says the optimizer's kind.
#[derive(Debug)]
pub struct State<E: Dtype, D: Storage<E>> {
    kind: OptimizerKind,
    moments: Vec<(&'static str, Moments<E, D>)>,
}

impl<E: Dtype, D: Update<E>> State<E, D> {
    /// Zeros for every parameter of the model.
    pub fn try_zeros(kind: OptimizerKind, gpt: &Gpt<E, D>) -> Result<Self, D::Err> {
        let mut names: Vec<&'static str> = Vec::new();
        for role in [Role::Matrix, Role::Embedding, Role::Vector] {
            names.extend((kind.facts().state)(role));
        }
        let mut moments: Vec<(&'static str, Moments<E, D>)> = Vec::new();
        for name in names {
            if moments.iter().all(|(other, _)| *other != name) {
                moments.push((name, Moments::try_zeros(gpt, |parameter| has(kind, parameter, name))?));
            }
        }
        Ok(Self { kind, moments })
    }
}

impl<E: Dtype, D: Storage<E>> State<E, D> {
    /// Whether moments of this name are kept for a parameter.
    pub fn has(&self, parameter: &Parameter, name: &str) -> bool {
        has(self.kind, parameter, name)
    }

    /// Moments that are kept for a parameter.
    pub fn count(&self, parameter: &Parameter) -> u64 {
        (self.kind.facts().state)(parameter.role()).len() as u64
    }

    /// All moments, by PyTorch's names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Moments<E, D>)> {
        self.moments.iter().map(|(name, moments)| (*name, moments))
    }

    /// Moments of one name, to restore them.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Moments<E, D>> {
        self.moments.iter_mut().find(|(other, _)| *other == name).map(|(_, moments)| moments)
    }

    /// The moments of these names, no two of them the same, which the optimizer's facts list; anything else is a bug and panics.
    pub(super) fn moments<const N: usize>(&mut self, names: [&'static str; N]) -> [&mut Moments<E, D>; N] {
        let place = |name| self.moments.iter().position(|(other, _)| *other == name);
        let places = names.map(|name| place(name).expect("the optimizer's facts list what it keeps"));
        let found = self.moments.get_disjoint_mut(places).expect("the names differ");
        found.map(|(_, moments)| moments)
    }
}

fn has(kind: OptimizerKind, parameter: &Parameter, name: &str) -> bool {
    (kind.facts().state)(parameter.role()).contains(&name)
}
