//! Who calls a party and should not, and what is wrong with who should: each is told in words and by a code of its own, within a
//! deadline; the service logs it once; and four sessions that run beside it notice nothing.

mod commands;
mod slow;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use bundle::{Embedding, Role};
use cli::exit::{BAD_INPUT, REFUSED};
use net::keys;
use roles::exit::code_of;
use roles::handshake::fresh;
use roles::message::{ControlError, Hello, PublicTexts, Purpose, Request, kind, send, send_bytes};
use rustls::version::{TLS12, TLS13};
use trials::deployment::SERVICES;

use super::raw::{self, dial, header, until_closed};
use super::{Held, World, soon};
use crate::sessions::{PATIENCE, convert};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The client that makes the mistakes, and another one.
const STRANGER: usize = 4;
const OTHER: usize = 5;

/// Services with four open sessions.
struct Ground {
    world: World,
    held: Vec<Held>,
}

impl Ground {
    fn new() -> Ground {
        let mut world =
            World::new(6, "[limits]\nsessions = 12\njoin = 15\n", "[run]\ndeadline = 60\n[log]\nlevel = \"debug\"\n");
        let now = SystemTime::now();
        raw::keys(&world.path("expired"), now - 30 * DAY, now - DAY);
        // made today, on a machine whose clock is ahead
        raw::keys(&world.path("future"), now + DAY, now + 30 * DAY);
        let pins = ["expired", "future"].map(|name| keys::show(&world.path(name)).unwrap().current);
        for party in ["party0", "party1"] {
            let more = format!("[clients]\npins = [\"{}\", \"{}\", ", pins[0], pins[1]);
            world.edit(party, "[clients]\npins = [", &more);
        }
        world.services.start_all().unwrap();
        world.services.ready(PATIENCE).unwrap();
        let held = (0..4).map(|client| world.hold(client)).collect();
        let mut ground = Ground { world, held };
        ground.ask();
        ground
    }

    /// All four sessions must answer.
    fn ask(&mut self) {
        for (number, held) in self.held.iter_mut().enumerate() {
            held.ask().unwrap_or_else(|error| panic!("session {number}: {error:#}"));
        }
    }

    /// One mistake: what the services log of it, line by line, and nothing more.
    #[track_caller]
    fn row(&mut self, what: &str, logged: &[(Role, &str)], act: impl FnOnce(&World)) {
        self.row_and(what, logged, 0, act);
    }

    /// The same of a mistake that takes other roles along, which may say so, each at most so often.
    #[track_caller]
    fn row_and(&mut self, what: &str, logged: &[(Role, &str)], more: usize, act: impl FnOnce(&World)) {
        eprintln!("{what}");
        let marks = SERVICES.map(|role| (role, self.world.mark(role)));
        act(&self.world);
        let due = |role: Role| logged.iter().filter(move |(of, _)| *of == role).map(|(_, words)| *words);
        for (role, mark) in &marks {
            let count = due(*role).count();
            let said = soon(|| mark.warnings().len() >= count);
            assert!(said, "{what}: {role} should log {count} lines: {:#?}", mark.lines());
        }
        self.ask();
        for (role, mark) in &marks {
            let (lines, count) = (mark.warnings(), due(*role).count());
            assert!(lines.len() <= count + more, "{what}: {role} should log {count} lines: {lines:#?}");
            for words in due(*role) {
                assert!(lines.iter().any(|line| line.contains(words)), "{what}: {role}: no `{words}` in {lines:#?}");
            }
        }
    }

    /// One mistake in a hello to P0, by the key of a client or a role: how it is refused, which P0 logs.
    #[track_caller]
    fn hello(&mut self, what: &str, name: &str, words: &str, change: impl FnOnce(&mut Hello)) {
        self.row(what, &[(Role::Party0, words)], |world| {
            let (tls, me) = world.client(name, fresh().unwrap());
            let to = world.services.address(0).unwrap();
            let mut hello = me.hello(to.role, Purpose::Session);
            change(&mut hello);
            let link = to.connect(&tls, PATIENCE).unwrap();
            let error: anyhow::Error = to.greet(&me, link, &hello, PATIENCE, &mut |_| ()).unwrap_err().into();
            assert_eq!(code_of(&error), REFUSED, "{what}: {error:#}");
            assert!(error.to_string().contains(words), "{what}: {error:#}");
        });
    }

