//! The instructions of x86-64.

use std::arch::x86_64::{__m256i, __m512i, _mm256_dpbusd_avx_epi32, _mm512_dpbusd_epi32};

use pulp::NullaryFnOnce;
use pulp::x86::{V3, V4};

use super::Quad;
use super::kernel::Dots;
#[cfg(all(test, target_os = "linux"))]
use crate::ops::cpu::emulated::Emulation;

/// AVX-512 with VNNI. A value of this type is a proof that the processor has them.
#[derive(Clone, Copy, Debug)]
pub struct Avx512Vnni(V4);

/// AVX2 with AVX-VNNI. A value of this type is a proof that the processor has them.
#[derive(Clone, Copy, Debug)]
pub struct AvxVnni(V3);

impl Avx512Vnni {
    pub fn try_new() -> Option<Self> {
        V4::try_new().filter(|_| is_x86_feature_detected!("avx512vnni")).map(Self)
    }

    /// To be used no longer than the emulation lives.
    #[cfg(all(test, target_os = "linux"))]
    pub fn emulated(_: &Emulation) -> Option<Self> {
        V4::try_new().map(Self)
    }
}

impl AvxVnni {
    pub fn try_new() -> Option<Self> {
        V3::try_new().filter(|_| is_x86_feature_detected!("avxvnni")).map(Self)
    }

    /// To be used no longer than the emulation lives.
    #[cfg(all(test, target_os = "linux"))]
    pub fn emulated(_: &Emulation) -> Option<Self> {
        V3::try_new().map(Self)
    }
}

/// A kernel: the instruction sets that it is compiled for beside those that came with AVX2, the registers that hold the sums
/// of a panel, whether sums of many rows fit, and what it does with one register: filling it with four numbers of a row, and
/// adding their products with weights.
macro_rules! dots {
    (
        $kernel:ty, $sets:literal, [$register:ty; $count:literal], MANY = $many:literal,
        |$to_fill:ident, $number:ident| $fill:expr,
        |$to_add:ident, $sum:ident, $four:ident, $weights:ident| $add:expr $(,)?
    ) => {
        impl Dots for $kernel {
            type Sums = [$register; $count];
            type Four = $register;
            const MANY: bool = $many;

            #[inline(always)]
            fn four(self, $number: i32) -> $register {
                let $to_fill = self;
                $fill
            }

            #[inline(always)]
            fn add(self, sums: &mut Self::Sums, $four: $register, weights: &Quad) {
                let $to_add = self;
                let weights: Self::Sums = pulp::cast(weights.0);
                for (sum, $weights) in sums.iter_mut().zip(weights) {
                    let $sum = *sum;
                    *sum = $add;
                }
            }

            #[inline(always)]
            fn vectorise(self, f: impl NullaryFnOnce<Output = ()>) {
                #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt", enable = $sets)]
                fn run(f: impl NullaryFnOnce<Output = ()>) {
                    f.call();
                }
                // SAFETY: the processor has all of these, or there would be no `self`.
                unsafe { run(f) }
            }
        }
    };
}

dots!(
    V4,
    "avx512f,avx512bw,avx512cd,avx512dq,avx512vl",
    [__m512i; 2],
    MANY = true,
    |sets, four| sets.avx512f._mm512_set1_epi32(four),
    |sets, sum, four, weights| {
        let twos = sets.avx512bw._mm512_maddubs_epi16(four, weights);
        let fours = sets.avx512bw._mm512_madd_epi16(twos, sets.avx512f._mm512_set1_epi16(1));
        sets.avx512f._mm512_add_epi32(sum, fours)
    },
);

dots!(
    V3,
    "avx2",
    [__m256i; 4],
    MANY = false,
    |sets, four| sets.avx._mm256_set1_epi32(four),
    |sets, sum, four, weights| {
        let twos = sets.avx2._mm256_maddubs_epi16(four, weights);
        let fours = sets.avx2._mm256_madd_epi16(twos, sets.avx._mm256_set1_epi16(1));
        sets.avx2._mm256_add_epi32(sum, fours)
    },
);

dots!(
    Avx512Vnni,
    "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni",
    [__m512i; 2],
    MANY = true,
    |sets, four| sets.0.four(four),
    // SAFETY: the processor has VNNI, or there would be no `sets`.
    |_sets, sum, four, weights| unsafe { _mm512_dpbusd_epi32(sum, four, weights) },
);

dots!(
    AvxVnni,
    "avxvnni",
    [__m256i; 4],
    MANY = false,
    |sets, four| sets.0.four(four),
    // SAFETY: the processor has AVX-VNNI, or there would be no `sets`.
    |_sets, sum, four, weights| unsafe { _mm256_dpbusd_avx_epi32(sum, four, weights) },
);
