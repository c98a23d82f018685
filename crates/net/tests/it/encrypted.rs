//! What passes between two TLS links, and what a man in the middle can do to it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use net::{Frame, Header, Limits, Link, NetError, TlsLink, Wait};
use socket2::SockRef;

use crate::peers::{
    Bare, LONG, MIB, Meddle, Papers, SOON, accept, identity, meet, parameters, sockets, through_the_middle, tls_pair,
    tls_pair_over,
};

fn frame(step: u32, payload: Vec<u8>) -> Frame {
    Frame::new(Header::new(1, 2, 3, step), payload)
}

/// Records of the side that dials that belong to its handshake: its certificate, proof and end, sent as one.
const HANDSHAKE_RECORDS: usize = 1;

/// A pair with a man in the middle, who meddles with the records that the second sends after its handshake.
fn meddled(mut meddle: impl FnMut(usize, Vec<u8>) -> Option<Vec<u8>> + Send + 'static) -> (TlsLink, TlsLink) {
    let meddle: Meddle = Box::new(move |number, record| match number.checked_sub(HANDSHAKE_RECORDS) {
        Some(number) => meddle(number, record),
        None => Some(record),
    });
    let (sockets, _, _) = through_the_middle(meddle);
    tls_pair_over(sockets, Limits::default())
}

/// What arrives of three frames: those before the error, and the error.
fn arrives(meddle: impl FnMut(usize, Vec<u8>) -> Option<Vec<u8>> + Send + 'static) -> (usize, NetError) {
    let (mut a, mut b) = meddled(meddle);
    for step in 0..3 {
        // what was refused may be known already
        let _ = b.send(frame(step, vec![step as u8; 1000]));
    }
    let _ = b.flush();
    let mut whole = 0;
    loop {
        match a.recv() {
            Ok(got) => assert_eq!((got.header.step as usize, got.payload), (whole, vec![whole as u8; 1000])),
            Err(error) => return (whole, error),
        }
        whole += 1;
        if whole == 3 {
            drop(b);
            return (whole, a.recv().unwrap_err());
        }
    }
}

#[test]
fn three_frames_that_nobody_touches_arrive() {
    let (whole, error) = arrives(|_, record| Some(record));
    assert_eq!(whole, 3);
    assert!(matches!(error, NetError::Lost { .. }) && error.to_string().contains("closed the connection"), "{error}");
}

#[test]
fn a_flipped_bit_is_an_error_and_never_a_wrong_frame() {
    // of the second frame: in its length, its first and its last byte
    for at in [3, 5, 40, usize::MAX] {
        let (whole, error) = arrives(move |number, mut record| {
            let at = at.min(record.len() - 1);
            record[at] ^= u8::from(number == 1);
            Some(record)
        });
        assert_eq!(whole, 1, "{at}: {error}");
        assert!(matches!(error, NetError::Tls { .. }), "{at}: {error}");
    }
}

#[test]
fn a_record_that_is_left_out_repeated_or_put_elsewhere_is_an_error() {
    let is_damage = |(whole, error): (usize, NetError)| {
        assert_eq!(whole, 1, "{error}");
        assert!(
            matches!(error, NetError::Tls { .. }) && error.to_string().contains("was changed on its way"),
            "{error}"
        );
    };
    is_damage(arrives(|number, record| Some(if number == 1 { Vec::new() } else { record })));
    is_damage(arrives(|number, record| Some(if number == 0 { record.repeat(2) } else { record })));
    let mut held = None;
    is_damage(arrives(move |number, record| match number {
        1 => {
            held = Some(record);
            Some(Vec::new())
        }
        2 => Some([record, held.take().unwrap()].concat()),
        _ => Some(record),
    }));
}

#[test]
fn a_connection_that_is_cut_is_not_one_that_ends() {
    let (whole, error) = arrives(|number, record| (number != 1).then_some(record));
    // his sockets close between two records: what came is whole, and still the end is not believed
    assert_eq!(whole, 1);
    assert!(matches!(error, NetError::Lost { wait: Wait::Receive(_), .. }), "{error}");
    assert!(error.to_string().contains("was cut"), "{error}");
}

