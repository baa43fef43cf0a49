//! Types of keys: how each is read from a checked value and written again, and the kind of value that a type takes where it alone
//! decides that.

use std::ops::Deref;
use std::path::PathBuf;

use toml::Value;

use super::kind::Kind;
use super::parse;
use super::rows::{DeviceChoice, Requirement};
use crate::facts::Words;

/// A type that a key can have. What was read is written as the same value.
pub(in crate::config) trait KeyType: Sized {
    /// `None` for a value of another type.
    fn read(value: &Value) -> Option<Self>;
    fn write(&self) -> Value;
}

/// A type of which every key takes the same values.
pub(in crate::config) trait OfType: KeyType {
    const KIND: Kind;
}

/// A value in a small language of its own, with the spelling that a person chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Written<T> {
    text: String,
    value: T,
}

impl<T> Deref for Written<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl From<DeviceChoice> for Written<DeviceChoice> {
    fn from(value: DeviceChoice) -> Self {
        Self { text: value.to_string(), value }
    }
}

/// A length of time, or `None` (written 0): no limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeLimit {
    pub secs: Option<f64>,
}

/// A language that values are written in.
pub(in crate::config) trait Language: Sized {
    fn parse(text: &str) -> Option<Self>;
}

impl Language for TimeLimit {
    fn parse(text: &str) -> Option<Self> {
        parse::duration(text).map(|secs| Self { secs })
    }
}

impl Language for DeviceChoice {
    fn parse(text: &str) -> Option<Self> {
        parse::device(text)
    }
}

impl Language for Requirement {
    fn parse(text: &str) -> Option<Self> {
        parse::requirement(text)
    }
}

impl<T: Language> KeyType for Written<T> {
    fn read(value: &Value) -> Option<Self> {
        let text = value.as_str()?;
        Some(Self { text: text.to_owned(), value: T::parse(text)? })
    }

    fn write(&self) -> Value {
        Value::String(self.text.clone())
    }
}

/// Files and folders: none, one, or several in their order. Absolute, or relative to the working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths(pub Vec<PathBuf>);

impl Paths {
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl KeyType for Paths {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Array(paths) => paths.iter().map(PathBuf::read).collect::<Option<_>>().map(Self),
            path => Some(Self(Option::<PathBuf>::read(path)?.into_iter().collect())),
        }
    }

    fn write(&self) -> Value {
        match self.0.as_slice() {
            [] => Value::String(String::new()),
            [path] => path.write(),
            paths => Value::Array(paths.iter().map(PathBuf::write).collect()),
        }
    }
}

/// The coefficients of all Newton-Schulz iterations, or of each.
#[derive(Clone, Debug, PartialEq)]
pub enum Coefficients {
    Same([f64; 3]),
    Each(Vec<[f64; 3]>),
}

impl Coefficients {
    /// As a list, of which the last serves those that follow.
    pub fn each(&self) -> &[[f64; 3]] {
        match self {
            Self::Same(same) => std::slice::from_ref(same),
            Self::Each(each) => each,
        }
    }
}

impl KeyType for Coefficients {
    fn read(value: &Value) -> Option<Self> {
        <[f64; 3]>::read(value).map(Self::Same).or_else(|| Vec::read(value).map(Self::Each))
    }

    fn write(&self) -> Value {
        match self {
            Self::Same(same) => same.write(),
            Self::Each(each) => each.write(),
        }
    }
}

impl KeyType for bool {
    fn read(value: &Value) -> Option<Self> {
        value.as_bool()
    }

    fn write(&self) -> Value {
        Value::Boolean(*self)
    }
}

impl KeyType for f64 {
    fn read(value: &Value) -> Option<Self> {
        value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
    }

    fn write(&self) -> Value {
        Value::Float(*self)
    }
}

impl KeyType for String {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }

    fn write(&self) -> Value {
        Value::String(self.clone())
    }
}

impl KeyType for PathBuf {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(PathBuf::from)
    }

    fn write(&self) -> Value {
        Value::String(self.to_string_lossy().into_owned())
    }
}

/// A point of a curve: step and loss.
impl KeyType for (u64, f64) {
    fn read(value: &Value) -> Option<Self> {
        let [step, loss] = value.as_array()?.as_slice() else { return None };
        Some((u64::read(step)?, f64::read(loss)?))
    }

    fn write(&self) -> Value {
        Value::Array(vec![self.0.write(), self.1.write()])
    }
}

impl KeyType for [f64; 3] {
    fn read(value: &Value) -> Option<Self> {
        Vec::read(value)?.try_into().ok()
    }

    fn write(&self) -> Value {
        Value::Array(self.iter().map(f64::write).collect())
    }
}

impl<T: KeyType> KeyType for Vec<T> {
    fn read(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::read).collect()
    }

    fn write(&self) -> Value {
        Value::Array(self.iter().map(T::write).collect())
    }
}

impl<T: Words> KeyType for T {
    fn read(value: &Value) -> Option<Self> {
        <T as Words>::read(value.as_str()?)
    }

    fn write(&self) -> Value {
        Value::String(self.written().to_owned())
    }
}

/// What 0, or the empty string, is written for where it stands for something else.
trait Zero: KeyType {
    fn zero() -> Value;
}

macro_rules! zero {
    ($( $type:ty: $zero:expr, )*) => {
        $(
            impl Zero for $type {
                fn zero() -> Value {
                    $zero
                }
            }
        )*
    };
}

zero! {
    u64: Value::Integer(0),
    usize: Value::Integer(0),
    f64: Value::Float(0.0),
    String: Value::String(String::new()),
    PathBuf: Value::String(String::new()),
}

impl<T: Words> Zero for T {
    fn zero() -> Value {
        Value::String(String::new())
    }
}

impl<T: Zero> KeyType for Option<T> {
    fn read(value: &Value) -> Option<Self> {
        if *value == T::zero() { Some(None) } else { T::read(value).map(Some) }
    }

    fn write(&self) -> Value {
        self.as_ref().map_or_else(T::zero, T::write)
    }
}

macro_rules! whole_numbers {
    ($( $type:ty, )*) => {
        $(
            impl KeyType for $type {
                fn read(value: &Value) -> Option<Self> {
                    value.as_integer()?.try_into().ok()
                }

                fn write(&self) -> Value {
                    Value::Integer((*self).try_into().unwrap_or(i64::MAX))
                }
            }
        )*
    };
}

whole_numbers! { u64, usize, }

macro_rules! of_type {
    ($( $type:ty: $Kind:ident, )*) => {
        $( impl OfType for $type { const KIND: Kind = Kind::$Kind; } )*
    };
}

of_type! {
    bool: Switch,
    String: Text,
    Vec<String>: Texts,
    Vec<f64>: Weights,
    Vec<(u64, f64)>: Curve,
    Coefficients: Coefficients,
    Paths: Paths,
    Option<PathBuf>: Path,
    Written<TimeLimit>: Duration,
    Written<DeviceChoice>: Device,
    Vec<Written<Requirement>>: Requirements,
}

impl<T: Words> OfType for T {
    const KIND: Kind = Kind::Choice(T::WORDS);
}

impl<T: Words> OfType for Option<T> {
    const KIND: Kind = Kind::Choice(T::WORDS_OR_NONE);
}
