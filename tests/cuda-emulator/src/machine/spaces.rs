//! The memory that a thread can touch, and the checks at its doors.

use super::{Access, Fault, Memory};

/// What a running thread has before it.
#[derive(Debug)]
pub struct Spaces<'a> {
    pub memory: &'a mut Memory,
    /// Whose memory is global here.
    pub device: usize,
    /// The block's.
    pub shared: &'a mut [u8],
    /// The thread's.
    pub local: &'a mut [u8],
    /// Parameters of the running function, then the arguments and results of the functions it calls.
    pub params: &'a mut [u8],
}

/// A state space of PTX.
pub trait Place {
    /// As many bytes at an address. The number is a power of two.
    ///
    /// # Errors
    /// [`Fault::OutOfBounds`] or [`Fault::Misaligned`].
    fn bytes<'s>(
        spaces: &'s mut Spaces<'_>,
        address: u64,
        bytes: usize,
        access: Access,
    ) -> Result<&'s mut [u8], Box<Fault>>;
}

#[derive(Debug)]
pub struct Global;
#[derive(Debug)]
pub struct Shared;
#[derive(Debug)]
pub struct Local;
#[derive(Debug)]
pub struct Param;

impl Place for Global {
    #[inline(always)]
    fn bytes<'s>(
        spaces: &'s mut Spaces<'_>,
        address: u64,
        bytes: usize,
        access: Access,
    ) -> Result<&'s mut [u8], Box<Fault>> {
        if !address.is_multiple_of(bytes as u64) {
            return Err(misaligned(access, "global", address, bytes));
        }
        let found = spaces.memory.bytes(spaces.device, address, bytes);
        found.ok_or_else(|| outside(access, "global", address, bytes, String::new()))
    }
}

impl Place for Shared {
    #[inline(always)]
    fn bytes<'s>(
        spaces: &'s mut Spaces<'_>,
        address: u64,
        bytes: usize,
        access: Access,
    ) -> Result<&'s mut [u8], Box<Fault>> {
        // A register of 32 bits may hold the address.
        window(spaces.shared, address & 0xffff_ffff, bytes, access, "shared")
    }
}

impl Place for Local {
    #[inline(always)]
    fn bytes<'s>(
        spaces: &'s mut Spaces<'_>,
        address: u64,
        bytes: usize,
        access: Access,
    ) -> Result<&'s mut [u8], Box<Fault>> {
        window(spaces.local, address, bytes, access, "local")
    }
}

impl Place for Param {
    #[inline(always)]
    fn bytes<'s>(
        spaces: &'s mut Spaces<'_>,
        address: u64,
        bytes: usize,
        access: Access,
    ) -> Result<&'s mut [u8], Box<Fault>> {
        window(spaces.params, address, bytes, access, "parameter")
    }
}

/// Bytes of a space whose addresses begin at 0.
#[inline(always)]
fn window<'s>(
    all: &'s mut [u8],
    address: u64,
    bytes: usize,
    access: Access,
    space: &'static str,
) -> Result<&'s mut [u8], Box<Fault>> {
    if !address.is_multiple_of(bytes as u64) {
        return Err(misaligned(access, space, address, bytes));
    }
    let (start, length) = (address as usize, all.len());
    all.get_mut(start..start.saturating_add(bytes))
        .ok_or_else(|| outside(access, space, address, bytes, format!("there are {length} bytes")))
}

#[cold]
fn misaligned(access: Access, space: &'static str, address: u64, bytes: usize) -> Box<Fault> {
    Box::new(Fault::Misaligned { access, space, address, bytes })
}

#[cold]
fn outside(access: Access, space: &'static str, address: u64, bytes: usize, nearest: String) -> Box<Fault> {
    Box::new(Fault::OutOfBounds { access, space, address, bytes, nearest })
}
