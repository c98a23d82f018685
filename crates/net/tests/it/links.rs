//! What every link does, in memory, over TCP and over TLS, and what a TCP link does with a peer that does not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use net::testing::Recorded;
use net::{
    Counters, Frame, HEADER_LEN, Header, Limits, Link, LinkShape, Named, NetError, Shaped, TcpLink, Wait, memory_pair,
};

use crate::peers::{LONG, MIB, SOON, sockets, tcp_link, tcp_pair, tls_pair};

/// A link and the bare socket of its peer.
fn against_a_socket() -> (TcpLink, TcpStream) {
    let (a, b) = sockets();
    (tcp_link(a, "b", Limits { max_frame: 8 * MIB as u64, queue: MIB as u64 }), b)
}

fn frame(step: u32, payload: Vec<u8>) -> Frame {
    Frame::new(Header::new(1, 2, 3, step), payload)
}

fn expect(link: &mut impl Link, step: u32, len: usize) -> Result<Vec<u8>, NetError> {
    link.expect(1, 2, 3, step, Some(len))
}

/// The bytes of one frame, number 0 of its link, as a real link writes them.
fn wire(frame: Frame) -> Vec<u8> {
    let (mut link, mut socket) = against_a_socket();
    let mut bytes = vec![0; frame.wire_len() as usize];
    link.send(frame).unwrap();
    socket.read_exact(&mut bytes).unwrap();
    bytes
}

/// Sends from each end and receives at the other, several frames ahead, and looks at the counters.
fn frames_and_counters_agree(mut a: impl Link, mut b: impl Link) {
    assert_eq!((a.peer(), b.peer()), ("b", "a"));
    let lengths = [0, 1, 1000, 100_000];
    for (step, &length) in lengths.iter().enumerate() {
        a.send(frame(step as u32, vec![0xa; length])).unwrap();
        b.send(frame(step as u32, vec![0xb; 2 * length])).unwrap();
    }
    a.flush().unwrap();
    for (step, &length) in lengths.iter().enumerate() {
        assert_eq!(expect(&mut a, step as u32, 2 * length).unwrap(), vec![0xb; 2 * length]);
        let received = b.recv().unwrap();
        assert_eq!(received.header, Header { sequence: step as u64, ..Header::new(1, 2, 3, step as u32) });
        assert_eq!(received.payload, vec![0xa; length]);
    }
    let headers = 4 * HEADER_LEN as u64;
    let (of_a, of_b) = (headers + 101_001, headers + 202_002);
    let counters =
        |sent, received| Counters { frames_sent: 4, bytes_sent: sent, frames_received: 4, bytes_received: received };
    assert_eq!(a.counters(), counters(of_a, of_b));
    assert_eq!(b.counters(), counters(of_b, of_a));
    assert_eq!(a.counters().since(a.counters()), Counters::default());
}

/// What both kinds of link say when the peer is silent, elsewhere, or gone.
fn errors_name_the_peer_and_the_step(mut a: impl Link, mut b: impl Link) {
    b.set_deadline(SOON);
    let error = expect(&mut b, 7, 0).unwrap_err();
    assert!(matches!(error, NetError::Timeout { waited, .. } if waited >= SOON), "{error}");
    assert_eq!(error.step(), Some(7));
    assert!(error.to_string().starts_with("a: receiving step 7"), "{error}");

    b.set_deadline(LONG);
    a.send(frame(8, vec![])).unwrap();
    let error = expect(&mut b, 7, 0).unwrap_err();
    assert!(matches!(error, NetError::OutOfStep { .. }));
    let message = error.to_string();
    assert!(message.contains("step 7") && message.contains("step 8") && message.contains("a is out of step"));

    a.send(frame(9, vec![1, 2])).unwrap();
    let error = expect(&mut b, 9, 3).unwrap_err();
    assert!(matches!(error, NetError::WrongLength { step: 9, expected: 3, got: 2, .. }), "{error}");

    a.send(frame(10, vec![1, 2])).unwrap();
    drop(a);
    assert_eq!(expect(&mut b, 10, 2).unwrap(), [1, 2], "what was sent before the end still arrives");
    for _ in 0..2 {
        let error = expect(&mut b, 11, 3).unwrap_err();
        assert!(matches!(error, NetError::Lost { wait: Wait::Receive(Some(11)), .. }), "{error}");
    }
}

#[test]
fn frames_and_counters_agree_in_memory() {
    let (a, b) = memory_pair("a", "b");
    frames_and_counters_agree(a, b);
}

#[test]
fn frames_and_counters_agree_over_tcp() {
    let (a, b) = tcp_pair(Limits::default());
    frames_and_counters_agree(a, b);
}

#[test]
fn frames_and_counters_agree_over_tls() {
    let (a, b) = tls_pair(Limits::default());
    frames_and_counters_agree(a, b);
}

