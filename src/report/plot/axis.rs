//! Ranges, ticks and their labels.

use crate::metric::Unit;
use crate::units;

use super::{Axis, Scale};

/// Nothing that is measured here is larger. A damaged file can say anything, and near the ends of what a number can hold
/// there is no room for air and ticks.
const LARGEST: f64 = 1e100;
/// Below this a log axis shows nothing, and a linear one no difference from 0.
const SMALLEST: f64 = 1e-100;

fn can_show(value: f64, log: bool) -> bool {
    value.abs() <= LARGEST && (!log || value >= SMALLEST)
}

/// An axis with its range settled.
#[derive(Clone, Debug)]
pub struct Range {
    pub low: f64,
    pub high: f64,
    log: bool,
    /// What a value is divided by before it is labelled, and the name of the unit then.
    divisor: f64,
    unit: &'static str,
    label: String,
    /// A percentage or a count has ticks at whole numbers.
    whole: bool,
}

impl Range {
    /// The range that shows all `values`, with some air at both ends of a y axis. `None` if there is nothing to show.
    pub fn of(axis: &Axis, values: impl Iterator<Item = f64>, air: f64) -> Option<Range> {
        let log = axis.scale == Scale::Log;
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| can_show(*value, log)) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            return None;
        }
        if log {
            let (mut from, mut to) = (low.log10(), high.log10());
            if to - from < 1e-9 {
                (from, to) = (from - 0.15, to + 0.15);
            }
            let air = (to - from) * air;
            (low, high) = (10_f64.powf(from - air), 10_f64.powf(to + air));
        } else {
            if axis.scale == Scale::FromZero {
                (low, high) = (low.min(0.0), high.max(0.0));
            }
            let largest = high.abs().max(low.abs());
            if high - low <= largest * 1e-12 || largest < SMALLEST {
                let room = if high.abs() < SMALLEST { 1.0 } else { high.abs() * 0.1 };
                (low, high) = (low - room, high + room);
            }
            let air = (high - low) * air;
            let from_zero = axis.scale == Scale::FromZero;
            low -= if from_zero && low == 0.0 { 0.0 } else { air };
            high += if from_zero && high == 0.0 { 0.0 } else { air };
        }
        let (divisor, unit) = shown_unit(axis.unit, high.abs().max(low.abs()));
        let whole = matches!(axis.unit, Unit::Count | Unit::Percent) && divisor == 1.0;
        Some(Range { low, high, log, divisor, unit, label: axis.label.clone(), whole })
    }

    /// Where `value` lies between the low end (0) and the high end (1).
    pub fn place(&self, value: f64) -> f64 {
        if self.log {
            (value.log10() - self.low.log10()) / (self.high.log10() - self.low.log10())
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    pub fn shows(&self, value: f64) -> bool {
        can_show(value, self.log)
    }

    /// `Loss (nats per token, log scale)`.
    pub fn title(&self) -> String {
        let notes: Vec<&str> = [self.unit, if self.log { "log scale" } else { "" }]
            .into_iter()
            .filter(|n| !n.is_empty())
            .collect();
        if notes.is_empty() { self.label.clone() } else { format!("{} ({})", self.label, notes.join(", ")) }
    }

    /// Values to mark and what to write there, about `wanted` of them.
    pub fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let (low, high) = (self.low / self.divisor, self.high / self.divisor);
        let ticks =
            if self.log { log_ticks(low, high, wanted) } else { linear_ticks(low, high, wanted, self.whole) };
        // 0.5, 1, 2, 5, 10 on a log axis: the decimals of the smallest would clutter the others.
        let labels = labels(&ticks, self.log && high / low >= LOG_TICKS_FROM);
        ticks.into_iter().zip(labels).map(|(tick, label)| (tick * self.divisor, label)).collect()
    }
}