    /// Bytes to P0 in place of TLS, or of a hello within it, after which it must hang up.
    #[track_caller]
    fn bytes(&mut self, what: &str, over_tls: bool, bytes: &[u8], words: &str) {
        self.row(what, &[(Role::Party0, words)], |world| {
            let address = world.services.address(0).unwrap().address;
            if over_tls {
                let mut stream = dial(&address, &keys_of(world, STRANGER), &TLS13).unwrap();
                stream.write_all(bytes).and_then(|()| stream.flush()).unwrap();
                until_closed(&mut stream);
            } else {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.write_all(bytes).unwrap();
                until_closed(&mut stream);
            }
        });
    }
}

fn keys_of(world: &World, client: usize) -> std::path::PathBuf {
    world.services.folder(&format!("client{client}")).join("keys")
}

#[test]
fn whoever_calls_wrongly_is_told_and_logged_once_and_disturbs_no_session() {
    let mut ground = Ground::new();
    keys_that_are_not_known(&mut ground);
    certificates_out_of_time(&mut ground);
    keys_of_another_role(&mut ground);
    hellos(&mut ground);
    other_protocols(&mut ground);
    frames(&mut ground);
    sessions_of_others(&mut ground);
    clients_that_go(&mut ground);
    slow::callers(&mut ground);
    slow::crowd(&mut ground);
    commands::mistakes(&mut ground);
    let Ground { world, held } = ground;
    let marks = SERVICES.map(|role| world.mark(role));
    for held in held {
        held.client.bye().unwrap();
    }
    for mark in marks {
        mark.wait("session ended", 4);
        assert_eq!(mark.warnings(), Vec::<String>::new());
    }
}

fn keys_that_are_not_known(ground: &mut Ground) {
    let pin = format!("pb1-{}", "0".repeat(64));
    ground.row("a party with another key than expected", &[(Role::Party0, "it does not know our key")], |world| {
        let said = world.infer(STRANGER, &[&format!("peers.party0.pins=[\"{pin}\"]")]);
        let got = format!("got {}", world.services.pin("party0").unwrap());
        said.ended(REFUSED, &[&format!("party0: expected pin {pin}"), &got, "put it under peers.party0.pins"]);
    });
    ground.row("a caller whom nobody knows", &[(Role::Party0, "does not know the key pb1-")], |world| {
        let folder = world.path("unknown");
        let unknown = keys::create(&folder, "unknown", DAY).unwrap().pin();
        let said = world.infer(STRANGER, &[&format!("keys={}", folder.display())]);
        said.ended(REFUSED, &[&format!("party0 does not know the key {unknown}"), "under [clients]", "reload"]);
    });
}

fn certificates_out_of_time(ground: &mut Ground) {
    let cases = [
        ("expired", "an expired certificate", "the certificate expired on"),
        (
            "future",
            "a certificate that is not valid yet: a clock is off by a day",
            "the certificate is not valid before",
        ),
    ];
    for (name, what, words) in cases {
        ground.row(what, &[(Role::Party0, words)], |world| {
            let folder = world.path(name);
            // its own program does not use it
            let said = world.infer(STRANGER, &[&format!("keys={}", folder.display())]);
            said.ended(BAD_INPUT, &[words, "this machine's clock says"]);
            let mut stream = dial(&world.services.address(0).unwrap().address, &folder, &TLS13).unwrap();
            let ended = until_closed(&mut stream);
            assert!(ended.contains("CertificateExpired"), "{ended}");
        });
        ground.row(&format!("{what}, of a party"), &[], |world| {
            let folder = world.path(name);
            let pin = format!("peers.party0.pins=[\"{}\"]", keys::show(&folder).unwrap().current);
            let said = world.infer(STRANGER, &[&pin, &format!("peers.party0.address={}", raw::serve(&folder))]);
            said.ended(REFUSED, &["party0: refused its certificate", words, "this machine's clock says"]);
        });
    }
}