#[test]
fn frames_and_counters_agree_under_decorators_and_boxes() {
    let (a, b) = memory_pair("a", "b");
    let shape = LinkShape { latency: Duration::from_millis(1), bandwidth: 1e9 };
    let (a, b) = (Shaped::new(Recorded::new(a), shape), Recorded::new(Shaped::new(b, shape)));
    let (a, b): (Box<dyn Link>, Box<dyn Link>) = (Box::new(a), Box::new(b));
    frames_and_counters_agree(a, b);
}

#[test]
fn errors_name_the_peer_and_the_step_in_memory() {
    let (a, b) = memory_pair("a", "b");
    errors_name_the_peer_and_the_step(a, b);
}

#[test]
fn errors_name_the_peer_and_the_step_over_tcp() {
    let (a, b) = tcp_pair(Limits::default());
    errors_name_the_peer_and_the_step(a, b);
}

#[test]
fn errors_name_the_peer_and_the_step_over_tls() {
    let (a, b) = tls_pair(Limits::default());
    errors_name_the_peer_and_the_step(a, b);
}

/// Each side sends before it receives.
fn both_send_first<L: Link + 'static>((mut a, mut b): (L, L), frames: u32, length: usize) {
    let run = move |link: &mut L| {
        (0..frames).for_each(|step| link.send(frame(step, vec![step as u8; length])).unwrap());
        (0..frames).for_each(|step| assert!(expect(link, step, length).unwrap() == vec![step as u8; length]));
    };
    let other = thread::spawn(move || {
        run(&mut b);
        b
    });
    run(&mut a);
    other.join().unwrap();
}

#[test]
fn both_sides_send_32_megabytes_before_they_receive() {
    both_send_first(tcp_pair(Limits::default()), 8, 4 * MIB);
    both_send_first(tls_pair(Limits::default()), 8, 4 * MIB);
}

#[test]
fn both_sides_send_one_frame_longer_than_their_queues_before_they_receive() {
    let limits = Limits { queue: 1000, ..Limits::default() };
    both_send_first(tcp_pair(limits), 1, 32 * MIB);
    both_send_first(tls_pair(limits), 1, 50 * MIB);
}

#[test]
fn a_dropped_link_delivers_what_it_was_given() {
    dropped_after_sending(tcp_pair(Limits::default()));
    dropped_after_sending(tls_pair(Limits::default()));
}

fn dropped_after_sending<L: Link + 'static>((mut a, mut b): (L, L)) {
    let sender = thread::spawn(move || (0..4).for_each(|step| a.send(frame(step, vec![1; 8 * MIB])).unwrap()));
    sender.join().unwrap();
    (0..4).for_each(|step| assert!(expect(&mut b, step, 8 * MIB).is_ok()));
}

#[test]
fn a_peer_that_never_reads_makes_sending_time_out_by_name() {
    let (mut link, _socket) = against_a_socket();
    link.set_deadline(SOON);
    let error = (0..).find_map(|step| link.send(frame(step, vec![0; 8 * MIB])).err()).unwrap();
    assert!(matches!(error, NetError::Timeout { wait: Wait::Send(_), .. }), "{error}");
    assert_eq!(error.step(), Some(link.counters().frames_sent as u32));
}

#[test]
fn a_peer_that_resets_the_connection_is_lost_to_sending_too() {
    let (mut link, socket) = against_a_socket();
    drop(socket);
    let error = (0..).find_map(|step| link.send(frame(step, vec![0; MIB])).err()).unwrap();
    assert!(matches!(error, NetError::Lost { wait: Wait::Send(_), .. }), "{error}");
    assert!(matches!(link.flush(), Err(NetError::Lost { wait: Wait::Flush, .. })));
}

#[test]
fn a_peer_dropped_in_mid_frame_is_lost_after_the_frames_before() {
    let whole = wire(frame(0, vec![5; 100]));
    for part in [1, HEADER_LEN - 1, HEADER_LEN, HEADER_LEN + 1, HEADER_LEN + 99] {
        let (mut link, mut socket) = against_a_socket();
        socket.write_all(&whole[..part]).unwrap();
        drop(socket);
        let error = expect(&mut link, 0, 100).unwrap_err();
        assert!(matches!(error, NetError::Lost { wait: Wait::Receive(Some(0)), .. }), "{part}: {error}");
        assert!(error.to_string().contains("inside a"), "{error}");
    }
}

#[test]
fn a_repeated_frame_is_out_of_sequence_and_the_good_one_before_it_arrives() {
    let whole = wire(frame(0, vec![5; 100]));
    let (mut link, mut socket) = against_a_socket();
    socket.write_all(&[&whole[..], &whole[..]].concat()).unwrap();
    expect(&mut link, 0, 100).unwrap();
    for _ in 0..2 {
        assert!(matches!(link.recv(), Err(NetError::OutOfSequence { expected: 1, got: 0, .. })));
    }
}

