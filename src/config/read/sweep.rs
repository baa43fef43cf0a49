//! `[sweep.grid]` and `[[sweep.zip]]`: several runs from one file.

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

use super::document::Document;
use super::error::{ConfigError, Place};
use super::hint;
use super::layers::Setting;
use super::provenance::Origin;
use super::schema::{self, Key, SECTIONS};
use super::sections::{Findings, checked, shown};
use super::value::shortened;
use crate::units;

/// Most runs of one experiment. More are a slip in a grid.
pub const MAX_RUNS: u64 = 10_000;

/// The sweep of one file: the product of its blocks. Without blocks it has one point, which sets nothing.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Sweep {
    pub blocks: Vec<Block>,
}

/// Axes whose values go together, all of one length: one axis of the grid, or one `[[sweep.zip]]`.
#[derive(Clone, Debug)]
pub(in crate::config) struct Block {
    pub axes: Vec<Axis>,
}

/// A key and its values, each with its place.
#[derive(Clone, Debug)]
pub(in crate::config) struct Axis {
    pub key: &'static Key,
    pub values: Vec<(Value, Place)>,
    pub place: Place,
}

impl Block {
    fn len(&self) -> usize {
        self.axes.first().map_or(0, |axis| axis.values.len())
    }

    /// Whether it varies this key and no other.
    fn is_of(&self, key: &Key) -> bool {
        matches!(self.axes.as_slice(), [axis] if axis.key.name == key.name)
    }
}

impl Sweep {
    /// How many points there are; `None` when there are too many to count.
    pub fn count(&self) -> Option<u64> {
        self.blocks.iter().try_fold(1u64, |count, block| count.checked_mul(block.len() as u64))
    }

    /// The settings of point `index`; the last block varies fastest.
    pub fn point(&self, mut index: u64) -> Vec<Setting> {
        let mut settings = Vec::new();
        for block in self.blocks.iter().rev() {
            let len = block.len().max(1) as u64;
            let position = (index % len) as usize;
            index /= len;
            let chosen = block.axes.iter().rev().filter_map(|axis| {
                let (value, place) = axis.values.get(position)?;
                Some(Setting { key: axis.key, value: value.clone(), origin: Origin::Sweep(place.clone()) })
            });
            settings.extend(chosen);
        }
        settings.reverse();
        settings
    }

