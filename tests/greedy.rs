//! What one client, or one site, can take from the others: places to dial with.

use crate::client::{Client, request};
use crate::daemon::{Daemon, KS2, Plan, STAFF, wait_for};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Connections that a worker makes at once to one address for one client, and that wait for that: as in `dials`.
const DIALS_OF_CLIENT: usize = 64;
const MOST_WAITING: usize = 1_024;

/// A port where nobody answers: its queue is full, so that the kernel passes over whoever knocks.
pub(crate) struct Silent {
    /// Where it is.
    pub address: SocketAddr,
    _listener: std::net::TcpListener,
    _queue: Vec<TcpStream>,
}

impl Silent {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let listener = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
            socket.listen(1).unwrap().into_std().unwrap()
        });
        let address = listener.local_addr().unwrap();
        let knock = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
        let queue: Vec<TcpStream> = std::iter::from_fn(knock).take(16).collect();
        assert!(queue.len() < 16, "its queue takes everybody");
        Self { address, _listener: listener, _queue: queue }
    }

    /// Connections to it that are being made.
    fn knocking(&self) -> usize {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let to = format!("0100007F:{:04X}", self.address.port());
        let is_one = |line: &&str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // Remote address, and SYN_SENT.
            fields.get(2) == Some(&&*to) && fields.get(3) == Some(&"02")
        };
        table.lines().filter(is_one).count()
    }
}

fn has_answer(client: &Client) -> bool {
    client.stream.set_nonblocking(true).unwrap();
    let peeked = client.stream.peek(&mut [0]);
    client.stream.set_nonblocking(false).unwrap();
    matches!(peeked, Ok(1))
}

#[test]
fn an_address_that_never_answers_takes_few_sockets_and_nothing_from_other_sites_and_clients() {
    const TOO_MANY: usize = 10;
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    let silent = Silent::start();
    let machine = "[limits]\nconnect_timeout_ms = 120000\n".to_owned();
    let daemon = Daemon::start_with(&Plan { machine, workers: Some(1), ..Plan::default() });
    let url = format!("http://library.test:{}/", silent.address.port());
    let ask = |from| {
        let mut client = Client::connect_from(from, daemon.proxy);
        client.send(request("GET", &url, &[]).as_bytes());
        client
    };
    let wanted = DIALS_OF_CLIENT + MOST_WAITING + TOO_MANY;
    let mut greedy: Vec<Client> = (0..wanted).map(|_| ask(KS2)).collect();
    let answered = |greedy: &[Client]| greedy.iter().filter(|client| has_answer(client)).count();
    wait_for("those for whom there is no place", Duration::from_secs(20), || {
        answered(&greedy) >= TOO_MANY
    });
    let is_told = |client: &mut Client| {
        let answer = client.read("GET");
        let reason = answer.json()["reason"].clone();
        assert_eq!((answer.status, reason), (503, "limit".into()), "{answer:?}");
        assert_eq!(answer.header("retry-after"), Some("10"));
    };
    greedy.iter_mut().filter(|client| has_answer(client)).for_each(is_told);
    assert_eq!(silent.knocking(), DIALS_OF_CLIENT);

    // Others have places of their own, to the same address and to others.
    let begun = Instant::now();
    assert_eq!(daemon.get_from(KS2, &daemon.url("library.test", "/size/4")).status, 200);
    assert_eq!(daemon.get_from(STAFF, &daemon.url("library.test", "/size/4")).status, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let _other = ask(STAFF);
    let another = || silent.knocking() == DIALS_OF_CLIENT + 1;
    wait_for("another client's connection", Duration::from_secs(5), another);
    assert_eq!(answered(&greedy), 0, "the others still wait");
    let count = format!("proxy_requests_refused_total{{bound=\"site\"}} {TOO_MANY}\n");
    wait_for("the metric", Duration::from_secs(5), || {
        daemon.ops_get("/metrics").unwrap().text().contains(&count)
    });

    drop(greedy);
    wait_for("their places", Duration::from_secs(10), || silent.knocking() == 1);
    let records = daemon.wait_records(wanted + 2);
    let refused: Vec<_> = records.iter().filter(|record| record["reason"] == "limit").collect();
    assert_eq!(refused.len(), TOO_MANY, "{refused:?}");
    for record in refused {
        assert_eq!((&record["verdict"], &record["status"]), (&"block".into(), &503.into()));
        assert_eq!((&record["host"], &record["end"]), (&"library.test".into(), &"complete".into()));
    }
}
