//! A run's plan: everything needed to train it, valid by construction. Only `config` makes one. Its sections are those of the rows
//! in `config/keys/rows`, a field for each key.

use toml::Value;

use super::IdleKey;
use super::schema::{KEYS, Key, RawPlan, sections};
use crate::config::keys::Section;
pub use crate::config::keys::{
    CheckpointPlan, Coefficients, DataPlan, DataSource, DeviceChoice, DtypeKind, ExperimentPlan,
    HardwarePlan, ModelPlan, OnFailurePlan, OptimizerPlan, Paths, Preset, ReferencePlan, Requirement,
    SamplePlan, ScheduleKind, SchedulePlan, ScriptedFailure, ScriptedPlan, Separator, TargetMetric,
    TargetPlan, TimeLimit, TokenizerKind, TrainPlan, WindowOrder, Written,
};

macro_rules! run_plan {
    ($( $section:ident: $Plan:ident, )*) => {
        /// One training of one sweep point with one seed.
        #[derive(Clone, Debug, PartialEq)]
        pub struct RunPlan {
            /// Name of the run, unique within its experiment, safe as a directory name:
            /// `seed=1337`, or with a sweep `learning_rate=0.001,seed=1337`, or what `experiment.run` says.
            pub name: String,
            /// The sweep point as written: dotted key and value. Empty without a sweep.
            pub point: Vec<(String, Value)>,
            /// Which of the `experiment.repeats` this run is, from 0.
            pub repeat: u64,
            $( pub $section: $Plan, )*
            /// Keys that someone set and that do nothing in this run.
            pub idle: Vec<IdleKey>,
            /// Where each value came from, as a person would name it, in the order of [`KEYS`].
            pub(in crate::config) sources: Vec<String>,
        }

        impl RunPlan {
            /// The plan of these values, still without a name.
            pub(super) fn new(
                raw: RawPlan,
                point: Vec<(String, Value)>,
                repeat: u64,
                sources: Vec<String>,
            ) -> RunPlan {
                RunPlan { name: String::new(), point, repeat, $( $section: raw.$section, )* idle: Vec::new(), sources }
            }

            /// The value of each key, in the order of [`KEYS`].
            pub(in crate::config) fn values(&self) -> Vec<Value> {
                let mut values = Vec::with_capacity(KEYS.len());
                $( values.extend(self.$section.values()); )*
                values
            }

            /// Sets a key, if it takes the value, and says from where: nothing else holds the value.
            pub(in crate::config) fn set(&mut self, key: &Key, value: &Value, source: Option<&str>) -> bool {
                $(
                    if key.section == stringify!($section) && self.$section.set(key.leaf, value) {
                        if let Some(source) = source {
                            self.set_source(key.name, source);
                        }
                        return true;
                    }
                )*
                false
            }
        }

        #[cfg(test)]
        impl Default for RunPlan {
            /// As `defaults.toml` has it, without names and sources.
            fn default() -> RunPlan {
                RunPlan {
                    name: String::new(),
                    point: Vec::new(),
                    repeat: 0,
                    $( $section: $Plan::default(), )*
                    idle: Vec::new(),
                    sources: Vec::new(),
                }
            }
        }
    };
}

sections!(run_plan);

/// A key of a plan, its value, and its source as a person would name it.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedKey {
    /// Dotted: `optimizer.learning_rate`.
    pub key: &'static str,
    pub value: Value,
    /// `default`, `experiments/a.toml:12`, `sweep`, `--set`, `preset gpt2`.
    pub source: String,
}

impl RunPlan {
    /// Every key as the plan has it now, in the order of `defaults.toml`, with where its value came from.
    pub fn resolved(&self) -> Vec<ResolvedKey> {
        let keys = KEYS.iter().zip(self.values()).zip(&self.sources);
        keys.map(|((key, value), source)| ResolvedKey { key: key.name, value, source: source.clone() })
            .collect()
    }

    /// One key of [`RunPlan::resolved`], by its dotted name.
    pub fn resolved_key(&self, name: &str) -> Option<ResolvedKey> {
        self.resolved().into_iter().find(|resolved| resolved.key == name)
    }

    /// Says where the value of a key came from.
    pub(in crate::config) fn set_source(&mut self, name: &str, text: &str) {
        let place = KEYS.iter().position(|key| key.name == name);
        if let Some(source) = place.and_then(|place| self.sources.get_mut(place)) {
            text.clone_into(source);
        }
    }

    /// What `experiment.run` calls the run, if anything.
    pub(in crate::config) fn given_name(&self) -> Option<&str> {
        self.experiment.run.as_deref()
    }

    /// Tokens of one sequence.
    pub fn sequence_length(&self) -> usize {
        self.train.length(&self.model)
    }

    /// Tokens consumed by one optimizer step.
    pub fn tokens_per_step(&self) -> u64 {
        (self.train.batch_size * self.sequence_length() * self.train.gradient_accumulation_steps) as u64
    }
}
