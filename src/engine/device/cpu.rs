//! The processor.

/// The processor's own name.
pub fn cpu_name() -> String {
    use sysinfo::{CpuRefreshKind, RefreshKind, System};
    let refresh = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let brand = System::new_with_specifics(refresh)
        .ok()
        .and_then(|system| system.cpus().first().map(|cpu| cpu.brand().trim().to_owned()))
        .unwrap_or_default();
    if brand.is_empty() { "unknown processor".to_owned() } else { brand }
}

/// Which kernels compute matrix products on this processor. The rule is the one of the operations for the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductKernels {
    /// All of AVX-512 that matters, beside AVX2 and FMA.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// An x86-64 processor for which there is nothing better than what came before AVX2.
    Older,
    /// What the compiler knows of another architecture, which on aarch64 is Neon.
    Other,
}

/// The kernels that this processor gets.
pub fn product_kernels() -> ProductKernels {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let any_avx512 = is_x86_feature_detected!("avx512f");
        let all_avx512 = any_avx512
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match (avx2, any_avx512, all_avx512) {
            (true, _, true) => ProductKernels::Avx512,
            (true, false, false) => ProductKernels::Avx2,
            _ => ProductKernels::Older,
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    ProductKernels::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name() {
        assert!(!cpu_name().is_empty());
    }
}