#[test]
fn a_connection_that_ends_inside_a_frame_is_lost() {
    // the first of the records of a long frame is let through, then the end that TLS marks cannot be made
    let (mut a, mut b) = meddled(|number, record| (number < 2).then_some(record));
    b.send(frame(0, vec![7; MIB])).unwrap();
    b.flush().unwrap();
    drop(b);
    let error = a.recv().unwrap_err();
    assert!(matches!(error, NetError::Lost { .. }), "{error}");
    assert!(error.to_string().contains("was cut"), "{error}");
}

#[test]
fn nothing_passes_in_clear_and_a_small_frame_is_one_record() {
    let records = Arc::new(Mutex::new(Vec::new()));
    let count = Arc::clone(&records);
    let meddle: Meddle = Box::new(move |_, record| {
        count.lock().unwrap().push(record.len());
        Some(record)
    });
    let (sockets, seen, middle) = through_the_middle(meddle);
    let (mut a, mut b) = tls_pair_over(sockets, Limits::default());
    let secret: Vec<u8> = (0..16_000_u32).map(|i| ((i * i) >> 3) as u8).collect();
    b.send(frame(0, secret.clone())).unwrap();
    assert_eq!(a.expect(1, 2, 3, 0, None).unwrap(), secret);
    a.send(frame(1, secret.clone())).unwrap();
    assert_eq!(b.expect(1, 2, 3, 1, None).unwrap(), secret);
    let of_frames = records.lock().unwrap()[HANDSHAKE_RECORDS..].to_vec();
    drop((a, b));
    middle.into_iter().for_each(|thread| thread.join().unwrap());

    let overhead = 5 + 1 + 16;
    assert_eq!(of_frames, [net::HEADER_LEN + secret.len() + overhead]);
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 2 * secret.len());
    for clear in [&secret[..32], &secret[8000..8032], b"PTIF"] {
        assert!(!seen.windows(clear.len()).any(|window| window == clear));
    }
}

#[test]
fn a_peer_that_wishes_for_new_keys_of_ours_is_refused() {
    let mut bytes = Vec::new();
    {
        // frames as they are on the wire
        let (here, mut there) = sockets();
        let mut link = crate::peers::tcp_link(here, "b", Limits::default());
        (0..2).for_each(|step| link.send(frame(step, vec![5; 100])).unwrap());
        drop(link);
        there.read_to_end(&mut bytes).unwrap();
    }
    let ours = identity("a");
    let bare = Bare::new(Some(Papers::of(&parameters())));
    let (link, (mut stream, _)) = meet(|stream| accept(stream, &ours), |stream| bare.dial(stream));
    let mut link = link.unwrap();
    stream.write_all(&bytes).unwrap();
    (0..2).for_each(|step| assert_eq!(link.expect(1, 2, 3, step, Some(100)).unwrap(), [5; 100]));
    // ours change by themselves; a peer could keep us busy with that
    stream.conn.refresh_traffic_keys().unwrap();
    stream.flush().unwrap();
    for _ in 0..2 {
        let error = link.recv().unwrap_err();
        assert!(matches!(error, NetError::Tls { .. }) && error.to_string().contains("KeyUpdate"), "{error}");
    }
    // and it is told
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(error.to_string().contains("UnexpectedMessage"), "{error}");
}