#[test]
fn a_peer_that_breaks_the_format_is_refused_for_receiving_and_for_sending() {
    let good = wire(frame(0, vec![5; 100]));
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    type Check = fn(&NetError) -> bool;
    let cases: [(Vec<u8>, Check); 4] = [
        (with(0, b'?'), |e| matches!(e, NetError::Malformed { .. })),
        (with(4, 200), |e| matches!(e, NetError::WrongVersion { expected: net::VERSION, got: 200, .. })),
        (with(46, 1), |e| matches!(e, NetError::TooLong { length, .. } if *length == (1 << 48) + 100)),
        (b"GET / HTTP/1.1\r\nHost: a host whose name is of some length\r\n\r\n".to_vec(), |e| {
            matches!(e, NetError::Malformed { .. })
        }),
    ];
    for (bytes, right) in cases {
        let (mut link, mut socket) = against_a_socket();
        socket.write_all(&bytes).unwrap();
        let error = link.recv().unwrap_err();
        assert!(right(&error), "{error}");
        assert!(right(&link.send(frame(0, vec![])).unwrap_err()));
        assert!(right(&link.recv().unwrap_err()));
    }
}

#[test]
fn a_frame_that_the_peer_would_refuse_is_not_sent() {
    let (mut link, _socket) = against_a_socket();
    let error = link.send(frame(4, vec![0; 8 * MIB + 1])).unwrap_err();
    assert!(matches!(error, NetError::TooLong { wait: Wait::Send(4), .. }), "{error}");
    assert_eq!(link.counters(), Counters::default());
}

#[test]
fn counters_equal_what_passes_on_the_wire() {
    let (mut link, mut socket) = against_a_socket();
    (0..5).for_each(|step| link.send(frame(step, vec![9; 1000 * step as usize])).unwrap());
    let sent = link.counters().bytes_sent;
    drop(link);
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, sent);
}

/// Both ends agree on a session after their first frames; then one of them changes its mind.
fn frames_belong_to_their_session(mut a: impl Link, mut b: impl Link) {
    a.send(frame(0, vec![1])).unwrap();
    // the first of the session is on its way before the other end knows of it
    a.set_session(7);
    a.send(frame(1, vec![2])).unwrap();
    assert_eq!(b.recv().unwrap().header.session, 0);
    b.set_session(7);
    let received = b.recv().unwrap();
    assert_eq!((received.header.session, received.payload), (7, vec![2]));
    b.send(frame(2, vec![3])).unwrap();
    assert_eq!(expect(&mut a, 2, 1).unwrap(), [3]);

    a.set_session(8);
    (3..5).for_each(|step| a.send(frame(step, vec![])).unwrap());
    for _ in 0..2 {
        let error = expect(&mut b, 3, 0).unwrap_err();
        assert!(matches!(error, NetError::OutOfSession { expected: 7, got: 8, .. }), "{error}");
        assert!(error.to_string().starts_with("a: expected a frame of session 0x0000000000000007"), "{error}");
    }
    assert!(matches!(b.send(frame(6, vec![])), Err(NetError::OutOfSession { .. })), "nothing more is sent");
}

#[test]
fn frames_belong_to_their_session_in_memory_and_under_decorators() {
    let (a, b) = memory_pair("a", "b");
    frames_belong_to_their_session(a, b);
    let (a, b) = memory_pair("a", "b");
    let (a, b): (Box<dyn Link>, Box<dyn Link>) = (Box::new(Named::new(a, "b")), Box::new(Recorded::new(b)));
    frames_belong_to_their_session(a, b);
}

#[test]
fn frames_belong_to_their_session_over_tcp() {
    let (a, b) = tcp_pair(Limits::default());
    frames_belong_to_their_session(a, b);
}

#[test]
fn frames_belong_to_their_session_over_tls() {
    let (a, b) = tls_pair(Limits::default());
    frames_belong_to_their_session(a, b);
}

#[test]
fn a_peer_gets_more_once_it_is_known() {
    more_once_known(tcp_pair(Limits::STRANGER));
    more_once_known(tls_pair(Limits::STRANGER));
}

fn more_once_known<L: Link>((mut a, mut b): (L, L)) {
    let most = Limits::STRANGER.max_frame as usize;
    a.send(frame(0, vec![1; most])).unwrap();
    assert!(matches!(a.send(frame(1, vec![1; most + 1])), Err(NetError::TooLong { wait: Wait::Send(1), .. })));
    assert!(expect(&mut b, 0, most).is_ok());
    // who answers raises its limits before it says so
    b.set_limits(Limits::default());
    b.send(frame(1, vec![])).unwrap();
    expect(&mut a, 1, 0).unwrap();
    a.set_limits(Limits::default());
    (2..6).for_each(|step| a.send(frame(step, vec![2; 4 * MIB])).unwrap());
    (2..6).for_each(|step| assert!(expect(&mut b, step, 4 * MIB).unwrap() == vec![2; 4 * MIB]));
}

#[test]
fn a_stranger_who_announces_a_long_frame_is_refused() {
    let (a, mut socket) = sockets();
    let mut link = tcp_link(a, "b", Limits::STRANGER);
    socket.write_all(&wire(frame(0, vec![0; 65 << 10]))).unwrap();
    let error = link.recv().unwrap_err();
    assert!(matches!(error, NetError::TooLong { limit: 65536, wait: Wait::Receive(_), .. }), "{error}");
}
