//! Whether the seeds can tell settings apart.

use crate::stats::{Spread, p_of_f, p_of_t};

use super::ranking::Ranking;

/// Once in twenty times, as is usual.
const LEVEL: f64 = 0.05;

/// How much runs of one setting differ by their seeds alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    pub variance: f64,
    pub degrees: usize,
    /// Settings with several runs that it was computed from, best first, and how many there are of these.
    pub settings: usize,
    pub of: usize,
}

/// A test of the difference between two means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    pub t: f64,
    pub degrees: f64,
    pub p: f64,
    /// The variance comes from more settings than the two.
    pub pooled: Option<Noise>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Certainty {
    /// The means are the same.
    Same,
    Apart(Test),
    NotApart(Test),
    /// One of the two is a single run, and no other setting says how much seeds differ.
    SingleRuns,
    /// Runs with different seeds gave the same number, so that there is nothing to test against.
    NoSpread,
}

/// What the seeds say of a ranking.
#[derive(Clone, Debug)]
pub struct Decision {
    pub noise: Option<Noise>,
    /// The best against the next.
    pub certainty: Certainty,
    /// Places in the ranking that cannot be told from the best, the best left out. Empty where nothing can be tested.
    pub as_good: Vec<usize>,
    /// How often chance alone would make settings differ as they do: an analysis of variance over all. `None` where it has nothing
    /// to go by, or for two settings, of which the test says the same.
    pub all_alike: Option<Analysis>,
}

/// A one-way analysis of variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Analysis {
    pub f: f64,
    pub above: usize,
    pub below: usize,
    pub p: f64,
}

impl Analysis {
    pub fn nothing_matters(&self) -> bool {
        self.p >= LEVEL
    }
}

impl Decision {
    /// `None` with less than two settings.
    pub fn of(ranking: &Ranking) -> Option<Decision> {
        let spreads: Vec<Spread> = ranking.ranked.iter().map(|(_, spread)| *spread).collect();
        let [best, next, ..] = spreads.as_slice() else { return None };
        let noise = noise(&spreads);
        let as_good = (1..spreads.len()).filter(|&place| {
            matches!(compare(best, &spreads[place], noise), Certainty::NotApart(_) | Certainty::Same)
        });
        Some(Decision {
            noise,
            certainty: compare(best, next, noise),
            as_good: as_good.collect(),
            all_alike: analysis(&spreads),
        })
    }

    /// How many settings have the same mean as the best, itself included.
    pub fn tied(ranking: &Ranking) -> usize {
        let Some((_, best)) = ranking.ranked.first() else { return 0 };
        ranking.ranked.iter().take_while(|(_, spread)| spread.mean == best.mean).count()
    }

    /// Whether there are several settings and all have the same mean.
    pub fn all_tied(ranking: &Ranking) -> bool {
        ranking.ranked.len() > 1 && Decision::tied(ranking) == ranking.ranked.len()
    }

    /// Seeds of each setting with which a difference of this size would be seen four times out of five.
    pub fn seeds_needed(&self, difference: f64) -> Option<u64> {
        // (1.96 + 0.84)^2 = 7.85: the normal quantiles of a two-sided 5 % and of 80 %; two settings vary.
        let needed = 2.0 * 7.85 * self.noise?.variance / difference.powi(2);
        needed.is_finite().then(|| (needed.ceil() as u64).max(2))
    }
}

/// The variance between seeds, from all settings with several runs. Bad settings often vary more: where the worse half varies more
/// than chance allows, only the better half counts.
fn noise(spreads: &[Spread]) -> Option<Noise> {
    let with_spread: Vec<&Spread> =
        spreads.iter().filter(|spread| spread.standard_deviation.is_some()).collect();
    let of = with_spread.len();
    let pool = |spreads: &[&Spread]| -> Option<Noise> {
        let degrees: usize = spreads.iter().map(|spread| spread.n - 1).sum();
        let squares: f64 = spreads
            .iter()
            .filter_map(|spread| Some(spread.standard_deviation?.powi(2) * (spread.n - 1) as f64))
            .sum();
        (degrees > 0).then(|| Noise {
            variance: squares / degrees as f64,
            degrees,
            settings: spreads.len(),
            of,
        })
    };
    let all = pool(&with_spread)?;
    // The two best of three or fewer are all that a half would hold.
    if of < 4 {
        return Some(all);
    }
    let (better, worse) = with_spread.split_at(of.div_ceil(2));
    let (Some(better), Some(worse)) = (pool(better), pool(worse)) else { return Some(all) };
    let f = worse.variance / better.variance;
    let uneven = p_of_f(f, worse.degrees as f64, better.degrees as f64).is_some_and(|p| p < LEVEL);
    Some(if uneven && better.variance > 0.0 { better } else { all })
}

