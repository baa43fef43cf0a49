use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{get, post, read};
use super::{Limits, Shop};

/// A stream that would take far longer than any test: it can only end in another way.
fn endless() -> String {
    let body =
        json!({ "model": "small", "prompt": "a", "max_tokens": 100_000_000, "seed": 1, "stream": true });
    post(&body.to_string())
}

fn short() -> String {
    post(&json!({ "model": "small", "prompt": "a", "max_tokens": 3, "seed": 1 }).to_string())
}

fn generous() -> Limits {
    Limits { new_tokens: usize::MAX, ..Limits::default() }
}

/// Sends a request and waits for the first of the answer.
fn begin(shop: &Shop, request: &str) -> TcpStream {
    let mut stream = shop.connect();
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 512];
    assert!(stream.read(&mut first).unwrap() > 0);
    stream
}

#[test]
fn a_client_that_leaves_takes_its_texts_with_it() {
    let shop = Shop::open(generous());
    for request in [endless(), endless().replace("\"stream\":true", "\"stream\":null")] {
        let mut stream = shop.connect();
        stream.write_all(request.as_bytes()).unwrap();
        shop.wait_for("active_texts", |texts| texts == 1.0);
        drop(stream);
        shop.wait_for("active_texts", |texts| texts == 0.0);
    }
    assert_eq!(shop.metric("abandoned_total"), 2.0);
    assert_eq!(shop.ask(&short()).status, 200);
}

#[test]
fn when_too_many_wait_the_next_are_told_to_come_again() {
    let shop = Shop::open(Limits { queue: 2, texts: 1, ..generous() });
    let first = begin(&shop, &endless());
    let mut waiting: Vec<TcpStream> = (0..2).map(|_| shop.connect()).collect();
    for (i, stream) in waiting.iter_mut().enumerate() {
        stream.write_all(short().as_bytes()).unwrap();
        shop.wait_for("queued", |orders| orders == (i + 1) as f64);
    }
    let refused = shop.ask(&short());
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.head.contains("retry-after: "), "{}", refused.head);
    assert_eq!(refused.error().1, "overloaded");
    assert_eq!(shop.metric("refused_total"), 1.0);
    // Who waits gets its turn as soon as there is room.
    drop(first);
    assert!(waiting.into_iter().all(|stream| read(stream).status == 200));
}

#[test]
fn a_request_ends_when_its_time_is_over() {
    let shop = Shop::open(Limits { time: Duration::from_millis(300), ..generous() });
    let answer = shop.ask(&endless());
    let last = answer.events().pop().unwrap();
    assert_eq!(last["error"]["code"], "timeout", "{last}");
    let whole = shop.ask(&endless().replace("\"stream\":true", "\"stream\":null"));
    assert_eq!((whole.status, whole.error().1.as_str()), (504, "timeout"));
}

#[test]
fn a_body_that_does_not_arrive_is_not_waited_for() {
    let shop = Shop::open(Limits { time: Duration::from_millis(300), ..generous() });
    let request = short();
    for cut in ["\"prompt\"", "{\"model\""] {
        let mut stream = shop.connect();
        stream.write_all(&request.as_bytes()[..request.find(cut).unwrap()]).unwrap();
        let answer = read(stream);
        assert_eq!(answer.status, 408, "{}", answer.body);
        assert!(answer.error().0.contains("within 0.3 s"), "{}", answer.body);
    }
}

#[test]
fn a_reader_that_takes_nothing_stands_in_nobodys_way() {
    let shop = Shop::open(generous());
    let _slow: Vec<TcpStream> = (0..3).map(|_| begin(&shop, &endless())).collect();
    for _ in 0..5 {
        assert_eq!(shop.ask(&short()).status, 200);
    }
    shop.wait_for("active_texts", |texts| texts == 3.0);
}

#[test]
fn silent_connections_are_held_up_to_a_limit_and_others_wait() {
    let shop = Shop::open(Limits { connections: 20, ..Limits::default() });
    let mut silent: Vec<TcpStream> = (0..19).map(|_| shop.connect()).collect();
    assert_eq!(shop.ask(&short()).status, 200);
    silent.extend((0..30).map(|_| shop.connect()));
    let mut late = shop.connect();
    late.write_all(get("/health").as_bytes()).unwrap();
    late.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(late.read(&mut [0]).is_err(), "there was no place for it yet");
    drop(silent);
    late.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(read(late).status, 200);
}

#[test]
fn texts_under_way_are_finished_when_the_server_is_asked_to_stop() {
    let mut shop = Shop::open(generous());
    let body = json!({ "model": "small", "prompt": "a", "max_tokens": 4000, "seed": 1, "stream": true });
    let stream = begin(&shop, &post(&body.to_string()));
    let reader = std::thread::spawn(move || {
        let mut stream = stream;
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        rest
    });
    let _idle = shop.connect();
    let address = shop.address;
    let started = Instant::now();
    shop.close().unwrap();
    assert!(started.elapsed() < Duration::from_secs(30));
    assert!(reader.join().unwrap().contains("[DONE]"));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_port_that_is_taken_is_named() {
    let shop = Shop::open(Limits::default());
    let error =
        super::Server::bind(shop.address, Vec::new(), Limits::default(), None).unwrap_err().to_string();
    assert!(error.contains(&format!("port {} is taken", shop.address.port())), "{error}");
}
