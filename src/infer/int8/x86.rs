//! The instructions of x86-64.

use std::arch::x86_64::{__m256i, __m512i, _mm256_dpbusd_avx_epi32, _mm512_dpbusd_epi32};

use pulp::NullaryFnOnce;
use pulp::x86::{V3, V4};

use super::Quad;
use super::kernel::Dots;

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
}

impl AvxVnni {
    pub fn try_new() -> Option<Self> {
        V3::try_new().filter(|_| is_x86_feature_detected!("avxvnni")).map(Self)
    }
}

impl Dots for V4 {
    type Sums = [__m512i; 2];
    type Four = __m512i;
    const MANY: bool = true;

    #[inline(always)]
    fn four(self, four: i32) -> __m512i {
        self.avx512f._mm512_set1_epi32(four)
    }

    #[inline(always)]
    fn add(self, sums: &mut [__m512i; 2], four: __m512i, weights: &Quad) {
        let ones = self.avx512f._mm512_set1_epi16(1);
        let weights: [__m512i; 2] = pulp::cast(weights.0);
        for (sum, weights) in sums.iter_mut().zip(weights) {
            let twos = self.avx512bw._mm512_maddubs_epi16(four, weights);
            *sum = self.avx512f._mm512_add_epi32(*sum, self.avx512bw._mm512_madd_epi16(twos, ones));
        }
    }

    #[inline(always)]
    fn vectorise(self, f: impl NullaryFnOnce<Output = ()>) {
        V4::vectorize(self, f);
    }
}

impl Dots for V3 {
    type Sums = [__m256i; 4];
    type Four = __m256i;
    const MANY: bool = false;

    #[inline(always)]
    fn four(self, four: i32) -> __m256i {
        self.avx._mm256_set1_epi32(four)
    }

    #[inline(always)]
    fn add(self, sums: &mut [__m256i; 4], four: __m256i, weights: &Quad) {
        let ones = self.avx._mm256_set1_epi16(1);
        let weights: [__m256i; 4] = pulp::cast(weights.0);
        for (sum, weights) in sums.iter_mut().zip(weights) {
            let twos = self.avx2._mm256_maddubs_epi16(four, weights);
            *sum = self.avx2._mm256_add_epi32(*sum, self.avx2._mm256_madd_epi16(twos, ones));
        }
    }

    #[inline(always)]
    fn vectorise(self, f: impl NullaryFnOnce<Output = ()>) {
        V3::vectorize(self, f);
    }
}

impl Dots for Avx512Vnni {
    type Sums = [__m512i; 2];
    type Four = __m512i;
    const MANY: bool = true;

    #[inline(always)]
    fn four(self, four: i32) -> __m512i {
        self.0.four(four)
    }

    #[inline(always)]
    fn add(self, sums: &mut [__m512i; 2], four: __m512i, weights: &Quad) {
        let weights: [__m512i; 2] = pulp::cast(weights.0);
        for (sum, weights) in sums.iter_mut().zip(weights) {
            // SAFETY: the processor has VNNI, or there would be no `self`.
            *sum = unsafe { _mm512_dpbusd_epi32(*sum, four, weights) };
        }
    }

    #[inline(always)]
    fn vectorise(self, f: impl NullaryFnOnce<Output = ()>) {
        #[target_feature(
            enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni,avx2,fma,bmi1,bmi2,lzcnt,popcnt"
        )]
        fn run(f: impl NullaryFnOnce<Output = ()>) {
            f.call();
        }
        // SAFETY: the processor has all of these, or there would be no `self`.
        unsafe { run(f) }
    }
}

impl Dots for AvxVnni {
    type Sums = [__m256i; 4];
    type Four = __m256i;
    const MANY: bool = false;

    #[inline(always)]
    fn four(self, four: i32) -> __m256i {
        self.0.four(four)
    }

    #[inline(always)]
    fn add(self, sums: &mut [__m256i; 4], four: __m256i, weights: &Quad) {
        let weights: [__m256i; 4] = pulp::cast(weights.0);
        for (sum, weights) in sums.iter_mut().zip(weights) {
            // SAFETY: the processor has AVX-VNNI, or there would be no `self`.
            *sum = unsafe { _mm256_dpbusd_avx_epi32(*sum, four, weights) };
        }
    }

    #[inline(always)]
    fn vectorise(self, f: impl NullaryFnOnce<Output = ()>) {
        #[target_feature(enable = "avxvnni,avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
        fn run(f: impl NullaryFnOnce<Output = ()>) {
            f.call();
        }
        // SAFETY: the processor has all of these, or there would be no `self`.
        unsafe { run(f) }
    }
}