fn keys_of_another_role(ground: &mut Ground) {
    let client = format!("client{STRANGER}");
    let claimed = "your key is that of client, and you say that you are dealer";
    ground.hello("a client that says it is the dealer", &client, claimed, |hello| hello.role = Role::Dealer);
    let key = "your key is that of dealer, and you say that you are client";
    ground.row("the dealer's key in a client's hands", &[(Role::Party0, key)], |world| {
        let folder = world.services.folder("dealer").join("keys");
        world.infer(STRANGER, &[&format!("keys={}", folder.display())]).ended(REFUSED, &["party0 refused", key]);
    });
    let nobody = "no client has opened this session here";
    ground.hello("the dealer in a session of its own", "dealer", nobody, |hello| hello.role = Role::Dealer);
    let business = "client has no business of kind Control here";
    ground.hello("a client's control connection", &client, business, |hello| hello.purpose = Purpose::Control);
    let other = "you want party1, and this is party0";
    ground.hello("a call for another role", &client, other, |hello| hello.recipient = Role::Party1);
}

fn hellos(ground: &mut Ground) {
    let client = format!("client{STRANGER}");
    for protocol in [roles::message::PROTOCOL - 1, roles::message::PROTOCOL + 1] {
        let words = format!("you speak protocol {protocol}, party0 speaks {}", roles::message::PROTOCOL);
        let what = format!("protocol {protocol}");
        ground.hello(&what, &client, &words, |hello| hello.protocol = protocol);
    }
    let another = |what| format!("it has another {what}; give all roles parts of one conversion");
    ground.hello("another spec", &client, &another("spec"), |hello| hello.spec = "ab".repeat(32));
    ground
        .hello("a session's name that is none", &client, "the session is not 16 bytes", |hello| hello.session.clear());
    ground.hello("a nonce that is none", &client, "its nonce is not 32 bytes", |hello| hello.nonce.truncate(10));
    let dealer = "dealer";
    ground.hello("a dealer of another bundle", dealer, &another("bundle"), |hello| {
        (hello.role, hello.purpose, hello.bundle) = (Role::Dealer, Purpose::Control, "cd".repeat(16));
    });
    let words = another("bundle");
    ground.row("another bundle", &[(Role::Party0, &words)], |world| {
        let other = world.path("other");
        convert(&world.place.student(), Embedding::Private, &other);
        let said = world.infer(STRANGER, &[&format!("bundle={}", other.join("client").display())]);
        said.ended(REFUSED, &["party0 refused", &words]);
    });
}

fn other_protocols(ground: &mut Ground) {
    ground.bytes("HTTP", false, b"GET / HTTP/1.1\r\nHost: party0\r\n\r\n", "it sent an HTTP request");
    ground.bytes("plain TCP", false, &header(2, kind::HELLO, 0, 0), "a frame of this program without TLS");
    ground.bytes("noise", false, &[0x80; 64], "bytes of another protocol");
    ground.row("TLS 1.2", &[(Role::Party0, "it does not offer TLS 1.3")], |world| {
        let refused = dial(&world.services.address(0).unwrap().address, &keys_of(world, STRANGER), &TLS12);
        let words = refused.unwrap_err().to_string();
        assert!(words.contains("ProtocolVersion"), "{words}");
    });
}

fn frames(ground: &mut Ground) {
    let huge = "a payload of 1099511627776 bytes is over the limit of 65536";
    ground.bytes("an oversize frame", true, &header(2, kind::HELLO, 0, 1 << 40), huge);
    ground.bytes("an empty hello", true, &header(2, kind::HELLO, 0, 0), "a hello that cannot be read");
    let mut newer = header(2, kind::HELLO, 0, 15).to_vec();
    newer.extend(b"{\"protocol\":99}");
    ground.bytes("a hello of another release", true, &newer, "a hello that cannot be read");
    ground.bytes("another version of frames", true, &header(1, kind::HELLO, 0, 0), "speaks frame version 1");
    ground.bytes("no frame", true, &[b'x'; 48], "no frame begins where one should");
    ground.bytes("a frame of another kind", true, &header(2, kind::INPUT, 0, 0), "began with a frame of kind 21");
    ground.bytes("a frame out of its order", true, &header(2, kind::HELLO, 7, 0), "expected frame number 0, got 7");
    ground.row("a frame that is cut off", &[(Role::Party0, "connection lost")], |world| {
        let address = world.services.address(0).unwrap().address;
        let mut stream = dial(&address, &keys_of(world, STRANGER), &TLS13).unwrap();
        stream.write_all(&header(2, kind::HELLO, 0, 100)[..20]).and_then(|()| stream.flush()).unwrap();
        drop(stream);
    });
    let (_, me) = ground.world.client(&format!("client{STRANGER}"), [0; 16]);
    let hello = serde_json::to_vec(&me.hello(Role::Party0, Purpose::Status)).unwrap();
    let mut probe = header(2, kind::HELLO, 0, hello.len() as u64).to_vec();
    probe.extend(hello);
    probe.extend(header(2, kind::PROBE, 1, 1 << 30));
    ground.bytes("a probe that is too large", true, &probe, "a payload of 1073741824 bytes is over the limit");
}

