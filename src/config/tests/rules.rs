//! One broken rule at a time: where it is reported, what is said, what to do.

use super::{assert_problem, errors, errors_with, plan, plans_with};

#[test]
fn width_that_heads_cannot_share_is_rejected() {
    let text = "[model]\nn_head = 3\nn_embd = 100\n";
    assert_problem(
        text,
        3,
        &[
            "`model.n_embd` = 100 cannot be shared evenly by `model.n_head` = 3 heads",
            "note: `model.n_head` is 3 (a.toml:2)",
            "n_embd = 99 or 102 would do",
        ],
    );
    // A preset's size is not what one would change first.
    assert_problem(
        "[model]\npreset = \"gpt2\"\nn_head = 5\n",
        3,
        &["`model.n_embd` is 768 (preset gpt2, a.toml:2)"],
    );
    // Of two settings, the one in the stronger layer is the one to look at.
    let set = errors_with("[model]\nn_embd = 100\n", &["model.n_head=3"]);
    assert!(
        set.contains("--> --set model.n_head=3") && set.contains("`model.n_embd` is 100 (a.toml:2)"),
        "{set}"
    );
}

#[test]
fn zero_and_negative_sizes_are_rejected() {
    for key in ["n_layer", "n_head", "n_embd", "block_size"] {
        assert_problem(&format!("[model]\n{key} = 0\n"), 2, &[key, "from 1 to", "not 0"]);
        assert_problem(&format!("[model]\n{key} = -4\n"), 2, &[key, "from 1 to", "not -4"]);
    }
    assert_problem("[train]\nbatch_size = 0\n", 2, &["`train.batch_size`", "the smallest is 1"]);
}

#[test]
fn sizes_that_would_overflow_are_rejected() {
    assert_problem("[model]\nn_embd = 1_000_000_000_000_000_000\n", 2, &["from 1 to 100,000"]);
    assert_problem("[model]\nn_embd = 1_000_000_000_000_000_000_000\n", 2, &["far outside"]);
    let text = "[model]\nn_layer = 1000\nn_embd = 100000\nn_head = 1\n";
    assert_problem(text, 3, &["a model of 120,0", "at most 100,000,000,000"]);
    let text = "[train]\nbatch_size = 1000000\ngradient_accumulation_steps = 1000000\n";
    assert_problem(text, 2, &["a step of 128,000,000,000,000 tokens is too large"]);
}

#[test]
fn sequences_longer_than_the_block_are_rejected() {
    let text = "[model]\nblock_size = 64\n[train]\nsequence_length = 65\n";
    assert_problem(
        text,
        4,
        &["`train.sequence_length` = 65 is longer than `model.block_size` = 64", "at most 64"],
    );
    assert_eq!(plan(&text.replace("65", "64")).sequence_length(), 64);
}

#[test]
fn warmup_longer_than_training_is_rejected() {
    let text = "[train]\nmax_steps = 100\n[schedule]\nwarmup_steps = 101\n";
    assert_problem(
        text,
        4,
        &["`schedule.warmup_steps` = 101 is longer than the training, `train.max_steps` = 100"],
    );
    assert_eq!(plan(&text.replace("101", "100")).schedule.warmup_steps, 100);
}

#[test]
fn decay_that_ends_before_the_warmup_is_rejected() {
    let text = "[schedule]\nkind = \"cosine\"\nwarmup_steps = 50\ndecay_steps = 50\n";
    assert_problem(text, 4, &["decayed by step 50, before its warm-up of 50 steps ends"]);
    let text = "[schedule]\nkind = \"warmup-stable-decay\"\nwarmup_steps = 600\ndecay_steps = 401\n";
    assert_problem(text, 4, &["a warm-up of 600 steps and a decay of 401 steps do not fit into 1,000 steps"]);
    assert_eq!(plan(&text.replace("401", "400")).schedule.decay_steps, Some(400));
}

#[test]
fn a_floor_above_the_peak_learning_rate_is_rejected() {
    let text = "[optimizer]\nlearning_rate = 1e-4\n[schedule]\nkind = \"linear\"\nmin_lr = 1e-3\n";
    assert_problem(
        text,
        5,
        &["`schedule.min_lr` = 0.001 is above the peak, `optimizer.learning_rate` = 0.0001"],
    );
    // A constant schedule does not read it.
    assert_eq!(plan(&text.replace("linear", "constant")).schedule.min_lr, 1e-3);
}