fn compare(best: &Spread, other: &Spread, noise: Option<Noise>) -> Certainty {
    let difference = (best.mean - other.mean).abs();
    if difference == 0.0 {
        return Certainty::Same;
    }
    let parts = |spread: &Spread| Some((spread.standard_deviation?.powi(2) / spread.n as f64, spread.n));
    let pair = parts(best).zip(parts(other));
    // Two of two settings: Welch's test, which lets each have its own variance. With more, what all of them say is surer.
    let test = match (noise, pair) {
        (Some(noise), pair) if noise.settings > 2 || pair.is_none() => {
            let error = (noise.variance * (1.0 / best.n as f64 + 1.0 / other.n as f64)).sqrt();
            Some((error, noise.degrees as f64, Some(noise)))
        }
        (_, Some(((a, n_a), (b, n_b)))) => {
            let degrees = (a + b).powi(2) / (a.powi(2) / (n_a - 1) as f64 + b.powi(2) / (n_b - 1) as f64);
            Some(((a + b).sqrt(), degrees, None))
        }
        _ => None,
    };
    let Some((error, degrees, pooled)) = test else { return Certainty::SingleRuns };
    let t = difference / error;
    match p_of_t(t, degrees) {
        Some(p) if error > 0.0 => {
            let test = Test { t, degrees, p, pooled };
            if p < LEVEL { Certainty::Apart(test) } else { Certainty::NotApart(test) }
        }
        _ => Certainty::NoSpread,
    }
}

