//! What a run uses of the machine, sampled off the training thread.

mod gpu;
mod inventory;
mod peak;
mod process;

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use gpu::Gpu;
pub use inventory::{Inventory, InventoryGpu, inventory};
pub use peak::PeakMemory;
use process::OwnProcess;

/// One sample. What could not be measured is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resources {
    /// CPU time of this process as a share of one core since the sample before (200 = two cores busy); `None` in the
    /// first one.
    pub cpu_percent: Option<f64>,
    /// Resident memory of this process.
    pub memory_bytes: Option<f64>,
    /// Utilisation of the GPU, by all its users.
    pub gpu_percent: Option<f64>,
    /// Memory in use on the GPU, by all its users.
    pub gpu_memory_bytes: Option<f64>,
    pub gpu_power_watts: Option<f64>,
    pub gpu_temperature_celsius: Option<f64>,
}

/// Shortest time between samples, whatever was asked for: a sample takes a few hundredths of a millisecond.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

/// When the second sample comes, if not earlier: it is the first with a CPU share, and short runs want one too.
const FIRST_INTERVAL: Duration = Duration::from_millis(250);

/// Samples this process, and a GPU if told one, until it is dropped.
#[derive(Debug)]
pub struct Monitor {
    seen: Arc<Mutex<Seen>>,
    peak: PeakMemory,
    /// Hanging up tells the thread to end.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    latest: Resources,
    largest_memory_bytes: Option<f64>,
}

impl Seen {
    fn add(&mut self, sample: Resources) {
        self.latest = sample;
        self.largest_memory_bytes = larger(self.largest_memory_bytes, sample.memory_bytes);
    }
}

impl Monitor {
    /// Samples every `interval_secs` from now on; 0 (or anything that is no positive number) never. With
    /// `cuda_ordinal` the GPU that CUDA knows by this number is sampled too, if NVIDIA's management library (NVML) is
    /// there when the program runs. `peak` began with the run, before its data and its model were loaded.
    pub fn start(interval_secs: f64, cuda_ordinal: Option<usize>, peak: PeakMemory) -> Monitor {
        let seen = Arc::new(Mutex::new(Seen::default()));
        if interval_secs.is_nan() || interval_secs <= 0.0 {
            return Monitor { seen, peak, stop: None, thread: None };
        }
        let interval = Duration::try_from_secs_f64(interval_secs).unwrap_or(Duration::MAX).max(MIN_INTERVAL);
        let mut process = OwnProcess::open();
        lock(&seen).add(process.sample());

        let (stop, stopped) = mpsc::channel::<()>();
        let sampling = Arc::clone(&seen);
        let thread = std::thread::Builder::new().name("monitor".to_owned()).spawn(move || {
            let gpu = cuda_ordinal.and_then(Gpu::open);
            let mut wait = interval.min(FIRST_INTERVAL);
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let sample = process.sample();
                lock(&sampling).add(gpu.as_ref().map_or(sample, |gpu| gpu.add_to(sample)));
                wait = interval;
            }
        });
        // A system without a thread to spare has the first sample.
        Monitor { seen, peak, stop: Some(stop), thread: thread.ok() }
    }

    /// The latest sample; a first one is there at once.
    pub fn latest(&self) -> Resources {
        lock(&self.seen).latest
    }

    /// The largest resident memory of the run: the kernel's own peak where it tells, the largest sample elsewhere, which
    /// falls short of the peak by whatever came and went between two samples.
    pub fn peak_memory_bytes(&self) -> Option<f64> {
        let sampled = lock(&self.seen).largest_memory_bytes?;
        larger(self.peak.bytes(), Some(sampled))
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and costs samples, not the run.
            let _ = thread.join();
        }
    }
}

/// The larger of two measured values.
fn larger(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    [one, other].into_iter().flatten().reduce(f64::max)
}

/// The samples are plain numbers: still good if a holder of the lock panicked.
fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
