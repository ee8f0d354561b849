//! Dialling: the first of several addresses that answers (happy eyeballs, RFC 8305).

use crate::dials::Dials;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// Wait before the next address is tried beside the last (RFC 8305, 5: 250 ms).
const STAGGER: Duration = Duration::from_millis(250);

/// Most addresses tried: a name with hundreds must not open hundreds of sockets.
const MOST_ADDRESSES: usize = 8;

/// Connects to the first address that answers within `timeout_ms` over all of them, the wait for a place to dial it
/// included.
///
/// # Errors
/// The last address's error; [`io::ErrorKind::ResourceBusy`] where too many wait for that already;
/// [`io::ErrorKind::TimedOut`] when time is up.
pub(crate) async fn dial(
    dials: &Rc<Dials>,
    client: IpAddr,
    addresses: &[SocketAddr],
    timeout_ms: u64,
) -> io::Result<TcpStream> {
    let addresses = &addresses[..addresses.len().min(MOST_ADDRESSES)];
    let attempt = |address| connect(Rc::clone(dials), client, address);
    let race = async {
        match addresses {
            [only] => attempt(*only).await,
            several => race(several, |address| Box::pin(attempt(address))).await,
        }
    };
    let stream = timeout(Duration::from_millis(timeout_ms), race)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    // A head and the start of a body leave in separate writes: waiting for acknowledgements
    // between them (Nagle) would add a round trip.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects to one address, once there is a place for it.
async fn connect(dials: Rc<Dials>, client: IpAddr, address: SocketAddr) -> io::Result<TcpStream> {
    let _place = dials.place(client, address).await?;
    TcpStream::connect(address).await
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

async fn race(
    addresses: &[SocketAddr],
    attempt: impl Fn(SocketAddr) -> Attempt,
) -> io::Result<TcpStream> {
    let mut rest = addresses.iter().copied();
    let mut attempts: Vec<Attempt> = Vec::with_capacity(addresses.len());
    let mut next_at: Pin<Box<Sleep>> = Box::pin(sleep_until(Instant::now()));
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    std::future::poll_fn(|cx| {
        loop {
            let mut failed = false;
            let mut i = 0;
            while i < attempts.len() {
                match attempts[i].as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        last_error = error;
                        failed = true;
                        drop(attempts.swap_remove(i));
                    }
                    Poll::Pending => i += 1,
                }
            }
            // The next address starts when the last has had its time, or at once when one failed.
            if !failed && !attempts.is_empty() && next_at.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match rest.next() {
                Some(address) => {
                    attempts.push(attempt(address));
                    next_at.as_mut().reset(Instant::now() + STAGGER);
                }
                None if attempts.is_empty() => {
                    return Poll::Ready(Err(std::mem::replace(
                        &mut last_error,
                        io::Error::from(io::ErrorKind::AddrNotAvailable),
                    )));
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;
    use tokio::net::TcpListener;

    async fn dial(addresses: &[SocketAddr], timeout_ms: u64) -> io::Result<TcpStream> {
        super::dial(&Rc::default(), IpAddr::from([10, 0, 0, 1]), addresses, timeout_ms).await
    }

    #[tokio::test]
    async fn a_dead_address_does_not_keep_a_live_one_waiting() {
        let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let address = live.local_addr().unwrap();
        let begun = Instant::now();
        let stream = dial(&[gone, gone, address], 5_000).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(begun.elapsed() < STAGGER, "a refused address is passed over at once");
    }

    #[tokio::test]
    async fn a_refusal_by_all_is_told_as_refused() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = dial(&[gone, gone], 5_000).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn an_address_that_never_answers_gives_way_after_a_quarter_second() {
        // A listener whose queue is full drops further connections: nobody answers.
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(1).unwrap();
        let silent = socket.local_addr().unwrap().as_socket().unwrap();
        let mut fill = Vec::new();
        for _ in 0..8 {
            fill.push(timeout(Duration::from_millis(50), TcpStream::connect(silent)).await);
        }
        let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let begun = Instant::now();
        let stream = dial(&[silent, live.local_addr().unwrap()], 5_000).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live.local_addr().unwrap());
        assert!(begun.elapsed() >= STAGGER);
        assert_eq!(dial(&[silent], 100).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
