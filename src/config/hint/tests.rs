use super::super::schema;
use super::*;

fn help(section: Option<&str>, leaf: &str) -> String {
    let spelling = if section.is_some() { Spelling::Leaf } else { Spelling::Dotted };
    for_key(section, leaf, spelling).help
}

#[test]
fn names_of_other_programs_lead_to_the_key_that_is_meant() {
    assert_eq!(help(Some("optimizer"), "lr"), "the key is `learning_rate` (PyTorch's `lr`)");
    assert_eq!(help(Some("train"), "lr"), "the key is `learning_rate` in [optimizer] (PyTorch's `lr`)");
    assert_eq!(help(None, "lr"), "the key is `optimizer.learning_rate` (PyTorch's `lr`)");
    assert!(help(Some("schedule"), "warmup_ratio").ends_with("a number of steps here"));
}

#[test]
fn a_right_key_in_the_wrong_section_is_sent_to_the_right_one() {
    assert_eq!(help(Some("model"), "batch_size"), "`batch_size` belongs in [train]");
    assert_eq!(help(Some("model"), "interval"), "`interval` belongs in [checkpoint] or [sample]");
    assert_eq!(help(None, "batch_size"), "write `train.batch_size`");
    assert_eq!(help(Some("train"), "decay_steps"), "`decay_steps` belongs in [schedule]");
}

#[test]
fn misspellings_lead_to_the_nearest_key_and_nonsense_to_none() {
    assert_eq!(help(Some("train"), "batchsize"), "it is written `batch_size`");
    assert_eq!(help(Some("train"), "Batch-Size"), "it is written `batch_size`");
    assert_eq!(help(Some("train"), "batchSize"), "it is written `batch_size`");
    assert_eq!(help(Some("train"), "batch_sise"), "did you mean `batch_size`?");
    assert_eq!(help(Some("model"), "wieght_decay"), "did you mean `weight_decay` in [optimizer]?");
    assert!(help(Some("target"), "zzzzzz").ends_with("the keys of [target] are metric, threshold"));
    // A slip in another program's name.
    assert!(help(Some("schedule"), "wramup_iters").starts_with("the key is `warmup_steps`"));
}

#[test]
fn a_word_with_a_meaning_of_its_own_is_no_slip() {
    for (section, leaf) in [("checkpoint", "keep_best"), ("schedule", "step_size"), ("train", "max_stages")] {
        let hint = for_key(Some(section), leaf, Spelling::Leaf);
        assert!(hint.key.is_none(), "{leaf}: {}", hint.help);
    }
}

#[test]
fn sections_have_hints_too() {
    assert_eq!(for_section("training"), SectionHint::Meant("train", ""));
    assert_eq!(for_section("TrainingArguments"), SectionHint::Meant("train", ""));
    assert_eq!(for_section("optimzer"), SectionHint::Meant("optimizer", ""));
    assert!(matches!(for_section("wandb"), SectionHint::Absent(why) if why.contains("metrics.csv")));
    assert!(matches!(for_section("fsdp_config"), SectionHint::Absent(why) if why.contains("--jobs")));
    assert_eq!(for_section("zzz"), SectionHint::Unknown);
}

#[test]
fn values_have_hints_too() {
    let hint = |name: &str, word: &str| {
        let key = schema::key(name).expect("a key");
        let schema::Kind::Choice(words) = key.kind else { panic!("{name} is no choice") };
        for_value(key, word, words).unwrap_or_default()
    };
    assert_eq!(hint("schedule.kind", "WSD"), "did you mean \"warmup-stable-decay\"?");
    assert_eq!(hint("schedule.kind", "cosin"), "did you mean \"cosine\"?");
    assert_eq!(hint("optimizer.kind", "AdamW"), "did you mean \"adamw\"?");
    assert!(hint("optimizer.kind", "adam").starts_with("did you mean \"adamw\"? its weight decay is apart"));
    assert!(hint("optimizer.kind", "lion").starts_with("there is no such optimizer"));
    assert!(hint("schedule.kind", "cosine_with_restarts").contains("\"cosine\"? it falls once"));
    assert!(hint("optimizer.kind", "wsd").ends_with("write kind = \"warmup-stable-decay\" in [schedule]"));
    assert!(hint("schedule.kind", "adamw").ends_with("write kind = \"adamw\" in [optimizer]"));
}

#[test]
fn what_other_programs_have_in_their_sweeps_is_told_apart_from_keys_to_vary() {
    assert!(for_sweep("method").contains("nothing is searched"));
    assert_eq!(for_sweep("study_name"), "the key is `name` in [experiment]");
    assert!(for_sweep("lr").ends_with("each with a list of its values: optimizer.learning_rate = [...]"));
    assert!(for_sweep("zzzz").starts_with("keys to vary stand in [sweep.grid], each with every other"));
}

#[test]
fn a_switch_that_denies_is_told_the_other_way_round() {
    assert!(help(Some("model"), "no_bias").starts_with("the key is `bias`; the other way round"));
    assert!(help(Some("train"), "disable_shuffling").contains("true there is \"sequential\" here"));
    assert_eq!(help(Some("checkpoint"), "no_checkpoints"), "the key is `interval`; 0 switches it off");
    assert!(help(Some("train"), "skip_eval").starts_with("the key is `eval_interval`; 0 switches"));
    // A count is no denial.
    assert!(help(Some("model"), "no_of_layers").starts_with("the key is `n_layer`"));
}

#[test]
fn settings_of_what_is_one_key_here_say_so() {
    let hint = help(Some("train"), "gradient_checkpointing_kwargs");
    assert_eq!(hint, "there is no such key: of it there is `activation_checkpointing` alone");
    assert!(
        help(Some("train"), "optimizer_kwargs")
            .ends_with("what it holds are keys of [optimizer], each for itself")
    );
}

#[test]
fn words_written_together_are_taken_apart() {
    assert!(help(Some("train"), "evalevery").starts_with("the key is `eval_interval`"));
    assert!(help(Some("model"), "qkvbias").starts_with("the key is `bias`"));
}
