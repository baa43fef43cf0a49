//! What the GPU kernels in this program were compiled for, and what they need of a driver and a device.

use std::fmt;

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

    /// As compilers name an architecture: `75` for 7.5.
    pub const fn of_digits(digits: u32) -> Self {
        Self::new(digits / 10, digits % 10)
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

/// The kernels in a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernels {
    /// The CUDA release of the compiler.
    pub toolkit: Version,
    /// The version of their language, PTX, which the driver must know.
    pub ptx: Version,
    /// The compute capability from which on they run: the driver translates them for newer ones.
    pub capability: Version,
    /// Compute capabilities for which there is code besides, that needs no translation.
    pub compiled: Vec<Version>,
}

impl Kernels {
    /// Those of this program; `None` in a build without CUDA, or one that checked types only.
    pub fn of_this_program() -> Option<Self> {
        #[cfg(feature = "cuda")]
        {
            use crate::ops::cuda::carried::{LANGUAGE, RELEASE, architectures};
            let (texts, code) = architectures();
            let versions = |digits: Vec<u32>| digits.into_iter().map(Version::of_digits);
            Some(Self {
                toolkit: Version::new(RELEASE.0, RELEASE.1),
                ptx: Version::new(LANGUAGE.0, LANGUAGE.1),
                capability: versions(texts).next()?,
                compiled: versions(code).collect(),
            })
        }
        #[cfg(not(feature = "cuda"))]
        None
    }

    /// The oldest CUDA release whose driver can load them.
    ///
    /// # Source
    /// NVIDIA, PTX ISA, release notes: 7.x came with CUDA 11.x, 8.0 to 8.5 with CUDA 12.0 to 12.5, 8.6 to 8.8 with 12.7 to 12.9, 9.x with
    /// 13.x.
    pub fn oldest_driver(&self) -> Version {
        match (self.ptx.major, self.ptx.minor) {
            (7, minor) => Version::new(11, minor),
            (8, minor @ 0..=5) => Version::new(12, minor),
            (8, minor @ 6..=8) => Version::new(12, minor + 1),
            (9, minor) => Version::new(13, minor),
            _ => self.toolkit,
        }
    }

    /// Whether a device of this compute capability can run them.
    pub fn run_on(&self, capability: Version) -> bool {
        self.capability <= capability
    }

    /// Whether a driver has to translate them for a device, which takes seconds when that is new to it: there is no code for the device's
    /// generation, or the code is of a newer release than the driver.
    pub fn are_translated(&self, capability: Version, driver: Version) -> bool {
        let fits = |code: &Version| code.major == capability.major && code.minor <= capability.minor;
        driver.major < self.toolkit.major || !self.compiled.iter().any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernels() -> Kernels {
        Kernels {
            toolkit: Version::new(13, 0),
            ptx: Version::new(7, 4),
            capability: Version::new(7, 5),
            compiled: vec![Version::new(8, 0), Version::new(9, 0)],
        }
    }

    #[test]
    fn kernels_run_on_their_own_architecture_and_newer_ones() {
        let kernels = kernels();
        assert!(kernels.run_on(Version::new(7, 5)) && kernels.run_on(Version::new(12, 0)));
        assert!(!kernels.run_on(Version::new(7, 0)));
    }

    #[test]
    fn code_runs_as_it_is_within_its_generation_and_with_a_driver_of_its_release() {
        let kernels = kernels();
        let driver = Version::new(13, 1);
        for (capability, translated) in
            [((8, 0), false), ((8, 9), false), ((9, 0), false), ((7, 5), true), ((12, 0), true)]
        {
            let capability = Version::new(capability.0, capability.1);
            assert_eq!(kernels.are_translated(capability, driver), translated, "{capability}");
        }
        assert!(kernels.are_translated(Version::new(9, 0), Version::new(12, 8)));
    }

    #[test]
    fn the_driver_must_know_the_language_of_the_kernels() {
        let oldest =
            |ptx: (u32, u32)| Kernels { ptx: Version::new(ptx.0, ptx.1), ..kernels() }.oldest_driver();
        let expected =
            [((7, 4), "11.4"), ((7, 8), "11.8"), ((8, 5), "12.5"), ((8, 7), "12.8"), ((9, 0), "13.0")];
        for (ptx, driver) in expected {
            assert_eq!(oldest(ptx).to_string(), driver, "{ptx:?}");
        }
    }

    #[test]
    #[cfg(feature = "cuda")]
    fn this_program_has_kernels_for_every_card_from_7_5_on_and_drivers_that_are_years_old() {
        let kernels = Kernels::of_this_program().expect("a program with CUDA");
        assert!(kernels.run_on(Version::new(7, 5)), "{kernels:?}");
        assert!(kernels.oldest_driver() <= Version::new(12, 0), "{kernels:?}");
    }
}
