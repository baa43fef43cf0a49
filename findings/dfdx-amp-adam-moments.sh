#!/usr/bin/env bash
# dfdx's AMP<f16> keeps Adam's moments in f16: small gradients move the weights many times too far, and the loss scale does not help there.
#
# Versions: dfdx 0.13.0, half 2.4.1 (Rust 1.85 or newer; CPU only, some two minutes to compile).
#
# What one would guess: AMP means automatic mixed precision as in PyTorch: products in half precision, while weights and the optimizer's state are
# kept in f32. Adam divides by the size of the gradient, so that a weight under a gradient that stays the same moves by the learning rate in each
# step, whether that gradient is 1 or 1e-4.
#
# What happens: weights and both moments are f16. The second moment is (1 - beta2) times the square of the gradient, 1e-11 for a gradient of 1e-4,
# and the smallest number above zero in f16 is 6e-8: what was gathered is lost between two steps, while the correction of the bias
# expects it to be there. From step to step the division is by too little. The further training goes, the further the weights move: up to
# sqrt(1 / (1 - beta2)), 32 times the learning rate. Nothing is infinite or NaN, so nothing warns. A loss scale that is divided out
# before the optimizer, as usual, changes nothing. Gradients of about 1 are right, which is what small tests have.
#
# Seen, a weight at 1 after 50 steps with a learning rate of 1e-3 (0.95 is right in all cases), for gradients of 1, 1e-2, 1e-3 and 1e-4:
# f32 gives 0.95 each time, AMP<f16> 0.95, 0.95, 0.76 and 0.76. After 500 steps (0.5 is right): AMP<f16> with a gradient of 1e-4 is at -5.97.
# Exits 0 while that is so, 1 if it changes, 2 where the packages cannot be installed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "amp-adam"
version = "0.0.0"
edition = "2021"

[dependencies]
dfdx = { version = "=0.13.0", default-features = false, features = ["std", "cpu", "f16"] }
half = "=2.4.1"

[profile.dev]
opt-level = 1
debug = false
TOML
cat >src/main.rs <<'RUST'
use dfdx::dtypes::{f16, AMP};
use dfdx::prelude::*;

/// A weight that starts at 1, after so many steps of Adam under a gradient that stays the same.
macro_rules! after {
    ($number:ty, $steps:expr, $gradient:expr, $to:expr, $from:expr) => {{
        let device = Cpu::default();
        let config = AdamConfig { lr: 1e-3, ..Default::default() };
        let mut weight: Tensor<Rank1<1>, $number, Cpu> = device.tensor([$to(1.0)]);
        let slope: Tensor<Rank1<1>, $number, Cpu> = device.tensor([$to($gradient)]);
        let mut adam = dfdx::optim::Adam::new(&weight, config);
        for _ in 0..$steps {
            let loss = (weight.leaky_trace() * slope.clone()).sum::<Rank0, _>();
            let gradients = loss.backward();
            adam.update(&mut weight, &gradients).unwrap();
        }
        $from(weight.array()[0])
    }};
}

fn main() {
    let half = |value: f32| AMP(f16::from_f32(value));
    let mut as_seen = true;
    for (steps, gradient, expected) in
        [(50, 1.0f32, 0.95), (50, 1e-2, 0.95), (50, 1e-3, 0.76), (50, 1e-4, 0.76), (500, 1e-4, -5.97)]
    {
        let full = after!(f32, steps, gradient, |value: f32| value, |value: f32| value);
        let mixed = after!(AMP<f16>, steps, gradient, half, |value: AMP<f16>| value.0.to_f32());
        println!("{steps} steps, gradient {gradient:e}: f32 {full:.3}, AMP<f16> {mixed:.3}");
        as_seen &= (full - (1.0 - 1e-3 * steps as f32)).abs() < 0.01 && (mixed - expected as f32).abs() < 0.05;
    }
    std::process::exit(if as_seen { 0 } else { 1 });
}
RUST
cargo build --quiet 2>"$work/said" || { cat "$work/said" >&2; exit 2; }
cargo run --quiet
