use super::*;

type M = Matrix<f64, Cpu>;
type R = Row<f64, Cpu>;
type Taped = OwnedTape<f64, Cpu>;

/// Numbers without a pattern, the same on each call.
fn noise(len: usize, salt: u64) -> Vec<f64> {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    (0..len).map(|_| next() * 2.0).collect()
}

fn matrix(values: &[f64], rows: usize) -> M {
    Cpu::default().tensor_from_vec(values.to_vec(), (rows, values.len() / rows))
}

fn row(values: &[f64]) -> R {
    Cpu::default().tensor_from_vec(values.to_vec(), (values.len(),))
}

fn taped(x: &M) -> Matrix<f64, Cpu, Taped> {
    x.clone().put_tape(Taped::default())
}

/// A scalar that depends on every element of `x`, each in its own way.
fn score(x: Matrix<f64, Cpu, Taped>) -> Scalar<f64, Cpu, Taped> {
    let weights = matrix(&noise(x.shape().num_elements(), 99), x.shape().0);
    (x * weights).sum::<Rank0, _>()
}

/// Compares the gradients that `f` returns beside its loss with central finite differences of the loss.
fn check_gradients(inputs: Vec<Vec<f64>>, f: impl Fn(&[Vec<f64>]) -> (f64, Vec<Vec<f64>>)) {
    const STEP: f64 = 1e-5;
    let gradients = f(&inputs).1;
    assert_eq!(gradients.len(), inputs.len());
    for (i, input) in inputs.iter().enumerate() {
        for j in 0..input.len() {
            let loss = |delta: f64| {
                let mut moved = inputs.clone();
                moved[i][j] += delta;
                f(&moved).0
            };
            let expected = (loss(STEP) - loss(-STEP)) / (2.0 * STEP);
            let found = gradients[i][j];
            assert!((found - expected).abs() < 1e-7, "input {i} element {j}: {found} instead of {expected}");
        }
    }
}

#[test]
fn gradients_of_embedding_match_finite_differences() {
    // Token 2 occurs twice, token 3 never.
    let ids = [2, 0, 1, 2, 4, 1];
    check_gradients(vec![noise(5 * 4, 1), noise(7 * 4, 2)], |v| {
        let (wte, wpe) = (matrix(&v[0], 5), matrix(&v[1], 7));
        let loss = score(Cpu::try_embedding(Taped::default(), &wte, &wpe, &ids, 3).unwrap());
        let value = loss.as_vec()[0];
        let gradients = loss.backward();
        (value, vec![gradients.get(&wte).as_vec(), gradients.get(&wpe).as_vec()])
    });
}

#[test]
fn gradients_of_linear_match_finite_differences() {
    check_gradients(vec![noise(3 * 4, 1), noise(4 * 5, 2), noise(5, 3)], |v| {
        let (x, w, b) = (matrix(&v[0], 3), matrix(&v[1], 4), row(&v[2]));
        let loss = score(
            composed::try_linear(taped(&x), &Linear { weight_io: w.clone(), bias_o: Some(b.clone()) })
                .unwrap(),
        );
        let value = loss.as_vec()[0];
        let g = loss.backward();
        (value, vec![g.get(&x).as_vec(), g.get(&w).as_vec(), g.get(&b).as_vec()])
    });
}

#[test]
fn gradients_of_layer_norm_match_finite_differences() {
    check_gradients(vec![noise(3 * 6, 1), noise(6, 2), noise(6, 3)], |v| {
        let (x, w, b) = (matrix(&v[0], 3), row(&v[1]), row(&v[2]));
        let loss = score(
            Cpu::try_layer_norm(taped(&x), &LayerNorm { weight_c: w.clone(), bias_c: Some(b.clone()) })
                .unwrap(),
        );
        let value = loss.as_vec()[0];
        let g = loss.backward();
        (value, vec![g.get(&x).as_vec(), g.get(&w).as_vec(), g.get(&b).as_vec()])
    });
}

#[test]
fn gradients_of_gelu_match_finite_differences() {
    let inputs: Vec<f64> = noise(24, 1).iter().map(|x| 4.0 * x).collect();
    check_gradients(vec![inputs], |v| {
        let x = matrix(&v[0], 3);
        let loss = score(composed::try_gelu(taped(&x)).unwrap());
        let value = loss.as_vec()[0];
        (value, vec![loss.backward().get(&x).as_vec()])
    });
}

