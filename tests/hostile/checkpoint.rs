//! The files of a checkpoint: weights, the optimizer's moments, and the engine's other state.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use runner::config::{self, LoadOptions};
use runner::data::batches::Batch;
use runner::engine::{self, Engine, EngineError};
use serde_json::{Map, Value, json};

use crate::allocation::counted;
use crate::cases::cases;
use crate::edit::{Edit, edits};

const WEIGHTS: &str = "model.safetensors";
const MOMENTS: &str = "optimizer.safetensors";
const STATE: &str = "engine.json";
const FILES: [&str; 3] = [WEIGHTS, MOMENTS, STATE];

const EXPERIMENT: &str = "
[model]
n_layer = 1
n_head = 1
n_embd = 4
block_size = 4
dropout = 0.1
[data]
tokenizer = \"byte\"
[train]
sequence_length = 4
batch_size = 1
[hardware]
device = \"cpu\"
threads = 1
";

/// An engine with the checkpoint that it saved after a step.
struct Bench {
    engine: Box<dyn Engine>,
    batch: Batch,
    folder: tempfile::TempDir,
    sound: Vec<Vec<u8>>,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        fs::write(&file, EXPERIMENT).unwrap();
        let plans =
            config::load(&[file], &LoadOptions::default()).unwrap_or_else(|errors| panic!("{errors}"));
        let mut engine = engine::open(&plans[0], 8).unwrap();
        let batch =
            Batch { batch_size: 1, sequence_length: 4, inputs: vec![1, 2, 3, 4], targets: vec![2, 3, 4, 5] };
        engine.train_step(std::slice::from_ref(&batch), 1e-2).unwrap();
        engine.save(folder.path()).unwrap();
        let sound = FILES.map(|name| fs::read(folder.path().join(name)).unwrap()).to_vec();
        Bench { engine, batch, folder, sound }
    }

    fn bytes(&self, name: &str) -> &[u8] {
        &self.sound[FILES.iter().position(|file| *file == name).unwrap()]
    }

    /// Loads the checkpoint with one of its files replaced, within the limits of memory, and trains on from what was
    /// accepted. An error names the file. Afterwards the sound checkpoint is loaded, and must be what it was.
    fn load(&mut self, name: &str, content: &[u8]) -> Result<(), EngineError> {
        for (name, sound) in FILES.iter().zip(&self.sound) {
            fs::write(self.folder.path().join(name), sound).unwrap();
        }
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();

        let folder = self.folder.path();
        let (result, allocated) = counted(|| self.engine.load(folder));
        // Parsed, a header takes many times its length; what matters is that nobody believes the sizes in it.
        let most = 64 * content.len() as i64 + (1 << 20);
        assert!(allocated.peak < most, "{} bytes for a file of {}", allocated.peak, content.len());
        match &result {
            Ok(()) => {
                let _ = self.engine.train_step(std::slice::from_ref(&self.batch), 1e-2);
            }
            Err(error) => {
                let shown = error.to_string();
                assert!(shown.contains(&path.display().to_string()), "{shown}");
                assert!(shown.len() < 4_096 + 8 * content.len(), "{} bytes of message", shown.len());
            }
        }
        self.assert_sound_is_loaded(&path, name);
        result
    }

    fn assert_sound_is_loaded(&mut self, path: &Path, name: &str) {
        fs::write(path, self.bytes(name)).unwrap();
        self.engine.load(self.folder.path()).unwrap();
        let again = tempfile::tempdir().unwrap();
        self.engine.save(again.path()).unwrap();
        for (name, sound) in FILES.iter().zip(&self.sound) {
            assert!(
                fs::read(again.path().join(name)).unwrap() == *sound,
                "{name} is another after a failed load"
            );
        }
    }
}

/// A safetensors file taken apart. The order of the header's entries is kept.
#[derive(Clone)]
struct File {
    header: Map<String, Value>,
    data: Vec<u8>,
}

impl File {
    fn parse(bytes: &[u8]) -> File {
        let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        File { header: serde_json::from_slice(header).unwrap(), data: data.to_vec() }
    }

    fn header(&self) -> String {
        serde_json::to_string(&self.header).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        assemble(self.header().len() as u64, &self.header(), &self.data)
    }

    /// The file with one entry of its header changed.
    fn with(&self, name: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut changed = self.clone();
        change(changed.header.get_mut(name).unwrap());
        changed.bytes()
    }

    fn end(&self) -> u64 {
        self.data.len() as u64
    }
}

