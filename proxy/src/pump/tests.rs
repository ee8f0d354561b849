//! Bytes both ways: between streams in memory, and between sockets.

#![allow(
    clippy::unwrap_used,
    reason = "a stream of this machine's own that fails is a failed test"
)]

use super::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

impl End for DuplexStream {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn came(&mut self, _: &io::Result<usize>) {}
    fn went(&mut self, _: &io::Result<usize>) {}
}

/// The far ends of a pair of streams between which bytes are moved, the near ones holding so many
/// bytes each.
fn pumped(holds: usize, buffer: usize) -> (DuplexStream, DuplexStream, JoinHandle<io::Result<()>>) {
    let (client, mut near) = duplex(holds);
    let (mut far, site) = duplex(holds);
    let moving = spawn_local(async move {
        let pump = Pump::with_buffer(buffer, 1);
        let done = both_ways(&pump, &mut near, &mut far).await;
        assert_eq!(pump.kept.get(), 0, "nothing is kept for tunnels that ended");
        done
    });
    (client, site, moving)
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}

/// Bytes none of which could stand in another's place unseen.
fn some(count: usize, from: u8) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8 ^ (at / 65_521) as u8 ^ from).collect()
}

/// Says all of it and its end, and hears all that the other side says.
async fn talk(stream: impl AsyncRead + AsyncWrite, says: &[u8]) -> Vec<u8> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let saying = async {
        writing.write_all(says).await.unwrap();
        writing.shutdown().await.unwrap();
    };
    let mut heard = Vec::new();
    let hearing = reading.read_to_end(&mut heard);
    let ((), read) = tokio::join!(saying, hearing);
    read.unwrap();
    heard
}

#[tokio::test]
async fn every_byte_arrives_in_its_order_both_ways_however_little_either_side_takes() {
    let all = async {
        // What streams hold, and the shared buffer: larger, smaller, and nowhere a divisor.
        for (holds, buffer) in [(1, 64), (7, 64), (64, 7), (1000, 4096), (70_000, 4096)] {
            let (client, site, moving) = pumped(holds, buffer);
            let (up, down) = (some(100_003, 1), some(60_007, 9));
            let talks = async { tokio::join!(talk(client, &up), talk(site, &down)) };
            let (client_heard, site_heard) = in_time(talks).await;
            assert!(client_heard == down, "{holds}, {buffer}: to the client");
            assert!(site_heard == up, "{holds}, {buffer}: to the site");
            in_time(moving).await.unwrap().unwrap();
        }
    };
    LocalSet::new().run_until(all).await;
}

#[tokio::test]
async fn one_sides_end_is_passed_on_while_the_other_goes_on() {
    let all = async {
        let (mut client, mut site, moving) = pumped(64, 64);
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut asked = Vec::new();
        in_time(site.read_to_end(&mut asked)).await.unwrap();
        assert_eq!(asked, b"question");
        site.write_all(b"a late answer").await.unwrap();
        let mut answer = [0; 13];
        in_time(client.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"a late answer");
        assert!(!moving.is_finished());
        site.shutdown().await.unwrap();
        in_time(moving).await.unwrap().unwrap();
    };
    LocalSet::new().run_until(all).await;
}

#[tokio::test]
async fn a_side_that_is_gone_ends_it_though_the_other_rests() {
    let all = async {
        let (mut client, site, moving) = pumped(64, 64);
        drop(site);
        client.write_all(b"is anybody there?").await.unwrap();
        assert!(in_time(moving).await.unwrap().is_err());
    };
    LocalSet::new().run_until(all).await;
}

#[tokio::test]
async fn nothing_more_is_read_while_a_side_takes_nothing() {
    let all = async {
        let (mut client, _site, _moving) = pumped(100, 64);
        let sent = Cell::new(0);
        let sending = tokio::time::timeout(Duration::from_millis(300), async {
            while client.write_all(b"x").await.is_ok() && sent.get() < 1000 {
                sent.set(sent.get() + 1);
            }
        });
        assert!(sending.await.is_err(), "the writer was never held up");
        // Both streams' 100 bytes and one full buffer, and not a byte more.
        assert!(sent.get() <= 100 + 64 + 100, "{} bytes were taken", sent.get());
    };
    LocalSet::new().run_until(all).await;
}

