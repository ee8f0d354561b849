//! The resolver against a name server on this machine that says what the tests want said.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

use super::*;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::proto::rr::Name;
use std::net::UdpSocket;
use std::sync::Mutex;
use std::time::Instant;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

/// What is known of a name: addresses and their time to live in seconds.
type Zone = &'static [(&'static str, &'static [&'static str], u32)];

const ZONE: Zone = &[
    ("both.test", &["8.8.4.4", "2001:4860:4860::8888", "8.8.8.8"], 3600),
    ("four.test", &["8.8.8.8"], 3600),
    ("six.test", &["2001:4860:4860::8888"], 3600),
    ("short.test", &["8.8.8.8"], 1),
    ("inside.test", &["10.0.0.7", "fd00::7", "::ffff:192.168.1.1", "169.254.169.254"], 3600),
    ("rebind.test", &["127.0.0.1", "8.8.8.8"], 3600),
    ("intranet.school.test", &["8.8.8.8"], 3600),
    ("many.test", &["8.8.8.8"], 3600),
];

/// What says how long there is no answer (RFC 2308, 3): the SOA record of the name, of 600 seconds.
const NOTHING_FOR_TEN_MINUTES: [u8; 34] = [
    0xc0, 0x0c, 0, 6, 0, 1, 0, 0, 2, 88, 0, 22, // name, type, class, time to live, length
    0, 0, // whose: the root's
    0, 0, 0, 1, 0, 0, 2, 88, 0, 0, 2, 88, 0, 0, 2, 88, 0, 0, 2, 88,
];

/// A name server; the questions that it was asked, as `both.test A`.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut query = [0; 1500];
            // It ends with the test program.
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let Some((name, kind, question)) = read_question(&query[..length]) else {
                    continue;
                };
                let word = if kind == TYPE_A { "A" } else { "AAAA" };
                told.lock().unwrap().push(format!("{name} {word}"));
                if name != "silent.test" {
                    let answer = answer(&query[..2], &name, kind, question);
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort_unstable();
        asked
    }

    /// A resolver that asks this server alone.
    fn resolver(&self, timeout_ms: u64) -> Resolver {
        let rules = ResolveRules {
            hosts: HashMap::new(),
            allow_private: Vec::new(),
            own: Vec::new(),
            timeout_ms,
            cache_entries: 100,
        };
        let mut connection = ConnectionConfig::udp();
        connection.port = self.address.port();
        let server = NameServerConfig::new(self.address.ip(), true, vec![connection]);
        let search = vec![Name::from_ascii("school.test.").unwrap()];
        let config = ResolverConfig::from_parts(None, search, vec![server]);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let dns = Some(bounded(builder, &rules).unwrap());
        Resolver { rules: Arc::new(rules), dns }
    }
}

/// Name, type and bytes of the one question of a query (RFC 1035, 4.1).
fn read_question(query: &[u8]) -> Option<(String, u16, &[u8])> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    Some((labels.join("."), kind, query.get(12..at + 4)?))
}

fn answer(id: &[u8], name: &str, kind: u16, question: &[u8]) -> Vec<u8> {
    let known = ZONE.iter().find(|(known, ..)| *known == name);
    let addresses: Vec<IpAddr> = known
        .iter()
        .flat_map(|(_, addresses, _)| addresses.iter().map(|text| text.parse().unwrap()))
        .filter(|address: &IpAddr| address.is_ipv4() == (kind == TYPE_A))
        .collect();
    let refusal = if known.is_some() { 0x00 } else { 0x03 };
    let count = u8::try_from(addresses.len()).unwrap();
    let mut answer = id.to_vec();
    answer.extend([0x81, 0x80 | refusal, 0, 1, 0, count, 0, u8::from(count == 0), 0, 0]);
    answer.extend(question);
    if count == 0 {
        answer.extend(NOTHING_FOR_TEN_MINUTES);
    }
    for address in addresses {
        let kind = if address.is_ipv4() { TYPE_A } else { TYPE_AAAA };
        let bytes = match address {
            IpAddr::V4(four) => four.octets().to_vec(),
            IpAddr::V6(six) => six.octets().to_vec(),
        };
        answer.extend([0xc0, 0x0c]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1]);
        answer.extend(known.map_or(0, |(.., seconds)| *seconds).to_be_bytes());
        answer.extend([0, u8::try_from(bytes.len()).unwrap()]);
        answer.extend(bytes);
    }
    answer
}

async fn ask(resolver: &Resolver, host: &str) -> Result<Vec<String>, ResolveError> {
    let found = resolver.addresses(&Host::parse(host).unwrap(), 80).await?;
    Ok(found.iter().map(SocketAddr::to_string).collect())
}

#[tokio::test]
async fn names_are_asked_of_dns_in_both_families_and_only_outside_addresses_are_dialled() {
    let server = Server::start();
    let resolver = server.resolver(5_000);
    let six = "[2001:4860:4860::8888]:80";
    let cases = [
        ("both.test", Ok(vec![six, "8.8.4.4:80", "8.8.8.8:80"])),
        ("four.test", Ok(vec!["8.8.8.8:80"])),
        ("six.test", Ok(vec![six])),
        ("inside.test", Err(ResolveError::Private)),
        ("rebind.test", Ok(vec!["8.8.8.8:80"])),
        ("nowhere.test", Err(ResolveError::NoSuchHost)),
    ];
    for (host, expected) in cases {
        let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(ask(&resolver, host).await, expected, "{host}");
    }
    let asked = server.asked();
    assert!(
        asked.contains(&"both.test A".to_owned()) && asked.contains(&"both.test AAAA".to_owned())
    );
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time_and_no_longer() {
    let server = Server::start();
    let resolver = server.resolver(5_000);
    for _ in 0..20 {
        assert!(ask(&resolver, "many.test").await.is_ok());
        assert!(ask(&resolver, "MANY.test.").await.is_ok());
        assert_eq!(ask(&resolver, "nowhere.test").await, Err(ResolveError::NoSuchHost));
    }
    let once = ["many.test A", "many.test AAAA", "nowhere.test A", "nowhere.test AAAA"];
    assert_eq!(server.asked(), once, "each was asked once, that there is nothing too");

    assert!(ask(&resolver, "short.test").await.is_ok());
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert!(ask(&resolver, "short.test").await.is_ok());
    let short = server.asked().into_iter().filter(|asked| asked == "short.test A").count();
    assert_eq!(short, 2, "its second was over");
}

#[tokio::test]
async fn a_short_name_is_never_completed_with_a_search_domain() {
    let server = Server::start();
    let resolver = server.resolver(5_000);
    assert_eq!(ask(&resolver, "intranet").await, Err(ResolveError::NoSuchHost));
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.starts_with("intranet ")), "{asked:?}");
}

#[tokio::test]
async fn a_name_server_that_says_nothing_is_not_waited_for() {
    let server = Server::start();
    let resolver = server.resolver(300);
    let begun = Instant::now();
    assert_eq!(ask(&resolver, "silent.test").await, Err(ResolveError::TimedOut));
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
}
