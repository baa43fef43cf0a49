//! How many runs train at the same time, and what each gets of the machine.

use std::str::FromStr;

use crate::engine::cost::Cost;
use crate::engine::device;
use crate::engine::memory::Place as MemoryPlace;
use crate::error::Error;
use crate::launcher::local::Terms;
use crate::machine;
use crate::report::compare;
use crate::units;

/// How runs are worked off.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkArgs {
    /// How many runs to train at the same time, each in its own process with its share of the cores. `auto`: one per GPU, or as
    /// many as cores and free memory allow.
    #[arg(short, long, value_name = "N|auto", default_value = "1")]
    jobs: Jobs,
    /// Start no further run once one has failed; runs in progress continue.
    #[arg(long, conflicts_with = "max_fail")]
    fail_fast: bool,
    /// Start no further run once this many have failed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_fail: Option<u32>,
    /// Show nothing while training; outcomes and paths are still printed at the end.
    #[arg(short, long)]
    pub quiet: bool,
    /// Write the comparison under this name, beside the experiment's own.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jobs {
    Auto,
    Number(usize),
}

impl FromStr for Jobs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(number @ 1..=1024)) => Ok(Self::Number(number)),
            _ => Err("give a number from 1 to 1024, or auto".to_owned()),
        }
    }
}

impl WorkArgs {
    /// Looks at what may be wrong with the options, before hours are spent.
    pub fn check(&self) -> Result<(), Error> {
        self.name.as_deref().map(compare::checked_name).transpose()?;
        Ok(())
    }

    /// Processes at a time and what each gets, for `runs` runs of which these costs are known.
    pub fn terms(&self, runs: usize, costs: &[&Cost]) -> Terms {
        let cores = machine::cores();
        let jobs = match self.jobs {
            Jobs::Number(number) => number,
            Jobs::Auto => {
                automatic(costs, cores, device::cuda_devices().unwrap_or(0), machine::free_memory_bytes())
            }
        };
        let jobs = jobs.clamp(1, runs.max(1));
        let max_fail = if self.fail_fast { Some(1) } else { self.max_fail.map(|number| number as usize) };
        Terms { jobs, threads: (jobs > 1).then(|| (cores / jobs).max(1)), max_fail }
    }
}

/// One per GPU, if that is where runs would be; otherwise one per core, as far as the largest of them fits the memory that often.
fn automatic(costs: &[&Cost], cores: usize, gpus: usize, free_bytes: Option<u64>) -> usize {
    if gpus > 0 && costs.iter().any(|cost| matches!(cost.memory.place, MemoryPlace::Gpu { .. })) {
        return gpus;
    }
    let largest = costs.iter().map(|cost| cost.memory.estimate().bytes()).fold(0.0, f64::max);
    match free_bytes {
        Some(free) if largest > 0.0 => cores.min((free as f64 / largest) as usize).max(1),
        _ => cores,
    }
}

/// In words, that runs at the same time may need more memory than is free although each of them fits.
pub fn short_together(costs: &[&Cost], jobs: usize, free_bytes: Option<u64>) -> Option<String> {
    let free = free_bytes? as f64;
    let on_host = costs.iter().filter(|cost| matches!(cost.memory.place, MemoryPlace::Host));
    let mut needs: Vec<f64> = on_host.map(|cost| cost.memory.estimate().bytes()).collect();
    needs.sort_by(|a, b| b.total_cmp(a));
    let together: f64 = needs.iter().take(jobs).sum();
    let largest = needs.first().copied().unwrap_or(0.0);
    (jobs > 1 && together > free && largest <= free).then(|| {
        format!(
            "{jobs} runs at the same time may need {} of memory, and {} is free; lower --jobs, or let --jobs auto choose",
            units::bytes(together),
            units::bytes(free)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_a_number_or_auto() {
        assert_eq!("auto".parse(), Ok(Jobs::Auto));
        assert_eq!("3".parse(), Ok(Jobs::Number(3)));
        for wrong in ["0", "-1", "many", "", "1.5", "99999999999999999999"] {
            assert!(wrong.parse::<Jobs>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn automatic_jobs_follow_the_cores_where_nothing_is_known_of_memory() {
        assert_eq!(automatic(&[], 8, 0, None), 8);
        assert_eq!(automatic(&[], 8, 4, Some(1)), 8);
    }
}
