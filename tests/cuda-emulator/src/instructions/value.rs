//! Numbers in registers.

use half::f16;

use super::Slot;

/// What a register of 64 bits can hold. Narrow signed numbers are stored sign-extended, all others zero-extended,
/// and reading ignores the bits above the type's own: so a load or conversion to a wider register comes out as the
/// manual says.
pub trait Value: Copy {
    fn from_bits(bits: u64) -> Self;
    fn to_bits(self) -> u64;
}

macro_rules! integers {
    ($($type:ty),+) => { $(
        impl Value for $type {
            #[inline(always)]
            fn from_bits(bits: u64) -> Self {
                bits as $type
            }
            #[inline(always)]
            fn to_bits(self) -> u64 {
                self as u64
            }
        }
    )+ };
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

/// A predicate.
impl Value for bool {
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        bits & 1 != 0
    }
    #[inline(always)]
    fn to_bits(self) -> u64 {
        u64::from(self)
    }
}

impl Value for f32 {
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        f32::from_bits(bits as u32)
    }
    #[inline(always)]
    fn to_bits(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Value for f64 {
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        f64::from_bits(bits)
    }
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self.to_bits()
    }
}

impl Value for f16 {
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        f16::from_bits(bits as u16)
    }
    #[inline(always)]
    fn to_bits(self) -> u64 {
        u64::from(self.to_bits())
    }
}

#[inline(always)]
pub fn get<T: Value>(registers: &[u64], slot: Slot) -> T {
    T::from_bits(registers[slot as usize])
}

#[inline(always)]
pub fn set<T: Value>(registers: &mut [u64], slot: Slot, value: T) {
    registers[slot as usize] = value.to_bits();
}
