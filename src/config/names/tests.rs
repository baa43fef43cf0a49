use super::*;
use crate::config::schema::{self, Kind, SECTIONS};

#[test]
fn every_foreign_name_leads_to_a_key_or_says_why_not() {
    let mut seen: Vec<String> = Vec::new();
    for foreign in all() {
        let name = foreign.name;
        let known = schema::key(foreign.key).is_some() || foreign.key == EXTENDS || foreign.key.is_empty();
        assert!(known, "{name} -> {}", foreign.key);
        assert!(!(foreign.key.is_empty() && foreign.note.is_empty()), "{name} leads nowhere");
        assert!(!seen.contains(&squashed(name)), "{name} stands there twice");
        seen.push(squashed(name));
        let ours = schema::KEYS
            .iter()
            .any(|key| key.leaf == name && !matches!(key.section, "reference" | "scripted"));
        assert!(!ours, "{name} is ours");
    }
}

#[test]
fn every_name_of_one_section_leads_to_a_key_or_says_why_not() {
    for foreign in CONTEXTS {
        for section in foreign.within.split(' ') {
            // It has no keys of its own.
            if section == "sweep" {
                assert!(foreign.key.is_empty() || schema::key(foreign.key).is_some(), "{}", foreign.name);
                continue;
            }
            let own = SECTIONS.iter().copied().find(|own| *own == section);
            let Some(meant) = own.or_else(|| super::section(section).map(|(ours, _)| ours)) else {
                panic!("{section} is no section");
            };
            let key = match foreign.key {
                "" => continue,
                key if key.contains('.') => schema::key(key),
                leaf => schema::keys_of(meant).find(|key| key.leaf == leaf),
            };
            assert!(key.is_some(), "{section}: {} -> {}", foreign.name, foreign.key);
        }
        assert!(!(foreign.key.is_empty() && foreign.note.is_empty()), "{} leads nowhere", foreign.name);
    }
}

#[test]
fn every_rule_of_words_leads_to_a_key() {
    for rule in words::rules() {
        assert!(schema::key(rule.key).is_some(), "{}", rule.key);
    }
}

/// The first that fits is taken.
#[test]
fn nothing_that_there_is_not_stands_behind_what_takes_all_its_names() {
    let has_all = |all: &str, few: &str| few.split(' ').all(|word| all.split(' ').any(|one| one == word));
    let mut before: Vec<&words::Absent> = Vec::new();
    for absent in words::absences() {
        let takes_all = |other: &&words::Absent| {
            other.all.iter().all(|all| absent.all.iter().any(|few| has_all(all, few)))
        };
        assert!(!before.iter().any(takes_all), "{:?} is never reached", absent.all);
        before.push(absent);
    }
}

#[test]
fn every_shared_name_is_a_key() {
    assert!(SHARED.iter().all(|(key, _)| schema::key(key).is_some()));
}

#[test]
fn every_foreign_section_and_value_leads_to_one_of_ours_or_says_why_not() {
    for (name, section, note) in FOREIGN_SECTIONS {
        let known = SECTIONS.contains(section) || section.starts_with("sweep.") || *section == EXTENDS;
        assert!(known || section.is_empty() && !note.is_empty(), "{name} -> {section}");
        assert!(!SECTIONS.contains(name), "{name} is a section");
    }
    for (key, word, ours, note) in FOREIGN_VALUES {
        assert!(!(ours.is_empty() && note.is_empty()), "{key} = {word} leads nowhere");
        match schema::key(key).expect(key).kind {
            Kind::Choice(words) => {
                assert!(ours.is_empty() || words.contains(ours), "{key} = {word}");
                assert!(!words.contains(word), "{key} = {word} is ours");
            }
            Kind::Device => assert_eq!(*ours, "cuda"),
            kind => panic!("{key} is {kind:?}"),
        }
    }
}

#[test]
fn what_a_value_is_made_of_leads_to_one_of_ours_or_says_why_not() {
    for (key, ours, note) in value_words::all() {
        assert!(!(ours.is_empty() && note.is_empty()), "{key} leads nowhere");
        let Kind::Choice(words) = schema::key(key).expect(key).kind else { panic!("{key} is no choice") };
        assert!(ours.is_empty() || words.contains(&ours), "{key} = {ours}");
    }
    let meant = |key, word| value_by_words(key, word).map(|(ours, _)| ours);
    assert_eq!(meant("optimizer.kind", "paged_adamw_8bit"), Some("adamw"));
    assert_eq!(meant("optimizer.kind", "torch.optim.SGD"), Some("sgd"));
    assert_eq!(meant("optimizer.kind", "schedule_free_radam"), Some(""));
    assert_eq!(meant("schedule.kind", "get_cosine_with_hard_restarts_schedule_with_warmup"), Some("cosine"));
    assert_eq!(meant("hardware.dtype", "torch.bfloat16"), Some("bf16"));
    assert_eq!(meant("model.preset", "openai/gpt2_345M"), Some("gpt2-medium"));
    assert_eq!(meant("data.order", "RandomSampler"), Some("shuffled_epochs"));
    assert_eq!(meant("target.metric", "validation/cross_entropy"), Some("val_loss"));
    assert_eq!(meant("target.metric", "zzz"), None);
}

#[test]
fn words_that_are_no_models_say_what_to_do_instead() {
    for (words, note) in INIT_WORDS {
        assert!(words.split(' ').all(|word| init_word(word) == Some(note)), "{words}");
    }
    assert!(init_word("scratch").is_some_and(|note| note.contains("leave `init_from` out")));
    assert!(init_word("Resume").is_some_and(|note| note.contains("runner resume")));
    assert!(init_word("gpt2-xl").is_some_and(|note| note.contains("hf download")));
    assert_eq!(init_word("lr-sweep"), None);
}
