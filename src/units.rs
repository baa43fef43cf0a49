//! Numbers, and lists of things, as people read them. A missing number is `-` and never 0.

use crate::metric::Unit;

/// How a missing number prints.
pub const MISSING: &str = "-";

/// `a`, `a and b`, `a, b and c`, with this word before the last.
pub fn listed(parts: &[String], before_last: &str) -> String {
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {before_last} {last}", rest.join(", ")),
        _ => parts.concat(),
    }
}

/// `7,827`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun, which is given in the singular and makes its plural with an s: `1 layer`, `12 layers`, `0 files`.
pub fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// `1 step`, `7,827 steps`.
pub fn steps(value: u64) -> String {
    counted(value, "step")
}

/// `1 document`, `7,827 documents`.
pub fn documents(value: u64) -> String {
    counted(value, "document")
}

/// Seconds in the units that people use.
///
/// # Example
/// ```
/// let texts = [0.243, 42.0, 245.0, 1_860.0, 3_720.0].map(runner::units::duration);
/// assert_eq!(texts, ["0.24 s", "42 s", "4 min 05 s", "31 min", "1 h 02 min"]);
/// ```
pub fn duration(secs: f64) -> String {
    if !secs.is_finite() || secs < 0.0 {
        return plain(secs);
    }
    let whole = secs.round() as u64;
    let minutes = (secs / 60.0).round() as u64;
    let hours = (secs / 3600.0).round() as u64;
    if secs == 0.0 {
        "0 s".to_owned()
    } else if secs < 0.0995 {
        format!("{} ms", significant(secs * 1000.0, 2))
    } else if secs < 9.95 {
        format!("{} s", significant(secs, 2))
    } else if whole < 60 {
        format!("{whole} s")
    } else if whole < 600 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else if minutes < 60 {
        format!("{minutes} min")
    } else if minutes < 24 * 60 {
        format!("{} h {:02} min", minutes / 60, minutes % 60)
    } else {
        format!("{} d {:02} h", hours / 24, hours % 24)
    }
}

/// `512 B`, `1.5 GiB`.
pub fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `1.53 TFLOP`, `49.0 MFLOP`.
pub fn flops(value: f64) -> String {
    const UNITS: [&str; 7] = ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"];
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let shown = if value.is_finite() { significant(value, 3) } else { plain(value) };
    format!("{shown} {}", UNITS[unit])
}

/// Three significant digits with an SI prefix: `8.50k`, `1.2M` from 10,000 on; `8,500` below.
pub fn si(value: f64) -> String {
    let size = value.abs();
    if !size.is_finite() {
        plain(value)
    } else if size == 0.0 {
        "0".to_owned()
    } else if size < 9_999.5 {
        if size >= 99.95 { signed_count(value) } else { significant(value, 3) }
    } else {
        let (divisor, prefix) = match size {
            s if s < 999_500.0 => (1e3, "k"),
            s if s < 999.5e6 => (1e6, "M"),
            s if s < 999.5e9 => (1e9, "G"),
            _ => (1e12, "T"),
        };
        format!("{}{prefix}", significant(value / divisor, 3))
    }
}

/// A loss in nats: `10.955`, `0.0972`, `1.20e-3`.
pub fn loss(nats: f64) -> String {
    match nats.abs() {
        size if !size.is_finite() => plain(nats),
        0.0 => "0".to_owned(),
        size if !(0.00995..99_999.5).contains(&size) => format!("{nats:.2e}"),
        size if size < 0.99995 => format!("{nats:.4}"),
        _ => format!("{nats:.3}"),
    }
}

/// [`loss`] with as many digits as it takes to stay visibly below `threshold`, which is below or equal otherwise.
pub fn loss_below(nats: f64, threshold: f64) -> String {
    let below = |text: &String| text.parse().is_ok_and(|shown: f64| shown < threshold);
    let short = loss(nats);
    if below(&short) {
        return short;
    }
    // The fewest digits that do: nobody reads seventeen.
    let rounded = (3..16).filter_map(|digits| format!("{nats:.digits$e}").parse().ok());
    rounded.map(number).find(below).unwrap_or_else(|| number(nats))
}