/// The unit in which values up to `largest` read well.
fn shown_unit(unit: Unit, largest: f64) -> (f64, &'static str) {
    match unit {
        Unit::Secs => match largest {
            s if s < 1.0 => (1e-3, "ms"),
            s if s < 180.0 => (1.0, "s"),
            s if s < 3.0 * 3600.0 => (60.0, "min"),
            s if s < 3.0 * 86_400.0 => (3600.0, "h"),
            _ => (86_400.0, "days"),
        },
        Unit::Bytes => match largest {
            b if b < 1024.0 * 1024.0 => (1024.0, "KiB"),
            b if b < 1024.0 * 1024.0 * 1024.0 => (1024.0 * 1024.0, "MiB"),
            _ => (1024.0 * 1024.0 * 1024.0, "GiB"),
        },
        Unit::Nats => (1.0, "nats per token"),
        Unit::BitsPerByte => (1.0, "bits per byte"),
        Unit::Share => (0.01, "%"),
        Unit::TokensPerSec => (1.0, "tokens/s"),
        Unit::Percent => (1.0, "%"),
        Unit::Watts => (1.0, "W"),
        Unit::Celsius => (1.0, "°C"),
        Unit::Count | Unit::Epochs | Unit::Ratio | Unit::Rate => (1.0, ""),
    }
}

/// Multiples of 1, 2, 2.5 or 5 times a power of ten.
fn linear_ticks(low: f64, high: f64, wanted: usize, whole: bool) -> Vec<f64> {
    let rough = (high - low) / wanted.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let mut step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    if whole && step < 5.0 {
        step = step.ceil();
    }
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    // Adding 0 turns -0 into 0.
    (0..)
        .map(|index| first + f64::from(index))
        .take_while(|n| *n <= last)
        .map(|n| n * step + 0.0)
        .take(50)
        .collect()
}

/// A log axis that spans less than this has ticks at even steps, as powers of ten would be too few.
const LOG_TICKS_FROM: f64 = 4.0;

/// Powers of ten, with 2 and 5 or all digits between them when there is room; a narrow range has ticks at even steps.
fn log_ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let (from, to) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let within = |digits: &[f64], every: i32| -> Vec<f64> {
        (from..=to)
            .filter(|power| power.rem_euclid(every) == 0)
            // A division gives 0.2 where multiplying with a tenth gives 0.2 and some dust.
            .flat_map(|power| {
                let scale = 10_f64.powi(power.abs());
                digits.iter().map(move |digit| if power < 0 { digit / scale } else { digit * scale })
            })
            .filter(|tick| (low..=high).contains(tick))
            .collect()
    };
    if high / low < LOG_TICKS_FROM {
        return linear_ticks(low, high, wanted, false).into_iter().filter(|tick| *tick > 0.0).collect();
    }
    for digits in [&[1.0, 2.0, 3.0, 5.0, 7.0][..], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]] {
        let ticks = within(digits, 1);
        if ticks.len() <= wanted + 2 {
            return ticks;
        }
    }
    within(&[1.0], 1 + (to - from) / wanted.max(1) as i32)
}

/// Labels with just the decimals that tell ticks apart: equally many, or for each its `own`.
fn labels(ticks: &[f64], own: bool) -> Vec<String> {
    let largest = ticks.iter().fold(0.0_f64, |largest, tick| largest.max(tick.abs()));
    let smallest =
        ticks.iter().filter(|tick| **tick != 0.0).fold(f64::MAX, |least, tick| least.min(tick.abs()));
    if ticks.iter().all(|tick| tick.fract() == 0.0) && largest < 1e6 {
        return ticks.iter().map(|tick| with_sign(*tick)).collect();
    }
    if !(1e-3..1e15).contains(&largest) || largest / smallest >= 1e5 {
        return ticks.iter().map(|tick| trimmed_exponent(*tick)).collect();
    }
    let (divisor, suffix) = match largest {
        l if l >= 1e12 => (1e12, "T"),
        l if l >= 1e9 => (1e9, "G"),
        l if l >= 1e6 => (1e6, "M"),
        _ => (1.0, ""),
    };
    let exact = |tick: f64, decimals: usize| {
        let shown: f64 = format!("{:.decimals$}", tick / divisor).parse().unwrap_or(f64::NAN);
        (shown * divisor - tick).abs() <= tick.abs() * 1e-6
    };
    let decimals_of = |tick: f64| (0..8).find(|&decimals| exact(tick, decimals)).unwrap_or(8);
    let most = ticks.iter().map(|tick| decimals_of(*tick)).max().unwrap_or(0);
    let label = |tick: f64| {
        let decimals = if own || tick == 0.0 { decimals_of(tick) } else { most };
        let suffix = if tick == 0.0 { "" } else { suffix };
        format!("{:.decimals$}{suffix}", tick / divisor)
    };
    ticks.iter().map(|tick| label(*tick)).collect()
}

fn with_sign(value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", units::count(value.abs() as u64))
}