#[test]
fn a_vocabulary_smaller_than_the_tokenizers_is_rejected() {
    let text = "[model]\nvocab_size = 50256\n[data]\ntokenizer = \"gpt2\"\n";
    assert_problem(text, 2, &["`model.vocab_size` = 50,256 is smaller than the 50,257 tokens", "use 0"]);
    assert_eq!(plan(&text.replace("50256", "50304")).model.vocab_size, Some(50_304));
    assert_problem("[model]\nvocab_size = 255\n[data]\ntokenizer = \"byte\"\n", 2, &["the 256 tokens"]);
}

#[test]
fn a_validation_target_without_validation_is_rejected() {
    let target = "[target]\nmetric = \"val_loss\"\nthreshold = 1.0\n";
    assert_problem(&format!("{target}[data]\nval_fraction = 0\n"), 2, &["no text is kept for validation"]);
    assert_problem(&format!("{target}[train]\neval_interval = 0\n"), 2, &["it is never measured"]);
    assert_eq!(plan("[target]\nmetric = \"val_loss\"\n[data]\nval_fraction = 0\n").target.threshold, None);
}

#[test]
fn asking_for_evaluation_without_text_to_evaluate_on_is_rejected() {
    let text = "[train]\neval_interval = 10\n[data]\nval_fraction = 0.0\n";
    assert_problem(
        text,
        2,
        &["`train.eval_interval` is 10, but no text is kept for validation", "val_fraction` above 0"],
    );
}

#[test]
fn samples_without_a_prompt_are_rejected() {
    assert_problem("[sample]\nprompts = []\n", 2, &["no prompts to continue"]);
    assert_problem("[sample]\nprompts = [\"a\", \"\"]\n", 2, &["a prompt is empty"]);
    assert!(plan("[sample]\nprompts = []\ninterval = 0\n").sample.prompts.is_empty());
}

#[test]
fn text_from_two_places_or_from_none_is_rejected() {
    let text = "[data]\ncorpus = \"salt-crown\"\npath = \"x.txt\"\n";
    assert_problem(
        text,
        3,
        &["`data.path` and `data.corpus` are both given", "`data.corpus` is set at a.toml:2"],
    );
    assert_problem("[data]\ncorpus = \"\"\n", 2, &["there is no text"]);
}

#[test]
fn a_reference_without_a_name_is_rejected() {
    assert_problem("[reference]\nsteps = 5\n", 2, &["the reference has no name"]);
}

#[test]
fn numbers_outside_of_their_range_are_rejected() {
    for (line, rule) in [
        ("beta1 = 1.0", "at least 0 and below 1"),
        ("beta2 = -0.1", "at least 0 and below 1"),
        ("learning_rate = nan", "above 0"),
        ("learning_rate = inf", "above 0"),
        ("learning_rate = 0", "above 0"),
        ("weight_decay = -inf", "at least 0"),
        ("eps = 0.0", "above 0"),
        ("ns_steps = 0", "from 1 to 99"),
        ("ns_coefficients = []", "three numbers [a, b, c], or a list of such lists"),
        ("ns_coefficients = [1.0, 2.0]", "three numbers"),
        ("ns_coefficients = [[1.0, 2.0, nan]]", "three numbers"),
        ("ns_coefficients = [[1, 2, 3], 4]", "three numbers"),
        ("adjust_lr_fn = \"match_rms\"", "\"match_rms_adamw\""),
    ] {
        assert_problem(&format!("[optimizer]\n{line}\n"), 2, &[rule]);
    }
    // Wild but possible: it diverges, which is an outcome and not a mistake in the file.
    assert_eq!(plan("[optimizer]\nlearning_rate = 1e9\n").optimizer.learning_rate, 1e9);
}

#[test]
fn coefficients_that_leave_nothing_of_an_update_or_let_it_explode_are_rejected() {
    let muon = "[optimizer]\nkind = \"muon\"\n";
    assert_problem(
        &format!("{muon}ns_coefficients = [0.0, 0.0, 0.0]\n"),
        3,
        &["`optimizer.ns_steps` = 5 every update would be zero", "stay near 1"],
    );
    let explodes = format!("{muon}ns_coefficients = [[3.0, 0.0, 1.0], [4.0, 2.0, 2.0]]\n");
    assert_problem(&explodes, 3, &["every update would explode"]);
    // One iteration of the same makes nothing explode, and what is beyond the iterations is not used.
    let one = plan(&format!("{explodes}ns_steps = 1\n"));
    assert_eq!(one.optimizer.coefficients(), [[3.0, 0.0, 1.0]]);
    // Nothing reads them here.
    plan("[optimizer]\nns_coefficients = [0.0, 0.0, 0.0]\n");
}