    /// Drops the axes that `is_fixed` elsewhere: what `--set` sets is one value and no axis.
    pub fn without(mut self, is_fixed: impl Fn(&'static Key) -> bool) -> Sweep {
        for block in &mut self.blocks {
            block.axes.retain(|axis| !is_fixed(axis.key));
        }
        self.blocks.retain(|block| !block.axes.is_empty());
        self
    }

    /// Takes axes that are given elsewhere: in the place of the file's own, so that the same runs keep their names, or else at the
    /// end. Of all, the last varies fastest.
    pub fn with(mut self, axes: &[Axis]) -> Sweep {
        for axis in axes {
            let block = Block { axes: vec![axis.clone()] };
            match self.blocks.iter_mut().find(|own| own.is_of(axis.key)) {
                Some(own) => *own = block,
                None => {
                    self = self.without(|key| key.name == axis.key.name);
                    self.blocks.push(block);
                }
            }
        }
        self
    }

    /// Where the sweep begins.
    pub fn place(&self) -> Option<&Place> {
        self.axes().next().map(|axis| &axis.place)
    }

    fn axes(&self) -> impl Iterator<Item = &Axis> {
        self.blocks.iter().flat_map(|block| &block.axes)
    }
}

/// Reads the `sweep` section.
pub(in crate::config) fn read(
    document: &Document,
    item: &Spanned<DeValue<'_>>,
    place: Place,
    findings: &mut Findings,
) -> Sweep {
    let mut sweep = Sweep::default();
    let DeValue::Table(table) = item.get_ref() else {
        findings
            .add(ConfigError::new(place, "`sweep` is a section").help("write [sweep.grid] or [[sweep.zip]]"));
        return sweep;
    };
    for (name, item) in table {
        let place = document.place(name.span());
        match (name.get_ref().as_ref(), item.get_ref()) {
            ("grid", DeValue::Table(grid)) => {
                for axis in read_axes(document, grid, &sweep, findings) {
                    sweep.blocks.push(Block { axes: vec![axis] });
                }
            }
            ("zip", DeValue::Array(zips)) => {
                for zip in zips.iter() {
                    if findings.are_enough() {
                        break;
                    }
                    match zip.get_ref() {
                        DeValue::Table(zip) => read_zip(document, zip, &mut sweep, findings),
                        other => findings.add(
                            ConfigError::new(
                                document.place(zip.span()),
                                format!("not a table of keys: {}", shown(other)),
                            )
                            .help("write [[sweep.zip]] on a line of its own and its keys below"),
                        ),
                    }
                }
            }
            ("zip", DeValue::Table(_)) => findings
                .add(ConfigError::new(place, "[sweep.zip] is a list of blocks").help(
                    "write [[sweep.zip]] with double brackets: each block has values that go together",
                )),
            ("grid", _) => findings.add(
                ConfigError::new(place, "`sweep.grid` is a section")
                    .help("write [sweep.grid] with its keys below"),
            ),
            (name, _) => findings.add(
                ConfigError::new(place, format!("unknown key `{}` in [sweep]", shortened(name)))
                    .key(format!("sweep.{}", shortened(name)))
                    .help(hint::for_sweep(name)),
            ),
        }
    }
    sweep
}

fn read_zip(document: &Document, zip: &DeTable<'_>, sweep: &mut Sweep, findings: &mut Findings) {
    let axes = read_axes(document, zip, sweep, findings);
    if let Some(first) = axes.first()
        && let Some(odd) = axes.iter().find(|axis| axis.values.len() != first.values.len())
    {
        let lengths: Vec<String> =
            axes.iter().map(|axis| format!("`{}` has {}", axis.key.name, axis.values.len())).collect();
        let what = format!("values of a [[sweep.zip]] go together, but {}", lengths.join(", "));
        let problem = ConfigError::new(odd.place.clone(), what).key(odd.key.name);
        findings.add(
            problem.help("give each key the same number of values, or use [sweep.grid] for all combinations"),
        );
        axes.iter().for_each(|axis| findings.doubt(Some(axis.key)));
        return;
    }
    if !axes.is_empty() {
        sweep.blocks.push(Block { axes });
    }
}

/// The axes of one table, without those that have problems, which are noted.
fn read_axes(document: &Document, table: &DeTable<'_>, sweep: &Sweep, findings: &mut Findings) -> Vec<Axis> {
    let mut leaves = Vec::new();
    flatten("", table, &mut leaves);
    let mut axes: Vec<Axis> = Vec::new();
    for (name, key_span, item) in leaves {
        if findings.are_enough() {
            break;
        }
        let place = document.place(key_span);
        let Some(key) = schema::key(&name) else {
            unknown_axis(place, &name, findings);
            continue;
        };
        let earlier = sweep.axes().chain(&axes).find(|axis| axis.key.name == key.name);
        if let Some(earlier) = earlier {
            let problem = ConfigError::new(place, format!("`{name}` is swept twice")).key(name);
            findings.add(
                problem
                    .note(format!("the other one is at {}", earlier.place.short()))
                    .help("keep one of the two"),
            );
            continue;
        }
        if !key.can_be_swept() {
            let problem = ConfigError::new(place, format!("`{name}` cannot be swept")).key(name);
            findings.add(problem.help("it belongs to the experiment as a whole"));
            continue;
        }
        if let Some(values) = read_values(document, key, item, findings) {
            axes.push(Axis { key, values, place });
        }
    }
    axes
}

fn read_values(
    document: &Document,
    key: &'static Key,
    item: &Spanned<DeValue<'_>>,
    findings: &mut Findings,
) -> Option<Vec<(Value, Place)>> {
    let place = document.place(item.span());
    let DeValue::Array(items) = item.get_ref() else {
        findings.doubt(Some(key));
        let what =
            format!("a sweep needs a list of values for `{}`, not {}", key.name, shown(item.get_ref()));
        let problem = ConfigError::new(place, what).key(key.name);
        findings.add(problem.help(format!("for a single value set `{}` in [{}]", key.leaf, key.section)));
        return None;
    };
    if items.is_empty() {
        findings.doubt(Some(key));
        let problem =
            ConfigError::new(place, format!("the sweep over `{}` has no values", key.name)).key(key.name);
        findings.add(problem.help("give at least one value, or remove the line"));
        return None;
    }
    if items.len() as u64 > MAX_RUNS {
        findings.doubt(Some(key));
        findings.add(too_many(&place, Some(items.len() as u64)).key(key.name));
        return None;
    }
    let mut values = Vec::new();
    for item in items.iter() {
        if findings.are_enough() {
            break;
        }
        let place = document.place(item.span());
        values.extend(
            checked(document, key, item.get_ref(), place.clone(), findings).map(|value| (value, place)),
        );
    }
    (values.len() == items.len()).then_some(values)
}

/// More runs than there may be of one experiment; `None` when nobody can count them.
pub(in crate::config) fn too_many(place: &Place, count: Option<u64>) -> ConfigError {
    let count =
        count.map_or("more runs than can be counted".into(), |count| format!("{} runs", units::count(count)));
    let problem = ConfigError::new(
        place.clone(),
        format!("these are {count}; at most {} are allowed", units::count(MAX_RUNS)),
    );
    problem.help("a grid multiplies its axes; values that belong together stand in a [[sweep.zip]]")
}

fn unknown_axis(place: Place, name: &str, findings: &mut Findings) {
    let problem =
        ConfigError::new(place, format!("unknown key `{}` in a sweep", shortened(name))).key(shortened(name));
    if SECTIONS.contains(&name) {
        findings.add(problem.help(format!("name a key of it, for example `{name}.{}`", first_leaf(name))));
        return;
    }
    let hint = hint::for_dotted(name);
    findings.doubt(hint.key);
    findings.add(problem.help(hint.help));
}

fn first_leaf(section: &str) -> &'static str {
    schema::keys_of(section).find(|key| key.can_be_swept()).map_or("...", |key| key.leaf)
}

type Leaf<'a, 'i> = (String, std::ops::Range<usize>, &'a Spanned<DeValue<'i>>);

/// The keys of nested tables with their dotted names: `optimizer.learning_rate = [...]` is a table in a table.
fn flatten<'a, 'i>(prefix: &str, table: &'a DeTable<'i>, leaves: &mut Vec<Leaf<'a, 'i>>) {
    for (name, item) in table {
        let dotted = format!("{prefix}{}", name.get_ref());
        match item.get_ref() {
            DeValue::Table(inner) => flatten(&format!("{dotted}."), inner, leaves),
            _ => leaves.push((dotted, name.span(), item)),
        }
    }
}
