//! How fast links over TCP and over TLS are on loopback, in one run: `cargo run --release -p net --example tls_throughput`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on has failed")]

use std::thread;
use std::time::{Duration, Instant};

use net::{Frame, Header, Limits, Link, Listener, TcpLink, TlsLink, connect, keys};

const LONG: Duration = Duration::from_secs(60);
/// Of a bulk frame: typical of dealt words.
const LENGTH: usize = 8 << 20;
const FRAMES: u32 = 64;
const ROUNDS: u32 = 5000;
/// Runs of each kind, one after the other; the best one counts.
const RUNS: usize = 5;

fn sockets() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = Listener::loopback(0).unwrap();
    let there = connect("b", &listener.local_addr().to_string(), LONG).unwrap();
    (listener.accept("a", LONG).unwrap(), there)
}

fn tcp() -> (TcpLink, TcpLink) {
    let (a, b) = sockets();
    let link = |stream, peer| TcpLink::from_stream(stream, peer, Limits::default(), LONG).unwrap();
    (link(a, "b"), link(b, "a"))
}

fn tls() -> (TlsLink, TlsLink) {
    let new = |name| keys::create(tempfile::tempdir().unwrap().path(), name, 10 * LONG).unwrap();
    let (ours, theirs) = (new("a"), new("b"));
    let (a, b) = sockets();
    thread::scope(|scope| {
        let there = scope.spawn(|| TlsLink::connect(b, &theirs, &[ours.pin()], "a", Limits::default(), LONG).unwrap());
        let here = TlsLink::accept(a, &ours, "b", Limits::default(), LONG, LONG).unwrap();
        (here, there.join().unwrap())
    })
}

fn send_all(link: &mut impl Link) {
    (0..FRAMES).for_each(|step| link.send(Frame::new(Header::new(1, 0, 0, step), vec![7; LENGTH])).unwrap());
}

fn receive_all(link: &mut impl Link) {
    (0..FRAMES).for_each(|step| drop(link.expect(1, 0, 0, step, Some(LENGTH)).unwrap()));
}

/// Seconds for: bulk one way; bulk both ways at once; a small frame there and back, many times.
fn measure<L: Link>((mut a, mut b): (L, L)) -> [f64; 3] {
    let seconds = |a: &mut L, b: &mut L, here: fn(&mut L), there: fn(&mut L)| {
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| there(b));
            here(a);
        });
        start.elapsed().as_secs_f64()
    };
    let one_way = seconds(&mut a, &mut b, send_all, receive_all);
    // Each frame is taken before the next is sent, so that no queue fills up.
    let both = |link: &mut L| {
        for step in 0..FRAMES {
            link.send(Frame::new(Header::new(1, 0, 0, step), vec![7; LENGTH])).unwrap();
            link.expect(1, 0, 0, step, Some(LENGTH)).unwrap();
        }
    };
    let both_ways = seconds(&mut a, &mut b, both, both);
    let small = |link: &mut L| {
        for step in 0..ROUNDS {
            link.send(Frame::new(Header::new(1, 0, 0, step), vec![7; 100])).unwrap();
            link.expect(1, 0, 0, step, Some(100)).unwrap();
        }
    };
    [one_way, both_ways, seconds(&mut a, &mut b, small, small)]
}

fn main() {
    let (mut best_tcp, mut best_tls) = ([f64::MAX; 3], [f64::MAX; 3]);
    for _ in 0..RUNS {
        for (best, run) in [(&mut best_tcp, measure(tcp())), (&mut best_tls, measure(tls()))] {
            best.iter_mut().zip(run).for_each(|(best, run)| *best = best.min(run));
        }
    }
    let bytes = f64::from(FRAMES) * LENGTH as f64;
    let figures =
        |best: [f64; 3]| [bytes / best[0] / 1e6, 2.0 * bytes / best[1] / 1e6, best[2] / f64::from(ROUNDS) * 1e6];
    let (tcp, tls) = (figures(best_tcp), figures(best_tls));
    let names = ["one way, MB/s", "both ways, MB/s in all", "small frames exchanged, µs"];
    println!("{:<28} {:>9} {:>9} {:>9}", "", "TCP", "TLS", "TLS/TCP");
    for ((name, tcp), tls) in names.iter().zip(tcp).zip(tls) {
        println!("{name:<28} {tcp:>9.1} {tls:>9.1} {:>9.2}", tls / tcp);
    }
}
