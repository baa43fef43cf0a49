use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const TEXT: &str = "Two lines of text,\nand their checksum.\n";

/// An HTTP server on this machine that answers every request with the same bytes.
struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
}

fn serve(answer: String) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/input.txt", listener.local_addr().expect("it is bound"));
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    // Ends with the test process: it only waits for connections.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            counter.fetch_add(1, Ordering::SeqCst);
            // A client that hangs up early is part of what is tested.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Server { url, requests }
}

fn serve_file(text: &str) -> Server {
    serve(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len()))
}

/// Like [`agent`], but plain HTTP and straight to this machine.
fn local_agent() -> Agent {
    let timeout = Some(Duration::from_secs(20));
    Agent::config_builder().proxy(None).timeout_global(timeout).build().new_agent()
}

/// What `obtain` gives for a file that should hold [`TEXT`].
fn obtain_from(url: &str, folder: &Path) -> Result<(String, Vec<String>), DataError> {
    let sha256 = sha256(TEXT.as_bytes());
    let remote =
        Remote { name: "little", url, file: "little/input.txt", bytes: TEXT.len() as u64, sha256: &sha256 };
    obtain(&remote, folder, &local_agent())
}

fn reason(result: Result<(String, Vec<String>), DataError>) -> String {
    match result {
        Err(DataError::Download { reason, .. }) => reason,
        other => panic!("expected a failed download, got {other:?}"),
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Names of everything in the corpus's folder, leftovers included.
fn kept(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder.join("little")) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_good_file_is_downloaded_once_and_then_used_without_network() {
    let (server, folder) = (serve_file(TEXT), folder());
    for _ in 0..2 {
        let (text, notices) = obtain_from(&server.url, folder.path()).expect("served");
        assert_eq!((text.as_str(), notices.len()), (TEXT, 0));
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 1);
    assert_eq!(kept(folder.path()), ["input.txt"]);
}

#[test]
fn a_file_with_the_wrong_checksum_is_refused_and_not_kept() {
    let wrong = TEXT.replace("Two", "Six");
    let (server, folder) = (serve_file(&wrong), folder());
    let reason = reason(obtain_from(&server.url, folder.path()));
    assert!(reason.contains(&sha256(wrong.as_bytes())), "{reason}");
    assert_eq!(kept(folder.path()), Vec::<String>::new());
}

#[test]
fn a_longer_file_is_refused() {
    let (server, folder) = (serve_file(&TEXT.repeat(1_000)), folder());
    let reason = reason(obtain_from(&server.url, folder.path()));
    assert!(reason.contains("limit") || reason.contains("bytes instead of"), "{reason}");
}

#[test]
fn a_missing_page_is_an_error_with_its_status() {
    let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n";
    let reason = reason(obtain_from(&serve(answer.to_owned()).url, folder().path()));
    assert!(reason.contains("404"), "{reason}");
}

#[test]
fn a_download_that_breaks_off_is_refused_and_not_kept() {
    let half = &TEXT[..TEXT.len() / 2];
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{half}", TEXT.len());
    let (server, folder) = (serve(answer), folder());
    let reason = reason(obtain_from(&server.url, folder.path()));
    assert!(reason.contains("broke off"), "{reason}");
    assert_eq!(kept(folder.path()), Vec::<String>::new());
}

#[test]
fn a_damaged_copy_is_reported_and_replaced() {
    let (server, folder) = (serve_file(TEXT), folder());
    let path = folder.path().join("little/input.txt");
    std::fs::create_dir_all(folder.path().join("little")).expect("writable");
    std::fs::write(&path, "half a fi").expect("writable");
    let (text, notices) = obtain_from(&server.url, folder.path()).expect("served");
    assert_eq!(text, TEXT);
    assert!(notices[0].contains("has 9 bytes instead of"), "{notices:?}");
    assert_eq!(std::fs::read_to_string(path).expect("kept"), TEXT);
}

#[test]
fn without_network_the_error_says_what_to_put_where() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/input.txt", listener.local_addr().expect("it is bound"));
    drop(listener);
    let folder = folder();
    let message = obtain_from(&url, folder.path()).expect_err("nobody listens").to_string();
    let path = folder.path().join("little/input.txt").display().to_string();
    for part in [&url, &path, "RUNNER_DATA_DIR", &sha256(TEXT.as_bytes())] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
}

#[test]
fn a_data_folder_that_cannot_be_written_costs_a_notice_and_not_the_run() {
    let (server, folder) = (serve_file(TEXT), folder());
    let not_a_folder = folder.path().join("file");
    std::fs::create_dir(&not_a_folder).expect("writable");
    std::fs::write(not_a_folder.join("little"), "in the way").expect("writable");
    let result = obtain_from(&server.url, &not_a_folder);
    // A file where a folder should be: some systems say so already when the copy is looked for.
    match result {
        Ok((text, notices)) => {
            assert_eq!(text, TEXT);
            assert!(notices[0].contains("could not be written"), "{notices:?}");
        }
        Err(error) => assert!(matches!(error, DataError::Read { .. }), "{error}"),
    }
}

#[test]
fn the_real_agent_refuses_plain_http() {
    let server = serve_file(TEXT);
    let remote = Remote { name: "little", url: &server.url, file: "x", bytes: 1, sha256: "" };
    let reason = reason(obtain(&remote, folder().path(), &agent()));
    assert!(reason.contains("https"), "{reason}");
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
}
