use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use super::*;

/// The kernel keeps one peak for the whole process: tests that set it back take turns.
static PEAK: Mutex<()> = Mutex::new(());

fn take_turns() -> std::sync::MutexGuard<'static, ()> {
    PEAK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(interval_secs: f64, cuda_ordinal: Option<usize>) -> Monitor {
    Monitor::start(interval_secs, cuda_ordinal, PeakMemory::begin())
}

/// Holds this many bytes for a moment.
fn swell(size: usize) {
    black_box(vec![1u8; size]);
}

/// Waits for a sample that `wanted` accepts.
fn wait_for(monitor: &Monitor, wanted: impl Fn(&Resources) -> bool) -> Resources {
    let start = Instant::now();
    loop {
        let latest = monitor.latest();
        if wanted(&latest) {
            return latest;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "no such sample, the last was {latest:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn memory_is_known_at_once_and_plausible() {
    let _turn = take_turns();
    let monitor = start(3600.0, None);
    let memory = monitor.latest().memory_bytes.expect("this system tells");
    assert!((1e5..1e12).contains(&memory), "{memory}");
    assert!(monitor.peak_memory_bytes() >= Some(memory));
}

#[test]
fn a_busy_thread_shows_as_cpu_time() {
    let _turn = take_turns();
    let monitor = start(0.1, None);
    let start = Instant::now();
    // Busy until seen: how soon depends on what else the machine does.
    while monitor.latest().cpu_percent.is_none_or(|cpu| cpu < 20.0) {
        black_box((0..100_000u64).map(black_box).sum::<u64>());
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", monitor.latest());
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    // CPU time is counted in hundredths of a second, which is a tenth of the interval.
    let cpu = monitor.latest().cpu_percent.expect("just seen");
    assert!(cpu <= cores * 120.0, "{cpu}");
}

#[test]
fn the_peak_outlasts_the_memory() {
    let _turn = take_turns();
    let monitor = start(0.02, None);
    let before = monitor.latest().memory_bytes.expect("this system tells");
    let size = 64 << 20;
    let block = black_box(vec![1u8; size]);
    wait_for(&monitor, |latest| latest.memory_bytes > Some(before + 0.8 * size as f64));
    drop(block);
    let peak = monitor.peak_memory_bytes().expect("sampled");
    assert!(peak > before + 0.8 * size as f64, "{peak} after {before}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_peak_between_two_samples_is_seen() {
    let _turn = take_turns();
    let monitor = start(3600.0, None);
    // After the second sample, which comes early, there is none for an hour.
    let before = wait_for(&monitor, |latest| latest.cpu_percent.is_some());
    let before = before.memory_bytes.expect("this system tells");
    swell(128 << 20);
    let peak = monitor.peak_memory_bytes().expect("this system tells");
    assert!(peak > before + f64::from(100 << 20), "{peak} after {before}");
    assert_eq!(monitor.latest().memory_bytes, Some(before), "no sample was taken in between");
}

#[test]
#[cfg(target_os = "linux")]
fn the_peak_of_an_earlier_run_is_not_that_of_the_next() {
    let _turn = take_turns();
    let first = start(3600.0, None);
    swell(128 << 20);
    let earlier = first.peak_memory_bytes().expect("this system tells");
    drop(first);
    if std::fs::write("/proc/self/clear_refs", "5").is_err() {
        // Past the test harness, which keeps what passing tests print.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the_peak_of_an_earlier_run_is_not_that_of_the_next: this system does not set the peak back"
        );
        return;
    }
    let later = start(3600.0, None).peak_memory_bytes().expect("this system tells");
    assert!(later < earlier - f64::from(100 << 20), "{later} after {earlier}");
}

#[test]
fn the_largest_sample_is_kept_and_missing_ones_do_not_count() {
    let mut seen = Seen::default();
    for memory_bytes in [None, Some(5.0), Some(7.0), None, Some(6.0)] {
        seen.add(Resources { memory_bytes, ..Resources::default() });
    }
    assert_eq!(seen.largest_memory_bytes, Some(7.0));
    assert_eq!(seen.latest.memory_bytes, Some(6.0));
}

#[test]
fn no_interval_means_no_thread_and_no_numbers() {
    let _turn = take_turns();
    for interval in [0.0, -1.0, f64::NAN] {
        let monitor = start(interval, Some(0));
        assert!(monitor.thread.is_none());
        assert_eq!(monitor.latest(), Resources::default());
        assert_eq!(monitor.peak_memory_bytes(), None);
    }
}

#[test]
fn dropping_does_not_wait_for_the_interval() {
    let _turn = take_turns();
    for interval in [3600.0, f64::MAX, f64::INFINITY] {
        let monitor = start(interval, None);
        assert!(monitor.thread.is_some());
        let start = Instant::now();
        drop(monitor);
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_gpu_that_is_not_there_is_no_trouble() {
    let _turn = take_turns();
    let monitor = start(0.02, Some(4_000));
    let sample = wait_for(&monitor, |latest| latest.cpu_percent.is_some());
    assert_eq!((sample.gpu_percent, sample.gpu_memory_bytes), (None, None));
    assert_eq!((sample.gpu_power_watts, sample.gpu_temperature_celsius), (None, None));
}