fn assemble(length: u64, header: &str, data: &[u8]) -> Vec<u8> {
    [&length.to_le_bytes(), header.as_bytes(), data].concat()
}

/// Files that say something that is not so, with what is wrong with each. `one` is the name of a matrix in the file.
fn lies(sound: &File, one: &str) -> Vec<(String, Vec<u8>)> {
    let header = sound.header();
    let length = header.len() as u64;
    let mut lies: Vec<(String, Vec<u8>)> = Vec::new();
    let mut lie = |what: &str, bytes: Vec<u8>| lies.push((what.to_owned(), bytes));

    let whole = length + sound.end();
    for lied in
        [0, 1, 2, length - 1, length + 1, whole, whole + 1, 1 << 40, i64::MAX as u64, u64::MAX - 7, u64::MAX]
    {
        lie(&format!("a header of {lied} bytes"), assemble(lied, &header, &sound.data));
    }
    let [a, b] = [0, 1].map(|at| sound.header[one]["data_offsets"][at].as_u64().unwrap());
    let offsets = [
        json!([b, a]),
        json!([a, b - 4]),
        json!([a, b + 4]),
        json!([0, b - a]),
        json!([a + 4, b + 4]),
        json!([a, u64::MAX]),
        json!([u64::MAX - (b - a), u64::MAX]),
        json!([1_u64 << 62, (1_u64 << 62) + (b - a)]),
        json!([-1, b]),
        json!([a as f64, b as f64]),
        json!([a]),
        json!([a, b, b]),
        json!("0"),
        Value::Null,
    ];
    for offsets in offsets {
        lie(&format!("offsets {offsets}"), sound.with(one, |entry| entry["data_offsets"] = offsets.clone()));
    }
    for dtype in ["F64", "F16", "BF16", "I32", "U8", "BOOL", "F8_E4M3", "F4", "F31", ""] {
        lie(&format!("dtype {dtype}"), sound.with(one, |entry| entry["dtype"] = json!(dtype)));
    }
    let shape = sound.header[one]["shape"].clone();
    let (rows, columns) = (shape[0].as_u64().unwrap(), shape[1].as_u64().unwrap());
    let shapes = [
        json!([]),
        json!([0]),
        json!([rows * columns]),
        json!([columns, rows]),
        json!([rows, columns, 1]),
        json!([rows, columns + 1]),
        json!([u64::MAX, u64::MAX]),
        json!([1_u64 << 32, 1_u64 << 32]),
        json!([-1, columns]),
        json!(vec![1; 10_000]),
        json!([rows as f64, columns]),
        json!({}),
    ];
    for shape in shapes {
        let named = shape.to_string();
        let named = &named[..named.len().min(40)];
        lie(&format!("shape {named}"), sound.with(one, |entry| entry["shape"] = shape.clone()));
    }

    let mut missing = sound.clone();
    missing.header.remove(one);
    lie("an entry is missing", missing.bytes());
    let empty = |at: u64| json!({ "dtype": "F32", "shape": [0], "data_offsets": [at, at] });
    for name in ["extra", "", "..", "../x", "\0", "h.9.ln_1.weight", "transformer.extra", "exp_avg.extra"] {
        let mut extra = sound.clone();
        extra.header.insert(name.to_owned(), empty(sound.end()));
        lie(&format!("an empty tensor {name:?} more"), extra.bytes());
        let mut renamed = sound.clone();
        let entry = renamed.header.remove(one).unwrap();
        renamed.header.insert(name.to_owned(), entry);
        lie(&format!("a tensor is called {name:?}"), renamed.bytes());
    }
    let open = &header[..header.len() - 1];
    let twice = format!(
        "{open},{}:{}}}",
        json!(one),
        json!({ "dtype": "F32", "shape": [0], "data_offsets": [0, 0] })
    );
    lie("a name stands there twice", assemble(twice.len() as u64, &twice, &sound.data));
    for deep in [format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "{\"a\":".repeat(100_000)] {
        let deep = format!("{open},\"deep\":{deep}}}");
        lie("a deep header", assemble(deep.len() as u64, &deep, &sound.data));
    }
    for other in ["", "[]", "null", "0", "{", "{}", "\u{1f600}", "{\"__metadata__\":{\"a\":{}}}"] {
        lie(&format!("a header {other:?}"), assemble(other.len() as u64, other, &sound.data));
    }
    // Each as large as a tensor may be, they end where adding the header's length overflows.
    let mut chain = Map::new();
    let (mut at, mut count) = (0_u64, 0);
    while at < u64::MAX - 8 {
        let size = (1_u64 << 58).min(u64::MAX - 7 - at);
        chain.insert(
            format!("{count}"),
            json!({ "dtype": "U8", "shape": [size], "data_offsets": [at, at + size] }),
        );
        (at, count) = (at + size, count + 1);
    }
    let chain = Value::Object(chain).to_string();
    lie("a sum that overflows", assemble(chain.len() as u64, &chain, &[]));

    let bytes = sound.bytes();
    for cut in [0, 1, 7, 8, 9, 8 + header.len(), bytes.len() - 1] {
        lie(&format!("the first {cut} bytes"), bytes[..cut].to_vec());
    }
    lie("a byte too many", [&bytes[..], &[0]].concat());
    lies
}