/// One end of a tunnel that notes what passed it.
struct Noted {
    stream: TcpStream,
    came: Rc<Cell<u64>>,
    went: Rc<Cell<u64>>,
    spliced: Rc<Cell<u64>>,
    failed: Rc<Cell<bool>>,
}

impl Noted {
    fn note(&self, bytes: &io::Result<usize>, sum: &Cell<u64>) {
        match bytes {
            Ok(bytes) => {
                sum.set(sum.get() + *bytes as u64);
                self.spliced.set(self.spliced.get() + *bytes as u64);
            }
            Err(_) => self.failed.set(true),
        }
    }
}

impl End for Noted {
    fn socket(&self) -> Option<&TcpStream> {
        Some(&self.stream)
    }

    fn came(&mut self, bytes: &io::Result<usize>) {
        self.note(bytes, &self.came);
    }

    fn went(&mut self, bytes: &io::Result<usize>) {
        self.note(bytes, &self.went);
    }
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        self.failed.set(self.failed.get() || read.is_err());
        self.came.set(self.came.get() + (buffer.filled().len() - before) as u64);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Noted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.failed.set(self.failed.get() || written.is_err());
        self.went.set(self.went.get() + written.as_ref().map_or(0, |written| *written as u64));
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// A tunnel between two sockets.
struct Tunnel {
    client: TcpStream,
    site: TcpStream,
    moving: JoinHandle<io::Result<()>>,
    pump: Rc<Pump>,
    came: Rc<Cell<u64>>,
    went: Rc<Cell<u64>>,
    spliced: Rc<Cell<u64>>,
    client_failed: Rc<Cell<bool>>,
}

async fn tunnel() -> Tunnel {
    let (client, near) = connected().await;
    let (far, site) = connected().await;
    let pump = Rc::new(Pump::new(1));
    let (came, went): (Rc<Cell<u64>>, Rc<Cell<u64>>) = Default::default();
    let spliced: Rc<Cell<u64>> = Rc::default();
    let client_failed: Rc<Cell<bool>> = Rc::default();
    let moving = {
        let pump = Rc::clone(&pump);
        let mut near = Noted {
            stream: near,
            came: Rc::clone(&came),
            went: Rc::clone(&went),
            spliced: Rc::clone(&spliced),
            failed: Rc::clone(&client_failed),
        };
        let mut far = Noted {
            stream: far,
            came: Rc::default(),
            went: Rc::default(),
            spliced: Rc::default(),
            failed: Rc::default(),
        };
        spawn_local(async move { both_ways(&pump, &mut near, &mut far).await })
    };
    Tunnel { client, site, moving, pump, came, went, spliced, client_failed }
}

#[tokio::test]
async fn bulk_between_sockets_goes_through_a_pipe_and_every_byte_is_counted_and_in_its_order() {
    let all = async {
        let Tunnel { client, site, moving, pump, came, went, spliced, .. } = tunnel().await;
        let (up, down) = (some(9_000_011, 3), some(40_000_003, 5));
        let talks = async { tokio::join!(talk(client, &up), talk(site, &down)) };
        let (client_heard, site_heard) = in_time(talks).await;
        in_time(moving).await.unwrap().unwrap();
        assert!(client_heard == down, "to the client");
        assert!(site_heard == up, "to the site");
        assert_eq!((came.get(), went.get()), (up.len() as u64, down.len() as u64));
        assert!(spliced.get() > 20_000_000, "{} bytes went through a pipe", spliced.get());
        let (idle, open) = pump.pipes.count();
        assert!(idle == open && open > 0, "{idle} of {open} pipes were given back");
    };
    LocalSet::new().run_until(all).await;
}

#[tokio::test]
async fn what_follows_bulk_waits_for_nothing_more_however_little_it_is() {
    let all = async {
        let Tunnel { mut client, mut site, moving, pump, spliced, .. } = tunnel().await;
        let bulk = some(20_000_000, 4);
        let mut heard = vec![0; bulk.len()];
        // From one byte to what is bulk itself, each after bulk and each after a pause.
        for tail in [1, 1000, 40_000, 200_000, 300_000, 1] {
            let (said, read) = in_time(async {
                tokio::join!(site.write_all(&bulk), client.read_exact(&mut heard))
            })
            .await;
            said.unwrap();
            read.unwrap();
            assert!(heard == bulk, "{tail}");
            for round in 0..5 {
                let began = std::time::Instant::now();
                let piece = some(tail, round);
                site.write_all(&piece).await.unwrap();
                in_time(client.read_exact(&mut heard[..tail])).await.unwrap();
                assert!(heard[..tail] == piece, "{tail}, {round}");
                // What waits for more to come would wait for ever.
                let took = began.elapsed();
                assert!(took < Duration::from_secs(2), "{tail} bytes, {round}: after {took:?}");
            }
        }
        assert!(spliced.get() > 50_000_000, "{} bytes went through a pipe", spliced.get());
        drop(site);
        assert_eq!(in_time(client.read(&mut heard)).await.unwrap(), 0);
        drop(client);
        in_time(moving).await.unwrap().unwrap();
        assert_eq!(pump.pipes.count().0, pump.pipes.count().1);
    };
    LocalSet::new().run_until(all).await;
}

#[tokio::test]
async fn a_socket_that_takes_nothing_holds_up_its_sender_and_gets_it_all_in_the_end() {
    let all = async {
        let Tunnel { mut client, mut site, moving, pump, .. } = tunnel().await;
        let down = some(30_000_001, 7);
        let (sent, mut heard) = (Cell::new(0), Vec::new());
        let saying = async {
            for piece in down.chunks(100_000) {
                site.write_all(piece).await.unwrap();
                sent.set(sent.get() + piece.len());
            }
            site.shutdown().await.unwrap();
        };
        let hearing = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let before = sent.get();
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(sent.get(), before, "more was taken than the client was ready for");
            assert!(before < down.len(), "all of it was taken at once");
            client.shutdown().await.unwrap();
            client.read_to_end(&mut heard).await.unwrap();
        };
        in_time(async { tokio::join!(saying, hearing) }).await;
        in_time(moving).await.unwrap().unwrap();
        assert!(heard == down);
        let (idle, open) = pump.pipes.count();
        assert_eq!(idle, open);
    };
    LocalSet::new().run_until(all).await;
}

