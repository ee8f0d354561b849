//! What one client, or one site, can take from the others: places to dial with, and places for connections.

use crate::client::{Client, request};
use crate::daemon::{Daemon, KS2, Plan, STAFF, free_port, wait_for};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::Command;
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

/// Set where a test runs in a network of its own.
const OWN_NETWORK: &str = "SCHOOLGATE_TEST_OWN_NETWORK";

/// Makes two networks all of whose addresses are this machine's, and goes on there.
const TWO_NETWORKS: &str = "ip link set lo up || exit 77
    for network in 7 8; do ip -6 route add local fd00:$network::/64 dev lo || exit 77; done
    echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind || exit 77
    exec \"$@\"";

/// Whether this is a network of the test's own. Where it is not, runs the test in one, if this machine allows that.
fn is_in_own_network(test: &str) -> bool {
    if std::env::var_os(OWN_NETWORK).is_some() {
        return true;
    }
    let in_network = |words: &[&str]| {
        let around = ["-rn", "sh", "-c", TWO_NETWORKS, "sh"];
        Command::new("unshare").args(around).args(words).env(OWN_NETWORK, "1").output()
    };
    if !in_network(&["true"]).is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: this machine allows no network of the test's own");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let words = [program.to_str().unwrap(), "--exact", test, "--nocapture"];
    let ran = in_network(&words).unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let passed = ran.status.success() && said.contains("test result: ok. 1 passed");
    assert!(passed, "{said}{}", String::from_utf8_lossy(&ran.stderr));
    false
}

#[test]
fn a_device_with_many_addresses_of_its_network_takes_no_place_from_another_network() {
    let name = "a_device_with_many_addresses_of_its_network_takes_no_place_from_another_network";
    if !is_in_own_network(&format!("greedy::{name}")) {
        return;
    }
    let at = |network, host| IpAddr::V6(Ipv6Addr::new(0xfd00, network, 0, 0, 0, 0, 0, host));
    let listening = SocketAddr::from((Ipv6Addr::LOCALHOST, free_port()));
    let daemon = Daemon::start_with(&Plan {
        machine: "[limits]\nmax_connections = 40\n".to_owned(),
        edits: vec![("[who]\n".into(), "[who]\n\"net:fd00::/16\" = \"staff\"\n".into())],
        listen: vec![listening],
        ..Plan::default()
    });
    let url = daemon.url("library.test", "/size/1");
    let serve = |from| {
        let mut client = Client::try_connect_from(from, listening).unwrap();
        client.try_ask("GET", &url, &[]).map(|answer| (client, answer.status))
    };
    // One connection of each address: by address, nobody holds more than anybody else.
    let mut many: Vec<Client> = (1..=40).map(|host| serve(at(7, host)).unwrap().0).collect();
    let others: Vec<Client> = (1..=8)
        .map(|host| match serve(at(8, host)) {
            Ok((client, 200)) => client,
            other => panic!("{host} of another network: {:?}", other.map(|(_, status)| status)),
        })
        .collect();
    let ended = |client: &mut Client| {
        client.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        matches!(client.read_some(), Ok(bytes) if bytes.is_empty())
    };
    let gave_way = many.iter_mut().filter_map(|client| ended(client).then_some(())).count();
    assert_eq!(gave_way, others.len(), "as many as were needed");
    // Within a network addresses count as before: nobody in it holds more.
    assert!(serve(at(7, 100)).is_err(), "of the network that holds the most");
}
