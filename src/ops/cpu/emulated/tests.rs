//! Forms of an instruction that compilers may choose, with all that tells them apart: by a processor that has it, else emulated.

use std::arch::asm;

use super::whole::dot;
use super::{Extension, Means};

type Vector = [u32; 16];

/// What an instruction begins with.
#[derive(Clone, Copy, Debug)]
struct Inputs {
    sums: Vector,
    a: Vector,
    /// A vector, and what lies behind it.
    b: [u32; 32],
    mask: u16,
}

fn inputs() -> Inputs {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(0x915f_77f5).wrapping_add(0x3c6e_f35f);
        state ^ state >> 15
    };
    let mut vector = || std::array::from_fn(|_| next());
    let (mut sums, a) = (vector(), vector());
    // Some sums that leave the range of 32 bits.
    (sums[0], sums[1], sums[9], sums[10]) = (0x7fff_fffe, 0x8000_0001, 0x7fff_0000, 0x8000_ff00);
    Inputs { sums, a, b: std::array::from_fn(|_| next()), mask: 0b1010_0110_0011_0101 }
}

/// The registers that instructions below name: sums in 1 and 17, a in 2 and 18, b in 3 and 19, the mask in k3. The addresses are
/// those of b and of nothing. Gives 1 and 17.
macro_rules! run_evex {
    ($instruction:literal, $inputs:expr) => {{
        #[target_feature(enable = "avx512f")]
        fn run(inputs: &Inputs, results: &mut [Vector; 2]) {
            // SAFETY: what is read and written is borrowed, and all registers that are used are said to be lost.
            unsafe {
                asm!(
                    "vmovdqu32 zmm1, [{sums}]",
                    "vmovdqu32 zmm17, [{sums}]",
                    "vmovdqu32 zmm2, [{a}]",
                    "vmovdqu32 zmm18, [{a}]",
                    "vmovdqu32 zmm3, [{b}]",
                    "vmovdqu32 zmm19, [{b}]",
                    "kmovw k3, {mask:e}",
                    $instruction,
                    "vmovdqu32 [{results}], zmm1",
                    "vmovdqu32 [{results} + 64], zmm17",
                    sums = in(reg) &inputs.sums,
                    a = in(reg) &inputs.a,
                    b = in(reg) &inputs.b,
                    mask = in(reg) u32::from(inputs.mask),
                    results = in(reg) results,
                    in("r8") 1_usize,
                    in("rsi") 0_usize,
                    in("rdi") &inputs.b,
                    clobber_abi("C"),
                    options(nostack),
                );
            }
        }
        let mut results = [[0; 16]; 2];
        // SAFETY: there is AVX-512F, or there would be no means.
        unsafe { run(&$inputs, &mut results) };
        results
    }};
}

macro_rules! run_vex {
    ($instruction:literal, $inputs:expr) => {{
        #[target_feature(enable = "avx2")]
        fn run(inputs: &Inputs, result: &mut [u32; 8]) {
            // SAFETY: as above.
            unsafe {
                asm!(
                    "vmovdqu ymm1, [{sums}]",
                    "vmovdqu ymm2, [{a}]",
                    "vmovdqu ymm11, [{b}]",
                    $instruction,
                    "vmovdqu [{result}], ymm1",
                    sums = in(reg) &inputs.sums,
                    a = in(reg) &inputs.a,
                    b = in(reg) &inputs.b,
                    result = in(reg) result,
                    in("rdi") &inputs.b,
                    clobber_abi("C"),
                    options(nostack),
                );
            }
        }
        let mut result = [0; 8];
        // SAFETY: there is AVX2, or there would be no means.
        unsafe { run(&$inputs, &mut result) };
        result
    }};
}

/// `b` gives the last operand; words whose bits `kept` has stay, and those that neither has become zero.
fn expected(inputs: &Inputs, b: impl Fn(usize) -> u32, computed: u16, kept: u16) -> Vector {
    std::array::from_fn(|i| match (computed >> i & 1, kept >> i & 1) {
        (1, _) => dot(inputs.sums[i], inputs.a[i], b(i)),
        (_, 1) => inputs.sums[i],
        _ => 0,
    })
}

