//! Products on the tiles of AMX, whose bits are those of [`Rule::Amx`](super::twin::Rule).
//!
//! A block of 32 x 32 sums is held in four tiles of 16 x 16; a step of 32 along the common dimension loads two tiles of each
//! operand and multiplies each by each. [`woven`] is for products whose common dimension is long: the sums of a block leave
//! while the next one is multiplied. [`plain`] does one thing after the other.
//!
//! # Source
//! The instructions: Intel's Software Developer's Manual, on CPUs and their permission: the Linux kernel's
//! `Documentation/arch/x86/xstate.rst`. The arrangement of the loops follows oneDNN (`brgemm_matmul`, `jit_brgemm_amx_uker`).

use std::cell::RefCell;

use super::nest;
use super::pages::Pages;
use super::{Bf16, Destination, Rhs};
use crate::ops::cpu::bf16::pack::SIDE;
use crate::ops::cpu::view::View;

mod block;
mod kernel;
mod plain;
mod tiles;
mod woven;

pub use tiles::{is_available, presence};

use plain::Plain;
use tiles::Tiles;
use woven::Woven;

/// `destination (+)= lhs * rhs` by this thread alone.
///
/// # Shapes
/// (m, k), (k, n) -> (m, n), all at least 1; anything else is a bug and panics, and so is a processor that
/// [is not able to](is_available).
pub fn multiply(destination: Destination<'_>, lhs: View<'_, Bf16>, rhs: Rhs<'_>) {
    thread_local! {
        static SCRATCH: RefCell<Pages> = RefCell::default();
    }
    assert!(is_usable(), "no AMX here");
    SCRATCH.with_borrow_mut(|scratch| {
        // Other threads than this one may have begun with tiles of other sizes, or none: they belong to this product alone.
        let tiles = Tiles::configure();
        if lhs.columns.div_ceil(SIDE) < woven::SHORTEST {
            let mut kernel = Plain::new(&tiles, scratch);
            // SAFETY: there is AMX.
            unsafe { nest::multiply(&mut kernel, destination, lhs, rhs) };
        } else {
            let mut kernel = Woven::new(&tiles, scratch);
            // SAFETY: there is AMX.
            unsafe { nest::multiply(&mut kernel, destination, lhs, rhs) };
        }
    });
}

/// Whether the instructions can be executed, by the processor or by the emulation of tests.
fn is_usable() -> bool {
    #[cfg(all(test, target_os = "linux"))]
    if crate::ops::cpu::emulated::is_on() {
        return true;
    }
    is_available()
}
