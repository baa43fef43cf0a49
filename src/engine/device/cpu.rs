//! The processor.

use crate::ops::cpu::bf16::{Kernel, Presence, product_flops_per_sec};
use crate::ops::cpu::matmul::Workers;

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

/// A way to multiply bf16 that some processors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bf16Kernel {
    pub name: &'static str,
    pub state: KernelState,
}

/// What became of a kernel on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelState {
    /// The processor has not got it.
    Absent,
    /// The processor has it, and the system does not let this process use it.
    Refused,
    /// Another one was chosen by the probe.
    Beaten,
    Chosen,
}

/// The kernels for which a processor needs instructions of their own, and which of them was chosen, if any.
pub fn bf16_kernels() -> Vec<Bf16Kernel> {
    let of_processor = Kernel::ALL.into_iter().filter(|kernel| *kernel != Kernel::Widened);
    let state = |kernel: Kernel| match kernel.presence() {
        Presence::Absent => KernelState::Absent,
        Presence::Refused => KernelState::Refused,
        Presence::There if kernel == Kernel::choose() => KernelState::Chosen,
        Presence::There => KernelState::Beaten,
    };
    of_processor.map(|kernel| Bf16Kernel { name: kernel.name(), state: state(kernel) }).collect()
}

/// Whether bf16 makes matrix products faster than f32 on this processor.
pub fn bf16_gains() -> bool {
    !bf16_widens(None)
}

/// Why somebody who trains in bf16 where it does not should not.
pub const BF16_GAINS_NOTHING: &str = "bf16 gains nothing here, because this processor has no faster way to multiply it than \
                                      f32's; hardware.dtype = \"f32\" is as fast and more exact";

/// Whether products of bf16 are made in f32, by a run that keeps to the kernel of this name; `None`: by one that chooses.
pub fn bf16_widens(kernel: Option<&str>) -> bool {
    Kernel::named_or_chosen(kernel) == Kernel::Widened
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_one_kernel_of_the_processor_is_chosen_and_then_bf16_gains() {
        let chosen = bf16_kernels().iter().filter(|kernel| kernel.state == KernelState::Chosen).count();
        assert_eq!(chosen, usize::from(bf16_gains()));
    }

    #[test]
    fn manifests_call_the_kernels_for_f32_what_the_operations_do() {
        assert_eq!(Kernel::Widened.name(), crate::facts::DeviceInfo::F32_KERNELS);
        assert!(bf16_widens(Some(Kernel::Widened.name())));
    }
}
