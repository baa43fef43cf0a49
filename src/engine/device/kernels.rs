//! What the GPU kernels in this program were compiled for, and what they need of a driver and a device.
//!
//! dfdx's kernels are text in NVIDIA's intermediate language, PTX, which says at its head what it is. So the program itself is
//! asked, which knows better than any record of the build: cargo may have reused kernels of an earlier one.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use memchr::memmem;
use serde::{Deserialize, Serialize};

/// A version or a compute capability: `13.0`, `7.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

impl Version {
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// From `13.0` at the start of a text, whatever follows.
    fn parse(text: &str) -> Option<Self> {
        let (major, rest) = text.split_once('.')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some(Self { major: major.parse().ok()?, minor: rest[..digits].parse().ok()? })
    }

    /// As compilers name an architecture: `75` for 7.5.
    pub fn digits(self) -> u32 {
        self.major * 10 + self.minor
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The head of the kernels in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernels {
    /// The CUDA release of the compiler.
    pub toolkit: Version,
    /// The version of the language, which the driver must know.
    pub ptx: Version,
    /// The compute capability that they were compiled for.
    pub capability: Version,
}

impl Kernels {
    /// The oldest CUDA release whose driver can load them.
    ///
    /// # Source
    /// NVIDIA, PTX ISA, release notes: 8.0 to 8.5 came with CUDA 12.0 to 12.5, 8.6 to 8.8 with 12.7 to 12.9, 9.x with 13.x.
    pub fn oldest_driver(&self) -> Version {
        match (self.ptx.major, self.ptx.minor) {
            (8, minor @ 0..=5) => Version::new(12, minor),
            (8, minor @ 6..=8) => Version::new(12, minor + 1),
            (9, minor) => Version::new(13, minor),
            _ => self.toolkit,
        }
    }

    /// Whether a device of this compute capability can run them: the driver translates them for newer devices, not for older.
    pub fn run_on(&self, capability: Version) -> bool {
        self.capability <= capability
    }

    /// Reads the head of the first kernel in `program`; `None` where there is none, as in a build without CUDA or one that
    /// only checked types.
    pub fn read(program: &Path) -> io::Result<Option<Self>> {
        Self::find(crate::files::plain::open(program)?)
    }

    /// The head of a kernel that was compiled just now.
    pub fn in_text(kernel: &str) -> Option<Self> {
        Self::find(kernel.as_bytes()).ok()?
    }

    fn find(mut program: impl Read) -> io::Result<Option<Self>> {
        const PIECE: usize = 1 << 20;
        let finder = memmem::Finder::new(HEAD);
        let mut text = Vec::with_capacity(PIECE + HEAD_LEN);
        loop {
            let read = program.by_ref().take(PIECE as u64).read_to_end(&mut text)?;
            for start in finder.find_iter(&text) {
                // A head at the edge is complete with the next piece.
                let end = (start + HEAD_LEN).min(text.len());
                if let Some(kernels) = Self::parse(&String::from_utf8_lossy(&text[start..end])) {
                    return Ok(Some(kernels));
                }
            }
            if read == 0 {
                return Ok(None);
            }
            text.drain(..text.len().saturating_sub(HEAD_LEN));
        }
    }

    /// From a text that starts with [`HEAD`].
    fn parse(text: &str) -> Option<Self> {
        let after = |word: &str| text.split_once(word).map(|(_, rest)| rest);
        // `sm_90a` are kernels for one architecture and no other; `nvcc` is not asked for these by dfdx.
        let target = after("\n.target sm_")?;
        let digits = target.find(|c: char| !c.is_ascii_digit())?;
        let capability: u32 = target[..digits].parse().ok()?;
        Some(Self {
            toolkit: Version::parse(after("release ")?)?,
            ptx: Version::parse(after("\n.version ")?)?,
            capability: Version::new(capability / 10, capability % 10),
        })
    }
}

/// How the interesting part of a kernel's head begins.
const HEAD: &[u8] = b"// Cuda compilation tools, release ";
/// A head is shorter than this.
const HEAD_LEN: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    const PTX: &str = "//\n// Cuda compilation tools, release 12.6, V12.6.85\n// Based on NVVM 7.0.1\n//\n\n\
                       .version 8.5\n.target sm_120\n.address_size 64\n";
    const KERNELS: Kernels =
        Kernels { toolkit: Version::new(12, 6), ptx: Version::new(8, 5), capability: Version::new(12, 0) };

    #[test]
    fn the_head_of_the_kernels_is_found_wherever_it_lies() {
        for before in [0, 7, (1 << 20) - 100, 1 << 20, (2 << 20) - 3] {
            let mut program = vec![0xC3; before];
            // Programs that look for heads have the beginning of one in them.
            program.splice(0..0, HEAD.iter().copied());
            program.extend_from_slice(PTX.as_bytes());
            program.extend_from_slice(&[0x90; 3000]);
            assert_eq!(Kernels::find(program.as_slice()).expect("readable"), Some(KERNELS), "{before}");
        }
    }

    #[test]
    fn a_program_without_kernels_has_none() {
        assert_eq!(Kernels::find(&[0; 5000][..]).expect("readable"), None);
        assert_eq!(Kernels::find(&PTX.as_bytes()[..80]).expect("readable"), None);
    }

    #[test]
    fn kernels_run_on_their_own_architecture_and_newer_ones() {
        let kernels = Kernels { capability: Version::new(8, 0), ..KERNELS };
        assert!(kernels.run_on(Version::new(8, 0)) && kernels.run_on(Version::new(12, 0)));
        assert!(!kernels.run_on(Version::new(7, 5)));
    }

    #[test]
    fn the_driver_must_know_the_language_of_the_kernels() {
        let oldest = |toolkit: (u32, u32), ptx: (u32, u32)| {
            let (toolkit, ptx) = (Version::new(toolkit.0, toolkit.1), Version::new(ptx.0, ptx.1));
            Kernels { toolkit, ptx, ..KERNELS }.oldest_driver().to_string()
        };
        assert_eq!(oldest((12, 6), (8, 5)), "12.5");
        assert_eq!(oldest((12, 8), (8, 7)), "12.8");
        assert_eq!(oldest((13, 0), (9, 0)), "13.0");
        assert_eq!(oldest((11, 8), (7, 8)), "11.8");
    }
}
