//! How processes find one another: all others connect to rank 0, which tells each where the next one listens.
//!
//! Neither encrypted nor authenticated, as torchrun's own: for a network on which everybody is trusted.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::{OTHER, REFUSED, TAKEN};
use net::{Frame, Header, Limits, Link, Listener, NetError, TcpLink, connect};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Launch;
use super::ring::{LIMITS, Ring, lost};
use crate::output::settings::changes;

/// How long a process that connected may take to say who it is.
const HELLO: Duration = Duration::from_secs(10);
/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(500);
/// The kind of the frames that are exchanged before the ring is set up.
const GREETING: u8 = 0;

/// What all processes of a run must have alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunTerms {
    /// The options that decide the run's numbers.
    pub settings: Value,
    /// A digest of the texts.
    pub texts: String,
}

/// What a process says to rank 0.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    release: String,
    size: usize,
    rank: usize,
    /// Where it listens.
    port: u16,
    terms: RunTerms,
}

/// The reply of rank 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Answer {
    Welcome(Meeting),
    Refusal(String),
}

/// Where each of the others listens, as rank 0 sees it, and the run's name.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Meeting {
    places: BTreeMap<usize, SocketAddr>,
    session: u64,
}

/// What neighbours in the ring say to each other.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Neighbour {
    rank: usize,
    session: u64,
}

/// Meets the other processes within `patience`; the ring waits as long for each frame.
pub(super) fn meet(launch: &Launch, terms: RunTerms, patience: Duration) -> Result<Ring> {
    let until = Instant::now() + patience;
    let (host, port) = launch.master.as_ref().context("several processes without an address")?;
    let (rank, size) = (launch.rank, launch.size);
    let master = |port: u16| match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let listener = listen(host, if rank == 0 { *port } else { 0 })?;
    let meeting = match rank {
        0 => gather(&listener, size, &terms, until)?,
        _ => {
            let mine = listener.local_addr().port();
            let hello = Hello { release: release(), size, rank, port: mine, terms };
            report(&hello, &master(*port), until)?
        }
    };
    let session = meeting.session;
    let (following, before) = ((rank + 1) % size, (rank + size - 1) % size);
    let address = match meeting.places.get(&following) {
        Some(place) if !place.ip().is_loopback() => place.to_string(),
        // a loopback address that rank 0 saw stands for rank 0's machine
        Some(place) => master(place.port()),
        None => master(*port),
    };
    let mut next = connect_to(following, &address, until)?;
    send(&mut next, &Neighbour { rank, session })?;
    let mut previous = loop {
        let Some((link, _, greeting)) = accept::<Neighbour>(&listener, before, until)? else { continue };
        if greeting == (Neighbour { rank: before, session }) {
            break link;
        }
    };
    // The neighbour sends large frames only after the reply, so the limits are raised before it.
    previous.set_limits(LIMITS);
    send(&mut previous, &Neighbour { rank, session })?;
    next.set_deadline(left(until));
    receive::<Neighbour>(&mut next)?;
    for link in [&mut next, &mut previous] {
        link.set_session(session);
        link.set_deadline(patience);
    }
    Ok(Ring::new(rank, size, next, previous))
}

/// Rank 0: waits for all others, refuses those whose terms differ, tells all where the others listen.
fn gather(listener: &Listener, size: usize, terms: &RunTerms, until: Instant) -> Result<Meeting> {
    let mut came: Vec<(TcpLink, SocketAddr, usize)> = Vec::new();
    let (mut refusal, mut until) = (None, until);
    while came.len() + 1 < size {
        let missing = (1..size).find(|rank| came.iter().all(|(_, _, there)| there != rank)).unwrap_or(0);
        let (link, address, hello) = match accept::<Hello>(listener, missing, until) {
            Ok(Some(somebody)) => somebody,
            Ok(None) => continue,
            Err(_) if refusal.is_some() => break,
            Err(error) => return Err(error),
        };
        if refusal.is_none() {
            let rank = hello.rank;
            let twice = came.iter().any(|(_, _, there)| *there == rank);
            let twice = || twice.then(|| format!("there are two processes of rank {rank}"));
            refusal = mismatch(&hello, size, terms).or_else(twice);
            if refusal.is_some() {
                // Processes that connect a little later still get the refusal.
                until = until.min(Instant::now() + HELLO);
            }
        }
        came.push((link, SocketAddr::new(address.ip().to_canonical(), hello.port), hello.rank));
    }
    if let Some(refusal) = refusal {
        for (link, _, _) in &mut came {
            // this process ends whether the refusal arrives or not
            let _ = send(link, &Answer::Refusal(refusal.clone()));
        }
        return Err(coded(REFUSED, refusal));
    }
    let places = came.iter().map(|(_, place, rank)| (*rank, *place)).collect();
    let meeting = Meeting { places, session: RandomState::new().build_hasher().finish() };
    for (link, _, _) in &mut came {
        send(link, &Answer::Welcome(meeting.clone()))?;
    }
    Ok(meeting)
}

