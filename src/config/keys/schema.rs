//! The one table of keys, put together from the rows of all sections. Type checks, `defaults.toml`, `runner explain` and the JSON
//! Schema are made from it.

pub use super::kind::Kind;
use super::row::{Given, Section, same};
pub(in crate::config) use super::rows::*;

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub section: &'static str,
    /// The name within its section: `learning_rate`.
    pub leaf: &'static str,
    /// Section and name: `optimizer.learning_rate`.
    pub name: &'static str,
    pub kind: Kind,
    /// What it means, as one paragraph.
    pub prose: &'static str,
    /// As it is written in TOML.
    pub default: &'static str,
    /// What 0, or the empty string, stands for where it is not an ordinary value: the end of the prose.
    pub zero: Option<&'static str>,
}

/// The list of the sections, in the order of `defaults.toml`, for a macro that makes something of each.
macro_rules! sections {
    ($with:ident) => {
        $with! {
            experiment: ExperimentPlan,
            model: ModelPlan,
            data: DataPlan,
            train: TrainPlan,
            optimizer: OptimizerPlan,
            schedule: SchedulePlan,
            target: TargetPlan,
            checkpoint: CheckpointPlan,
            sample: SamplePlan,
            hardware: HardwarePlan,
            on_failure: OnFailurePlan,
            scripted: ScriptedPlan,
            reference: ReferencePlan,
        }
    };
}

pub(in crate::config) use sections;

macro_rules! tables {
    ($( $section:ident: $Plan:ident, )*) => {
        /// A merged configuration, each value checked on its own but not yet against the others.
        #[derive(Clone, Debug)]
        pub(in crate::config) struct RawPlan {
            $( pub $section: $Plan, )*
        }

        impl RawPlan {
            /// From the value of each key, in the order of [`KEYS`].
            ///
            /// # Errors
            /// The first key that has none, or one that its type does not take.
            pub fn read(given: Given<'_>) -> Result<Self, &'static str> {
                Ok(Self { $( $section: $Plan::read(given)?, )* })
            }
        }

        $( const _: () = assert!(same(stringify!($section), $Plan::NAME)); )*

        /// Names of the sections, in the order of `defaults.toml`.
        pub static SECTIONS: &[&str] = &[$( $Plan::NAME, )*];
        const PROSE: &[&str] = &[$( $Plan::PROSE, )*];
        const TABLES: &[&[Key]] = &[$( $Plan::KEYS, )*];
        const TEXTS: &[&str] = &[HEAD, $( $Plan::TEXT, )*];
    };
}

sections!(tables);

/// What stands at the head of `defaults.toml`.
const HEAD: &str = "\
# Every key that `runner` knows, with its default and what it means. This file is the weakest layer of each\n\
# configuration and also the manual: `runner explain KEY` prints the comment above a key, and the JSON Schema\n\
# (`runner schema`) carries it into editors. An experiment file needs only the keys that differ from here.\n\
";

/// The text of `defaults.toml`: every key with its default, and above it what it means.
pub const DEFAULTS: &str = match std::str::from_utf8(&BYTES) {
    Ok(text) => text,
    Err(_) => panic!("texts put together are a text"),
};

#[expect(clippy::large_const_arrays, reason = "a constant string cannot be made of a static")]
const BYTES: [u8; LENGTH] = {
    let (mut bytes, mut end, mut text) = ([0; LENGTH], 0, 0);
    while text < TEXTS.len() {
        let (from, mut at) = (TEXTS[text].as_bytes(), 0);
        while at < from.len() {
            bytes[end] = from[at];
            end += 1;
            at += 1;
        }
        text += 1;
    }
    bytes
};

const LENGTH: usize = {
    let (mut length, mut text) = (0, 0);
    while text < TEXTS.len() {
        length += TEXTS[text].len();
        text += 1;
    }
    length
};

/// All keys, in the order of `defaults.toml`.
pub static KEYS: &[Key] = &ALL;

static ALL: [Key; COUNT] = {
    let (mut all, mut end, mut table) = ([TABLES[0][0]; COUNT], 0, 0);
    while table < TABLES.len() {
        let mut at = 0;
        while at < TABLES[table].len() {
            all[end] = TABLES[table][at];
            end += 1;
            at += 1;
        }
        table += 1;
    }
    all
};

const COUNT: usize = {
    let (mut count, mut table) = (0, 0);
    while table < TABLES.len() {
        count += TABLES[table].len();
        table += 1;
    }
    count
};

/// What a section is about, as one paragraph.
pub(super) fn about(section: &str) -> Option<&'static str> {
    SECTIONS.iter().zip(PROSE).find(|(name, _)| **name == section).map(|(_, prose)| *prose)
}

/// The key with this dotted name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The keys of a section; empty when there is no such section.
pub fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section == section)
}

impl Key {
    /// Whether several runs may differ in it. What names or describes the experiment as a whole may not vary.
    pub fn can_be_swept(&self) -> bool {
        !matches!(self.section, "experiment" | "reference") || self.name == "experiment.seed"
    }

    /// Whether it decides what a run computes and records: a run that has it otherwise is another run. Prose, what is compared with,
    /// how failures are met, and what only decides how fast the same numbers come do not.
    pub fn decides_numbers(&self) -> bool {
        match self.section {
            "experiment" => self.leaf == "seed",
            "reference" | "on_failure" => false,
            "data" => self.leaf != "cache",
            "hardware" => !matches!(self.leaf, "threads" | "monitor_interval_secs" | "requires"),
            _ => true,
        }
    }

    /// The shortest name that means this key alone: its leaf, or with its section where the leaf occurs twice.
    pub fn short_name(&self) -> &'static str {
        let shared = KEYS.iter().filter(|key| key.leaf == self.leaf).count() > 1;
        if shared { self.name } else { self.leaf }
    }
}
