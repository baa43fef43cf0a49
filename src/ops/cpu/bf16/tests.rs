//! Kernels against their twins, bit for bit.

use std::ptr::NonNull;

use nix::libc::{
    MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_NONE, PROT_READ, PROT_WRITE, mmap, mprotect, munmap,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::twin::{self, Rule};
use super::{Bf16, Destination, Kernel, Packed, Rhs, amx, avx512};
use crate::ops::cpu::emulated::Means;
use crate::ops::cpu::matmul::Write;
use crate::ops::cpu::view::{View, ViewMut};

/// A slice that ends where the process may neither read nor write.
struct Guarded<T> {
    pages: NonNull<u8>,
    bytes: usize,
    start: NonNull<T>,
    len: usize,
}

const PAGE: usize = 4096;

impl<T: Copy> Guarded<T> {
    fn new(values: &[T]) -> Self {
        let (len, bytes) = (values.len(), (size_of_val(values) + 2 * PAGE).next_multiple_of(PAGE));
        // SAFETY: the pages are fresh, their last one becomes the guard, and the slice ends where it begins.
        unsafe {
            let flags = MAP_PRIVATE | MAP_ANONYMOUS;
            let pages = mmap(std::ptr::null_mut(), bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
            assert_ne!(pages, MAP_FAILED);
            let guard = pages.add(bytes - PAGE);
            assert_eq!(mprotect(guard, PAGE, PROT_NONE), 0);
            let start = guard.cast::<T>().sub(len);
            start.copy_from_nonoverlapping(values.as_ptr(), len);
            Self {
                pages: NonNull::new(pages.cast()).unwrap(),
                bytes,
                start: NonNull::new(start).unwrap(),
                len,
            }
        }
    }

    fn slice(&self) -> &[T] {
        // SAFETY: it was written when it was made.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    fn slice_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: nothing borrows from the pages any more.
        unsafe { munmap(self.pages.as_ptr().cast(), self.bytes) };
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    /// Of any size around 1.
    Ordinary,
    /// Near the smallest that there are, and their products too.
    Tiny,
    /// All patterns of bits: NaN, infinities, subnormal numbers and zeros are many.
    Any,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    m: usize,
    k: usize,
    n: usize,
    lhs_by_columns: bool,
    rhs_by_columns: bool,
    /// Elements between a row and the next.
    gap: usize,
    numbers: Numbers,
    seed: u64,
}

fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

fn number(numbers: Numbers, seed: &mut u64) -> Bf16 {
    let bits = random(seed) >> 20;
    let (sign, fraction) = (bits << 15 & 0x8000, bits >> 8 & 0x7f);
    let exponent = match numbers {
        Numbers::Ordinary => 124 + (bits >> 16) % 6,
        Numbers::Tiny => [0, 1, 50, 62, 63, 64, 65, 76][(bits >> 16) as usize % 8],
        Numbers::Any if bits >> 16 & 3 == 0 => [0, 255, 1, 254][(bits >> 18) as usize % 4],
        Numbers::Any => (bits >> 18) % 256,
    };
    Bf16((sign | exponent << 7 | fraction) as u16)
}

/// (rows, columns) of numbers, and how many elements lie between rows or columns.
fn matrix(rows: usize, columns: usize, by_columns: bool, case: &Case, seed: &mut u64) -> Guarded<Bf16> {
    let (outer, inner) = if by_columns { (columns, rows) } else { (rows, columns) };
    let len = (outer - 1) * (inner + case.gap) + inner;
    Guarded::new(&(0..len).map(|_| number(case.numbers, seed)).collect::<Vec<_>>())
}

fn view(matrix: &Guarded<Bf16>, rows: usize, columns: usize, by_columns: bool, gap: usize) -> View<'_, Bf16> {
    if by_columns {
        View::strided(matrix.slice(), columns, rows, rows + gap).transposed()
    } else {
        View::strided(matrix.slice(), rows, columns, columns + gap)
    }
}

fn multiply(kernel: Kernel, destination: Destination<'_>, lhs: View<'_, Bf16>, rhs: Rhs<'_>) {
    match kernel {
        Kernel::Amx => amx::multiply(destination, lhs, rhs),
        Kernel::Avx512 => avx512::multiply(destination, lhs, rhs),
        Kernel::Widened => unreachable!("it has no twin"),
    }
}

/// All destinations of one product, with the right-hand side as it is and packed.
fn check(kernel: Kernel, case: Case) {
    let Case { m, k, n, lhs_by_columns, rhs_by_columns, gap, .. } = case;
    let rule = if kernel == Kernel::Amx { Rule::Amx } else { Rule::Avx512 };
    let mut seed = case.seed | 1;
    let (lhs, rhs) =
        (matrix(m, k, lhs_by_columns, &case, &mut seed), matrix(k, n, rhs_by_columns, &case, &mut seed));
    let (lhs, rhs) = (view(&lhs, m, k, lhs_by_columns, gap), view(&rhs, k, n, rhs_by_columns, gap));
    let packed = Packed::pack(rhs);
    let mut before: Vec<f32> = (0..m * n).map(|_| number(case.numbers, &mut seed).widen()).collect();
    before[0] = -0.0;
    let bias: Vec<f32> = (0..n).map(|_| number(Numbers::Ordinary, &mut seed).widen()).collect();
    let bias = Guarded::new(&bias);
    for write in [Write::Over, Write::Add] {
        let mut expected = before.clone();
        twin::multiply(rule, Destination::Sums { to: ViewMut::new(&mut expected, n), write }, lhs, rhs);
        for rhs in [Rhs::Plain(rhs), Rhs::Packed(&packed)] {
            let mut found = Guarded::new(&before);
            multiply(kernel, Destination::Sums { to: ViewMut::new(found.slice_mut(), n), write }, lhs, rhs);
            for (i, (expected, found)) in expected.iter().zip(found.slice()).enumerate() {
                let [expected, found] = [expected, found].map(|x| x.to_bits());
                assert!(expected == found, "{case:?} {write:?} at {i}: {found:08x} is not {expected:08x}");
            }
        }
    }
    for bias in [None, Some(bias.slice())] {
        let mut expected = vec![Bf16(0x7fff); m * n];
        twin::multiply(rule, Destination::Operand { to: ViewMut::new(&mut expected, n), bias }, lhs, rhs);
        for rhs in [Rhs::Plain(rhs), Rhs::Packed(&packed)] {
            let mut found = Guarded::new(&vec![Bf16(0x7fff); m * n]);
            multiply(kernel, Destination::Operand { to: ViewMut::new(found.slice_mut(), n), bias }, lhs, rhs);
            for (i, (expected, found)) in expected.iter().zip(found.slice()).enumerate() {
                assert_eq!(expected, found, "{case:?} rounded, bias: {} at {i}", bias.is_some());
            }
        }
    }
}

fn case(m: usize, k: usize, n: usize) -> Case {
    let (lhs_by_columns, rhs_by_columns, gap) = (false, false, 0);
    Case { m, k, n, lhs_by_columns, rhs_by_columns, gap, numbers: Numbers::Ordinary, seed: 7 }
}

fn any_case(largest: usize) -> impl Strategy<Value = Case> {
    let side = move || prop_oneof![Just(1), Just(32), 1usize..40, 1..=largest];
    let numbers = prop_oneof![Just(Numbers::Ordinary), Just(Numbers::Tiny), Just(Numbers::Any)];
    (side(), side(), side(), any::<(bool, bool)>(), 0usize..3, numbers, any::<u64>()).prop_map(
        |(m, k, n, (lhs_by_columns, rhs_by_columns), gap, numbers, seed)| Case {
            m,
            k,
            n,
            lhs_by_columns,
            rhs_by_columns,
            gap,
            numbers,
            seed,
        },
    )
}

/// Emulated vectors are slow: a signal for a few sums.
fn check_any(kernel: Kernel, cases: u32, largest: usize) {
    let Some(_means) = Means::find(kernel) else { return };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&any_case(largest), |case| {
        check(kernel, case);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn amx_has_the_bits_of_its_twin() {
    check_any(Kernel::Amx, 60, 100);
}

#[test]
fn avx512_has_the_bits_of_its_twin() {
    check_any(Kernel::Avx512, 20, 50);
}

#[test]
fn long_products_on_amx_have_the_bits_of_its_twin() {
    let Some(_means) = Means::find(Kernel::Amx) else { return };
    // One piece of the common dimension and several; whole blocks and edges; groups of panels of all sizes, and several groups.
    let shapes = [
        (64, 320, 64),
        (33, 352, 70),
        (33, 660, 65),
        (32, 320, 416),
        (32, 320, 352),
        (32, 320, 256),
        (40, 640, 33),
    ];
    for (i, (m, k, n)) in shapes.into_iter().enumerate() {
        let numbers = if i % 3 == 0 { Numbers::Any } else { Numbers::Ordinary };
        let (lhs_by_columns, rhs_by_columns) = (i % 2 == 0, i % 4 < 2);
        check(Kernel::Amx, Case { numbers, lhs_by_columns, rhs_by_columns, gap: i % 3, ..case(m, k, n) });
    }
    // Several rounds.
    check(Kernel::Amx, case(32, 3136, 32));
    check(Kernel::Amx, case(1, 3137, 33));
}

#[test]
fn tall_products_on_amx_have_the_bits_of_its_twin() {
    let Some(_means) = Means::find(Kernel::Amx) else { return };
    check(Kernel::Amx, case(1030, 5, 33));
    check(Kernel::Amx, case(1030, 5, 390));
}

#[test]
fn long_products_on_avx512_have_the_bits_of_its_twin() {
    let Some(_means) = Means::find(Kernel::Avx512) else { return };
    // Several groups of panels, and several rounds.
    check(Kernel::Avx512, case(2, 40, 420));
    check(Kernel::Avx512, case(1, 3137, 5));
}

#[test]
fn other_illegal_instructions_still_end_the_process() {
    // In a child, which dies of it.
    const CHILD: &str = "RUNNER_TEST_ILLEGAL_INSTRUCTION";
    if std::env::var_os(CHILD).is_some() {
        let _means = Means::find(Kernel::Amx);
        // SAFETY: the instruction is there to be illegal.
        unsafe { std::arch::asm!("ud2") };
    }
    let name = std::thread::current().name().expect("tests have names").to_owned();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(child.status.signal(), Some(nix::libc::SIGILL));
}