fn sessions_of_others(ground: &mut Ground) {
    let (client, taken) = (format!("client{STRANGER}"), hex::encode(ground.held[0].session));
    let before = "a session of this id was opened before";
    ground.hello("the id of a session that runs", &client, before, |hello| hello.session = taken.clone());
    let ended: [u8; 16] = fresh().unwrap();
    ground.row("a session that ends", &[], |world| world.open(STRANGER, ended, &mut |_| ()).unwrap().bye().unwrap());
    ground.hello("a hello that is said again", &client, before, |hello| hello.session = hex::encode(ended));
    slow::replay(ground);
    for (name, role) in [("dealer", Role::Dealer), ("party1", Role::Party1)] {
        let words = format!("{role} is in this session already");
        ground.hello("a second connection for a role that is there", name, &words, |hello| {
            (hello.role, hello.session) = (role, taken.clone());
        });
    }
    let words = "party0 and party1 know this session from different clients";
    let logged = [(Role::Party0, words), (Role::Party0, words), (Role::Party1, words)];
    ground.row_and("a session of two clients", &logged, 2, |world| {
        let session = fresh().unwrap();
        let mut first = world.link(STRANGER, session, 0, &mut |_| ()).unwrap();
        let second = world.link(OTHER, session, 1, &mut |_| ()).map(drop).unwrap_err();
        assert!(second.to_string().contains(words), "{second:#}");
        let refusal = first.expect(kind::REFUSE, 1, 0, 0, None).unwrap();
        assert!(String::from_utf8_lossy(&refusal).contains(words));
    });
}

fn clients_that_go(ground: &mut Ground) {
    let lost = SERVICES.map(|role| (role, "lost"));
    ground.row("a client gone mid-session", &lost, |world| drop(world.hold(STRANGER)));
    let lengths = Request { texts: PublicTexts::exact(vec![ground.world.sample().ids.len()]) };
    let asked = |world: &World| {
        let session = fresh().unwrap();
        let mut links = [0, 1].map(|party| world.link(STRANGER, session, party, &mut |_| ()).unwrap());
        links.iter_mut().for_each(|link| send(link, kind::REQUEST, 1, 0, &lengths).unwrap());
        links.iter_mut().for_each(|link| drop(link.expect(kind::READY, 1, 0, 0, None).unwrap()));
        links
    };
    ground.row("a client gone mid-request", &lost, |world| drop(asked(world)));
    let (limit, huge) = ("a payload of 2097152 bytes is over the limit of 1048576", vec![0; 2 << 20]);
    let logged = [(Role::Party0, limit), (Role::Party1, "lost"), (Role::Dealer, "lost")];
    ground.row("a request that is too large", &logged, |world| {
        let session = fresh().unwrap();
        let mut links = [0, 1].map(|party| world.link(STRANGER, session, party, &mut |_| ()).unwrap());
        send_bytes(&mut links[0], kind::REQUEST, 1, 0, huge).unwrap();
        let told = links[0].recv();
        assert!(told.is_err() || told.is_ok_and(|frame| frame.header.kind == kind::REFUSE));
    });
    let words = "should bring";
    let logged = [(Role::Party0, "lost"), (Role::Party1, words), (Role::Dealer, "lost")];
    ground.row("a share that is too short", &logged, |world| {
        let [mut zero, mut one] = asked(world);
        send_bytes(&mut zero, kind::INPUT, 1, 0, vec![7; 32]).unwrap();
        send_bytes(&mut one, kind::INPUT, 1, 0, vec![7; 3]).unwrap();
        let told: ControlError = match one.expect(kind::REFUSE, 1, 0, 0, None) {
            Ok(refusal) => serde_json::from_slice::<roles::message::Refusal>(&refusal).unwrap().error("party1"),
            Err(error) => error.into(),
        };
        assert!(told.to_string().contains("the log of this role names"), "{told}");
    });
}