#[test]
fn one_direction_goes_on_while_the_other_one_is_stuck() {
    let (mut a, mut b) = tls_pair(Limits { queue: MIB as u64, ..Limits::default() });
    // b holds the first, its reader the second; of the third, a's writer holds more than sockets do
    (0..3).for_each(|step| a.send(frame(step, vec![1; 32 * MIB])).unwrap());
    a.set_deadline(SOON);
    assert!(matches!(a.flush(), Err(NetError::Timeout { wait: Wait::Flush, .. })));
    a.set_deadline(LONG);
    for step in 0..100 {
        b.send(frame(step, vec![2; 100_000])).unwrap();
        assert_eq!(a.expect(1, 2, 3, step, None).unwrap(), vec![2; 100_000]);
    }
    a.set_deadline(SOON);
    assert!(matches!(a.flush(), Err(NetError::Timeout { wait: Wait::Flush, .. })), "it was stuck all the while");
    a.set_deadline(LONG);
    (0..3).for_each(|step| assert!(b.expect(1, 2, 3, step, None).unwrap() == vec![1; 32 * MIB]));
}

#[test]
fn a_peer_that_never_takes_anything_makes_sending_time_out_and_dropping_ends() {
    let (mut a, b) = tls_pair(Limits { queue: MIB as u64, ..Limits::default() });
    a.set_deadline(SOON);
    let error = (0..).find_map(|step| a.send(frame(step, vec![0; 8 * MIB])).err()).unwrap();
    assert!(matches!(error, NetError::Timeout { wait: Wait::Send(_), .. }), "{error}");
    // joins both its threads, though its writer cannot move
    drop(a);
    drop(b);
}

#[test]
fn a_peer_that_resets_the_connection_is_lost() {
    let ((answering, middle), (other, dialling)) = (sockets(), sockets());
    let (ours, theirs) = (identity("a"), identity("b"));
    let ends = [middle.try_clone().unwrap(), other.try_clone().unwrap()];
    let pump = |mut from: TcpStream, mut to: TcpStream| thread::spawn(move || std::io::copy(&mut from, &mut to));
    pump(middle.try_clone().unwrap(), other.try_clone().unwrap());
    pump(other, middle);
    let (a, b) = crate::peers::meet_over(
        (answering, dialling),
        |stream| accept(stream, &ours),
        |stream| TlsLink::connect(stream, &theirs, &[ours.pin()], "a", Limits::default(), LONG),
    );
    let (mut a, mut b) = (a.unwrap(), b.unwrap());
    ends.iter().for_each(|end| end.shutdown(Shutdown::Both).unwrap());
    for link in [&mut a, &mut b] {
        let error = link.recv().unwrap_err();
        assert!(matches!(error, NetError::Lost { wait: Wait::Receive(_), .. }), "{error}");
        assert!(error.to_string().contains("was cut"), "{error}");
        let error = (0..).find_map(|step| link.send(frame(step, vec![0; MIB])).err()).unwrap();
        assert!(matches!(error, NetError::Lost { .. }), "{error}");
    }
}

#[test]
fn the_kernel_asks_a_silent_peer_whether_it_is_there() {
    let (ours, theirs) = (identity("a"), identity("b"));
    let look = |stream: &TcpStream| stream.try_clone().unwrap();
    let ((a, here), (b, there)) = meet(
        |stream| (look(&stream), accept(stream, &ours).unwrap()),
        |stream| {
            let other = look(&stream);
            (other, TlsLink::connect(stream, &theirs, &[ours.pin()], "a", Limits::default(), LONG).unwrap())
        },
    );
    for socket in [&a, &b] {
        let options = SockRef::from(socket);
        assert!(options.keepalive().unwrap() && options.tcp_nodelay().unwrap());
        let waits = options.tcp_keepalive_time().unwrap() + 3 * options.tcp_keepalive_interval().unwrap();
        assert!(waits <= Duration::from_secs(10), "{waits:?}");
        assert_eq!(options.tcp_keepalive_retries().unwrap(), 3);
        // a peer that lives and has no room is not dead
        #[cfg(target_os = "linux")]
        assert_eq!(options.tcp_user_timeout().unwrap(), None);
        // the handshake's deadline is no deadline of frames
        assert_eq!((socket.read_timeout().unwrap(), socket.write_timeout().unwrap()), (None, None));
    }
    drop((here, there));
}
