//! A parsed file's sections, checked key by key against the table of keys.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::check;
use super::document::Document;
use super::error::{ConfigError, Place};
use super::hint::{self, SectionHint, Spelling};
use super::layers::{Layer, Setting};
use super::provenance::Origin;
use super::schema::{self, Key, Kind, SECTIONS};
use super::sweep::{self, Sweep};
use super::value::{kind_of, plain, shortened, value_text};

/// What is wrong so far, and which keys are in doubt because of it: rules between keys leave those alone, so that one
/// mistake is reported once.
#[derive(Debug, Default)]
pub(in crate::config) struct Findings {
    pub problems: Vec<ConfigError>,
    pub doubtful: BTreeSet<&'static str>,
}

/// Problems of one file after which nobody reads on. What made them all is no experiment file.
const MAX_PROBLEMS: usize = 1_000;

impl Findings {
    pub fn add(&mut self, problem: ConfigError) {
        self.problems.push(problem);
    }

    /// Whether there are so many problems that it is better to stop looking.
    pub fn are_enough(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    pub fn doubt(&mut self, key: Option<&'static Key>) {
        self.doubtful.extend(key.map(|key| key.name));
    }
}

/// What one file says.
#[derive(Debug, Default)]
pub(in crate::config) struct Sections {
    pub layer: Layer,
    /// The files it extends as written, with their places.
    pub extends: Vec<(String, Place)>,
    pub sweep: Sweep,
}

/// Reads all sections of a file.
pub(in crate::config) fn read(document: &Document, table: &DeTable<'_>, findings: &mut Findings) -> Sections {
    let mut sections = Sections::default();
    for (name, item) in table {
        if findings.are_enough() {
            break;
        }
        let place = document.place(name.span());
        let name = name.get_ref().as_ref();
        match name {
            "extends" => sections.extends = read_extends(document, item, findings),
            "sweep" => sections.sweep = sweep::read(document, item, place, findings),
            _ if SECTIONS.contains(&name) => match item.get_ref() {
                DeValue::Table(keys) => read_keys(document, name, name, keys, &mut sections.layer, findings),
                DeValue::Array(_) if document.text[name_line(document, &place)..].starts_with("[[") => {
                    findings.add(
                        ConfigError::new(place, format!("[{name}] is one section, not a list of them"))
                            .help(format!("write [{name}] with single brackets")),
                    );
                }
                _ => findings.add(
                    ConfigError::new(place, format!("`{name}` is a section, not a key"))
                        .help(format!("write [{name}] on a line of its own and its keys below")),
                ),
            },
            _ => match item.get_ref() {
                DeValue::Table(keys) => {
                    let meant = hint::for_section(name);
                    let problem = ConfigError::new(place, format!("unknown section [{}]", shortened(name)));
                    findings.add(problem.help(section_help(&meant)));
                    // What stands in it is checked as if it were called right, so that all is said at once.
                    if let SectionHint::Meant(section, _) = meant
                        && SECTIONS.contains(&section)
                    {
                        read_keys(document, section, name, keys, &mut sections.layer, findings);
                    }
                }
                _ => {
                    let hint = hint::for_key(None, name, Spelling::Leaf);
                    findings.doubt(hint.key);
                    let name = shortened(name);
                    let problem = ConfigError::new(place, format!("`{name}` stands outside of any section"));
                    findings.add(problem.key(name).help(hint.help));
                }
            },
        }
    }
    if let Err(problem) = sections.layer.close() {
        findings.doubt(schema::key("data.path"));
        findings.add(problem);
    }
    sections
}

/// Byte of the start of a place's line.
fn name_line(document: &Document, place: &Place) -> usize {
    let Place::Line(place) = place else { return 0 };
    document.text.split_inclusive('\n').take(place.line - 1).map(str::len).sum()
}

fn read_extends(
    document: &Document,
    item: &Spanned<DeValue<'_>>,
    findings: &mut Findings,
) -> Vec<(String, Place)> {
    let one = |item: &Spanned<DeValue<'_>>| {
        let path = item.get_ref().as_str().filter(|path| !path.is_empty())?;
        Some((path.to_owned(), document.place(item.span())))
    };
    let parents: Option<Vec<_>> = match item.get_ref() {
        DeValue::Array(items) => items.iter().map(one).collect(),
        _ => one(item).map(|parent| vec![parent]),
    };
    parents.unwrap_or_else(|| {
        let problem =
            ConfigError::new(document.place(item.span()), "`extends` must be a path or a list of paths");
        findings.add(problem.key("extends").help("write extends = \"parent.toml\""));
        Vec::new()
    })
}

