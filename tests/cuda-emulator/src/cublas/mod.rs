//! `libcublas`: matrix products, column by column, as cudarc 0.9 calls them.
//!
//! Sums are in double precision whatever the type, and rounded once. cuBLAS itself rounds in other places, differently from
//! card to card.

mod gemm;
#[cfg(test)]
mod tests;

use std::ffi::{c_int, c_longlong, c_void};

use half::f16;

use crate::driver::Driver;
use gemm::{Element, Matrix, Product, multiply};

const SUCCESS: c_int = 0;
const NOT_INITIALIZED: c_int = 1;
const INVALID_VALUE: c_int = 7;
const EXECUTION_FAILED: c_int = 13;
const NOT_SUPPORTED: c_int = 15;

/// `CUDA_R_16F`, `CUDA_R_32F`, `CUBLAS_COMPUTE_32F`
const HALF: c_int = 2;
const SINGLE: c_int = 0;
const COMPUTE_SINGLE: c_int = 68;

/// # Safety
/// `handle` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasCreate_v2(handle: *mut *mut c_void) -> c_int {
    let mut driver = Driver::lock();
    let Ok(device) = driver.working() else { return NOT_INITIALIZED };
    if handle.is_null() {
        return INVALID_VALUE;
    }
    let new = driver.new_handle();
    driver.blas.insert(new, device);
    // SAFETY: the caller's promise, and it is not null.
    unsafe { handle.write(std::ptr::without_provenance_mut(new)) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasDestroy_v2(handle: *mut c_void) -> c_int {
    if Driver::lock().blas.remove(&handle.addr()).is_some() { SUCCESS } else { NOT_INITIALIZED }
}

/// All streams are one here.
#[unsafe(no_mangle)]
pub extern "C" fn cublasSetStream_v2(handle: *mut c_void, _stream: *mut c_void) -> c_int {
    if Driver::lock().blas.contains_key(&handle.addr()) { SUCCESS } else { NOT_INITIALIZED }
}

/// One product and many, for a type whose scalars are of the same type.
macro_rules! products {
    ($type:ty, $single:ident, $batched:ident) => {
        /// `c = alpha * op(a) * op(b) + beta * c`
        ///
        /// # Safety
        /// `alpha` and `beta` are null or can be read. Matrices are addresses of device memory.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $single(
            handle: *mut c_void,
            op_a: c_int,
            op_b: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: *const $type,
            a: u64,
            lda: c_int,
            b: u64,
            ldb: c_int,
            beta: *const $type,
            c: u64,
            ldc: c_int,
        ) -> c_int {
            let sizes = Sizes { m, n, k, batch: 1 };
            let (a, b, c) = (Raw::new(op_a, a, lda, 0), Raw::new(op_b, b, ldb, 0), Raw::new(0, c, ldc, 0));
            // SAFETY: the caller's promise.
            unsafe { run::<$type, $type>(stringify!($single), handle, sizes, alpha, a, b, beta, c) }
        }

        /// As many products as `batch` says, each matrix so many elements after the one before.
        ///
        /// # Safety
        /// `alpha` and `beta` are null or can be read. Matrices are addresses of device memory.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $batched(
            handle: *mut c_void,
            op_a: c_int,
            op_b: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: *const $type,
            a: u64,
            lda: c_int,
            stride_a: c_longlong,
            b: u64,
            ldb: c_int,
            stride_b: c_longlong,
            beta: *const $type,
            c: u64,
            ldc: c_int,
            stride_c: c_longlong,
            batch: c_int,
        ) -> c_int {
            let sizes = Sizes { m, n, k, batch };
            let a = Raw::new(op_a, a, lda, stride_a);
            let b = Raw::new(op_b, b, ldb, stride_b);
            let c = Raw::new(0, c, ldc, stride_c);
            // SAFETY: the caller's promise.
            unsafe { run::<$type, $type>(stringify!($batched), handle, sizes, alpha, a, b, beta, c) }
        }
    };
}
products!(f32, cublasSgemm_v2, cublasSgemmStridedBatched);
products!(f64, cublasDgemm_v2, cublasDgemmStridedBatched);
products!(f16, cublasHgemm, cublasHgemmStridedBatched);

/// A product whose types are arguments: half precision matrices with single precision scalars and sums, which dfdx's
/// `AMP<f16>` asks for, or all single.
///
/// # Safety
/// `alpha` and `beta` are null or can be read as single precision. Matrices are addresses of device memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasGemmEx(
    handle: *mut c_void,
    op_a: c_int,
    op_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const c_void,
    a: u64,
    a_type: c_int,
    lda: c_int,
    b: u64,
    b_type: c_int,
    ldb: c_int,
    beta: *const c_void,
    c: u64,
    c_type: c_int,
    ldc: c_int,
    compute: c_int,
    _algorithm: c_int,
) -> c_int {
    let (a, b, c) = (Raw::new(op_a, a, lda, 0), Raw::new(op_b, b, ldb, 0), Raw::new(0, c, ldc, 0));
    let sizes = Sizes { m, n, k, batch: 1 };
    // SAFETY: the caller's promise.
    unsafe { mixed("cublasGemmEx", handle, [a_type, b_type, c_type, compute], sizes, alpha, a, b, beta, c) }
}

