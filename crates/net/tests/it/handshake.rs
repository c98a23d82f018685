//! Who gets a TLS link, who does not, and what either side is told.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use net::{Limits, Link, NetError, Pin, TlsIdentity, TlsLink, Wait};
use rcgen::{Issuer, KeyPair};
use rustls::{CertificateError, Error, OtherError};

use crate::peers::{Bare, LONG, Papers, SOON, accept, identity, meet, parameters, sockets};

fn dial(stream: TcpStream, identity: &TlsIdentity, expected: &[Pin]) -> Result<TlsLink, NetError> {
    TlsLink::connect(stream, identity, expected, "a", Limits::default(), LONG)
}

fn any_pin() -> Pin {
    identity("another").pin()
}

/// What our answering side makes of a peer that dials it.
fn answered(bare: Bare) -> (NetError, Result<(), String>) {
    let ours = identity("a");
    let (here, there) = meet(|stream| accept(stream, &ours), |stream| bare.dial(stream));
    let ((mut stream, shaken), error) = (there, here.unwrap_err());
    // in TLS 1.3 the side that dials hears of a refusal when it reads
    let heard = shaken.and_then(|()| stream.read(&mut [0]).map(drop));
    (error, heard.map_err(|e| e.to_string()))
}

/// What our dialling side makes of a peer that answers it.
fn dialled(bare: Bare) -> (NetError, Result<(), String>) {
    let ours = identity("b");
    let (there, here) = meet(|stream| bare.answer(stream), |stream| dial(stream, &ours, &[any_pin()]));
    (here.unwrap_err(), there.1.map_err(|e| e.to_string()))
}