/// A small share of something, such as a relative difference: `2.1e-6`.
pub fn share(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        _ if value >= 0.1 && value.is_finite() => format!("{:.0} %", value * 100.0),
        _ => format!("{value:.1e}"),
    }
}

/// A share as `99.11 %`.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// How many times as much: `1.05x`, `0.82x`.
pub fn ratio(value: f64) -> String {
    if value.abs() < 99.95 { format!("{value:.2}x") } else { format!("{}x", si(value)) }
}

/// A number as a person would have written it: `0.001`, `3e-4`, `10000`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e7).contains(&size) { format!("{value:e}") } else { format!("{value}") }
}

/// A measured number of unit `unit`.
pub fn value(unit: Unit, value: f64) -> String {
    if !value.is_finite() {
        return plain(value);
    }
    match unit {
        Unit::Count => signed_count(value),
        Unit::Epochs => format!("{value:.1}"),
        Unit::Nats | Unit::BitsPerByte => loss(value),
        Unit::Share => percent(value),
        Unit::Ratio | Unit::Rate => short(value),
        Unit::Secs => duration(value),
        Unit::TokensPerSec => format!("{} tokens/s", si(value)),
        Unit::Percent => format!("{value:.0} %"),
        Unit::Bytes => bytes(value),
        Unit::Watts => format!("{value:.0} W"),
        Unit::Celsius => format!("{value:.0} °C"),
    }
}

/// A number of a line that goes by while a run trains: as wide from step to step, without the unit that the line names.
pub fn passing(unit: Unit, measured: f64) -> String {
    match unit {
        Unit::Ratio => format!("{measured:.2}"),
        Unit::Rate => format!("{measured:.2e}"),
        Unit::TokensPerSec => si(measured),
        _ => value(unit, measured),
    }
}

/// `1.234 ± 0.012`; [`MISSING`] in place of a deviation that is not known.
pub fn with_deviation(unit: Unit, mean: f64, deviation: Option<f64>) -> String {
    let shown = value(unit, mean);
    let Some(deviation) = deviation else { return format!("{shown} ± {MISSING}") };
    match unit {
        Unit::TokensPerSec => format!("{} ± {} tokens/s", si(mean), si(deviation)),
        Unit::Nats | Unit::BitsPerByte => {
            // As many decimals as the mean has, unless nothing would be left of the deviation.
            let decimals = shown.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            let alike = format!("{deviation:.decimals$}");
            let lost = deviation != 0.0 && alike.parse() == Ok(0.0);
            let deviation = if lost || shown.contains('e') { loss(deviation) } else { alike };
            format!("{shown} ± {deviation}")
        }
        _ => format!("{shown} ± {}", value(unit, deviation)),
    }
}

/// [`value`](fn@value), or [`MISSING`].
pub fn optional(unit: Unit, measured: Option<f64>) -> String {
    measured.map_or_else(|| MISSING.to_owned(), |measured| value(unit, measured))
}

/// Four significant digits at most, exponents for the very small and large: `0.3142`, `3e-4`.
fn short(value: f64) -> String {
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    number(rounded)
}

fn signed_count(value: f64) -> String {
    let sign = if value <= -0.5 { "-" } else { "" };
    format!("{sign}{}", count(value.abs().round() as u64))
}

fn significant(value: f64, digits: i32) -> String {
    // Rounding first: 9.996 to three digits is 10.0 and not 10.00.
    let rounded: f64 = format!("{value:.*e}", (digits - 1) as usize).parse().unwrap_or(value);
    let magnitude = if rounded == 0.0 { 0 } else { rounded.abs().log10().floor() as i32 };
    format!("{rounded:.*}", (digits - 1 - magnitude).max(0) as usize)
}

