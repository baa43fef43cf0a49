//! The commands that the README shows do what it says.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::shop::Shop;

/// Every line that starts with `runner ` in a `sh` block of the README. Training is done by the scripted engine: what is
/// tested is that the command lines, files and folders are right.
#[test]
fn the_readmes_commands_work() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let commands = commands(&readme);
    assert!(commands.len() >= 6, "{commands:?}");
    let shop = Shop::new();
    for entry in std::fs::read_dir(root.join("experiments")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        shop.write(&format!("experiments/{name}"), std::fs::read(&path).unwrap());
    }
    let (using, other): (Vec<String>, Vec<String>) =
        commands.into_iter().partition(|command| uses_a_model(command));
    use_models(&shop, &using);
    for command in other {
        let words = words(&command, shop.path());
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let trains =
            arguments.first().is_some_and(|first| first.ends_with(".toml") || *first == "verify-resume");
        if trains {
            arguments.extend(["--set", "hardware.device=scripted", "--set", "train.max_steps=5"]);
            arguments.extend(["--set", "schedule.warmup_steps=0", "--set", "data.corpus=salt-crown", "-q"]);
        }
        if command.starts_with("plan experiments/*") {
            // One of them begins from the quickstart's model, and here that run was scripted too.
            arguments.extend(["--set", "hardware.device=scripted"]);
        }
        let call = shop.run(&arguments);
        // The scripted loss of five steps meets no target, which is code 3.
        let fine: &[i32] = if trains { &[0, 3] } else { &[0] };
        assert!(
            call.code.is_some_and(|code| fine.contains(&code)),
            "{command}\n{}{}",
            call.stdout,
            call.stderr
        );
    }
}

/// Commands that want weights, which the scripted engine has none of.
fn uses_a_model(command: &str) -> bool {
    ["eval ", "generate ", "serve ", "export "].iter().any(|name| command.starts_with(name))
        || command.contains(".tar.zst")
}

/// Runs the commands on a quickstart that ended after two steps.
fn use_models(shop: &Shop, commands: &[String]) {
    assert!(commands.len() >= 4, "{commands:?}");
    let quickly =
        ["train.max_steps=2", "schedule.warmup_steps=0", "train.final_eval=false", "sample.interval=0"];
    let mut arguments = vec!["experiments/quickstart.toml", "--runs-dir", "trained", "-q"];
    arguments.extend(quickly.iter().flat_map(|change| ["--set", change]));
    shop.run(&arguments).expect(3);
    // A text of the reader's own.
    shop.write("text.txt", "Maud:\nThe salt is in the sea.\n");
    for command in commands {
        let words = words(command, shop.path());
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.extend(["--runs-dir", "trained"]);
        if arguments[0] == "serve" {
            arguments.extend(["--port", "0"]);
            let mut server = shop.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
            assert!(line.starts_with("http://127.0.0.1:"), "{command}: {line}");
            server.kill().unwrap();
            server.wait().unwrap();
        } else if let Some(out) = arguments.iter().position(|word| *word == "--out") {
            let out = arguments[out + 1];
            let call = shop.run(&arguments).expect(0);
            assert!(call.stdout == format!("{out}\n") && shop.has(out), "{command}: {}", call.stdout);
        } else if arguments[0] == "eval" {
            let call = shop.run(&arguments).expect(0);
            assert!(call.stdout.contains("perplexity"), "{command}: {}", call.stdout);
        } else if arguments[0] == "report" {
            let call = shop.run(&arguments).expect(0);
            assert!(call.stdout.ends_with("report.md\n"), "{command}: {}", call.stdout);
        } else {
            let call = shop.run(&arguments).expect(0);
            let said = call.stdout.starts_with("Maud:") || command.contains("--interactive");
            assert!(said, "{command}: {}", call.stdout);
        }
    }
}

fn commands(readme: &str) -> Vec<String> {
    let mut in_shell = false;
    let mut commands = Vec::new();
    for line in readme.lines() {
        match line.trim() {
            "```sh" => in_shell = true,
            "```" => in_shell = false,
            line if in_shell => {
                let command = line.split("  #").next().unwrap_or(line).trim();
                commands.extend(command.strip_prefix("runner ").map(str::to_owned));
            }
            _ => {}
        }
    }
    commands
}

/// Words as a shell would split them, with `*` expanded, which is all that the README uses.
fn words(command: &str, folder: &Path) -> Vec<String> {
    let mut words = Vec::new();
    for word in command.split_whitespace() {
        match word.split_once("/*") {
            Some((parent, ending)) => {
                let mut found: Vec<String> = std::fs::read_dir(folder.join(parent))
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .filter(|name| name.ends_with(ending))
                    .map(|name| format!("{parent}/{name}"))
                    .collect();
                found.sort();
                words.extend(found);
            }
            None => words.push(word.trim_matches('\'').to_owned()),
        }
    }
    words
}