fn is_tls(error: &NetError, part: &str) {
    assert!(matches!(error, NetError::Tls { .. }), "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn each_side_learns_the_others_pin() {
    let (ours, theirs) = (identity("a"), identity("b"));
    assert_ne!(ours.pin(), theirs.pin());
    let (a, b) = meet(|stream| accept(stream, &ours), |stream| dial(stream, &theirs, &[ours.pin()]));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!((a.peer_pin(), b.peer_pin()), (theirs.pin(), ours.pin()));
    assert_eq!((a.peer_validity(), b.peer_validity()), (theirs.validity(), ours.validity()));
    assert!(format!("{a:?}").contains(&theirs.pin().to_string()));
}

#[test]
fn either_of_two_pins_will_do_while_a_key_is_being_replaced() {
    let (old, new, theirs) = (identity("a"), identity("a"), identity("b"));
    for answering in [&old, &new] {
        let expected = [old.pin(), new.pin()];
        let (a, b) = meet(|stream| accept(stream, answering), |stream| dial(stream, &theirs, &expected));
        assert_eq!(b.unwrap().peer_pin(), answering.pin());
        a.unwrap();
    }
}

#[test]
fn another_pin_is_refused_and_both_sides_say_what_to_do() {
    let (ours, theirs) = (identity("a"), identity("b"));
    let expected = [any_pin(), any_pin()];
    let (a, b) = meet(|stream| accept(stream, &ours), |stream| dial(stream, &theirs, &expected));
    let error = b.unwrap_err();
    assert!(
        matches!(&error, NetError::WrongPin { peer, expected: e, got } if peer == "a" && *e == expected && *got == ours.pin())
    );
    let message = error.to_string();
    let [first, second] = expected;
    let begins = format!("a: expected pin {first} or {second}, got {}", ours.pin());
    assert!(message.starts_with(&begins) && message.contains("peers.a.pins"), "{message}");
    // the one that was refused is told its own pin, to be compared
    is_tls(&a.unwrap_err(), &format!("it does not know our key; its operator puts our pin {}", ours.pin()));

    let (_, b) = meet(|stream| accept(stream, &ours), |stream| dial(stream, &theirs, &[]));
    let error = b.unwrap_err().renamed("party0");
    assert!(error.to_string().starts_with("party0: no pin of it is known, got pb1-"), "{error}");
}

#[test]
fn a_certificate_that_expired_or_is_not_valid_yet_is_refused_with_both_dates() {
    let mut expired = parameters();
    expired.not_after = rcgen::date_time_ymd(2021, 3, 4);
    let mut future = parameters();
    future.not_before = rcgen::date_time_ymd(3021, 3, 4);
    let today = chrono::DateTime::<chrono::Utc>::from(SystemTime::now()).format("%Y-%m-").to_string();
    for (parameters, date, what) in [(expired, "2021-03-04", "expired on"), (future, "3021-03-04", "not valid before")]
    {
        for of in [answered, dialled] {
            let (error, heard) = of(Bare::new(Some(Papers::of(&parameters))));
            assert!(matches!(error, NetError::Certificate { .. }), "{error}");
            let message = error.to_string();
            let parts = [what, date, today.as_str(), "clock"];
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
            assert!(heard.unwrap_err().contains("CertificateExpired"));
        }
    }
}

#[test]
fn a_certificate_that_another_key_signed_is_refused() {
    let (key, other) =
        (KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap());
    let parameters = parameters();
    let forged = parameters.signed_by(&key, &Issuer::from_params(&parameters, &other)).unwrap();
    for of in [answered, dialled] {
        let (error, heard) = of(Bare::new(Some(Papers::with(vec![forged.der().clone()], &key))));
        assert!(matches!(error, NetError::Certificate { .. }), "{error}");
        assert!(error.to_string().contains("not signed with its own key"), "{error}");
        heard.unwrap_err();
    }
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    // everybody who ever spoke to a role has its certificate
    let stolen = Papers::of(&parameters()).certificates();
    let own = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let (error, heard) = answered(Bare::new(Some(Papers::with(stolen, &own))));
    is_tls(&error, "does not prove its key");
    heard.unwrap_err();

    // even where it is the pin that is expected
    let folder = tempfile::tempdir().unwrap();
    let victim = net::keys::create(folder.path(), "a", LONG).unwrap();
    let certificate = rustls::pki_types::pem::PemObject::from_pem_file(folder.path().join("cert.pem")).unwrap();
    let ours = identity("b");
    let thief = Bare::new(Some(Papers::with(vec![certificate], &own)));
    let (_, here) = meet(|stream| thief.answer(stream), |stream| dial(stream, &ours, &[victim.pin()]));
    is_tls(&here.unwrap_err(), "does not prove its key");
}

#[test]
fn a_chain_of_certificates_is_refused() {
    let papers = Papers::of(&parameters());
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let chain = [papers.certificates(), papers.certificates()].concat();
    for of in [answered, dialled] {
        let (error, _) = of(Bare::new(Some(Papers::with(chain.clone(), &key))));
        assert!(
            matches!(error, NetError::Certificate { .. }) && error.to_string().contains("more than one"),
            "{error}"
        );
    }
}

#[test]
fn a_caller_without_a_certificate_is_refused() {
    let (error, heard) = answered(Bare::new(None));
    is_tls(&error, "it showed no certificate");
    assert!(heard.unwrap_err().contains("CertificateRequired"));
}

#[test]
fn a_peer_that_does_not_name_the_protocol_is_refused() {
    for protocols in [vec![], vec![b"h2".to_vec()]] {
        let bare = || Bare { protocols: protocols.clone(), ..Bare::new(Some(Papers::of(&parameters()))) };
        is_tls(&answered(bare()).0, "private-bert/1");
    }
    let papers = Papers::of(&parameters());
    let ours = identity("b");
    let pin = {
        let (link, _) = meet(|stream| accept(stream, &ours), |stream| Bare::new(Some(papers.clone())).dial(stream));
        link.unwrap().peer_pin()
    };
    for protocols in [vec![], vec![b"h2".to_vec()]] {
        let bare = Bare { protocols, ..Bare::new(Some(papers.clone())) };
        let (_, here) = meet(|stream| bare.answer(stream), |stream| dial(stream, &ours, &[pin]));
        is_tls(&here.unwrap_err(), "private-bert/1");
    }
}

#[test]
fn a_peer_of_before_tls_1_3_is_refused() {
    let bare = || Bare { version: &rustls::version::TLS12, ..Bare::new(Some(Papers::of(&parameters()))) };
    let (error, heard) = answered(bare());
    is_tls(&error, "does not offer TLS 1.3");
    assert!(heard.unwrap_err().contains("ProtocolVersion"));
    let (error, _) = dialled(bare());
    is_tls(&error, "it does not speak TLS 1.3");
}

#[test]
fn what_a_peer_says_against_our_certificate_comes_out_of_the_first_recv() {
    let refusals = [
        (CertificateError::Expired, "it refused us: our certificate has expired or is not valid yet by its clock"),
        (CertificateError::Other(OtherError(std::sync::Arc::new(std::fmt::Error))), "it does not know our key"),
        (CertificateError::BadEncoding, "not good enough (BadCertificate)"),
    ];
    for (refusal, said) in refusals {
        let papers = Papers::of(&parameters());
        let ours = identity("b");
        let (link, _) = meet(|stream| accept(stream, &ours), |stream| Bare::new(Some(papers.clone())).dial(stream));
        let pin = link.unwrap().peer_pin();
        let bare = Bare { verdict: Err(Error::InvalidCertificate(refusal)), ..Bare::new(Some(papers)) };
        let (there, here) = meet(|stream| bare.answer(stream), |stream| dial(stream, &ours, &[pin]));
        assert!(there.1.is_err());
        let mut link = here.unwrap();
        for _ in 0..2 {
            let error = link.recv().unwrap_err();
            is_tls(&error, said);
        }
        is_tls(&link.send(net::Frame::new(net::Header::new(0, 0, 0, 0), vec![])).unwrap_err(), said);
    }
}

#[test]
fn what_does_not_speak_tls_is_named_without_its_bytes() {
    let cases: [(&[u8], &str); 4] = [
        (b"GET /secret HTTP/1.1\r\n\r\n", "it sent an HTTP request"),
        (b"PTIF\x02\x00\x00\x00secret", "it sent a frame of this program without TLS"),
        (b"\x00\x01\x02secret", "it sent bytes of another protocol"),
        (b"HTTP/1.1 400 secret\r\n\r\n", "it sent an HTTP answer"),
    ];
    let ours = identity("a");
    for (bytes, said) in cases {
        let send = |mut stream: TcpStream| stream.write_all(bytes).map(|()| stream).unwrap();
        let (here, _there) = meet(|stream| accept(stream, &ours), send);
        let error = here.unwrap_err();
        is_tls(&error, said);
        assert!(!error.to_string().contains("secret"), "{error}");
        let (_there, here) = meet(send, |stream| dial(stream, &ours, &[any_pin()]));
        is_tls(&here.unwrap_err(), said);
    }
    // a record of TLS, with nothing of TLS in it
    let record = [b"\x16\x03\x01\x00\x10".as_slice(), &[0xff; 16]].concat();
    let (here, _there) = meet(|stream| accept(stream, &ours), |mut stream| stream.write_all(&record).map(|()| stream));
    is_tls(&here.unwrap_err(), "it broke TLS");
    // one that goes away
    let (here, ()) = meet(|stream| accept(stream, &ours), drop);
    let error = here.unwrap_err();
    assert!(matches!(error, NetError::Lost { wait: Wait::Handshake, .. }), "{error}");
    assert!(error.to_string().contains("set up for TLS"), "{error}");
}

/// The first flight of a side that dials, as ours sends it.
fn hello() -> Vec<u8> {
    let ours = identity("b");
    let listen = |mut stream: TcpStream| {
        let mut bytes = vec![0; 5];
        stream.read_exact(&mut bytes).unwrap();
        bytes.resize(5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]])), 0);
        stream.read_exact(&mut bytes[5..]).unwrap();
        bytes
    };
    meet(listen, |stream| dial(stream, &ours, &[]).unwrap_err()).0
}

