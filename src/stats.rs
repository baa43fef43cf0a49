//! The few statistics that reports state.

use statrs::distribution::{ContinuousCDF, FisherSnedecor, StudentsT};

/// Arithmetic mean; `None` without values.
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() { None } else { Some(values.iter().sum::<f64>() / values.len() as f64) }
}

/// Sample standard deviation (divisor n - 1); `None` below two values, because one value has no spread.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    if values.len() < 2 {
        return None;
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The middle value, or the mean of the two middle ones; `None` without values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(sorted[middle - 1].midpoint(sorted[middle])),
    }
}

/// The mean of some runs' values with what it alone cannot show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub mean: f64,
    /// Sample standard deviation; `None` for one value.
    pub standard_deviation: Option<f64>,
    pub n: usize,
}

impl Spread {
    /// `None` without values.
    ///
    /// # Example
    /// ```
    /// use runner::stats::Spread;
    ///
    /// let three = Spread::of(&[4.31, 4.35, 4.33]).unwrap();
    /// assert!((three.mean - 4.33).abs() < 1e-9 && three.n == 3);
    /// // A single run does not spread.
    /// assert_eq!(Spread::of(&[4.31]).unwrap().standard_deviation, None);
    /// ```
    pub fn of(values: &[f64]) -> Option<Spread> {
        Some(Spread { mean: mean(values)?, standard_deviation: standard_deviation(values), n: values.len() })
    }
}

/// How often chance alone gives a Student's t of this size or a larger one, on either side: the p-value of a t-test. `None`
/// for what is no number, or without a degree of freedom.
pub fn p_of_t(t: f64, degrees: f64) -> Option<f64> {
    let distribution = StudentsT::new(0.0, 1.0, degrees).ok()?;
    (!t.is_nan()).then(|| (2.0 * distribution.sf(t.abs())).min(1.0))
}

/// How often chance alone gives a Fisher's F of this size or a larger one, with these degrees of freedom above and below the line:
/// the p-value of an analysis of variance. `None` for what is no number, or without a degree of freedom.
pub fn p_of_f(f: f64, above: f64, below: f64) -> Option<f64> {
    let distribution = FisherSnedecor::new(above, below).ok()?;
    (f >= 0.0).then(|| if f.is_infinite() { 0.0 } else { distribution.sf(f) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_values_have_their_known_statistics() {
        // Worked by hand: squared deviations from 5 add up to 32, over n - 1 = 7.
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!(mean(&values), Some(5.0));
        assert!((standard_deviation(&values).unwrap() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(median(&values), Some(4.5));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn nothing_has_no_mean_and_one_value_no_spread() {
        assert_eq!((mean(&[]), median(&[]), Spread::of(&[])), (None, None, None));
        assert_eq!(standard_deviation(&[7.0]), None);
        assert_eq!(Spread::of(&[7.0]), Some(Spread { mean: 7.0, standard_deviation: None, n: 1 }));
    }

    #[test]
    fn p_values_are_those_of_the_tables() {
        // Two-sided 5 % points of t, and upper 5 % points of F, from printed tables.
        for (t, degrees) in [(12.706, 1.0), (2.776, 4.0), (2.228, 10.0), (2.000, 60.0)] {
            assert!((p_of_t(-t, degrees).unwrap() - 0.05).abs() < 2e-4, "t = {t}");
        }
        for (f, above, below) in [(4.26, 2.0, 9.0), (2.72, 11.0, 12.0), (161.4, 1.0, 1.0)] {
            assert!((p_of_f(f, above, below).unwrap() - 0.05).abs() < 5e-4, "F = {f}");
        }
        assert_eq!((p_of_t(f64::NAN, 4.0), p_of_t(1.0, 0.0), p_of_f(f64::NAN, 1.0, 1.0)), (None, None, None));
        assert_eq!((p_of_t(f64::INFINITY, 4.0), p_of_f(f64::INFINITY, 2.0, 9.0)), (Some(0.0), Some(0.0)));
    }

    proptest! {
        #[test]
        fn mean_and_median_lie_within_the_values(values in prop::collection::vec(-1e6..1e6_f64, 1..50)) {
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            for middle in [mean(&values).unwrap(), median(&values).unwrap()] {
                prop_assert!(low - 1e-6 <= middle && middle <= high + 1e-6);
            }
        }

        #[test]
        fn moving_all_values_moves_the_mean_and_not_the_spread(
            values in prop::collection::vec(-1e3..1e3_f64, 2..50), by in -1e3..1e3_f64,
        ) {
            let moved: Vec<f64> = values.iter().map(|value| value + by).collect();
            prop_assert!((mean(&moved).unwrap() - mean(&values).unwrap() - by).abs() < 1e-9);
            let (a, b) = (standard_deviation(&values).unwrap(), standard_deviation(&moved).unwrap());
            prop_assert!((a - b).abs() < 1e-8);
        }
    }
}