#[test]
fn products_of_bytes_are_right_in_all_forms_of_avx512() {
    let Some(_means) = Means::find(Extension::Avx512Vnni) else { return };
    let inputs = inputs();
    let Inputs { sums, b, mask, .. } = inputs;
    let is = |name: &str, found: [Vector; 2], low: Vector, high: Vector| {
        assert_eq!(found, [low, high], "{name}");
    };
    let plain = |i: usize| b[i];

    let found = run_evex!("vpdpbusd zmm17, zmm2, zmm19", inputs);
    is("whole", found, sums, expected(&inputs, plain, 0xffff, 0));
    let found = run_evex!("{{evex}} vpdpbusd ymm1, ymm18, ymm3", inputs);
    is("256 bits", found, expected(&inputs, plain, 0xff, 0), sums);
    let found = run_evex!("vpdpbusd xmm17, xmm18, xmm3", inputs);
    is("128 bits", found, sums, expected(&inputs, plain, 0xf, 0));

    let found = run_evex!("vpdpbusd zmm1, zmm2, [rdi + 64]", inputs);
    is("memory", found, expected(&inputs, |i| b[i + 16], 0xffff, 0), sums);
    let found = run_evex!("vpdpbusd ymm17, ymm2, [rdi + r8*4 + 32]", inputs);
    is("256 bits of memory", found, sums, expected(&inputs, |i| b[i + 9], 0xff, 0));
    let found = run_evex!("vpdpbusd xmm17, xmm2, [rdi + 48]", inputs);
    is("128 bits of memory", found, sums, expected(&inputs, |i| b[i + 12], 0xf, 0));
    let found = run_evex!("vpdpbusd zmm1, zmm2, dword ptr [rdi + 4]{{1to16}}", inputs);
    is("one for all", found, expected(&inputs, |_| b[1], 0xffff, 0), sums);

    let found = run_evex!("vpdpbusd zmm1{{k3}}, zmm2, zmm3", inputs);
    is("a mask", found, expected(&inputs, plain, mask, !mask), sums);
    let found = run_evex!("vpdpbusd zmm1{{k3}}{{z}}, zmm2, [rdi]", inputs);
    is("a mask that zeroes", found, expected(&inputs, plain, mask, 0), sums);
    let found = run_evex!("vpdpbusd ymm17{{k3}}, ymm2, dword ptr [rdi]{{1to8}}", inputs);
    is("a mask of 256 bits", found, sums, expected(&inputs, |_| b[0], mask & 0xff, !mask & 0xff));
}

#[test]
fn memory_that_a_mask_leaves_out_need_not_be_there() {
    let Some(_means) = Means::find(Extension::Avx512Vnni) else { return };
    let inputs = Inputs { mask: 0, ..inputs() };
    let found = run_evex!("vpdpbusd zmm1{{k3}}, zmm2, [rsi]", inputs);
    assert_eq!(found, [inputs.sums; 2]);
    let found = run_evex!("vpdpbusd zmm17{{k3}}{{z}}, zmm2, dword ptr [rsi]{{1to16}}", inputs);
    assert_eq!(found, [inputs.sums, [0; 16]]);
}

#[test]
fn products_of_bytes_are_right_in_all_forms_of_avx() {
    let Some(_means) = Means::find(Extension::AvxVnni) else { return };
    let inputs = inputs();
    let b = inputs.b;
    let is = |name: &str, found: [u32; 8], expected: Vector| assert_eq!(found, expected[..8], "{name}");

    let found = run_vex!("{{vex}} vpdpbusd ymm1, ymm2, ymm11", inputs);
    is("whole", found, expected(&inputs, |i| b[i], 0xff, 0));
    let found = run_vex!("{{vex}} vpdpbusd xmm1, xmm2, xmm11", inputs);
    is("128 bits", found, expected(&inputs, |i| b[i], 0xf, 0));
    let found = run_vex!("{{vex}} vpdpbusd ymm1, ymm2, [rdi + 4]", inputs);
    is("memory", found, expected(&inputs, |i| b[i + 1], 0xff, 0));
    let found = run_vex!("{{vex}} vpdpbusd xmm1, xmm2, [rdi + 16]", inputs);
    is("128 bits of memory", found, expected(&inputs, |i| b[i + 4], 0xf, 0));
}