#[test]
fn silence_ends_with_the_deadline() {
    let ours = identity("a");
    let (a, b) = sockets();
    let answered = TlsLink::accept(a, &ours, "b", Limits::default(), SOON, LONG);
    let dialled = TlsLink::connect(b, &ours, &[], "a", Limits::default(), SOON);
    // the second one found its connection given up
    assert!(dialled.is_err());
    let (_a, b) = sockets();
    let dialled = TlsLink::connect(b, &ours, &[], "a", Limits::default(), SOON);
    for error in [answered.unwrap_err(), dialled.unwrap_err()] {
        assert!(matches!(error, NetError::Timeout { wait: Wait::Handshake, waited, .. } if waited >= SOON), "{error}");
        assert!(error.to_string().contains("agreeing on keys"), "{error}");
    }
}

#[test]
fn a_byte_now_and_then_does_not_extend_the_deadline() {
    let (hello, ours) = (hello(), identity("a"));
    assert!(hello.len() > 100);
    let sent = AtomicUsize::new(0);
    let drip = |mut stream: TcpStream| {
        for byte in &hello {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            sent.fetch_add(1, Ordering::Relaxed);
            thread::sleep(SOON);
        }
    };
    let answer = |stream: TcpStream| {
        let other = stream.try_clone().unwrap();
        let link = TlsLink::accept(stream, &ours, "b", Limits::default(), 10 * SOON, LONG);
        let so_far = sent.load(Ordering::Relaxed);
        let _ = other.shutdown(Shutdown::Both);
        (link, so_far)
    };
    let ((link, so_far), ()) = meet(answer, drip);
    let error = link.unwrap_err();
    assert!(matches!(error, NetError::Timeout { wait: Wait::Handshake, waited, .. } if waited >= 10 * SOON), "{error}");
    assert!((2..hello.len()).contains(&so_far), "{so_far} of {}", hello.len());
}

