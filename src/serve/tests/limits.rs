use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{get, post, read, request};
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
fn a_body_that_says_it_is_too_large_is_refused_before_it_arrives() {
    let shop = Shop::open(Limits::default());
    let head = post("").replace("Content-Length: 0", "Content-Length: 8000000");
    let mut stream = shop.connect();
    stream.write_all(head.as_bytes()).unwrap();
    let started = Instant::now();
    let answer = read(stream);
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert!(answer.error().0.contains("1048576 bytes"), "{}", answer.body);
    assert!(started.elapsed() < Duration::from_secs(20), "it was waited for");
    // Whoever sends all of it before looking at the answer gets that, and no broken connection.
    let mut stream = shop.connect();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b' '; 8_000_000]).unwrap();
    assert_eq!(read(stream).status, 413);
}

#[test]
fn a_client_that_has_said_all_it_has_to_say_still_gets_its_answer() {
    let shop = Shop::open(generous());
    let with = |max_tokens: usize, stream: bool| {
        let body =
            json!({ "model": "small", "prompt": "a", "max_tokens": max_tokens, "seed": 1, "stream": stream });
        post(&body.to_string())
    };
    // So long that it is asked whether the client is still there.
    let long = 400;
    for (request, tokens) in
        [(with(3, false), 3), (with(long, false), long), (with(3, true), 3), (with(long, true), long)]
    {
        let mut stream = shop.connect();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = read(stream);
        assert_eq!(answer.status, 200, "{}", answer.body);
        if answer.head.contains("text/event-stream") {
            assert!(
                answer.body.contains("[DONE]") && answer.events().len() > tokens,
                "{}",
                answer.body.len()
            );
        } else {
            assert_eq!(answer.json()["usage"]["completion_tokens"], tokens);
        }
    }
    let mut stream = shop.connect();
    stream.write_all(get("/health").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read(stream).status, 200);
    assert_eq!(shop.metric("abandoned_total"), 0.0);
}

/// Sends a request and takes nothing of the answer; the system holds little of it on this side.
fn ask_and_sit(shop: &Shop, request: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&shop.address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[test]
fn an_answer_that_is_not_read_is_ended_when_it_takes_more_than_its_part() {
    let shop = Shop::open(Limits { waiting_bytes: 100_000, ..generous() });
    let slow = ask_and_sit(&shop, &endless());
    shop.wait_for("cut_off_total", |orders| orders == 1.0);
    shop.wait_for("active_texts", |texts| texts == 0.0);
    assert_eq!(shop.ask(&short()).status, 200);
    // What it was sent before is there, and why there is no more.
    let answer = read(slow);
    let last = answer.events().pop().unwrap();
    assert_eq!(last["error"]["code"], "slow_reader", "{last}");
    assert!(answer.events().len() > 200, "{}", answer.events().len());
    shop.wait_for("waiting_bytes", |bytes| bytes == 0.0);
}

#[test]
fn clients_that_do_not_read_take_no_more_memory_together_than_is_allowed() {
    // A half of this for one, and a sixteenth where others have all: without the bound for all it would be twice as much.
    let (most, clients) = (60_000, 4);
    let shop = Shop::open(Limits { waiting_bytes: most, ..generous() });
    let silent: Vec<TcpStream> = (0..clients).map(|_| ask_and_sit(&shop, &endless())).collect();
    let begin = Instant::now();
    let mut peak: f64 = 0.0;
    while shop.metric("cut_off_total") < clients as f64 {
        peak = peak.max(shop.metric("waiting_bytes"));
        assert!(begin.elapsed() < Duration::from_secs(100), "{} were ended", shop.metric("cut_off_total"));
    }
    peak = peak.max(shop.metric("waiting_bytes"));
    assert!((most / 2..most + clients * most / 16 + 10_000).contains(&(peak as usize)), "{peak}");
    drop(silent);
    shop.wait_for("waiting_bytes", |bytes| bytes == 0.0);
    assert_eq!(shop.ask(&short()).status, 200);
}

#[test]
fn a_whole_answer_that_would_not_fit_is_refused_and_a_stream_is_not() {
    let shop = Shop::open(Limits { waiting_bytes: 1 << 20, ..Limits::default() });
    let ask =
        |change: Value| shop.ask(&request(json!({ "max_tokens": 200, "logprobs": 20, "stream": change })));
    let whole = ask(json!(false));
    assert!(whole.status == 400 && whole.error().0.contains("or for a stream"), "{}", whole.body);
    assert_eq!(whole.json()["error"]["param"], "logprobs");
    assert!(ask(json!(true)).body.ends_with("data: [DONE]\n\n"));
}

#[test]
fn bodies_and_prompts_without_a_place_are_told_to_come_again() {
    let shop = Shop::open(Limits { waiting_bytes: 10_000, ..generous() });
    let prompts = vec!["a".repeat(64); 40];
    let big = post(&json!({ "model": "small", "prompt": prompts, "max_tokens": 3 }).to_string());
    // The body has a place, its tokens have none beside it.
    let refused = shop.ask(&big);
    assert_eq!((refused.status, refused.error().1.as_str()), (503, "overloaded"), "{}", refused.body);
    assert!(refused.head.contains("retry-after: "), "{}", refused.head);
    // Nor has a body of unknown length.
    let chunked = post("").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    assert_eq!(shop.ask(&chunked).status, 503);
    assert_eq!(shop.metric("refused_total"), 2.0);
    assert_eq!(shop.metric("waiting_bytes"), 0.0);
    assert_eq!(shop.ask(&short()).status, 200);
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
    let body = json!({ "model": "small", "prompt": "a", "max_tokens": 1000, "seed": 1, "stream": true });
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
