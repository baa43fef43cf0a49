//! The processor.

use crate::ops::cpu::bf16::{Kernel, product_flops_per_sec};
use crate::ops::cpu::matmul::Workers;

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

/// Who multiplies in a number format on this processor, and how fast all threads of the current pool are at it alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProductSpeed {
    /// The kernel's name, where there is a choice.
    pub kernel: Option<&'static str>,
    /// FLOP/s in a product of GPT-2's sizes, by a probe of some milliseconds.
    pub flops_per_sec: f64,
}

/// Measures products in f32.
pub fn f32_products() -> ProductSpeed {
    ProductSpeed { kernel: None, flops_per_sec: product_flops_per_sec::<f32>((), Workers::All) }
}

/// Measures products of bf16, by the kernel that a run would take.
pub fn bf16_products() -> ProductSpeed {
    let kernel = Kernel::choose();
    ProductSpeed { kernel: Some(kernel.name()), flops_per_sec: kernel.flops_per_sec(Workers::All) }
}

/// Whether bf16 makes matrix products faster than f32 on this processor.
pub fn bf16_gains() -> bool {
    Kernel::choose() != Kernel::Widened
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name() {
        assert!(!cpu_name().is_empty());
    }
}
