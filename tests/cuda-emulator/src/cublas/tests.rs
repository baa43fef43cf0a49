use std::ffi::c_int;
use std::ptr::null_mut;

use half::f16;

use super::*;
use crate::driver::CudaError;
use crate::driver::tests::{allocate, read, start, with_driver, write};

/// Numbers that look random and are the same each time, with few digits so that sums are exact.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as f32 / 16.0 - 8.0
    };
    (0..count).map(|_| next()).collect()
}

/// One of a batch by the definition: `op(a)` has `m` rows, `op(b)` has `n` columns.
fn expected(
    op: (bool, bool),
    (m, n, k): (usize, usize, usize),
    a: &[f32],
    lda: usize,
    b: &[f32],
    ldb: usize,
) -> Vec<f64> {
    let at = |matrix: &[f32], transposed: bool, leading: usize, row: usize, column: usize| {
        f64::from(if transposed { matrix[row * leading + column] } else { matrix[column * leading + row] })
    };
    let mut product = Vec::new();
    for column in 0..n {
        for row in 0..m {
            product.push((0..k).map(|i| at(a, op.0, lda, row, i) * at(b, op.1, ldb, i, column)).sum());
        }
    }
    product
}

fn handle() -> *mut c_void {
    let mut handle = null_mut();
    // SAFETY: a place for the result.
    assert_eq!(unsafe { cublasCreate_v2(&mut handle) }, SUCCESS);
    handle
}

/// A copy on the device.
fn upload<T: Copy>(values: &[T]) -> u64 {
    let address = allocate(size_of_val(values)).expect("room");
    assert_eq!(write(address, values), 0);
    address
}

#[test]
fn products_are_those_of_the_definition() {
    with_driver(&[], || {
        start(0);
        let handle = handle();
        for (m, n, k) in [(1, 1, 1), (3, 5, 4), (8, 2, 17), (2, 9, 1)] {
            for op in [(false, false), (true, false), (false, true), (true, true)] {
                // Leading dimensions are longer than they must be: what lies between is not touched.
                let (lda, ldb, ldc) = (if op.0 { k } else { m } + 2, if op.1 { n } else { k } + 1, m + 3);
                let (a, b) = (numbers(lda * m.max(k), 1), numbers(ldb * n.max(k), 2));
                let product = expected(op, (m, n, k), &a, lda, &b, ldb);
                let old = numbers(ldc * n, 3);
                let (a, b, c) = (upload(&a), upload(&b), upload(&old));
                let (alpha, beta) = (0.5f32, 2.0f32);
                let [op_a, op_b] = [op.0, op.1].map(c_int::from);
                let [m_c, n_c, k_c, lda, ldb, ldc_c] = [m, n, k, lda, ldb, ldc].map(|size| size as c_int);
                // SAFETY: the scalars can be read.
                let code = unsafe {
                    cublasSgemm_v2(handle, op_a, op_b, m_c, n_c, k_c, &alpha, a, lda, b, ldb, &beta, c, ldc_c)
                };
                assert_eq!(code, SUCCESS);
                let found = read::<f32>(c, ldc * n).expect("read");
                for (at, (&found, &old)) in found.iter().zip(&old).enumerate() {
                    let (column, row) = (at / ldc, at % ldc);
                    let new = |row: usize| 0.5 * product[column * m + row] + 2.0 * f64::from(old);
                    let expected = if row < m { new(row) as f32 } else { old };
                    assert_eq!(found, expected, "{m} x {n} x {k}, {op:?}, row {row}, column {column}");
                }
            }
        }
    });
}

