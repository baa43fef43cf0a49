//! Where a run computes, as its manifest has it. The device is that of the latest attempt; the kernel is the run's own.

use crate::facts::DeviceInfo;
use crate::store::manifest::Manifest;

/// Notes in the manifest where this attempt computes, and in the attempt what multiplies. The run's own kernel, by which what
/// `goes_on` was multiplied, stays noted where the attempt has to do without it: a later one on a machine that has it returns
/// to it. Then what a person should know is returned. `probe` is what products alone do before this attempt.
pub fn note(manifest: &mut Manifest, now: DeviceInfo, probe: Option<f64>, goes_on: bool) -> Option<String> {
    if let Some(attempt) = manifest.attempts.last_mut() {
        attempt.kernel.clone_from(&now.kernel);
    }
    let before = manifest.device.take().filter(|_| goes_on);
    let (own, mut probes) = before.map(|before| (before.kernel, before.product_probes)).unwrap_or_default();
    let own = own.or_else(|| now.kernel.clone());
    probes.extend(probe);
    let notice = match (&own, &now.kernel) {
        (Some(own), Some(this)) if own != this => Some(format!(
            "the run used {own} for matrix products so far, which this machine does not have: this attempt uses {this}, which \
             sums in another order, so its numbers differ slightly from those of an uninterrupted run"
        )),
        _ => None,
    };
    manifest.device = Some(DeviceInfo { kernel: own, product_probes: probes, ..now });
    notice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::HostInfo;
    use crate::store::fixture;

    fn on(kernel: &str) -> DeviceInfo {
        DeviceInfo {
            device: "cpu".to_owned(),
            name: String::new(),
            dtype: "bf16".to_owned(),
            kernel: Some(kernel.to_owned()),
            product_probes: Vec::new(),
            threads: 2,
        }
    }

    /// The run's kernel, those of its attempts, and whether each came with a notice.
    fn attempts(kernels: &[(&str, bool)]) -> (String, Vec<String>, Vec<bool>) {
        let mut manifest = fixture::manifest("a", "b");
        let notice = |&(kernel, goes_on): &(&str, bool)| {
            manifest.begin_attempt(0, 1, HostInfo::default());
            note(&mut manifest, on(kernel), None, goes_on).is_some()
        };
        let notices = kernels.iter().map(notice).collect();
        let kernel = manifest.device.and_then(|device| device.kernel);
        let of_attempts = manifest.attempts.into_iter().filter_map(|attempt| attempt.kernel);
        (kernel.unwrap_or_default(), of_attempts.collect(), notices)
    }

    #[test]
    fn a_run_keeps_its_kernel_through_an_attempt_that_has_to_do_without_it() {
        let (own, of_attempts, notices) = attempts(&[("AMX", false), ("f32 kernels", true), ("AMX", true)]);
        assert_eq!((own.as_str(), notices), ("AMX", vec![false, true, false]));
        assert_eq!(of_attempts, ["AMX", "f32 kernels", "AMX"]);
    }

    #[test]
    fn probes_of_all_attempts_are_kept_until_the_run_begins_anew() {
        let mut manifest = fixture::manifest("a", "b");
        let mut probes = |probe, goes_on| {
            note(&mut manifest, on("AMX"), Some(probe), goes_on);
            manifest.device.clone().unwrap().product_probes
        };
        assert_eq!(probes(1e9, false), [1e9]);
        assert_eq!(probes(2e9, true), [1e9, 2e9]);
        assert_eq!(probes(3e9, false), [3e9]);
    }

    #[test]
    fn a_run_that_begins_anew_takes_the_kernel_that_is_there() {
        let (own, of_attempts, notices) = attempts(&[("AMX", false), ("f32 kernels", false)]);
        assert_eq!((own.as_str(), notices), ("f32 kernels", vec![false, false]));
        assert_eq!(of_attempts, ["AMX", "f32 kernels"]);
    }
}