/// All others: connect to rank 0 and wait until it has found everybody.
fn report(hello: &Hello, master: &str, until: Instant) -> Result<Meeting> {
    let mut link = connect_to(0, master, until)?;
    send(&mut link, hello)?;
    link.set_deadline(left(until));
    match receive(&mut link)? {
        Answer::Welcome(meeting) => Ok(meeting),
        Answer::Refusal(why) => Err(coded(REFUSED, format!("rank 0 refuses: {why}"))),
    }
}

/// Why a process cannot take part.
fn mismatch(hello: &Hello, size: usize, terms: &RunTerms) -> Option<String> {
    let rank = hello.rank;
    let release = release();
    if hello.release != release {
        return Some(format!("rank {rank} is distill {}, rank 0 is {release}; install one release", hello.release));
    }
    if hello.size != size || !(1..size).contains(&rank) {
        let theirs = hello.size;
        return Some(format!("rank {rank} of WORLD_SIZE {theirs} came to a run of WORLD_SIZE {size}; start all alike"));
    }
    if hello.terms.settings != terms.settings {
        let words = ["is", &format!("for rank {rank}")];
        let options = changes(&terms.settings, &hello.terms.settings, words);
        return Some(format!("rank {rank} has other options than rank 0: {options}; start all with the same"));
    }
    (hello.terms.texts != terms.texts)
        .then(|| format!("rank {rank} reads other texts than rank 0; give all the same files and tokenizer"))
}

fn release() -> String {
    env!("CARGO_PKG_VERSION").into()
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

fn name(rank: usize) -> String {
    format!("rank {rank}")
}

/// Listens where others can come: on loopback where MASTER_ADDR says so, elsewhere on every address of this machine, for a
/// name may stand for one thing here and for another there.
fn listen(host: &str, port: u16) -> Result<Listener> {
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let places: Vec<SocketAddr> = match loopback {
        true => (host, port).to_socket_addrs().with_context(|| format!("MASTER_ADDR is {host}"))?.collect(),
        false => vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()],
    };
    let mut failed = None;
    for place in places {
        match Listener::on(place) {
            Ok(listener) => return Ok(listener),
            Err(NetError::Listen { address, source }) if source.kind() == ErrorKind::AddrInUse => {
                let cure = "another program or run has this port; choose another MASTER_PORT for all processes";
                return Err(coded(TAKEN, format!("cannot listen on {address}: {source}; {cure}")));
            }
            Err(error) => failed = Some(error),
        }
    }
    let why = failed.map_or("it stands for no address".into(), |error| error.to_string());
    Err(coded(OTHER, format!("MASTER_ADDR is {host}: {why}")))
}

/// Connects to a process, again and again while it does not listen yet or its name cannot be resolved.
fn connect_to(rank: usize, address: &str, until: Instant) -> Result<TcpLink> {
    let peer = name(rank);
    let mut said = false;
    let stream = loop {
        match connect(&peer, address, left(until)) {
            Ok(stream) => break stream,
            Err(error) if left(until) < PAUSE => return Err(lost(error)),
            Err(error) if !said => {
                eprintln!("warning: {error}; trying again");
                said = true;
            }
            Err(_) => {}
        }
        sleep(PAUSE);
    };
    TcpLink::from_stream(stream, &peer, LIMITS, HELLO).map_err(lost)
}

/// The next connection and its greeting; `None` if that is not a process of a run.
fn accept<T: DeserializeOwned>(
    listener: &Listener,
    awaited: usize,
    until: Instant,
) -> Result<Option<(TcpLink, SocketAddr, T)>> {
    let peer = name(awaited);
    let stream: TcpStream = listener.accept(&peer, left(until)).map_err(lost)?;
    let Ok(address) = stream.peer_addr() else { return Ok(None) };
    let mut link = TcpLink::from_stream(stream, &peer, Limits::STRANGER, HELLO).map_err(lost)?;
    match receive(&mut link) {
        Ok(greeting) => Ok(Some((link, address, greeting))),
        Err(error) => {
            eprintln!("warning: somebody at {address} is no process of this run: {error}");
            Ok(None)
        }
    }
}

fn send(link: &mut TcpLink, what: &impl Serialize) -> Result<()> {
    let frame = Frame::new(Header::new(GREETING, 0, 0, 0), serde_json::to_vec(what)?);
    link.send(frame).and_then(|()| link.flush()).map_err(lost)
}