#[test]
fn batches_go_by_their_strides_in_every_type() {
    with_driver(&[], || {
        start(0);
        let handle = handle();
        let (m, n, k, batch) = (3, 2, 4, 3);
        // The first factor is the same for all: its stride is zero.
        let (a, b) = (numbers(m * k, 4), numbers(k * n * batch, 5));
        let product: Vec<f64> =
            b.chunks(k * n).flat_map(|b| expected((false, false), (m, n, k), &a, m, b, k)).collect();
        let count = m * n * batch;
        macro_rules! check {
            ($type:ty, $from:expr, $scalar:expr, $run:expr) => {{
                let from = $from;
                let (x, y) = (
                    a.iter().map(|&a| from(a)).collect::<Vec<$type>>(),
                    b.iter().map(|&b| from(b)).collect::<Vec<$type>>(),
                );
                let (x, y, z) = (upload(&x), upload(&y), allocate(count * size_of::<$type>()).expect("room"));
                // The old values are NaN, which must not matter with a beta of zero.
                let (one, zero) = $scalar;
                assert_eq!($run(&one, x, y, &zero, z), SUCCESS);
                let found: Vec<f64> =
                    read::<$type>(z, count).expect("read").into_iter().map(f64::from).collect();
                let expected: Vec<f64> = product.iter().map(|&p| f64::from(from(p as f32))).collect();
                assert_eq!(found, expected);
            }};
        }
        let strides = ((k * n) as i64, (m * n) as i64);
        // SAFETY, for all: the scalars can be read.
        check!(f32, |a: f32| a, (1f32, 0f32), |alpha, a, b, beta, c| unsafe {
            cublasSgemmStridedBatched(
                handle, 0, 0, 3, 2, 4, alpha, a, 3, 0, b, 4, strides.0, beta, c, 3, strides.1, 3,
            )
        });
        check!(f64, f64::from, (1f64, 0f64), |alpha, a, b, beta, c| unsafe {
            cublasDgemmStridedBatched(
                handle, 0, 0, 3, 2, 4, alpha, a, 3, 0, b, 4, strides.0, beta, c, 3, strides.1, 3,
            )
        });
        check!(f16, f16::from_f32, (f16::ONE, f16::ZERO), |alpha, a, b, beta, c| unsafe {
            cublasHgemmStridedBatched(
                handle, 0, 0, 3, 2, 4, alpha, a, 3, 0, b, 4, strides.0, beta, c, 3, strides.1, 3,
            )
        });
        check!(f16, f16::from_f32, (1f32, 0f32), |alpha: &f32, a, b, beta: &f32, c| unsafe {
            let (alpha, beta) = ((&raw const *alpha).cast(), (&raw const *beta).cast());
            cublasGemmStridedBatchedEx(
                handle,
                0,
                0,
                3,
                2,
                4,
                alpha,
                a,
                HALF,
                3,
                0,
                b,
                HALF,
                4,
                strides.0,
                beta,
                c,
                HALF,
                3,
                strides.1,
                3,
                COMPUTE_SINGLE,
                -1,
            )
        });
    });
}

#[test]
fn arguments_are_checked_as_cublas_does() {
    with_driver(&[], || {
        start(0);
        let handle = handle();
        let memory = upload(&[1f32; 64]);
        let one = 1f32;
        let call = |op: c_int, (m, n, k): (c_int, c_int, c_int), (lda, ldb, ldc): (c_int, c_int, c_int)| {
            // SAFETY: the scalars can be read.
            unsafe {
                cublasSgemm_v2(handle, op, 0, m, n, k, &one, memory, lda, memory, ldb, &one, memory, ldc)
            }
        };
        assert_eq!(call(0, (2, 3, 4), (2, 4, 2)), SUCCESS);
        assert_eq!(call(1, (2, 3, 4), (4, 4, 2)), SUCCESS);
        for (op, sizes, leading) in [
            (0, (2, 3, 4), (1, 4, 2)),
            (1, (2, 3, 4), (2, 4, 2)),
            (0, (2, 3, 4), (2, 3, 2)),
            (0, (2, 3, 4), (2, 4, 1)),
            (0, (-1, 3, 4), (2, 4, 2)),
            (3, (2, 3, 4), (2, 4, 2)),
            (0, (0, 3, 4), (0, 4, 1)),
        ] {
            assert_eq!(call(op, sizes, leading), INVALID_VALUE, "{op} {sizes:?} {leading:?}");
        }
        assert_eq!(call(0, (0, 3, 4), (1, 4, 1)), SUCCESS, "nothing to do");
        // SAFETY: a null scalar is an error; it is not read.
        let code = unsafe {
            cublasSgemm_v2(handle, 0, 0, 1, 1, 1, std::ptr::null(), memory, 1, memory, 1, &one, memory, 1)
        };
        assert_eq!(code, INVALID_VALUE);
        assert_eq!(cublasDestroy_v2(handle), SUCCESS);
        assert_eq!(call(0, (1, 1, 1), (1, 1, 1)), NOT_INITIALIZED);
    });
}

#[test]
fn a_product_out_of_bounds_is_found_by_the_next_call() {
    with_driver(&[], || {
        start(0);
        let handle = handle();
        let memory = upload(&[1f32; 16]);
        let one = 1f32;
        // SAFETY: the scalars can be read.
        let code =
            unsafe { cublasSgemm_v2(handle, 0, 0, 4, 4, 5, &one, memory, 4, memory, 5, &one, memory, 4) };
        assert_eq!(code, SUCCESS);
        assert_eq!(read::<f32>(memory, 1), Err(CudaError::ILLEGAL_ADDRESS.0));
    });
}

#[test]
fn unknown_types_are_refused() {
    with_driver(&[], || {
        start(0);
        let (handle, memory, one) = (handle(), upload(&[1f32; 4]), 1f32);
        let one = (&raw const one).cast();
        // SAFETY: the scalars can be read. 14 is bfloat16.
        let code = unsafe {
            cublasGemmEx(
                handle,
                0,
                0,
                1,
                1,
                1,
                one,
                memory,
                14,
                1,
                memory,
                14,
                1,
                one,
                memory,
                14,
                1,
                COMPUTE_SINGLE,
                -1,
            )
        };
        assert_eq!(code, NOT_SUPPORTED);
    });
}
