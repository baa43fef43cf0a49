//! The product itself.

use std::time::Instant;

use half::f16;

use crate::driver::{CudaError, Driver};
use crate::instructions::round_double;

/// What matrices are made of.
pub(super) trait Element: Copy {
    const BYTES: usize;
    fn to_f64(self) -> f64;
    fn from_f64(number: f64) -> Self;
    fn read(bytes: &[u8]) -> Self;
    fn write(self, bytes: &mut [u8]);
}

macro_rules! elements {
    ($($type:ty, |$number:ident| $to:expr, |$double:ident| $from:expr;)+) => { $(
        impl Element for $type {
            const BYTES: usize = size_of::<$type>();
            fn to_f64(self) -> f64 {
                let $number = self;
                $to
            }
            fn from_f64($double: f64) -> Self {
                $from
            }
            fn read(bytes: &[u8]) -> Self {
                bytes.first_chunk().map_or(<$type>::from_le_bytes([0; _]), |bytes| <$type>::from_le_bytes(*bytes))
            }
            fn write(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )+ };
}
elements! {
    f16, |number| number.to_f64(), |double| round_double(double);
    f32, |number| f64::from(number), |double| double as f32;
    f64, |number| number, |double| double;
}

/// A matrix in device memory, column after column, each `leading` elements after the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix {
    /// Whether its transpose is meant. Rows and columns are those in memory.
    pub transposed: bool,
    pub address: u64,
    pub rows: usize,
    pub columns: usize,
    pub leading: usize,
    /// Elements from one matrix of a batch to the next.
    pub stride: i64,
}

impl Matrix {
    fn address<E: Element>(&self, number: usize) -> u64 {
        self.address.wrapping_add_signed(self.stride.wrapping_mul((number * E::BYTES) as i64))
    }

    /// Bytes from the first element to the end of the last.
    fn span<E: Element>(&self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            return 0;
        }
        ((self.columns - 1) * self.leading + self.rows) * E::BYTES
    }
}

/// `c = alpha * a * b + beta * c` for each matrix of a batch: `a` is m x k, `b` is k x n.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub batch: usize,
    pub alpha: f64,
    pub beta: f64,
    pub a: Matrix,
    pub b: Matrix,
    pub c: Matrix,
}

/// Computes it. What lies out of bounds is found by the next call, as with kernels.
pub(super) fn multiply<E: Element>(
    driver: &mut Driver,
    name: &'static str,
    device: usize,
    product: &Product,
) {
    let start = Instant::now();
    let Product { m, n, batch, .. } = *product;
    driver.log(|| format!("{name} {product:?}"));
    if m > 0 && n > 0 {
        for number in 0..batch {
            if let Err(reason) = one::<E>(driver, device, product, number) {
                eprintln!("CUDA emulator: {name}, matrix {number} of {batch}: {reason}; {product:?}");
                driver.poison(device, CudaError::ILLEGAL_ADDRESS);
                return;
            }
        }
    }
    let work = driver.blas_work.entry(name).or_default();
    work.times += 1;
    work.seconds += start.elapsed().as_secs_f64();
}

fn one<E: Element>(
    driver: &mut Driver,
    device: usize,
    product: &Product,
    number: usize,
) -> Result<(), String> {
    let Product { m, n, k, alpha, beta, .. } = *product;
    // Column i of `a_columns` is column i of op(a); column i of `b_rows` is row i of op(b).
    let a_columns = columns::<E>(driver, device, &product.a, number, product.a.transposed)?;
    let b_rows = columns::<E>(driver, device, &product.b, number, !product.b.transposed)?;
    let mut sums = vec![0f64; m * n];
    if m > 0 {
        for (column, sums) in sums.chunks_exact_mut(m).enumerate() {
            for step in 0..k {
                let factor = b_rows[step * n + column];
                for (sum, a) in sums.iter_mut().zip(&a_columns[step * m..][..m]) {
                    *sum += factor * a;
                }
            }
        }
    }
    let target = bytes(driver, device, product.c.address::<E>(number), product.c.span::<E>(), E::BYTES, "c")?;
    for (column, sums) in sums.chunks_exact(m).enumerate() {
        let column = &mut target[column * product.c.leading * E::BYTES..][..m * E::BYTES];
        for (element, sum) in column.chunks_exact_mut(E::BYTES).zip(sums) {
            // With a beta of zero the old values are not looked at: they may be NaN.
            let old = if beta == 0.0 { 0.0 } else { beta * E::read(element).to_f64() };
            E::from_f64(alpha * sum + old).write(element);
        }
    }
    Ok(())
}

/// A matrix's columns one after the other, or its rows.
fn columns<E: Element>(
    driver: &mut Driver,
    device: usize,
    matrix: &Matrix,
    number: usize,
    rows_instead: bool,
) -> Result<Vec<f64>, String> {
    let Matrix { rows, columns, leading, .. } = *matrix;
    let source = bytes(driver, device, matrix.address::<E>(number), matrix.span::<E>(), E::BYTES, "a or b")?;
    let mut values = vec![0f64; rows * columns];
    for column in 0..columns {
        let source = source[column * leading * E::BYTES..].chunks_exact(E::BYTES).take(rows);
        for (row, element) in source.enumerate() {
            let at = if rows_instead { row * columns + column } else { column * rows + row };
            values[at] = E::read(element).to_f64();
        }
    }
    Ok(values)
}

fn bytes<'d>(
    driver: &'d mut Driver,
    device: usize,
    address: u64,
    bytes: usize,
    align: usize,
    what: &str,
) -> Result<&'d mut [u8], String> {
    if bytes == 0 {
        return Ok(&mut []);
    }
    if !address.is_multiple_of(align as u64) {
        return Err(format!("{what} at {address:#x} is misaligned"));
    }
    let nearest = driver.memory.describe(device, address);
    let found = driver.memory.bytes(device, address, bytes);
    found.ok_or_else(|| format!("{bytes} bytes of {what} at {address:#x} are out of bounds: {nearest}"))
}
