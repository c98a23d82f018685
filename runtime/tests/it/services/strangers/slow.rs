//! Callers that take their time, that are many, or that say again what another one said.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bundle::Role;
use roles::message::kind;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::version::TLS13;
use socket2::{Domain, Socket, Type};

use super::super::raw::{dial, drip, header, until_closed};
use super::super::soon;
use super::{Ground, OTHER, STRANGER, keys_of};
use crate::sessions::PATIENCE;

/// Connections of the crowd.
const CROWD: usize = 1000;
/// How many of them are heard at once (`limits.handshakes_per_address`).
const HEARD: usize = 32;

/// How TLS begins; what follows never comes.
const BEGINNING: [u8; 11] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// Those who say nothing, or too little, are sent away in a few seconds.
pub(super) fn callers(ground: &mut Ground) {
    let (early, late) = ("agreeing on keys (TLS) did not finish within", "receiving a frame did not finish within");
    let logged = [early, early, early, late, late].map(|words| (Role::Party0, words));
    ground.row("silence, one byte a second, half-open connections", &logged, |world| {
        let address = &world.services.address(0).unwrap().address;
        let plain = || {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        };
        let proved = || dial(address, &keys_of(world, STRANGER), &TLS13).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| until_closed(&mut plain()));
            scope.spawn(|| until_closed(&mut proved()));
            scope.spawn(|| {
                let mut half = plain();
                half.write_all(&BEGINNING).unwrap();
                until_closed(&mut half)
            });
            scope.spawn(|| {
                let mut slow = plain();
                drip(&mut slow, &BEGINNING);
                until_closed(&mut slow)
            });
            scope.spawn(|| {
                let mut slow = proved();
                drip(&mut slow, &header(2, kind::HELLO, 0, 100)[..11]);
                until_closed(&mut slow)
            });
        });
    });
}

/// A thousand connections from one address: most are closed at once, others are served meanwhile, and few lines are logged.
pub(super) fn crowd(ground: &mut Ground) {
    eprintln!("{CROWD} connections from one address");
    let mark = ground.world.mark(Role::Party0);
    let to: SocketAddr = ground.world.services.address(0).unwrap().address.parse().unwrap();
    let process = ground.world.services.process(Role::Party0).unwrap();
    let count = |what: &str| fs::read_dir(format!("/proc/{process}/{what}")).unwrap().count();
    let (files, threads) = (count("fd"), count("task"));
    // a machine that lets a process open 1,024 files has no room for them beside those of other tests
    let files_of_ours = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files_of_ours.maximum, ..files_of_ours }).unwrap();
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        crowd.push(TcpStream::from(socket));
        if number % 250 == 100 {
            ground.ask();
            let (more_files, more_threads) = (count("fd").saturating_sub(files), count("task").saturating_sub(threads));
            assert!(more_files <= 2 * HEARD && more_threads <= 2 * HEARD, "{more_files} files, {more_threads} threads");
        }
    }
    mark.wait("sent away unheard", 1);
    ground.world.works(OTHER);
    ground.ask();
    for mut stream in crowd {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        until_closed(&mut stream);
    }
    assert!(soon(|| count("fd") <= files), "descriptors stay open");
    let lines = mark.warnings();
    assert!(lines.len() < CROWD / 20, "{} lines: {lines:#?}", lines.len());
}

/// What a client sent to P0, byte for byte, sent once more.
pub(super) fn replay(ground: &mut Ground) {
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let to = ground.world.services.address(0).unwrap().address;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let between = listener.local_addr().unwrap();
    let (record, party) = (Arc::clone(&recorded), to.clone());
    let relay = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut party = TcpStream::connect(party).unwrap();
        let (mut back, mut forth) = (party.try_clone().unwrap(), client.try_clone().unwrap());
        let backwards = thread::spawn(move || std::io::copy(&mut back, &mut forth));
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = client.read(&mut bytes) {
            record.lock().unwrap().extend_from_slice(&bytes[..count]);
            party.write_all(&bytes[..count]).unwrap();
        }
        let _ = party.shutdown(std::net::Shutdown::Write);
        let _ = backwards.join();
    });
    ground.row("a client with somebody in between", &[], |world| {
        let said = world.infer(STRANGER, &[&format!("peers.party0.address={between}")]);
        assert_eq!(said.code, Some(0), "{said:?}");
    });
    relay.join().unwrap();
    ground.row("what it sent, sent again", &[(Role::Party0, "no TLS: ")], |_| {
        let mut stream = TcpStream::connect(&to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // the party may hang up before it has all
        let _ = stream.write_all(&recorded.lock().unwrap());
        until_closed(&mut stream);
    });
}