fn trimmed_exponent(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{value:.3e}");
    match text.split_once('e') {
        Some((digits, power)) => format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.')),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(unit: Unit, scale: Scale, low: f64, high: f64) -> Vec<String> {
        let axis = Axis { label: String::new(), unit, scale };
        let range = Range::of(&axis, [low, high].into_iter(), 0.0).unwrap();
        range.ticks(6).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_read_as_people_would_write_them() {
        assert_eq!(shown(Unit::Count, Scale::Linear, 0.0, 7827.0), ["0", "2,000", "4,000", "6,000"]);
        assert_eq!(shown(Unit::Count, Scale::Linear, 0.0, 3.0), ["0", "1", "2", "3"]);
        assert_eq!(shown(Unit::Count, Scale::Linear, 0.0, 1.6e7), ["0", "5M", "10M", "15M"]);
        assert_eq!(shown(Unit::Nats, Scale::Log, 0.0972, 10.955), ["0.1", "0.2", "0.5", "1", "2", "5", "10"]);
        assert_eq!(shown(Unit::Nats, Scale::Log, 0.4, 8.0), ["0.5", "0.7", "1", "2", "3", "5", "7"]);
        assert_eq!(shown(Unit::Nats, Scale::Log, 2.0, 3.0), ["2.0", "2.2", "2.4", "2.6", "2.8", "3.0"]);
        assert_eq!(
            shown(Unit::Ratio, Scale::FromZero, 0.0, 3e-4),
            ["0", "5e-5", "1e-4", "1.5e-4", "2e-4", "2.5e-4", "3e-4"]
        );
        assert_eq!(shown(Unit::Secs, Scale::FromZero, 0.0, 1860.0), ["0", "10", "20", "30"]);
    }

    #[test]
    fn no_numbers_make_an_axis_without_end() {
        let extremes = [
            f64::MAX,
            f64::MIN,
            1e100,
            -1e100,
            1e99,
            5e-324,
            -5e-324,
            1e-100,
            0.0,
            -0.0,
            1.0,
            u64::MAX as f64,
        ];
        for (low, high) in extremes.iter().flat_map(|a| extremes.map(|b| (*a, b))) {
            for scale in [Scale::Linear, Scale::FromZero, Scale::Log] {
                for unit in [Unit::Nats, Unit::Count, Unit::Secs, Unit::Bytes] {
                    let axis = Axis { label: String::new(), unit, scale };
                    let Some(range) = Range::of(&axis, [low, high].into_iter(), 0.05) else { continue };
                    assert!(
                        range.low.is_finite() && range.high.is_finite() && range.low < range.high,
                        "{range:?}"
                    );
                    for value in [low, high].into_iter().filter(|value| range.shows(*value)) {
                        assert!((0.0..=1.0).contains(&range.place(value)), "{value} on {range:?}");
                    }
                    assert!(range.ticks(6).len() <= 50, "{range:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_range_has_a_few_ticks_within_it(a in -1e9..1e9_f64, size in -12.0..12.0_f64, log: bool) {
            let b = a + 10_f64.powf(size);
            let (scale, a, b) = if log { (Scale::Log, a.abs() + 1e-9, a.abs() + 10_f64.powf(size) + 1e-9) }
                else { (Scale::Linear, a, b) };
            let axis = Axis { label: String::new(), unit: Unit::Ratio, scale };
            let range = Range::of(&axis, [a, b].into_iter(), 0.05).unwrap();
            let ticks = range.ticks(6);
            prop_assert!(ticks.len() <= 14, "{ticks:?}");
            for (tick, _) in ticks {
                prop_assert!((-0.01..=1.01).contains(&range.place(tick)));
            }
        }
    }

    #[test]
    fn one_value_and_no_value_have_a_range_or_none() {
        for scale in [Scale::Linear, Scale::FromZero, Scale::Log] {
            let axis = Axis { label: String::new(), unit: Unit::Nats, scale };
            let range = Range::of(&axis, [2.5].into_iter(), 0.05).unwrap();
            assert!(range.low < 2.5 && 2.5 < range.high && !range.ticks(6).is_empty());
            assert!(Range::of(&axis, [f64::NAN, f64::INFINITY].into_iter(), 0.05).is_none());
        }
        let log = Axis { label: String::new(), unit: Unit::Nats, scale: Scale::Log };
        assert!(Range::of(&log, [0.0, -1.0].into_iter(), 0.05).is_none());
    }
}