#[tokio::test]
async fn a_client_that_breaks_off_in_bulk_is_told_from_a_site_that_does() {
    let all = async {
        for client_goes in [true, false] {
            let Tunnel { mut client, mut site, moving, pump, client_failed, .. } = tunnel().await;
            let down = some(8_000_000, 1);
            let saying = async { site.write_all(&down).await.is_ok() };
            let hearing = async {
                let mut some = vec![0; 2_000_000];
                client.read_exact(&mut some).await.unwrap();
            };
            let talking = async {
                tokio::select! {
                    _ = async { tokio::join!(saying, std::future::pending::<()>()) } => {}
                    () = hearing => {}
                }
            };
            in_time(talking).await;
            // Without a wait for what was sent: a reset, not an end.
            let (goes, mut stays) = if client_goes { (client, site) } else { (site, client) };
            goes.set_zero_linger().unwrap();
            drop(goes);
            let mut rest = Vec::new();
            let _ = in_time(stays.read_to_end(&mut rest)).await;
            assert!(in_time(moving).await.unwrap().is_err(), "client goes: {client_goes}");
            assert_eq!(client_failed.get(), client_goes);
            let (idle, open) = pump.pipes.count();
            assert_eq!(idle, open, "a pipe with bytes in it is closed");
        }
    };
    LocalSet::new().run_until(all).await;
}

#[tokio::test]
async fn urgent_data_in_bulk_holds_up_nothing() {
    let all = async {
        let Tunnel { client, mut site, moving, pump, .. } = tunnel().await;
        let down = some(3_000_000, 2);
        let mut heard = vec![0; down.len()];
        let mut client = client;
        let (said, read) =
            in_time(async { tokio::join!(site.write_all(&down), client.read_exact(&mut heard)) })
                .await;
        said.unwrap();
        read.unwrap();
        // A mark at the head of the queue: the kernel splices nothing from there on. The byte itself
        // is out of band, and no proxy passes it on (RFC 9293, 3.8.5).
        for round in 0..3u8 {
            socket2::SockRef::from(&site).send_out_of_band(&[round]).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            site.write_all(&down).await.unwrap();
            in_time(client.read_exact(&mut heard)).await.unwrap();
            assert!(heard == down, "round {round}");
        }
        drop(site);
        assert_eq!(in_time(client.read(&mut heard)).await.unwrap(), 0);
        drop(client);
        in_time(moving).await.unwrap().unwrap();
        let (idle, open) = pump.pipes.count();
        assert_eq!(idle, open);
    };
    LocalSet::new().run_until(all).await;
}