fn attention(shape: AttentionShape, dropout: Option<Dropout>) -> composed::Attention<f64, Cpu> {
    composed::Attention { shape, mask: CausalMask::default(), dropout, max_scores: usize::MAX }
}

fn attention_gradients_match(dropout: Option<Dropout>) {
    let attention = attention(AttentionShape { batch: 2, tokens: 4, heads: 2 }, dropout);
    check_gradients(vec![noise(8 * 18, 1)], |v| {
        let qkv = matrix(&v[0], 8);
        let loss = score(attention.try_forward(taped(&qkv)).unwrap());
        let value = loss.as_vec()[0];
        (value, vec![loss.backward().get(&qkv).as_vec()])
    });
}

#[test]
fn gradients_of_attention_match_finite_differences() {
    attention_gradients_match(None);
}

#[test]
fn gradients_of_attention_with_dropout_match_finite_differences() {
    attention_gradients_match(Some(Dropout { rate: 0.3, seed: 5 }));
}

#[test]
fn gradients_of_residual_and_dropout_match_finite_differences() {
    let dropout = Some(Dropout { rate: 0.4, seed: 11 });
    check_gradients(vec![noise(12, 1), noise(12, 2)], |v| {
        let (x, r) = (matrix(&v[0], 3), matrix(&v[1], 3));
        let y = Cpu::try_dropout(taped(&x), dropout).unwrap();
        let loss = score(composed::try_residual(y, &r).unwrap());
        let value = loss.as_vec()[0];
        let g = loss.backward();
        (value, vec![g.get(&x).as_vec(), g.get(&r).as_vec()])
    });
}

#[test]
fn gradients_of_head_loss_match_finite_differences() {
    check_gradients(vec![noise(4 * 3, 1), noise(6 * 3, 2)], |v| {
        let (x, wte) = (matrix(&v[0], 4), matrix(&v[1], 6));
        let loss = Cpu::try_head_loss(taped(&x), &wte, None, &[5, 0, 3, 3], &Hits::default()).unwrap();
        let value = loss.as_vec()[0];
        let g = loss.backward();
        (value, vec![g.get(&x).as_vec(), g.get(&wte).as_vec()])
    });
}

#[test]
fn head_loss_is_the_mean_of_minus_log_softmax_at_the_target() {
    let (x, wte) = (matrix(&noise(4 * 3, 1), 4), matrix(&noise(6 * 3, 2), 6));
    let targets = [5, 0, 3, 3];
    let loss = Cpu::try_head_loss(x.clone(), &wte, None, &targets, &Hits::default()).unwrap().as_vec()[0];
    let logits = Cpu::try_head(x, &wte).unwrap().as_vec();
    let expected: f64 = logits
        .chunks(6)
        .zip(targets)
        .map(|(row, target)| row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[target as usize])
        .sum::<f64>()
        / 4.0;
    assert!((loss - expected).abs() < 1e-12, "{loss} {expected}");
}

#[test]
fn a_prediction_is_right_where_no_logit_is_above_that_of_the_target() {
    let (x, wte) = (matrix(&noise(40 * 3, 1), 40), matrix(&noise(6 * 3, 2), 6));
    let logits = Cpu::try_head(x.clone(), &wte).unwrap().as_vec();
    let likeliest = |row: &[f64]| (0..6).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32;
    // Every third position has another target.
    let targets: Vec<u32> =
        logits.chunks(6).zip(0..).map(|(row, i)| (likeliest(row) + u32::from(i % 3 == 0)) % 6).collect();
    let hits = Hits::default();
    Cpu::try_head_loss(x.clone(), &wte, None, &targets, &hits).unwrap();
    assert_eq!(hits.of(40), Some(26));
    assert_eq!(hits.of(41), None, "not all were counted");
    let hits = Hits::default();
    Cpu::try_head_loss(taped(&x), &wte, None, &targets, &hits).unwrap();
    assert_eq!(hits.of(40), None, "it would take another pass over the logits");
}

#[test]
fn head_loss_survives_logits_beyond_the_range_of_exp() {
    let (x, wte) = (matrix(&[1e4], 1), matrix(&[1.0, -1.0], 2));
    assert_eq!(Cpu::try_head_loss(x.clone(), &wte, None, &[0], &Hits::default()).unwrap().as_vec(), [0.0]);
    assert_eq!(Cpu::try_head_loss(x, &wte, None, &[1], &Hits::default()).unwrap().as_vec(), [2e4]);
}

