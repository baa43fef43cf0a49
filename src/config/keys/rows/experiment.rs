//! `[experiment]`: what a run is called, and what it is about.

use std::ops::Bound::Included;

use crate::config::keys::kind::{MAX_SEED, int, num};
use crate::config::keys::row::section;

section! {
    /// What the experiment is about. The prose is printed at the head of its report.
    experiment: ExperimentPlan {
        /// Name of the experiment and of its folders under `runs/` and `reports/`. It is never inherited through `extends`,
        /// so that two files never write to one folder. Empty: the name of the file without `.toml`.
        name: String = "", Kind::Name;
        /// Name of the run's directory within its experiment. Only a file with a single run can set it, and it is never
        /// inherited through `extends`. A run's `config.toml` keeps the name that the run had in its sweep. Empty: made from
        /// the sweep point and the seed.
        run: Option<String> = "", Kind::RunName;
        /// One sentence: what is trained, and to what end.
        description: String = "";
        /// What you expect to see, and why, written down before the run so that the result can contradict it.
        hypothesis: String = "";
        /// Words to find the experiment by.
        tags: Vec<String> = [];
        /// Seed of everything random in a run: initial weights, order of the data, dropout. With the same seed, the same
        /// machine and the same version a run gives the same numbers.
        seed: u64 = 1337, int(0, MAX_SEED);
        /// How many seeds each sweep point is trained with: seed, seed + 1, and so on. Reports group them as mean and
        /// standard deviation. One seed cannot tell a better setting from a luckier one; three begin to.
        repeats: u64 = 1, int(1, 1_000);
        /// For experiments whose runs should compute the same, on another device, say: the largest relative difference between
        /// their train losses at any step. The comparison says whether it holds, and `runner` ends with code 4 if not. 0: losses are
        /// not held against each other.
        same_losses_within: Option<f64> = 0.0, num(Included(0.0), Included(1.0));
    }
}
