//! What was meant by a name that is none: a right key in another section, another program's name, its words, or the nearest by edit
//! distance. No hint is better than a wrong one: what differs by a word that has a meaning is no slip of the keyboard.

mod nearest;
mod sections;
#[cfg(test)]
mod tests;
mod values;

pub(super) use nearest::nearest_requirement;
pub(super) use sections::{SectionHint, for_section};
pub(super) use values::for_value;

use super::names::{self, EXTENDS, ForeignName, squashed, words};
use super::schema::{self, KEYS, Key, SECTIONS};

/// Whether a name may be one that a person wrote. What is longer is looked up nowhere: the words of a megabyte take their time.
fn is_legible(name: &str) -> bool {
    const LONGEST: usize = 200;
    name.len() <= LONGEST
}

/// What to say about a name that is not a key.
pub(super) struct Hint {
    /// The key meant, when there is little doubt.
    pub key: Option<&'static Key>,
    pub help: String,
}

/// How the help spells a key, so that it can be typed where the wrong one stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `learning_rate`, under the header of its section.
    Leaf,
    /// `optimizer.learning_rate`, in a sweep and after `--set`.
    Dotted,
}

/// What a name leads to.
enum Meaning {
    /// Of that spelling; the section may be another.
    Own(Vec<&'static Key>),
    Foreign(&'static ForeignName),
    /// By its words, or as a table for one section has it: the key, and where the meaning differs.
    Key(&'static Key, &'static str),
    Nearest(&'static Key),
    Absent(&'static str),
}

/// The hint for a name that stands with its section, if any, where one line sets one key: `wandb.project`.
pub(super) fn for_dotted(name: &str) -> Hint {
    let (section, leaf) = name.split_once('.').map_or((None, name), |(section, leaf)| (Some(section), leaf));
    for_key(section, leaf, Spelling::Dotted)
}

/// The hint for `name`, written in the section `written`, if any: one of ours or another program's.
pub(super) fn for_key(written: Option<&str>, name: &str, spelling: Spelling) -> Hint {
    let written = written.filter(|written| is_legible(written));
    if !is_legible(name) {
        return Hint { key: None, help: nothing_near(written.and_then(section_of), "") };
    }
    // Whatever stands before the last dot or slash is a section too: `trainer.max_epochs`, `optimizer/lr`.
    let (prefix, leaf) = match name.trim_start_matches('-').rsplit_once(['.', '/', ':']) {
        Some((prefix, leaf)) if !leaf.is_empty() => (prefix.rsplit(['.', '/', ':']).next(), leaf),
        _ => (None, name),
    };
    let is_header = |prefix: &&str| section_of(prefix).is_some() || names::section(prefix).is_some();
    let written = prefix.filter(is_header).or(written);
    let section = written.and_then(section_of);
    if let Some(("", why)) = written.and_then(names::section) {
        return told(Meaning::Absent(why), None, leaf, spelling);
    }
    // A section of which no key is ours alone: `method` in `[sweep]`.
    let apart = || {
        let foreign =
            written.filter(|_| section.is_none()).and_then(|own| names::in_section(own, &squashed(leaf)))?;
        Some(
            schema::key(foreign.key)
                .map_or(Meaning::Absent(foreign.note), |key| Meaning::Key(key, foreign.note)),
        )
    };
    let header = words::Words::of(written.unwrap_or_default());
    let meaning = apart()
        .or_else(|| meaning(written, section, leaf))
        .or_else(|| typo(section, leaf).map(Meaning::Nearest))
        .or_else(|| words::respelled(leaf).and_then(|leaf| meaning_or_absent(written, section, &leaf)))
        .or_else(|| {
            // What it holds has its place.
            let is_bag = bag(leaf).is_some_and(|rest| section_of(&rest).is_some());
            let why = words::absent_in(&words::Words::of(leaf), &header).filter(|_| !is_bag);
            why.map(Meaning::Absent)
        });
    match meaning {
        Some(meaning) => told(meaning, section, leaf, spelling),
        None => Hint { key: None, help: nothing_near(section, leaf) },
    }
}

/// The hint for a name in `[sweep]`, which has no keys of its own.
pub(super) fn for_sweep(name: &str) -> String {
    const VARIED: &str = "keys to vary stand in [sweep.grid], each with ";
    let others = || format!("{VARIED}every other; in [[sweep.zip]] together");
    if !is_legible(name) {
        return others();
    }
    if let Some(foreign) = names::in_section("sweep", &squashed(name)) {
        return schema::key(foreign.key).map_or_else(
            || foreign.note.to_owned(),
            |key| format!("the key is {}{}", spelled(key, None, Spelling::Leaf), aside(foreign.note)),
        );
    }
    if let Some(why) = words::absent(&words::Words::of(name)) {
        return why.to_owned();
    }
    let key = for_key(None, name, Spelling::Dotted).key;
    key.map_or_else(others, |key| format!("{VARIED}a list of its values: {} = [...]", key.name))
}

fn meaning_or_absent(written: Option<&str>, section: Option<&'static str>, leaf: &str) -> Option<Meaning> {
    meaning(written, section, leaf).or_else(|| words::absent(&words::Words::of(leaf)).map(Meaning::Absent))
}

/// The section of ours that is meant by a header.
fn section_of(written: &str) -> Option<&'static str> {
    let own = SECTIONS.iter().copied().find(|section| *section == written);
    own.or_else(|| {
        names::section(written).filter(|(section, _)| SECTIONS.contains(section)).map(|(section, _)| section)
    })
}

/// What is known of a name as it is written.
fn meaning(written: Option<&str>, section: Option<&'static str>, leaf: &str) -> Option<Meaning> {
    let name = squashed(leaf);
    let in_own = |is_meant: &dyn Fn(&Key) -> bool| {
        let key = section.and_then(|section| schema::keys_of(section).find(|key| is_meant(key)))?;
        Some(Meaning::Own(vec![key]))
    };
    let elsewhere = |is_meant: &dyn Fn(&Key) -> bool| {
        let keys =
            KEYS.iter().filter(|key| !matches!(key.section, "reference" | "scripted") && is_meant(key));
        Some(keys.collect::<Vec<_>>()).filter(|keys| !keys.is_empty()).map(Meaning::Own)
    };
    let exactly = |key: &Key| squashed(key.leaf) == name;
    let known = in_own(&exactly)
        .or_else(|| written.zip(section).and_then(|(written, section)| in_context(written, section, &name)))
        .or_else(|| elsewhere(&exactly))
        .or_else(|| names::foreign_name(leaf).map(Meaning::Foreign))
        .or_else(|| in_own(&|key| is_spelled(key, &name)))
        .or_else(|| elsewhere(&|key| is_spelled(key, &name)))
        .or_else(|| after_its_section(leaf));
    if known.is_some() {
        return known;
    }
    // `model_init_kwargs` holds settings, and is none.
    if bag(leaf).is_some() {
        return None;
    }
    let (name, header) = (words::Words::of(leaf), words::Words::of(written.unwrap_or_default()));
    // Samples of data are no samples of text that the model writes.
    let is_meant = |rule: &&words::Rule| section != Some("data") || !rule.key.starts_with("sample.");
    if let Some(rule) = words::rule(&name, section, &header).filter(is_meant) {
        return schema::key(rule.key).map(|key| Meaning::Key(key, rule.note));
    }
    if let Some(foreign) = names::foreign_plural(leaf) {
        return Some(Meaning::Foreign(foreign));
    }
    if let Some(denial) = words::without_denial(leaf) {
        return meaning(written, section, &denial).and_then(denied);
    }
    meaning(written, section, &after_a_head(leaf)?)
}

/// A name without what says whose it is: `opt_warmup_steps`, `train_save_every`. What validates or writes is told by all its words.
fn after_a_head(leaf: &str) -> Option<String> {
    const HEADS: &[&str] =
        &["opt", "optim", "optimizer", "train", "training", "trainer", "model", "data", "args", "hparams"];
    let parts = words::parts(leaf);
    let (head, rest) = parts.split_first()?;
    (HEADS.contains(&head.as_str()) && rest.len() > 1).then(|| rest.join("_"))
}

/// What `no_checkpoints` says, where `checkpoints` says this. A key that has no value for "none" is not what is meant.
fn denied(meaning: Meaning) -> Option<Meaning> {
    let key = match meaning {
        Meaning::Absent(why) => return Some(Meaning::Absent(why)),
        Meaning::Key(key, _) | Meaning::Nearest(key) => key,
        Meaning::Foreign(foreign) => match schema::key(foreign.key) {
            Some(key) => key,
            None => return Some(Meaning::Foreign(foreign)),
        },
        Meaning::Own(keys) => match keys[..] {
            [key] => key,
            _ => return None,
        },
    };
    match key.kind {
        schema::Kind::Switch => Some(Meaning::Key(key, names::OTHER_WAY)),
        _ => key.zero.map(|_| Meaning::Key(key, names::ZERO_IS_OFF)),
    }
}

/// A plural is the same word.
fn is_spelled(key: &Key, name: &str) -> bool {
    let own = squashed(key.leaf);
    own == name || own.strip_suffix('s').unwrap_or(&own) == name.strip_suffix('s').unwrap_or(name)
}

/// What a name says in this section alone.
fn in_context(written: &str, section: &'static str, name: &str) -> Option<Meaning> {
    let foreign = names::in_section(written, name).or_else(|| names::in_section(section, name))?;
    let key = match foreign.key {
        "" => return Some(Meaning::Absent(foreign.note)),
        key if key.contains('.') => schema::key(key),
        leaf => schema::keys_of(section).find(|key| key.leaf == leaf),
    };
    key.map(|key| Meaning::Key(key, foreign.note))
}

/// A name that begins with its section: `optimizer_weight_decay`, `sampling_every`.
fn after_its_section(leaf: &str) -> Option<Meaning> {
    /// Other programs' headers that names begin with.
    const HEADS: &[&str] = &[
        "optim",
        "opt",
        "scheduler",
        "sched",
        "sampling",
        "generation",
        "gen",
        "ckpt",
        "trainer",
        "training",
        "eval",
        "val",
    ];
    let parts = words::parts(leaf);
    (1..parts.len()).rev().find_map(|length| {
        let head = parts[..length].join("_");
        if !SECTIONS.contains(&head.as_str()) && !HEADS.contains(&head.as_str()) {
            return None;
        }
        let section = section_of(&head)?;
        let rest = squashed(&parts[length..].join("_"));
        // `eval_batch_size` is not `train.batch_size`.
        let whole = !matches!(head.as_str(), "eval" | "val");
        let own = schema::keys_of(section).find(|key| whole && is_spelled(key, &rest));
        let section = if whole { section } else { "" };
        let foreign = || {
            let inside = |foreign: &&ForeignName| foreign.key.split('.').next() == Some(section);
            names::foreign_name(&rest).filter(inside).map(Meaning::Foreign)
        };
        own.map(|key| Meaning::Own(vec![key])).or_else(|| in_context(&head, section, &rest)).or_else(foreign)
    })
}

fn typo(section: Option<&'static str>, leaf: &str) -> Option<&'static Key> {
    section
        .and_then(|section| nearest::key(leaf, schema::keys_of(section)))
        .or_else(|| nearest::key(leaf, KEYS.iter()))
}

fn told(meaning: Meaning, section: Option<&'static str>, leaf: &str, spelling: Spelling) -> Hint {
    let found = |key: &'static Key, help: String| Hint { key: Some(key), help };
    match meaning {
        Meaning::Own(keys) => own(&keys, section, spelling),
        Meaning::Nearest(key) => found(key, format!("did you mean {}?", spelled(key, section, spelling))),
        Meaning::Key(key, note) => {
            found(key, format!("the key is {}{}", spelled(key, section, spelling), aside(note)))
        }
        Meaning::Absent(why) => Hint { key: None, help: format!("there is no such key: {why}") },
        Meaning::Foreign(foreign) => {
            let whose = match foreign.used_by {
                names::COMMON => String::new(),
                _ if squashed(foreign.name) != squashed(leaf) => String::new(),
                program => format!(" ({program}'s `{}`)", leaf.to_lowercase().replace('-', "_")),
            };
            match schema::key(foreign.key) {
                Some(key) => {
                    let spelled = spelled(key, section, spelling);
                    found(key, format!("the key is {spelled}{whose}{}", aside(foreign.note)))
                }
                None if foreign.key == EXTENDS => Hint {
                    key: None,
                    help: format!("write extends = \"parent.toml\" at the head of the file{whose}"),
                },
                None => Hint { key: None, help: format!("there is no such key: {}", foreign.note) },
            }
        }
    }
}

fn aside(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!("; {note}") }
}

/// A key of ours that is spelled otherwise, or stands elsewhere.
fn own(keys: &[&'static Key], section: Option<&str>, spelling: Spelling) -> Hint {
    let [first, rest @ ..] = keys else { return Hint { key: None, help: String::new() } };
    let help = if section == Some(first.section) {
        format!("it is written {}", spelled(first, section, spelling))
    } else if spelling == Spelling::Leaf {
        let sections: Vec<String> = keys.iter().map(|key| format!("[{}]", key.section)).collect();
        format!("`{}` belongs in {}", first.leaf, sections.join(" or "))
    } else {
        let names: Vec<String> = keys.iter().map(|key| format!("`{}`", key.name)).collect();
        format!("write {}", names.join(" or "))
    };
    Hint { key: rest.is_empty().then_some(*first), help }
}

/// What there is about the same thing, or in the same section.
fn nothing_near(section: Option<&'static str>, leaf: &str) -> String {
    if let Some(rest) = bag(leaf) {
        let own = section_of(&rest).filter(|_| names::section(&rest).is_none_or(|(_, note)| note.is_empty()));
        let alone = own.is_none().then(|| meaning(None, section, &rest)).flatten();
        if let Some(Hint { key: Some(key), .. }) = alone.map(|one| told(one, section, &rest, Spelling::Leaf))
        {
            let key = spelled(key, section, Spelling::Leaf);
            return format!("there is no such key: of it there is {key} alone");
        }
        return match own {
            Some(section) => {
                format!("there is no such key: what it holds are keys of [{section}], each for itself")
            }
            None => "there is no such key: settings are keys of their sections, each for itself; `runner explain` lists them".into(),
        };
    }
    // A section of its own, written as a key of another.
    match section_of(leaf).map_or_else(|| names::section(leaf), |own| Some((own, ""))) {
        Some(("", why)) => return format!("there is no such key: {why}"),
        Some((own, _)) if section.is_some_and(|section| section != own) && SECTIONS.contains(&own) => {
            return format!("there is no such key: what it holds are keys of [{own}], each for itself");
        }
        _ => {}
    }
    // Samples of data are no samples of text that the model writes.
    let of_data = |keys: &&str| section == Some("data") && keys.starts_with("of samples");
    if let Some(keys) = words::topic(&words::Words::of(leaf)).filter(|keys| !of_data(keys)) {
        return no_such(keys);
    }
    let subject =
        words::subject(&words::Words::of(leaf)).filter(|_| section.and_then(names::whole).is_none());
    if let Some(keys) = subject {
        return no_such(keys);
    }
    match section {
        Some(section) => {
            let leaves: Vec<&str> = schema::keys_of(section).map(|key| key.leaf).collect();
            let keys = format!("the keys of [{section}] are {}", leaves.join(", "));
            names::whole(section).map_or(keys.clone(), |why| format!("there is no such key: {why}; {keys}"))
        }
        None => "`runner explain` lists all keys".into(),
    }
}

/// What there is instead, or why there is nothing.
fn no_such(instead: &str) -> String {
    let sign = if instead.starts_with("of ") { ';' } else { ':' };
    format!("there is no such key{sign} {instead}")
}

/// What stands before the end of a name that means several settings together: `optimizer_kwargs`, `model_config`.
fn bag(leaf: &str) -> Option<String> {
    const ENDS: &[&str] = &["args", "kwargs", "config", "cfg", "conf", "dict", "opts"];
    /// These count or name something else as well: `num_params`.
    const OF_SECTIONS: &[&str] = &["params", "parameters", "settings", "options", "arguments"];
    let parts = words::parts(leaf);
    let (last, rest) = parts.split_last()?;
    let (last, rest) = (last.as_str(), rest.join("_"));
    let ends = ENDS.contains(&last) || OF_SECTIONS.contains(&last) && section_of(&rest).is_some();
    (ends && !rest.is_empty()).then_some(rest)
}

fn spelled(key: &Key, section: Option<&str>, spelling: Spelling) -> String {
    match spelling {
        Spelling::Dotted => format!("`{}`", key.name),
        Spelling::Leaf if section == Some(key.section) => format!("`{}`", key.leaf),
        Spelling::Leaf => format!("`{}` in [{}]", key.leaf, key.section),
    }
}