#[test]
fn attention_is_the_softmax_average_of_the_values_up_to_each_position() {
    let (tokens, heads, d) = (5, 2, 3);
    let c = heads * d;
    let values = noise(tokens * 3 * c, 4);
    let shape = AttentionShape { batch: 1, tokens, heads };
    let y = attention(shape, None).try_forward(matrix(&values, tokens)).unwrap();
    let at = |t: usize, part: usize, h: usize, k: usize| values[t * 3 * c + part * c + h * d + k];
    for t in 0..tokens {
        for h in 0..heads {
            let weight = |u: usize| {
                let dot: f64 = (0..d).map(|k| at(t, 0, h, k) * at(u, 1, h, k)).sum();
                (dot / (d as f64).sqrt()).exp()
            };
            let total: f64 = (0..=t).map(weight).sum();
            for k in 0..d {
                let expected: f64 = (0..=t).map(|u| weight(u) / total * at(u, 2, h, k)).sum();
                let found = y[[t, h * d + k]];
                assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            }
        }
    }
}

#[test]
fn layer_norm_without_bias_and_gelu_have_known_values() {
    let y = Cpu::try_layer_norm(
        matrix(&[-2.0, 0.0, 5.0], 1),
        &LayerNorm { weight_c: row(&[1.0, 2.0, 1.0]), bias_c: None },
    )
    .unwrap()
    .as_vec();
    // Mean 1, variance 26/3.
    let std = (26.0f64 / 3.0 + 1e-5).sqrt();
    for (found, expected) in y.iter().zip([-3.0 / std, -2.0 / std, 4.0 / std]) {
        assert!((found - expected).abs() < 1e-12);
    }
    let y = composed::try_gelu(matrix(&[-1.0, 0.0, 1.0], 1)).unwrap().as_vec();
    for (found, expected) in y.iter().zip([-0.158_808_009, 0.0, 0.841_191_990]) {
        assert!((found - expected).abs() < 1e-8);
    }
}

#[test]
fn dropout_keeps_the_expectation_and_drops_its_share() {
    let mask: Vec<f64> = Dropout { rate: 0.2, seed: 3 }.mask(100_000);
    let dropped = mask.iter().filter(|&&x| x == 0.0).count() as f64 / mask.len() as f64;
    assert!((dropped - 0.2).abs() < 0.005, "{dropped}");
    assert!(mask.iter().all(|&x| x == 0.0 || x == 1.25));
}

#[test]
fn dropout_source_resumes_from_its_state_and_is_silent_at_rate_zero() {
    let mut source = DropoutSource::new(0.1, 42);
    source.draw();
    let text = serde_json::to_string(source.state()).unwrap();
    let mut resumed = DropoutSource::new(0.1, 7);
    resumed.set_state(serde_json::from_str(&text).unwrap());
    let (a, b) = (source.draw(), source.draw());
    assert_ne!(a, b);
    assert_eq!([a, b], [resumed.draw(), resumed.draw()]);
    assert_eq!(DropoutSource::new(0.0, 42).draw(), None);
}

#[test]
fn a_mask_of_another_shape_is_made_anew() {
    let (device, mask) = (Cpu::default(), CausalMask::<f64, Cpu>::default());
    assert_eq!(mask.try_get(&device, 2).unwrap().as_vec(), [0.0, -1e30, 0.0, 0.0]);
    assert_eq!(mask.try_get(&device, 1).unwrap().as_vec(), [0.0]);
}

#[test]
fn the_mask_is_finite_in_half_precision() {
    let mask = CausalMask::<F16, Cpu>::default().try_get(&Cpu::default(), 2).unwrap();
    let future = mask.as_vec()[1].0;
    assert!(future.is_finite() && future.to_f32() < -1e4, "{future}");
}

fn block(c: usize) -> Block<f64, Cpu> {
    let linear = |i: usize, o: usize, salt| Linear {
        weight_io: matrix(&noise(i * o, salt), i),
        bias_o: Some(row(&noise(o, salt + 1))),
    };
    let norm = |salt| LayerNorm { weight_c: row(&noise(c, salt)), bias_c: Some(row(&noise(c, salt + 1))) };
    Block {
        ln_1: norm(10),
        attn_c_attn: linear(c, 3 * c, 20),
        attn_c_proj: linear(c, c, 30),
        ln_2: norm(40),
        mlp_c_fc: linear(c, 4 * c, 50),
        mlp_c_proj: linear(4 * c, c, 60),
        rounded: None,
    }
}

