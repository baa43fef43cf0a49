//! Accepting connections, so many at a time, and letting none of them stand still for ever.

use std::future::{self, Future};
use std::io;
use std::net::{Shutdown, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::Sleep;
use tokio_io_timeout::TimeoutStream;

use super::GRACE;

/// A client has this long to send the head of a request, the first one or the next. Those that only hold their connection keep
/// others out for no longer than this.
const HEAD: Duration = Duration::from_secs(10);
/// A client that takes nothing for this long is let go.
const STANDSTILL: Duration = Duration::from_secs(30);
/// Bytes of a connection that hyper may hold, for a head that arrives and for what is sent.
const BUFFER: usize = 64 << 10;
/// Bytes that the system may hold of what a client has not taken. Its own rule goes up to some megabytes.
const SEND_BUFFER: usize = 128 << 10;
/// After an answer that ends a connection, what the client still sends is thrown away for this long. Otherwise the system would tell it
/// that the connection broke, and the answer, to a body that was too large, might be lost on the way.
const LINGER: Duration = Duration::from_secs(2);
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
        let stream = Arc::new(stream);
        let service =
            Known { router: TowerToHyperService::new(router.clone()), client: Client(Some(stream.clone())) };
        let connection = graceful.watch(
            hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(BUFFER)
                // A client that has said all it has to say still listens.
                .half_close(true)
                .serve_connection(TokioIo::new(Box::pin(patient(stream))), service),
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

fn patient(stream: Arc<TcpStream>) -> TimeoutStream<Shared> {
    // Tokens are small and should not wait for each other.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&*stream).set_send_buffer_size(SEND_BUFFER);
    let mut stream = TimeoutStream::new(Shared { stream, linger: None });
    stream.set_write_timeout(Some(STANDSTILL));
    stream
}

/// The other end of a connection, as those see it who answer a request.
#[derive(Clone, Debug, Default)]
pub struct Client(Option<Arc<TcpStream>>);

impl Client {
    /// Waits until the client has closed its side. It may be gone, or have only said all that it has to say: that is seen by sending
    /// something.
    pub async fn hung_up(&self) {
        match &self.0 {
            Some(stream) if !matches!(stream.peek(&mut [0]).await, Ok(1..)) => {}
            // The next request waits there already, or this is no connection.
            _ => future::pending().await,
        }
    }
}

/// The routes, which are told who asks.
struct Known {
    router: TowerToHyperService<Router>,
    client: Client,
}

impl Service<Request<Incoming>> for Known {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.client.clone());
        self.router.call(request)
    }
}

/// A connection that can be looked at while it is used.
struct Shared {
    stream: Arc<TcpStream>,
    /// Until when what still comes is thrown away.
    linger: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|read| buffer.advance(read))),
            }
        }
    }
}

impl Shared {
    fn poll_write_with(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            socket2::SockRef::from(&*self.stream).shutdown(Shutdown::Write)?;
            self.linger = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        let mut ignored = [0; 8 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut ignored);
            match self.as_mut().poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
            // Whoever sends without an end does not keep the others from their turn.
            if self.linger.as_mut().is_some_and(|linger| linger.as_mut().poll(context).is_ready()) {
                return Poll::Ready(Ok(()));
            }
        }
        match &mut self.linger {
            Some(linger) => linger.as_mut().poll(context).map(Ok),
            None => Poll::Ready(Ok(())),
        }
    }
}