/// As many products as `batch` says, each matrix so many elements after the one before.
///
/// # Safety
/// As for [`cublasGemmEx`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasGemmStridedBatchedEx(
    handle: *mut c_void,
    op_a: c_int,
    op_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const c_void,
    a: u64,
    a_type: c_int,
    lda: c_int,
    stride_a: c_longlong,
    b: u64,
    b_type: c_int,
    ldb: c_int,
    stride_b: c_longlong,
    beta: *const c_void,
    c: u64,
    c_type: c_int,
    ldc: c_int,
    stride_c: c_longlong,
    batch: c_int,
    compute: c_int,
    _algorithm: c_int,
) -> c_int {
    let a = Raw::new(op_a, a, lda, stride_a);
    let b = Raw::new(op_b, b, ldb, stride_b);
    let c = Raw::new(0, c, ldc, stride_c);
    let sizes = Sizes { m, n, k, batch };
    // SAFETY: the caller's promise.
    unsafe {
        mixed(
            "cublasGemmStridedBatchedEx",
            handle,
            [a_type, b_type, c_type, compute],
            sizes,
            alpha,
            a,
            b,
            beta,
            c,
        )
    }
}

/// As the caller gives them.
#[derive(Clone, Copy)]
struct Sizes {
    m: c_int,
    n: c_int,
    k: c_int,
    batch: c_int,
}

/// A matrix as the caller gives it.
#[derive(Clone, Copy)]
struct Raw {
    op: c_int,
    address: u64,
    leading: c_int,
    stride: i64,
}

impl Raw {
    fn new(op: c_int, address: u64, leading: c_int, stride: i64) -> Self {
        Raw { op, address, leading, stride }
    }

    /// Checked as cuBLAS does: `rows` and `columns` are those after the operation.
    fn check(self, rows: usize, columns: usize) -> Option<Matrix> {
        // N, T, C
        if !(0..=2).contains(&self.op) {
            return None;
        }
        let transposed = self.op != 0;
        let (rows, columns) = if transposed { (columns, rows) } else { (rows, columns) };
        let leading = usize::try_from(self.leading).ok().filter(|&leading| leading >= rows.max(1))?;
        Some(Matrix { transposed, address: self.address, rows, columns, leading, stride: self.stride })
    }
}

/// # Safety
/// `alpha` and `beta` are null or can be read as single precision.
#[expect(clippy::too_many_arguments, reason = "the parts of one product")]
unsafe fn mixed(
    name: &'static str,
    handle: *mut c_void,
    types: [c_int; 4],
    sizes: Sizes,
    alpha: *const c_void,
    a: Raw,
    b: Raw,
    beta: *const c_void,
    c: Raw,
) -> c_int {
    let (alpha, beta) = (alpha.cast::<f32>(), beta.cast::<f32>());
    match types {
        // SAFETY: the caller's promise.
        [HALF, HALF, HALF, COMPUTE_SINGLE] => unsafe {
            run::<f16, f32>(name, handle, sizes, alpha, a, b, beta, c)
        },
        // SAFETY: the caller's promise.
        [SINGLE, SINGLE, SINGLE, COMPUTE_SINGLE] => unsafe {
            run::<f32, f32>(name, handle, sizes, alpha, a, b, beta, c)
        },
        _ => {
            eprintln!("CUDA emulator: {name} with types {types:?} is not supported");
            NOT_SUPPORTED
        }
    }
}

/// # Safety
/// `alpha` and `beta` are null or can be read.
#[expect(clippy::too_many_arguments, reason = "the parts of one product")]
unsafe fn run<E: Element, S: Element>(
    name: &'static str,
    handle: *mut c_void,
    sizes: Sizes,
    alpha: *const S,
    a: Raw,
    b: Raw,
    beta: *const S,
    c: Raw,
) -> c_int {
    let mut driver = Driver::lock();
    let Some(&device) = driver.blas.get(&handle.addr()) else { return NOT_INITIALIZED };
    if driver.working().is_err() {
        return EXECUTION_FAILED;
    }
    let size = |size: c_int| usize::try_from(size).ok();
    let (Some(m), Some(n), Some(k), Some(batch)) =
        (size(sizes.m), size(sizes.n), size(sizes.k), size(sizes.batch))
    else {
        return INVALID_VALUE;
    };
    let (Some(a), Some(b), Some(c)) = (a.check(m, k), b.check(k, n), c.check(m, n)) else {
        return INVALID_VALUE;
    };
    if alpha.is_null() || beta.is_null() {
        return INVALID_VALUE;
    }
    // SAFETY: the caller's promise, and they are not null.
    let (alpha, beta) = unsafe { (alpha.read().to_f64(), beta.read().to_f64()) };
    multiply::<E>(&mut driver, name, device, &Product { m, n, k, batch, alpha, beta, a, b, c });
    SUCCESS
}
