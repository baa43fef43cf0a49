//! What an engine saves beside its weights: the optimizer's moments and step count, and the dropout generator.

use std::path::{Path, PathBuf};

use ::dfdx::prelude::*;
use serde::{Deserialize, Serialize};

use super::EngineError;
use super::dfdx::loss_scale::LossScale;
use super::dfdx::weights_error;
use crate::files::plain;
use crate::model::Gpt;
use crate::model::params::{Parameter, Visit};
use crate::model::tensor_file::{Entry, TensorFile, TensorFileError, values, write};
use crate::ops::{DropoutSource, DropoutState, Ops};
use crate::optim::{Moments, Optimizer, State, Update};

const MOMENTS_FILE: &str = "optimizer.safetensors";
const STATE_FILE: &str = "engine.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EngineState {
    optimizer_steps: u64,
    dropout: DropoutState,
    /// Of mixed precision. A run in single precision has none, and ignores another's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    loss_scale: Option<LossScale>,
}

/// Writes the state files into `dir`.
pub fn write_state<E: Dtype, D: Update<E>>(
    dir: &Path,
    gpt: &Gpt<E, D>,
    optimizer: &Optimizer<E, D>,
    dropout: &DropoutSource,
    loss_scale: Option<LossScale>,
) -> Result<(), EngineError> {
    let mut entries = Vec::new();
    let state = optimizer.state();
    for (name, moments) in state.iter() {
        let Ok(()) = gpt.visit(&mut Collect { state, name, moments, entries: &mut entries });
    }
    let path = dir.join(MOMENTS_FILE);
    write(&path, entries).map_err(|error| weights_error(&path, error))?;

    let path = dir.join(STATE_FILE);
    let dropout = dropout.state().clone();
    let state = EngineState { optimizer_steps: optimizer.steps(), dropout, loss_scale };
    let text = serde_json::to_string_pretty(&state).map_err(|error| invalid(&path, &error))?;
    plain::write_new(&path, text).map_err(|source| EngineError::Io { path, source })
}

/// Reads what [`write_state`] wrote, and returns its loss scale.
pub fn read_state<E: Dtype, D: Update<E>>(
    dir: &Path,
    gpt: &Gpt<E, D>,
    optimizer: &mut Optimizer<E, D>,
    dropout: &mut DropoutSource,
) -> Result<Option<LossScale>, EngineError> {
    let path = dir.join(STATE_FILE);
    let text =
        plain::read_to_string(&path).map_err(|source| EngineError::Io { path: path.clone(), source })?;
    let state: EngineState = serde_json::from_str(&text).map_err(|error| invalid(&path, &error))?;
    if state.loss_scale.is_some_and(|scale| !scale.is_sound()) {
        return Err(EngineError::Weights {
            path,
            reason: "its loss scale is none that a run can have".to_owned(),
        });
    }

    let path = dir.join(MOMENTS_FILE);
    let bytes = plain::read(&path).map_err(|source| EngineError::Io { path: path.clone(), source })?;
    let file = TensorFile::parse(&bytes).map_err(|error| weights_error(&path, error))?;
    let is_known = |name: &str| {
        name.split_once('.').is_some_and(|(moments, parameter)| {
            let is_kept =
                |known: &Parameter| known.name == parameter && optimizer.state().has(known, moments);
            gpt.layout().iter().any(is_kept)
        })
    };
    if let Some(name) = file.names().find(|name| !is_known(name)) {
        return Err(weights_error(&path, TensorFileError::Unexpected { name: name.to_owned() }));
    }
    let names: Vec<&str> = optimizer.state().iter().map(|(name, _)| name).collect();
    for name in names {
        let mut restore = Restore { name, state: optimizer.state_mut(), file: &file };
        gpt.visit(&mut restore).map_err(|error| weights_error(&path, error))?;
    }
    optimizer.set_steps(state.optimizer_steps);
    dropout.set_state(state.dropout);
    Ok(state.loss_scale)
}

fn invalid(path: &Path, error: &serde_json::Error) -> EngineError {
    EngineError::Weights {
        path: PathBuf::from(path),
        reason: format!("it is not an engine's state: {error}"),
    }
}

struct Collect<'a, 'm, E: Dtype, D: Storage<E>> {
    state: &'m State<E, D>,
    name: &'static str,
    moments: &'m Moments<E, D>,
    entries: &'a mut Vec<(String, Entry<'m>)>,
}

impl<E: Dtype, D: Ops<E>> Visit<E, D> for Collect<'_, '_, E, D> {
    type Err = std::convert::Infallible;

    fn visit<S: Shape>(&mut self, parameter: &Parameter, tensor: &Tensor<S, E, D>) -> Result<(), Self::Err> {
        if !self.state.has(parameter, self.name) {
            return Ok(());
        }
        let name = format!("{}.{}", self.name, parameter.name);
        let (moments, parameter) = (self.moments, tensor.clone());
        self.entries.push((name, Entry::new(tensor.shape(), move || moments.try_values(&parameter))));
        Ok(())
    }
}

struct Restore<'a, 'f, E: Dtype, D: Storage<E>> {
    name: &'static str,
    state: &'a mut State<E, D>,
    file: &'a TensorFile<'f>,
}

impl<E: Dtype, D: Ops<E>> Visit<E, D> for Restore<'_, '_, E, D> {
    type Err = TensorFileError;

    fn visit<S: Shape>(
        &mut self,
        parameter: &Parameter,
        tensor: &Tensor<S, E, D>,
    ) -> Result<(), TensorFileError> {
        if !self.state.has(parameter, self.name) {
            return Ok(());
        }
        let Some(moments) = self.state.get_mut(self.name) else { return Ok(()) };
        let name = format!("{}.{}", self.name, parameter.name);
        let view = self.file.expect(&name, &parameter.shape)?;
        moments.try_set(tensor, &values(&view)).map_err(|error| TensorFileError::Device(error.to_string()))
    }
}