#[test]
fn a_message_that_never_ends_is_refused_before_much_of_it_is_kept() {
    let ours = identity("a");
    // it announces 60,000 bytes, and each of them comes in a record of its own
    let mut records = vec![22, 3, 1, 0, 4, 1, 0, 0xea, 0x60];
    records.extend([22, 3, 1, 0, 1, 0].repeat(50_000));
    let flood = |mut stream: TcpStream| {
        let _ = stream.write_all(&records);
        let _ = stream.read_to_end(&mut Vec::new());
    };
    let (here, ()) = meet(|stream| accept(stream, &ours), flood);
    is_tls(&here.unwrap_err(), "HandshakePayloadTooLarge");
}

#[test]
fn a_link_is_made_however_slowly_bytes_come_within_the_deadline() {
    let (ours, theirs) = (identity("a"), identity("b"));
    let ((answering, mut to_answering), (mut to_dialling, dialling)) = (sockets(), sockets());
    let (mut from, mut to) = (to_dialling.try_clone().unwrap(), to_answering.try_clone().unwrap());
    let slowly = |from: &mut TcpStream, to: &mut TcpStream| {
        let mut byte = [0];
        while from.read_exact(&mut byte).is_ok() && to.write_all(&byte).is_ok() {
            thread::sleep(Duration::from_micros(50));
        }
    };
    let forth = thread::spawn(move || slowly(&mut from, &mut to));
    let back = thread::spawn(move || slowly(&mut to_answering, &mut to_dialling));
    let (a, b) = crate::peers::meet_over(
        (answering, dialling),
        |stream| accept(stream, &ours),
        |stream| dial(stream, &theirs, &[ours.pin()]),
    );
    let (mut a, mut b) = (a.unwrap(), b.unwrap());
    a.send(net::Frame::new(net::Header::new(1, 2, 3, 4), vec![5; 300])).unwrap();
    assert_eq!(b.expect(1, 2, 3, 4, None).unwrap(), [5; 300]);
    drop((a, b));
    forth.join().unwrap();
    back.join().unwrap();
}

#[test]
fn openssl_with_tls_1_2_is_told_that_it_is_too_old() {
    // the same from another implementation, where there is one
    let Ok(version) = std::process::Command::new("openssl").arg("version").output() else { return };
    assert!(version.status.success());
    let listener = net::Listener::loopback(0).unwrap();
    let mut client = std::process::Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", &listener.local_addr().to_string()])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let error = accept(listener.accept("b", LONG).unwrap(), &identity("a")).unwrap_err();
    is_tls(&error, "does not offer TLS 1.3");
    assert!(!client.wait().unwrap().success());
}