#[test]
fn every_lie_of_a_header_is_refused_with_the_files_name() {
    let mut bench = Bench::new();
    for (name, one) in [(WEIGHTS, "h.0.attn.c_attn.weight"), (MOMENTS, "exp_avg.h.0.attn.c_attn.weight")] {
        let sound = File::parse(bench.bytes(name));
        assert!(bench.load(name, &sound.bytes()).is_ok());
        for (what, bytes) in lies(&sound, one) {
            assert!(bench.load(name, &bytes).is_err(), "{name}, {what}: accepted");
        }
    }
}

#[test]
fn an_engines_state_that_no_run_can_have_is_refused_with_the_files_name() {
    let mut bench = Bench::new();
    let sound: Value = serde_json::from_slice(bench.bytes(STATE)).unwrap();
    let refused = [
        json!({}),
        json!([]),
        with(&sound, "optimizer_steps", json!(-1)),
        with(&sound, "optimizer_steps", json!(1.5)),
        with(&sound, "optimizer_steps", json!("1")),
        with(&sound, "more", json!(1)),
        with(&sound, "dropout", json!(null)),
        with(&sound, "loss_scale", json!({ "scale": 0.0, "good_steps": 0 })),
        with(&sound, "loss_scale", json!({ "scale": -1e300, "good_steps": 0 })),
        with(&sound, "loss_scale", json!({ "scale": 2.0, "good_steps": u32::MAX })),
    ];
    for state in refused {
        assert!(bench.load(STATE, state.to_string().as_bytes()).is_err(), "{state}");
    }
    for text in ["", "{", "nan", &"[".repeat(100_000), "\u{feff}{}"] {
        assert!(bench.load(STATE, text.as_bytes()).is_err(), "{text:.20}");
    }
    // A count that cannot go on is no reason to stop.
    let last = with(&sound, "optimizer_steps", json!(u64::MAX));
    assert!(bench.load(STATE, last.to_string().as_bytes()).is_ok());
}

fn with(value: &Value, key: &str, set: Value) -> Value {
    let mut value = value.clone();
    value[key] = set;
    value
}

/// What may stand in a header or in the state.
fn values() -> Vec<String> {
    let plain = [
        "0",
        "1",
        "-1",
        "4",
        "64",
        "1e3",
        "18446744073709551615",
        "9223372036854775807",
        "4611686018427387904",
        "[]",
        "{}",
        "null",
        "\"F32\"",
        "\"F64\"",
        "\"BF16\"",
        "[0,0]",
        "[4,12]",
        "[0,18446744073709551615]",
        "\"\"",
        "\"wte.weight\":",
        "\"__metadata__\":{},",
        "\"shape\":[1],",
        "\u{0}",
        "}",
        "{",
        "]",
        "[",
    ];
    let mut values = plain.map(str::to_owned).to_vec();
    values.extend(["[".repeat(500), "{\"a\":".repeat(500), format!("[{}0]", "1,".repeat(5_000))]);
    values
}

#[test]
fn mutated_checkpoints_do_no_harm() {
    let (bench, values) = (RefCell::new(Bench::new()), values());
    proptest!(cases(128), |(file in 0..FILES.len(), in_header: bool, edits in edits(4))| {
        let (mut bench, name) = (bench.borrow_mut(), FILES[file]);
        let mut bytes = bench.bytes(name).to_vec();
        if in_header && name != STATE {
            // The header is small beside the data: changes would seldom meet it. Its length is told as it is then.
            let sound = File::parse(&bytes);
            let mut header = sound.header().into_bytes();
            edits.iter().for_each(|edit: &Edit| edit.apply(&mut header, &values));
            bytes = [&(header.len() as u64).to_le_bytes()[..], &header, &sound.data].concat();
        } else {
            edits.iter().for_each(|edit| edit.apply(&mut bytes, &values));
        }
        let _ = bench.load(name, &bytes);
    });
}
