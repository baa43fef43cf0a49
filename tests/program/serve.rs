//! `runner serve` as a process. What it answers is tested beside its code.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use crate::shop::Shop;
use crate::training::tiny;

/// A server on a port of its own, and its address.
fn start(shop: &Shop, arguments: &[&str]) -> (Child, String) {
    let mut all = vec!["serve", "tiny", "--port", "0"];
    all.extend(arguments);
    let mut child = shop
        .command(&all)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("RUNNER_TOKEN")
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{line:?}")).to_owned();
    (child, address)
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_run_is_served_until_the_server_is_asked_to_stop() {
    let shop = tiny();
    shop.run(&["tiny.toml"]).expect(0);
    shop.write("token", "\u{feff}secret\n");
    let (mut child, address) = start(&shop, &["--token-file", "token", "--weights", "int8"]);
    let body = "{\"prompt\": \"the \", \"seed\": 1, \"max_tokens\": 4}";
    let request = |token: &str| {
        format!(
            "POST /v1/completions HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = ask(&address, &request("secret"));
    assert!(answer.contains("\"text\":") && answer.contains("tiny/seed=1337"), "{answer}");
    assert!(ask(&address, &request("wrong")).starts_with("HTTP/1.1 401"));

    let port = address.rsplit(':').next().unwrap();
    shop.run(&["serve", "tiny", "--port", port]).expect(2).says(&["is taken by another program", "--port"]);
    #[cfg(unix)]
    {
        std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(0));
        let mut words = String::new();
        child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        assert!(words.contains("parameters, int8") && words.contains("stopping"), "{words}");
    }
    let _ = child.kill();
}

#[test]
fn servers_that_cannot_be_are_refused() {
    let shop = tiny();
    shop.run(&["tiny.toml"]).expect(0);
    shop.run(&["serve"]).expect(2);
    shop.run(&["serve", "tiny", "--host", "somewhere"])
        .expect(2)
        .says(&["this is an address, like 127.0.0.1"]);
    shop.run(&["serve", "tinny"]).expect(2).says(&["did you mean tiny?"]);
    shop.run(&["serve", "tiny", "--token-file", "nowhere"]).expect(2).says(&["--token-file nowhere"]);
    shop.write("empty", "\n");
    shop.run(&["serve", "tiny", "--token-file", "empty"]).expect(2).says(&["the token is empty"]);
    shop.run(&["serve", "tiny", "--host", "203.0.113.1", "--port", "0"]).expect(2).says(&["--host"]);
}