#[test]
fn a_key_written_for_an_optimizer_that_does_not_read_it_is_known_as_such() {
    let unread = |text: &str| -> Vec<&str> { plan(text).idle.iter().map(|idle| idle.key).collect() };
    assert_eq!(unread("[optimizer]\nkind = \"sgd\"\nmomentum = 0.8\nbeta1 = 0.8\n"), ["optimizer.beta1"]);
    assert_eq!(unread("[optimizer]\nmomentum = 0.8\nweight_decay = 0.2\n"), ["optimizer.momentum"]);
    assert!(unread("[optimizer]\nkind = \"muon\"\nmomentum = 0.8\nbeta1 = 0.8\n").is_empty());
    // Of the points of a sweep each reads its own.
    let sweep = "[optimizer]\nmomentum = 0.8\n[sweep.grid]\noptimizer.kind = [\"adamw\", \"muon\"]\n";
    assert!(plans_with(sweep, &[]).iter().all(|plan| plan.idle.is_empty()));
}

#[test]
fn a_momentum_that_warms_up_longer_than_the_training_is_rejected() {
    let text = "[train]\nmax_steps = 20\n[optimizer]\nkind = \"muon\"\nmomentum_warmup_steps = 21\n";
    assert_problem(text, 5, &["momentum_warmup_steps` = 21", "train.max_steps` = 20"]);
    plan(&text.replace("21", "20"));
    plan(&text.replace("muon", "sgd"));
}

#[test]
fn varying_what_the_optimizer_does_not_read_is_rejected() {
    let text = "[sweep.grid]\noptimizer.adamw_learning_rate = [1e-3]\n";
    assert_problem(
        text,
        2,
        &["`optimizer.adamw_learning_rate` is read by muon alone", "optimizer.kind = \"muon\""],
    );
    // Written beside the kind, or varied with it, it may be meant for another run.
    plan("[optimizer]\nkind = \"sgd\"\nnesterov = false\n");
}

#[test]
fn unknown_words_are_rejected_with_the_nearest() {
    for (text, help) in [
        ("[model]\npreset = \"gpt2-larg\"\n", "did you mean \"gpt2-large\"?"),
        ("[data]\ncorpus = \"shakespeare\"\n", "did you mean \"tinyshakespeare\"?"),
        ("[hardware]\ndevice = \"gpu\"\n", "did you mean \"cuda\"?"),
        ("[hardware]\ndevice = \"cuda:x\"\n", "\"cuda:N\""),
        ("[hardware]\nrequires = [\"gpu\"]\n", "did you mean \"cuda\"?"),
        ("[optimizer]\nkind = \"adam\"\n", "did you mean \"adamw\"?"),
    ] {
        assert_problem(text, 2, &[help]);
    }
}

#[test]
fn a_problem_is_not_followed_by_others_that_come_from_it() {
    // Neither the default width nor the default block size take part in a rule when the key is in doubt.
    assert_problem("[model]\nhidden_size = 96\nn_head = 3\n", 2, &["`n_embd`"]);
    assert_problem(
        "[model]\nblock_size = \"1024\"\n[train]\nsequence_length = 512\n",
        2,
        &["leave the quotes away"],
    );
    // But unrelated rules are checked in the same pass.
    let both = errors("[model]\nlr = 1\nn_embd = 10\nn_head = 3\n");
    assert!(both.ends_with("2 problems in 1 file; nothing was started"), "{both}");
}

#[test]
fn a_number_format_that_the_device_does_not_have_is_rejected_with_those_it_has() {
    let text = "[hardware]\ndevice = \"cpu\"\ndtype = \"f16\"\n";
    assert_problem(
        text,
        3,
        &["f16 is mixed precision on NVIDIA GPUs", "hardware.dtype = \"bf16\"", "\"f32\""],
    );
    for device in ["cuda", "cuda:1"] {
        let text = format!("[hardware]\ndevice = \"{device}\"\ndtype = \"bf16\"\n");
        assert_problem(&text, 3, &["bf16 is for the processor", "hardware.dtype = \"f16\"", "\"cpu\""]);
    }
    for (device, dtype) in [("cpu", "bf16"), ("cuda", "f16"), ("auto", "bf16"), ("auto", "f16")] {
        plan(&format!("[hardware]\ndevice = \"{device}\"\ndtype = \"{dtype}\"\n"));
    }
}