fn analysis(spreads: &[Spread]) -> Option<Analysis> {
    let runs: usize = spreads.iter().map(|spread| spread.n).sum();
    let (above, below) = (spreads.len().checked_sub(1)?, runs.checked_sub(spreads.len())?);
    if above < 2 || below == 0 {
        return None;
    }
    let mean = spreads.iter().map(|spread| spread.mean * spread.n as f64).sum::<f64>() / runs as f64;
    let between: f64 =
        spreads.iter().map(|spread| (spread.mean - mean).powi(2) * spread.n as f64).sum::<f64>();
    let within: f64 = spreads
        .iter()
        .filter_map(|spread| Some(spread.standard_deviation?.powi(2) * (spread.n - 1) as f64))
        .sum();
    let f = (between / above as f64) / (within / below as f64);
    // Without any spread between seeds every difference is one.
    let p = p_of_f(f, above as f64, below as f64)?;
    (within > 0.0).then_some(Analysis { f, above, below, p })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spreads(values: &[&[f64]]) -> Vec<Spread> {
        values.iter().map(|values| Spread::of(values).unwrap()).collect()
    }

    #[test]
    fn two_settings_are_held_against_each_other_by_welch() {
        let two = spreads(&[&[1.0, 1.1], &[2.0, 2.1]]);
        let Certainty::Apart(test) = compare(&two[0], &two[1], noise(&two)) else { panic!() };
        // By hand: variances 0.005, error sqrt(0.0025 + 0.0025), 2 degrees of freedom.
        assert!((test.t - 1.0 / 0.005_f64.sqrt()).abs() < 1e-9 && (test.degrees - 2.0).abs() < 1e-9);
        assert_eq!(test.pooled, None);
        let close = spreads(&[&[1.0, 1.1], &[1.05, 1.2]]);
        assert!(matches!(compare(&close[0], &close[1], noise(&close)), Certainty::NotApart(_)));
    }

    /// What SciPy 1.17 gives: `ttest_ind(equal_var=False)`, `f_oneway`, and `t.sf` of the pooled t, which ordinary least squares on
    /// dummies gives too.
    #[test]
    fn tests_give_the_numbers_of_scipy() {
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        let of = |a: &Spread, b: &Spread, noise| match compare(a, b, noise) {
            Certainty::Apart(test) | Certainty::NotApart(test) => test,
            other => panic!("{other:?}"),
        };
        for (values, t, degrees, p) in [
            (
                [&[1.31, 1.35, 1.33][..], &[1.42, 1.36, 1.47, 1.40]],
                3.220470240730162,
                4.305083520138843,
                0.029043470790740634,
            ),
            ([&[2.10, 2.40], &[2.55, 2.52, 2.61]], 2.035249709325701, 1.0626758408276489, 0.2790816107247627),
        ] {
            let two = spreads(&values);
            let test = of(&two[0], &two[1], noise(&two));
            assert_eq!(test.pooled, None);
            near(test.t, t);
            near(test.degrees, degrees);
            near(test.p, p);
        }
        let three = spreads(&[&[1.00, 1.04], &[1.10, 1.13, 1.12], &[1.30, 1.22]]);
        let test = of(&three[0], &three[1], noise(&three));
        assert!(test.pooled.is_some() && test.degrees == 4.0);
        near(test.t, 3.1688785153072874);
        near(test.p, 0.033894207427854775);
        let all = analysis(&three).unwrap();
        near(all.f, 26.20895522388063);
        near(all.p, 0.00502673497382491);
        // A single run has the variance of the others: Student's test.
        let single = spreads(&[&[1.0, 1.04, 0.99], &[1.2]]);
        let test = of(&single[0], &single[1], noise(&single));
        near(test.t, 6.219209871725776);
        near(test.p, 0.024892793089256675);
    }

    #[test]
    fn more_settings_say_together_how_much_seeds_differ() {
        let three = spreads(&[&[1.0, 1.1], &[1.3], &[2.0, 2.1]]);
        let noise = noise(&three).unwrap();
        assert_eq!((noise.degrees, noise.settings, noise.of), (2, 2, 2));
        assert!((noise.variance - 0.005).abs() < 1e-12);
        // A single run has its place among them.
        assert!(matches!(
            compare(&three[0], &three[1], Some(noise)),
            Certainty::NotApart(Test { pooled: Some(_), .. })
        ));
        let alone = spreads(&[&[1.0], &[1.3]]);
        assert_eq!(compare(&alone[0], &alone[1], super::noise(&alone)), Certainty::SingleRuns);
    }

    #[test]
    fn settings_that_jump_about_do_not_hide_a_difference_between_good_ones() {
        let values: &[&[f64]] = &[
            &[1.00, 1.01],
            &[1.10, 1.11],
            &[1.20, 1.21],
            &[1.30, 1.31],
            &[3.0, 4.0],
            &[4.0, 5.5],
            &[4.5, 6.0],
            &[5.0, 7.0],
        ];
        let uneven = spreads(values);
        let noise = noise(&uneven).unwrap();
        assert_eq!((noise.settings, noise.of), (4, 8));
        assert!(matches!(compare(&uneven[0], &uneven[1], Some(noise)), Certainty::Apart(_)));
    }

    #[test]
    fn equal_numbers_and_numbers_without_spread_are_told() {
        let same = spreads(&[&[1.0, 1.0], &[1.0, 1.0], &[2.0, 2.0]]);
        assert_eq!(compare(&same[0], &same[1], noise(&same)), Certainty::Same);
        assert_eq!(compare(&same[0], &same[2], noise(&same)), Certainty::NoSpread);
        assert_eq!(analysis(&same), None);
    }

    #[test]
    fn settings_within_the_spread_of_their_seeds_do_not_matter() {
        let alike = spreads(&[&[1.0, 1.2], &[1.05, 1.15], &[1.1, 1.2], &[1.0, 1.25]]);
        assert!(analysis(&alike).unwrap().nothing_matters());
        let different = spreads(&[&[1.0, 1.01], &[2.0, 2.01], &[3.0, 3.01]]);
        assert!(!analysis(&different).unwrap().nothing_matters());
    }
}
