//! The environment variables, read once.

use std::fmt;
use std::path::PathBuf;

/// What `CUDA_EMULATOR_*` says; `lib.rs` has the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub devices: usize,
    /// Which of the devices the driver shows, in its order: `CUDA_VISIBLE_DEVICES`.
    pub visible: Vec<usize>,
    /// Bytes of each device.
    pub memory_bytes: u64,
    pub pools: bool,
    pub compute_capability: (u32, u32),
    /// As `cuDriverGetVersion` has it: 13000 for 13.0.
    pub driver_version: i32,
    /// The device that somebody else has for himself.
    pub busy: Option<usize>,
    /// The first allocation to fail, counted from 0, and how many.
    pub failing: Option<(u64, u64)>,
    pub log: bool,
    pub report: Option<PathBuf>,
}

/// A variable with a value that is no use.
#[derive(Debug, PartialEq, Eq)]
pub struct BadSetting {
    pub variable: String,
    pub value: String,
    pub wanted: &'static str,
}

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}: wanted {}", self.variable, self.value, self.wanted)
    }
}

impl Settings {
    /// Reads the process's environment. A bad value ends the process: a test must not run with settings it did not ask for.
    pub fn from_environment() -> Self {
        match Settings::read(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
        {
            Ok(settings) => settings,
            Err(error) => {
                eprintln!("CUDA emulator: {error}");
                std::process::abort();
            }
        }
    }

    /// Reads variables by way of `variable`.
    ///
    /// # Errors
    /// The first variable whose value is not valid.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        let devices = parsed(&variable, "DEVICES", "a number of devices, 16 at most", |value| {
            value.parse().ok().filter(|&devices| devices <= 16)
        })?
        .unwrap_or(1);
        Ok(Settings {
            devices,
            visible: visible(variable("CUDA_VISIBLE_DEVICES").as_deref(), devices),
            memory_bytes: parsed(&variable, "MEMORY", "a number of bytes", |value| value.parse().ok())?
                .unwrap_or(8 << 30),
            pools: !parsed(&variable, "NO_POOLS", FLAG, flag)?.unwrap_or(false),
            compute_capability: parsed(
                &variable,
                "COMPUTE_CAPABILITY",
                "two numbers such as 8.0",
                |value| {
                    let (major, minor) = value.split_once('.')?;
                    Some((major.parse().ok()?, minor.parse().ok()?))
                },
            )?
            .unwrap_or((8, 0)),
            driver_version: parsed(
                &variable,
                "DRIVER",
                "1000 * major + 10 * minor, such as 12040",
                |value| value.parse().ok().filter(|&version| version >= 1000),
            )?
            .unwrap_or(13000),
            busy: parsed(&variable, "BUSY", "a device's number", |value| value.parse().ok())?,
            failing: parsed(
                &variable,
                "FAIL_ALLOCATION",
                "`first` or `first,count`, such as 12,1",
                |value| {
                    let (first, count) = value.split_once(',').unwrap_or((value, "1"));
                    Some((first.parse().ok()?, count.parse().ok()?))
                },
            )?,
            log: parsed(&variable, "LOG", FLAG, flag)?.unwrap_or(false),
            report: parsed(&variable, "REPORT", "a path", |value| {
                (!value.is_empty())
                    .then(|| PathBuf::from(value.replace("%p", &std::process::id().to_string())))
            })?,
        })
    }
}

const FLAG: &str = "1 or 0";

fn flag(value: &str) -> Option<bool> {
    match value {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

/// A variable's value, if it is set.
fn parsed<T>(
    variable: impl Fn(&str) -> Option<String>,
    name: &str,
    wanted: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, BadSetting> {
    let name = format!("CUDA_EMULATOR_{name}");
    let Some(value) = variable(&name) else { return Ok(None) };
    match parse(value.trim()) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(BadSetting { variable: name, value, wanted }),
    }
}

/// Devices in the order of `CUDA_VISIBLE_DEVICES`, up to the first entry that is none, as the driver does it.
fn visible(variable: Option<&str>, devices: usize) -> Vec<usize> {
    let Some(variable) = variable else { return (0..devices).collect() };
    let device = |entry: &str| -> Option<usize> {
        let by_uuid = || (0..devices).find(|&device| entry.len() > 4 && uuid(device).starts_with(entry));
        entry.parse().ok().filter(|&device| device < devices).or_else(by_uuid)
    };
    variable.split(',').map_while(|entry| device(entry.trim())).collect()
}

/// A device's UUID as NVML writes it.
pub fn uuid(device: usize) -> String {
    format!("GPU-e0000000-0000-4000-8000-{device:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Settings, BadSetting> {
        Settings::read(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_variables_there_is_one_device_of_8_gib() {
        let settings = with(&[]).expect("no variables");
        assert_eq!((settings.devices, settings.memory_bytes, settings.pools), (1, 8 << 30, true));
        assert_eq!((settings.compute_capability, settings.driver_version), ((8, 0), 13000));
        assert_eq!((settings.busy, settings.failing, settings.report), (None, None, None));
    }

    #[test]
    fn a_bad_value_names_its_variable() {
        for (name, value) in [
            ("DEVICES", "two"),
            ("DEVICES", "99"),
            ("MEMORY", "4G"),
            ("NO_POOLS", "yes"),
            ("COMPUTE_CAPABILITY", "80"),
            ("DRIVER", "13"),
            ("FAIL_ALLOCATION", "3,"),
            ("REPORT", ""),
        ] {
            let name = format!("CUDA_EMULATOR_{name}");
            let error = with(&[(&name, value)]).expect_err(&name);
            assert_eq!((error.variable, error.value), (name, value.to_owned()));
        }
    }

    #[test]
    fn visible_devices_are_numbers_or_uuids_up_to_the_first_unknown() {
        let devices = |list: &str| {
            let variables = [("CUDA_EMULATOR_DEVICES", "3"), ("CUDA_VISIBLE_DEVICES", list)];
            with(&variables).expect("valid").visible
        };
        assert_eq!(devices("2,0"), [2, 0]);
        assert_eq!(devices("1,7,0"), [1]);
        assert_eq!(devices(&uuid(2)), [2]);
        assert_eq!(devices(""), [0usize; 0]);
    }
}