/// What to do about a header that is none.
fn section_help(meant: &SectionHint) -> String {
    match meant {
        SectionHint::Meant("extends", _) => "write extends = \"parent.toml\" at the head of the file".into(),
        SectionHint::Meant("sweep.zip", _) => "did you mean [[sweep.zip]]?".into(),
        SectionHint::Meant(meant, "") => format!("did you mean [{meant}]?"),
        SectionHint::Meant(meant, note) => format!("did you mean [{meant}]? {note}"),
        SectionHint::Absent(why) => format!("there is no such section: {why}"),
        SectionHint::Unknown => format!("the sections are {}, sweep", SECTIONS.join(", ")),
    }
}

/// Reads the keys of a section, which its header may call something else.
fn read_keys(
    document: &Document,
    section: &str,
    written: &str,
    keys: &DeTable<'_>,
    layer: &mut Layer,
    findings: &mut Findings,
) {
    for (leaf, item) in keys {
        if findings.are_enough() {
            break;
        }
        let name = leaf.get_ref().as_ref();
        let Some(key) = schema::key(&format!("{section}.{name}")) else {
            unknown_key(document.place(leaf.span()), section, written, name, item.get_ref(), findings);
            continue;
        };
        let place = document.place(item.span());
        if let Some(value) = checked(document, key, item.get_ref(), place.clone(), findings) {
            let origin = if document.is_frozen() { Origin::Frozen(place) } else { Origin::Written(place) };
            layer.set(Setting { key, value, origin });
        }
    }
}

/// The checked value of a key; otherwise the problem is noted.
pub(in crate::config) fn checked(
    document: &Document,
    key: &'static Key,
    item: &DeValue<'_>,
    place: Place,
    findings: &mut Findings,
) -> Option<toml::Value> {
    let (what, help) = match plain(item) {
        Ok(value) => match check(key, value, document.base()) {
            Ok(value) => return Some(value),
            Err(complaint) => (complaint.what, complaint.help),
        },
        Err(_) => {
            (format!("`{}` must be {}, and this number is far outside", key.name, key.kind.describe()), None)
        }
    };
    findings.doubt(Some(key));
    let mut problem = ConfigError::new(place, what).key(key.name);
    problem.help = help;
    findings.add(problem);
    None
}

fn unknown_key(
    place: Place,
    section: &str,
    written: &str,
    name: &str,
    item: &DeValue<'_>,
    findings: &mut Findings,
) {
    let short = shortened(name);
    if let DeValue::Table(_) = item {
        let problem = ConfigError::new(place, format!("there is no section [{section}.{short}]"));
        let kinds = schema::keys_of(section).find_map(|key| match key.kind {
            Kind::Choice(words) if key.leaf == "kind" && words.contains(&name) => Some(key.leaf),
            _ => None,
        });
        findings.add(match (kinds, hint::for_section(name)) {
            (Some(leaf), _) => {
                problem.help(format!("write {leaf} = \"{name}\" and the other keys in [{section}]"))
            }
            (None, SectionHint::Meant(meant, _)) if meant != section => {
                problem.help(format!("did you mean [{meant}]? sections do not stand in others"))
            }
            (None, SectionHint::Absent(why)) => problem.help(format!("there is nothing of the kind: {why}")),
            _ => problem.help(format!("keys stand directly in [{section}]")),
        });
        return;
    }
    let hint = hint::for_key(Some(written), name, Spelling::Leaf);
    findings.doubt(hint.key);
    let value = hint.key.and_then(|key| meant_word(key, item)).unwrap_or_default();
    let problem = ConfigError::new(place, format!("unknown key `{short}` in [{section}]"));
    findings.add(problem.key(format!("{section}.{short}")).help(format!("{}{value}", hint.help)));
}

/// What else is to be said of a value that was written for a key of another name.
fn meant_word(key: &'static Key, item: &DeValue<'_>) -> Option<String> {
    let (Kind::Choice(words), Some(word)) = (key.kind, item.as_str()) else { return None };
    if words.contains(&word) {
        return Some(format!(", {} = \"{word}\"", key.leaf));
    }
    hint::for_value(key, word, words).map(|help| format!("; for \"{}\": {help}", shortened(word)))
}

/// A parsed value in words for a message: `the string "x"`.
pub(in crate::config) fn shown(item: &DeValue<'_>) -> String {
    match plain(item) {
        Ok(value) => format!("{} ({})", shortened(&value_text(&value)), kind_of(&value)),
        Err(_) => "a number that is too large".into(),
    }
}