#[tokio::test]
async fn last_words_and_the_end_behind_them_come_whole_whoever_ends_first() {
    let all = async {
        for (client_first, size) in [(true, 24), (false, 24), (true, 60_000), (false, 3_000_000)] {
            let Tunnel { client, site, moving, came, went, client_failed, .. } = tunnel().await;
            let (first, second) = if client_first { (client, site) } else { (site, client) };
            let (said, answered) = (some(size, 9), some(17, 8));
            let speaks = async {
                let mut first = first;
                first.write_all(&said).await.unwrap();
                first.shutdown().await.unwrap();
                let mut heard = Vec::new();
                first.read_to_end(&mut heard).await.unwrap();
                heard
            };
            let answers = async {
                let mut second = second;
                let mut heard = Vec::new();
                // The end comes though the other way is open.
                second.read_to_end(&mut heard).await.unwrap();
                second.write_all(&answered).await.unwrap();
                second.shutdown().await.unwrap();
                heard
            };
            let (first_heard, second_heard) =
                in_time(async { tokio::join!(speaks, answers) }).await;
            in_time(moving).await.unwrap().unwrap();
            assert!(first_heard == answered && second_heard == said, "{client_first}, {size}");
            let counted = if client_first { (came, went) } else { (went, came) };
            assert_eq!((counted.0.get(), counted.1.get()), (size as u64, 17), "{client_first}");
            assert!(!client_failed.get());
        }
    };
    LocalSet::new().run_until(all).await;
}

#[tokio::test]
async fn what_came_before_a_reset_is_passed_on_and_the_reset_is_told_from_an_end() {
    let all = async {
        for client_goes in [true, false] {
            let Tunnel { client, site, moving, client_failed, .. } = tunnel().await;
            let (mut goes, mut stays) = if client_goes { (client, site) } else { (site, client) };
            goes.write_all(&some(1000, 6)).await.unwrap();
            goes.set_zero_linger().unwrap();
            drop(goes);
            let mut heard = vec![0; 1000];
            in_time(stays.read_exact(&mut heard)).await.unwrap();
            assert!(heard == some(1000, 6));
            assert!(in_time(moving).await.unwrap().is_err(), "client goes: {client_goes}");
            assert_eq!(client_failed.get(), client_goes);
        }
    };
    LocalSet::new().run_until(all).await;
}

#[tokio::test]
async fn the_last_bytes_do_not_wait_for_more_of_which_there_is_none() {
    let all = async {
        let mut fastest = Duration::MAX;
        for _ in 0..5 {
            let Tunnel { mut client, mut site, moving, .. } = tunnel().await;
            // Both in the tunnel's queue before it looks.
            client.write_all(&some(24, 9)).await.unwrap();
            client.shutdown().await.unwrap();
            let began = std::time::Instant::now();
            let mut heard = Vec::new();
            in_time(site.read_to_end(&mut heard)).await.unwrap();
            assert!(heard == some(24, 9));
            fastest = fastest.min(began.elapsed());
            drop((client, site));
            let _ = in_time(moving).await;
        }
        // The kernel keeps what it is told that more follows of for 200 ms.
        assert!(fastest < Duration::from_millis(150), "{fastest:?}");
    };
    LocalSet::new().run_until(all).await;
}

/// What always has more to say and takes all that it is told, whose bytes take long to read.
#[derive(Default)]
struct Talker {
    said: usize,
    heard: usize,
}

impl End for Talker {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn came(&mut self, _: &io::Result<usize>) {}
    fn went(&mut self, _: &io::Result<usize>) {}

    fn bytes_a_turn(&self) -> usize {
        100
    }
}

impl AsyncRead for Talker {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Not in whole turns.
        let count = buffer.remaining().min(70);
        buffer.put_slice(&[b'a'; 70][..count]);
        self.said += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Talker {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.heard += bytes.len();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn who_is_read_along_gives_others_their_turn_after_little() {
    let pump = Pump::new(1);
    let (mut a, mut b) = (Talker::default(), Talker::default());
    let mut moving = Box::pin(both_ways(&pump, &mut a, &mut b));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    for _ in 0..3 {
        assert!(moving.as_mut().poll(&mut cx).is_pending());
    }
    drop(moving);
    // Two reads a turn: what is over a turn is less than a turn.
    assert_eq!((a.said, b.said), (3 * 140, 3 * 140));
    assert_eq!((a.heard, b.heard), (b.said, a.said));
}
