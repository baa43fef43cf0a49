//! A temporary folder with experiments in it, and the program run there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder of its own for each test.
pub struct Shop {
    folder: tempfile::TempDir,
}

/// What one call of the program gave.
pub struct Call {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A short scripted run: no tensors, the same bytes every time.
pub const SCRIPTED: &str = r#"
[model]
n_layer = 2
n_head = 2
n_embd = 32
block_size = 16

[data]
corpus = "salt-crown"
tokenizer = "byte"

[train]
batch_size = 2
sequence_length = 16
max_steps = 60
eval_interval = 0

[checkpoint]
interval = 20

[sample]
interval = 0

[hardware]
device = "scripted"

[scripted]
initial_loss = 5.0
floor_loss = 0.05
decay_steps = 10.0
noise = 0.0
step_secs = 0.5
"#;

impl Shop {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file below the folder and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes an experiment: [`SCRIPTED`] with more sections after it.
    pub fn experiment(&self, name: &str, more: &str) {
        self.write(name, format!("{SCRIPTED}\n{more}"));
    }

    pub fn read(&self, name: &str) -> String {
        let path = self.path().join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn has(&self, name: &str) -> bool {
        self.path().join(name).exists()
    }

    /// A call of the program that has not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Call {
        Call::from(self.command(arguments).output().unwrap())
    }
}

impl From<Output> for Call {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Call {
    /// Fails the test with everything that was printed unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless the error output holds all of these.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in:\n{}", self.stderr);
        }
        self
    }
}
