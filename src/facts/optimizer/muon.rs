//! Muon for the blocks' matrices, AdamW for embeddings, layer norms and biases.

use super::{Facts, Role, Sides};

/// `optimizer.ns_coefficients` as `defaults.toml` has them.
const USUAL_COEFFICIENTS: &str = "[3.4445, -4.775, 2.0315]";

pub const FACTS: Facts = Facts {
    word: "muon",
    other_words: &["muon_adamw", "muon_with_aux_adam", "muonwithauxadam", "dist_muon"],
    state: |role| match role {
        Role::Matrix => &["momentum_buffer"],
        Role::Embedding | Role::Vector => &["exp_avg", "exp_avg_sq"],
    },
    keys: &[
        "beta1",
        "beta2",
        "eps",
        "momentum",
        "adamw_learning_rate",
        "nesterov",
        "momentum_start",
        "momentum_warmup_steps",
        "ns_steps",
        "ns_coefficients",
        "adjust_lr_fn",
        "split_qkv",
    ],
    usual: |key| match key("adjust_lr_fn").as_str() {
        // Its updates are as large as AdamW's, and AdamW's rates fit.
        "match_rms_adamw" => &[("momentum", 0.95)],
        _ => &[("momentum", 0.95), ("learning_rate", 0.02), ("adamw_learning_rate", 3e-3)],
    },
    flops: |role, sides, iterations| match role {
        Role::Matrix => of_iterations(sides) * iterations as f64,
        Role::Embedding | Role::Vector => 0.0,
    },
    working: |role, sides| match role {
        Role::Matrix => of_an_update(sides),
        Role::Embedding | Role::Vector => 0.0,
    },
    describe: |key| {
        let adamw = match key("adamw_learning_rate").as_str() {
            "0" | "0.0" | "-" => key("learning_rate"),
            rate => rate.to_owned(),
        };
        // As units::counted, of numbers that are text here.
        let counted =
            |number: &str, noun: &str| format!("{number} {noun}{}", if number == "1" { "" } else { "s" });
        let momentum = match key("momentum_warmup_steps").as_str() {
            "0" | "-" => key("momentum"),
            steps => {
                format!("{} to {} over {}", key("momentum_start"), key("momentum"), counted(steps, "step"))
            }
        };
        let nesterov = if key("nesterov") == "false" { "" } else { " (Nesterov)" };
        let qkv = if key("split_qkv") == "false" { "" } else { ", queries, keys and values separately" };
        let coefficients = match key("ns_coefficients").as_str() {
            USUAL_COEFFICIENTS | "-" => "",
            _ => " with custom coefficients",
        };
        format!(
            "Muon, learning rate {} (adjust_lr_fn {}), momentum {momentum}{nesterov}, {}{coefficients}{qkv}; embeddings, layer norms and \
             biases by AdamW, learning rate {adamw}, betas ({}, {}), eps {}",
            key("learning_rate"),
            key("adjust_lr_fn"),
            counted(&key("ns_steps"), "Newton-Schulz iteration"),
            key("beta1"),
            key("beta2"),
            key("eps")
        )
    },
};

/// FLOPs of one Newton-Schulz iteration as it is defined: A = X X^T, A^2, and that polynomial times X. Symmetric results and steps
/// on A alone make it cheaper.
fn of_iterations(Sides { inputs, outputs, pieces }: Sides) -> f64 {
    let (side, length) = sides_of_piece(inputs, outputs, pieces);
    pieces as f64 * (4.0 * side * side * length + 2.0 * side * side * side)
}

/// Twice a piece, and four squares of its shorter side. In bf16 they take less.
fn of_an_update(Sides { inputs, outputs, pieces }: Sides) -> f64 {
    let (side, length) = sides_of_piece(inputs, outputs, pieces);
    2.0 * side * length + 4.0 * side * side
}

/// The shorter side of a piece, and the longer one.
fn sides_of_piece(inputs: usize, outputs: usize, pieces: usize) -> (f64, f64) {
    let outputs = outputs / pieces.max(1);
    (inputs.min(outputs) as f64, inputs.max(outputs) as f64)
}
