//! The small languages inside strings: lengths of time, devices, requirements.

use jiff::SignedDuration;

use super::rows::{DeviceChoice, Requirement};

/// Longest time limit, about thirty years.
const MAX_SECS: f64 = 1e9;
/// Longest name of a run in bytes, short of every file system's limit with room for what others append.
pub(in crate::config) const MAX_RUN_NAME: usize = 120;

/// Seconds of `90m`, `1h 30m`, `5400`; `Some(None)` for `0`, which means no limit; `None` for anything else.
pub(in crate::config) fn duration(text: &str) -> Option<Option<f64>> {
    let text = text.trim();
    let secs = match text.parse::<f64>() {
        Ok(secs) => secs,
        Err(_) => text.parse::<SignedDuration>().ok()?.as_secs_f64(),
    };
    (0.0..=MAX_SECS).contains(&secs).then_some((secs > 0.0).then_some(secs))
}

/// `auto`, `cpu`, `cuda`, `cuda:N` or `scripted`.
pub(in crate::config) fn device(text: &str) -> Option<DeviceChoice> {
    Some(match text {
        "auto" => DeviceChoice::Auto,
        "cpu" => DeviceChoice::Cpu,
        "cuda" => DeviceChoice::Cuda(0),
        "scripted" => DeviceChoice::Scripted,
        _ => DeviceChoice::Cuda(
            text.strip_prefix("cuda:")?.parse().ok().filter(|&ordinal: &usize| ordinal < 1_000)?,
        ),
    })
}

/// `cuda`, `init_from` or `min_memory_gb=N`.
pub(in crate::config) fn requirement(text: &str) -> Option<Requirement> {
    match text {
        "cuda" => return Some(Requirement::Cuda),
        "init_from" => return Some(Requirement::InitFrom),
        _ => {}
    }
    let (name, amount) = text.split_once('=')?;
    let amount: f64 = amount.trim().parse().ok()?;
    (name.trim() == "min_memory_gb" && amount > 0.0 && amount.is_finite())
        .then_some(Requirement::MinMemoryGb(amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_with_and_without_units() {
        for (text, secs) in
            [("90m", 5400.0), ("1h 30m", 5400.0), ("1h30m", 5400.0), ("5400", 5400.0), ("0.5s", 0.5)]
        {
            assert_eq!(duration(text), Some(Some(secs)), "{text}");
        }
        assert_eq!(duration("0"), Some(None));
        for text in ["", "soon", "-3m", "-1", "NaN", "inf", "1e300", "2 fortnights"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn devices_and_requirements_are_read() {
        assert_eq!(device("cuda"), Some(DeviceChoice::Cuda(0)));
        assert_eq!(device("cuda:1"), Some(DeviceChoice::Cuda(1)));
        for text in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", "cuda:99999999999999999999"] {
            assert_eq!(device(text), None, "{text}");
        }
        assert_eq!(requirement("cuda"), Some(Requirement::Cuda));
        assert_eq!(requirement("init_from"), Some(Requirement::InitFrom));
        assert_eq!(requirement("min_memory_gb = 16"), Some(Requirement::MinMemoryGb(16.0)));
        for text in ["", "gpu", "min_memory_gb", "min_memory_gb=", "min_memory_gb=-1", "min_memory_gb=NaN"] {
            assert_eq!(requirement(text), None, "{text}");
        }
    }
}
