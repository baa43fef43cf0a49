//! Initial weights. They are drawn on the host, so that a seed means the same bits on every device.

use dfdx::prelude::Dtype;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::params::{Init, Parameter};
use crate::ops::number;

/// The initial values of the parameter at place `index` in the layout. Each parameter has a stream of its own, so its
/// values do not depend on the sizes of those before it.
pub fn initial_values<E: Dtype>(parameter: &Parameter, index: usize, seed: u64) -> Vec<E> {
    match parameter.init {
        Init::Zeros => vec![number(0.0); parameter.len()],
        Init::Ones => vec![number(1.0); parameter.len()],
        Init::Normal(std) => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index as u64);
            let draw = |_| {
                let x: f64 = StandardNormal.sample(&mut rng);
                number(std * x)
            };
            (0..parameter.len()).map(draw).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::params::Part;

    fn normal(std: f64) -> Parameter {
        Parameter {
            name: "wte.weight".to_owned(),
            shape: vec![100, 200],
            part: Part::TokenEmbedding,
            init: Init::Normal(std),
        }
    }

    #[test]
    fn normal_values_have_mean_zero_and_the_asked_spread() {
        let values: Vec<f64> = initial_values(&normal(0.02), 0, 1337);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let std = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        // Five standard errors of the mean and of the standard deviation.
        assert!(mean.abs() < 5.0 * 0.02 / n.sqrt(), "{mean}");
        assert!((std - 0.02).abs() < 5.0 * 0.02 / (2.0 * n).sqrt(), "{std}");
    }

    #[test]
    fn values_depend_on_seed_and_place_and_nothing_else() {
        let draw = |index, seed| initial_values::<f32>(&normal(0.02), index, seed);
        assert_eq!(draw(3, 7), draw(3, 7));
        assert_ne!(draw(3, 7), draw(3, 8));
        assert_ne!(draw(3, 7), draw(4, 7));
    }
}
