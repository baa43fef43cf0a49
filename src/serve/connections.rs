//! Accepting connections, so many at a time, and letting none of them stand still for ever.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

use super::GRACE;

/// A client has this long to send the head of a request, the first one or the next. Those that only hold their connection keep
/// others out for no longer than this.
const HEAD: Duration = Duration::from_secs(10);
/// A client that takes nothing for this long is let go.
const STANDSTILL: Duration = Duration::from_secs(30);
/// What to wait after the system refused a connection, for lack of descriptors mostly.
const PAUSE: Duration = Duration::from_millis(100);

/// Clients that may wait to be accepted. Of more, the system lets each try again a second later.
const BACKLOG: i32 = 1024;

/// Serves until `stop` or `failure` becomes true; then calls `closing`, and gives the connections some time to end.
pub async fn accept(
    listener: TcpListener,
    router: Router,
    connections: usize,
    mut stop: watch::Receiver<bool>,
    mut failure: watch::Receiver<bool>,
    closing: impl FnOnce(),
) -> io::Result<()> {
    socket2::SockRef::from(&listener).listen(BACKLOG)?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            _ = stop.wait_for(|stop| *stop) => break,
            _ = failure.wait_for(|failed| *failed) => break,
        };
        let Ok(place) = place else { break };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
            _ = failure.wait_for(|failed| *failed) => break,
        };
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let connection = graceful.watch(
            hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(
                    TokioIo::new(Box::pin(patient(stream))),
                    TowerToHyperService::new(router.clone()),
                ),
        );
        tokio::spawn(async move {
            // A connection that ends badly is the client's affair.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    closing();
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(GRACE + Duration::from_secs(1)) => {}
    }
    Ok(())
}

fn patient(stream: TcpStream) -> TimeoutStream<TcpStream> {
    // Tokens are small and should not wait for each other.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STANDSTILL));
    stream
}
