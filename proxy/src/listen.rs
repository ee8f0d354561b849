//! Listening: one socket a worker and address, so that the kernel spreads connections and no
//! thread hands them to another.

use crate::connection;
use crate::limit::Full;
use crate::worker::Worker;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

/// Connections that the kernel may hold before they are accepted.
const BACKLOG: i32 = 4096;
/// Rest after a failure to accept: out of file descriptors, another try at once would spin.
const REST: Duration = Duration::from_millis(50);

/// Binds `copies` sockets to one address (SO_REUSEPORT). Port 0 becomes one free port for all.
///
/// # Errors
/// [`io::Error`] of the socket, most often: in use, or not permitted.
pub(crate) fn bind(
    address: SocketAddr,
    copies: usize,
) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    // With SO_REUSEPORT alone the kernel would let two filters share a port, and an old policy would
    // decide about part of the traffic. A socket without it finds the other filter.
    let mut bound = TcpListener::from(bound_socket(address, false)?).local_addr()?;
    let mut listeners = Vec::with_capacity(copies);
    for _ in 0..copies {
        let socket = bound_socket(bound, true)?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        bound = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok((bound, listeners))
}

fn bound_socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` beside `0.0.0.0` must not be the same socket twice.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    // A page's head and body leave in separate writes; see `dial`. What is accepted inherits it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Accepts until the task is ended.
pub(crate) async fn accept(worker: Rc<Worker>, listener: tokio::net::TcpListener) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                worker.meters.accept_errors.inc();
                // A client that left while it waited is its own affair; anything else is ours.
                if !is_of_client(&error) {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                    tokio::time::sleep(REST).await;
                }
                continue;
            }
        };
        worker.meters.connections.inc();
        let address = crate::address::unmapped(peer.ip());
        let ticket = match worker.admission.connection(address) {
            Ok(ticket) => Some(ticket),
            Err(Full::Total { givers }) => {
                worker.meters.refused_total.inc();
                // One that rests makes room; the kernel spreads each client's over the workers.
                givers
                    .into_iter()
                    .flatten()
                    .any(|giver| worker.registry.give_up_resting(giver))
                    .then(|| worker.admission.in_place_of_another(address))
            }
            Err(Full::Client) => {
                worker.meters.refused_client.inc();
                None
            }
        };
        let Some(ticket) = ticket else {
            drop(stream);
            // Some clients come again at once, hundreds at a time: others have their turn between two of them.
            tokio::task::yield_now().await;
            continue;
        };
        let share = worker.fairness.share(address);
        let worker = Rc::clone(&worker);
        let peer = (address, Rc::clone(&share));
        tokio::task::spawn_local(share.of(connection::serve(worker, stream, peer, ticket)));
    }
}

fn is_of_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;

    #[test]
    fn every_worker_listens_on_the_one_port_that_was_free() {
        let (address, listeners) = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_ne!(address.port(), 0);
        assert!(listeners.iter().all(|listener| listener.local_addr().unwrap() == address));
    }

    #[test]
    fn what_is_accepted_sends_at_once() {
        let (address, listeners) = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let accepted = loop {
            match listeners[0].accept() {
                Ok((stream, _)) => break stream,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        };
        assert!(accepted.nodelay().unwrap());
    }

    #[test]
    fn a_second_filter_cannot_share_the_port_of_the_first() {
        let (address, listeners) = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        assert_eq!(bind(address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listeners);
        assert!(bind(address, 2).is_ok());
    }
}