#[test]
fn recomputed_blocks_have_the_same_gradients_to_the_bit() {
    let shape = AttentionShape { batch: 2, tokens: 3, heads: 2 };
    let drop = |seed| Some(Dropout { rate: 0.2, seed });
    let dropout = BlockDropout { attention: drop(1), attention_out: drop(2), mlp_out: drop(3) };
    let block = block(4);
    let x = matrix(&noise(6 * 4, 1), 6);
    let run = |recompute| {
        let pass = BlockPass { recompute, ..BlockPass::new(shape, dropout) };
        // Two blocks, so that a gradient flows into a recomputed block from another one.
        let y = Cpu::try_block(taped(&x), &block, &pass).unwrap();
        let loss = score(Cpu::try_block(y, &block, &pass).unwrap());
        let value = loss.as_vec();
        let g = loss.backward();
        let weight = g.get(&block.attn_c_attn.weight_io).as_vec();
        (value, g.get(&x).as_vec(), weight, g.get(block.mlp_c_proj.bias_o.as_ref().unwrap()).as_vec())
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn attention_in_parts_is_attention_at_once_to_the_bit() {
    let (batch, tokens, heads, d) = (6, 4, 2, 3);
    let shape = AttentionShape { batch, tokens, heads };
    for dropout in [None, Some(Dropout { rate: 0.3, seed: 5 })] {
        let run = |max_scores| {
            let attention = composed::Attention { max_scores, ..attention(shape, dropout) };
            let qkv = matrix(&noise(batch * tokens * 3 * heads * d, 1), batch * tokens);
            let y = attention.try_forward(taped(&qkv)).unwrap();
            let (values, untaped) = (y.as_vec(), attention.try_forward(qkv.clone()).unwrap().as_vec());
            assert_eq!(values, untaped);
            (values, score(y).backward().get(&qkv).as_vec())
        };
        let expected = run(usize::MAX);
        // Parts of three, of two, and of one sequence.
        for sequences in [3, 2, 1] {
            assert_eq!(run(sequences * heads * tokens * tokens), expected, "{sequences}, {dropout:?}");
        }
    }
}

#[test]
fn the_heads_loss_in_parts_is_the_loss_at_once() {
    let (positions, width, vocabulary) = (10, 3, 6);
    let targets = [5, 0, 3, 3, 1, 2, 5, 4, 0, 0];
    let (x, wte) =
        (matrix(&noise(positions * width, 1), positions), matrix(&noise(vocabulary * width, 2), vocabulary));
    let expected = {
        let loss = composed::try_head_loss(taped(&x), &wte, &targets, &Hits::default()).unwrap();
        let value = loss.as_vec();
        let g = loss.backward();
        [value, g.get(&x).as_vec(), g.get(&wte).as_vec()]
    };
    // Parts of four, four and two positions, of one, and all at once.
    for max_logits in [4 * vocabulary, 0, usize::MAX] {
        let head = composed::HeadInParts { x_mc: &x, wte_vc: &wte, targets: &targets, max_logits };
        let losses = head.try_losses(composed::try_cross_entropy).unwrap();
        // As in an engine, which keeps the gradients of parameters only, and adds to them.
        let mut gradients = Gradients::leaky();
        gradients.retain_leafs(&id_of(&wte));
        gradients.get_or_alloc_mut(&wte).unwrap().fill(1.0);
        let (same_losses, dx, gradients) =
            head.try_losses_and_gradients(gradients, composed::try_gradient).unwrap();
        let total = |losses: &[composed::SharedLoss<f64, Cpu>]| -> f64 {
            losses.iter().map(|(share, loss)| share * loss.as_vec()[0]).sum()
        };
        let dwte: Vec<f64> = gradients.get(&wte).as_vec().iter().map(|x| x - 1.0).collect();
        for found in [
            [vec![total(&losses)], dx.to_vec(), dwte.clone()],
            [vec![total(&same_losses)], dx.to_vec(), dwte],
        ] {
            for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                assert!((found - expected).abs() < 1e-14, "{found} {expected}");
            }
        }
    }
}
