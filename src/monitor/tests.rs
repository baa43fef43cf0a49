use std::hint::black_box;
use std::time::Instant;

use super::*;

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
    let monitor = Monitor::start(3600.0, None);
    let memory = monitor.latest().memory_bytes.expect("this system tells");
    assert!((1e5..1e12).contains(&memory), "{memory}");
    assert!(monitor.peak_memory_bytes() >= Some(memory));
}

#[test]
fn a_busy_thread_shows_as_cpu_time() {
    let monitor = Monitor::start(0.1, None);
    assert_eq!(monitor.latest().cpu_percent, None);
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
    let monitor = Monitor::start(0.02, None);
    let before = monitor.latest().memory_bytes.expect("this system tells");
    let size = 64 << 20;
    let block = black_box(vec![1u8; size]);
    wait_for(&monitor, |latest| latest.memory_bytes > Some(before + 0.8 * size as f64));
    drop(block);
    let peak = monitor.peak_memory_bytes().expect("sampled");
    assert!(peak > before + 0.8 * size as f64, "{peak} after {before}");
}

#[test]
fn the_peak_is_the_largest_sample_and_missing_ones_do_not_count() {
    let mut seen = Seen::default();
    for memory_bytes in [None, Some(5.0), Some(7.0), None, Some(6.0)] {
        seen.add(Resources { memory_bytes, ..Resources::default() });
    }
    assert_eq!(seen.peak_memory_bytes, Some(7.0));
    assert_eq!(seen.latest.memory_bytes, Some(6.0));
}

#[test]
fn no_interval_means_no_thread_and_no_numbers() {
    for interval in [0.0, -1.0, f64::NAN] {
        let monitor = Monitor::start(interval, Some(0));
        assert!(monitor.thread.is_none());
        assert_eq!(monitor.latest(), Resources::default());
        assert_eq!(monitor.peak_memory_bytes(), None);
    }
}

#[test]
fn dropping_does_not_wait_for_the_interval() {
    for interval in [3600.0, f64::MAX, f64::INFINITY] {
        let monitor = Monitor::start(interval, None);
        assert!(monitor.thread.is_some());
        let start = Instant::now();
        drop(monitor);
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_gpu_that_is_not_there_is_no_trouble() {
    let monitor = Monitor::start(0.02, Some(4_000));
    let sample = wait_for(&monitor, |latest| latest.cpu_percent.is_some());
    assert_eq!((sample.gpu_percent, sample.gpu_memory_bytes), (None, None));
    assert_eq!((sample.gpu_power_watts, sample.gpu_temperature_celsius), (None, None));
}