fn plain(value: f64) -> String {
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(7827), "7,827");
        assert_eq!(count(124_439_808), "124,439,808");
        assert_eq!(count(12), "12");
        assert_eq!(counted(1, "layer"), "1 layer");
        assert_eq!(counted(0, "file"), "0 files");
        assert_eq!(counted(12_345, "token"), "12,345 tokens");
        assert_eq!(steps(1), "1 step");
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(1.5 * 1024.0 * 1024.0 * 1024.0), "1.5 GiB");
        assert_eq!(flops(1.5326e12), "1.53 TFLOP");
        assert_eq!(flops(999.6e9), "1.00 TFLOP");
        assert_eq!(flops(4.26e11) + "/s", "426 GFLOP/s");
        assert_eq!(flops(0.0), "0.00 FLOP");
        assert_eq!(si(8500.0), "8,500");
        assert_eq!(si(40_000.0), "40.0k");
        assert_eq!(si(999_600.0), "1.00M");
        assert_eq!(si(12.34), "12.3");
        assert_eq!(percent(0.9911), "99.11 %");
        assert_eq!(ratio(1.0 / 3.0), "0.33x");
        assert_eq!(number(3e-4), "3e-4");
        assert_eq!(number(0.001), "0.001");
        assert_eq!(value(Unit::Ratio, 3e-4), "3e-4");
        assert_eq!(value(Unit::Ratio, 0.314159), "0.3142");
        assert_eq!(optional(Unit::Nats, None), "-");
        assert_eq!(with_deviation(Unit::Nats, 1.308, Some(0.00707)), "1.308 ± 0.007");
        assert_eq!(with_deviation(Unit::Nats, 1.308, Some(0.0001)), "1.308 ± 1.00e-4");
        assert_eq!(with_deviation(Unit::Nats, 0.0972, None), "0.0972 ± -");
        assert_eq!(with_deviation(Unit::Nats, 0.001, Some(0.0)), "1.00e-3 ± 0");
        assert_eq!(with_deviation(Unit::TokensPerSec, 8533.0, Some(0.0)), "8,533 ± 0 tokens/s");
    }

    #[test]
    fn losses_keep_the_digits_that_matter() {
        assert_eq!(loss(10.955), "10.955");
        assert_eq!(loss(0.0972), "0.0972");
        assert_eq!(loss(0.00123), "1.23e-3");
        assert_eq!(loss(1e9), "1.00e9");
        assert_eq!(loss(f64::NAN), "NaN");
        assert_eq!(loss_below(0.0972, 0.0999999), "0.0972");
        assert_eq!(loss_below(0.0999998412345, 0.0999999), "0.0999998");
    }

    #[test]
    fn durations_change_unit_where_they_round() {
        let table = [
            (0.0, "0 s"),
            (0.0123, "12 ms"),
            (0.24, "0.24 s"),
            (42.0, "42 s"),
            (59.6, "1 min 00 s"),
            (245.0, "4 min 05 s"),
            (599.7, "10 min"),
            (1860.0, "31 min"),
            (3599.0, "1 h 00 min"),
            (3720.0, "1 h 02 min"),
            (86_399.0, "1 d 00 h"),
            (183_600.0, "2 d 03 h"),
        ];
        for (secs, text) in table {
            assert_eq!(duration(secs), text);
        }
    }

    proptest! {
        #[test]
        fn counts_without_their_commas_are_the_number(value: u64) {
            prop_assert_eq!(count(value).replace(',', "").parse::<u64>().unwrap(), value);
        }

        #[test]
        fn losses_are_rounded_by_less_than_one_percent(nats in 1e-6..1e6_f64) {
            let shown: f64 = loss(nats).parse().unwrap();
            prop_assert!((shown / nats - 1.0).abs() < 0.01, "{nats} shown as {shown}");
        }

        #[test]
        fn a_value_below_the_threshold_is_shown_below_it(nats in 1e-6..10.0_f64, above in 1e-12..1.0_f64) {
            let threshold = nats + above;
            prop_assume!(threshold > nats);
            prop_assert!(loss_below(nats, threshold).parse::<f64>().unwrap() < threshold);
        }

        #[test]
        fn no_number_makes_a_formatter_panic(value: f64) {
            for unit in [Unit::Count, Unit::Nats, Unit::Secs, Unit::Bytes, Unit::TokensPerSec, Unit::Ratio] {
                super::value(unit, value);
            }
            let texts = [duration(value), bytes(value), si(value), number(value), ratio(value), percent(value), flops(value)];
            prop_assert!(texts.iter().all(|text| !text.is_empty()));
        }
    }
}