fn receive<T: DeserializeOwned>(link: &mut TcpLink) -> Result<T> {
    let payload = link.expect(GREETING, 0, 0, 0, None).map_err(lost)?;
    let peer = link.peer();
    serde_json::from_slice(&payload)
        .map_err(|error| coded(REFUSED, format!("{peer} says what is not understood: {error}")))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;

    use serde_json::json;

    use super::super::free_port::free_port;
    use super::*;

    fn launches(size: usize) -> Vec<Launch> {
        let master = Some(("localhost".to_string(), free_port()));
        (0..size).map(|rank| Launch { rank, size, local_rank: rank, master: master.clone() }).collect()
    }

    fn terms() -> RunTerms {
        RunTerms { settings: json!({"seed": 42, "max_seq_length": null}), texts: "7".into() }
    }

    /// What comes of processes with these terms.
    fn meetings(launches: Vec<Launch>, terms: impl Fn(usize) -> RunTerms) -> Vec<Result<Ring>> {
        let start = |launch: Launch| {
            let terms = terms(launch.rank);
            thread::spawn(move || meet(&launch, terms, Duration::from_secs(60)))
        };
        let threads: Vec<_> = launches.into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }

    fn refusals(ends: Vec<Result<Ring>>) -> Vec<String> {
        let refusal = |end: Result<Ring>| {
            let error = end.unwrap_err();
            assert_eq!(error.chain().find_map(cli::exit::code_in), Some(REFUSED), "{error}");
            error.to_string()
        };
        ends.into_iter().map(refusal).collect()
    }

    #[test]
    fn processes_find_one_another_and_add_up() {
        for size in [2, 4] {
            let rings = meetings(launches(size), |_| terms());
            let sum = |ring: Result<Ring>| {
                thread::spawn(move || {
                    let mut numbers = [1.0, 2.0, 3.0];
                    ring.unwrap().all_reduce(&mut numbers).unwrap();
                    numbers
                })
            };
            let sums: Vec<_> = rings.into_iter().map(sum).collect();
            let wanted = [1.0, 2.0, 3.0].map(|number| number * size as f32);
            assert!(sums.into_iter().all(|sum| sum.join().unwrap() == wanted));
        }
    }

    #[test]
    fn a_stranger_at_the_port_is_ignored() {
        let launches = launches(2);
        let port = launches[0].master.as_ref().unwrap().1;
        let knock = thread::spawn(move || {
            let mut stream = loop {
                match TcpStream::connect(("localhost", port)) {
                    Ok(stream) => break stream,
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            };
            let _ = stream.write_all(&[b'x'; 100]);
        });
        let first = thread::spawn({
            let launch = launches[0].clone();
            move || meet(&launch, terms(), Duration::from_secs(60))
        });
        knock.join().unwrap();
        meet(&launches[1], terms(), Duration::from_secs(60)).unwrap();
        first.join().unwrap().unwrap();
    }

    #[test]
    fn other_options_texts_or_numbers_are_refused_by_name() {
        let other = RunTerms { settings: json!({"seed": 43, "max_seq_length": null}), ..terms() };
        for said in refusals(meetings(launches(2), |rank| if rank == 1 { other.clone() } else { terms() })) {
            assert!(said.contains("--seed is 42, for rank 1 43") && !said.contains("--max-seq"), "{said}");
        }
        for said in
            refusals(meetings(launches(3), |rank| RunTerms { texts: usize::from(rank == 2).to_string(), ..terms() }))
        {
            assert!(said.contains("rank 2 reads other texts"), "{said}");
        }
        let mut unequal = launches(2);
        unequal[1].size = 3;
        for said in refusals(meetings(unequal, |_| terms())) {
            assert!(said.contains("rank 1 of WORLD_SIZE 3 came to a run of WORLD_SIZE 2"), "{said}");
        }
        let mut twice = launches(3);
        twice[2].rank = 1;
        for said in refusals(meetings(twice, |_| terms())) {
            assert!(said.contains("two processes of rank 1"), "{said}");
        }
    }

    #[test]
    fn nobody_there_and_a_port_that_is_taken_have_their_codes() {
        let code = |launch: &Launch| {
            let error = meet(launch, terms(), Duration::from_millis(50)).unwrap_err();
            (error.chain().find_map(cli::exit::code_in), error.to_string())
        };
        let launches = launches(2);
        for (launch, peer) in launches.iter().zip(["rank 1", "rank 0"]) {
            let (code, said) = code(launch);
            assert_eq!(code, Some(cli::exit::LOST), "{said}");
            assert!(said.contains(peer), "{said}");
        }
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let master = Some(("127.0.0.1".into(), taken.local_addr().unwrap().port()));
        let (code, said) = code(&Launch { master, ..launches[0].clone() });
        assert_eq!(code, Some(TAKEN), "{said}");
        assert!(said.contains("MASTER_PORT"), "{said}");
    }
}
