//! A client that says exactly what it is told to.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::Shop;

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Message and code of an error.
    pub fn error(&self) -> (String, String) {
        let error = &self.json()["error"];
        (error["message"].as_str().unwrap().to_owned(), error["code"].as_str().unwrap().to_owned())
    }

    /// The data of an event stream.
    pub fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

pub fn post(body: &str) -> String {
    format!(
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A request of a text from the small model, with these fields otherwise.
pub fn request(change: Value) -> String {
    let mut body = json!({ "model": "small", "prompt": "Maud:", "max_tokens": 30, "seed": 5 });
    for (key, value) in change.as_object().unwrap() {
        body[key] = value.clone();
    }
    post(&body.to_string())
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

impl Shop {
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends a request and reads the answer to its end.
    pub fn ask(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read(stream)
    }

    /// The value of a metric, 0 if it was not counted yet.
    pub fn metric(&self, name: &str) -> f64 {
        let body = self.ask(&get("/metrics")).body;
        let line = body.lines().find(|line| line.starts_with(&format!("runner_{name} ")));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// Waits until a metric is what it should become.
    pub fn wait_for(&self, name: &str, is_right: impl Fn(f64) -> bool) {
        for _ in 0..3000 {
            if is_right(self.metric(name)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{name} stays {}", self.metric(name));
    }
}

pub fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let is_chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { unchunk(body) } else { body.to_owned() };
    Answer { status, head: head.to_lowercase(), body }
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    body
}
