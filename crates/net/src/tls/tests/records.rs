//! Records of a sealer and of whoever has its key.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ring::aead::{AES_128_GCM, AES_256_GCM, Algorithm, CHACHA20_POLY1305};
use rustls::{AlertDescription, Error};

use crate::tls::opener::{Found, Opener};
use crate::tls::record::{
    ALERT, Broken, DATA, HANDSHAKE, HEADER, KEY_UPDATE, Keys, MOST_BYTES, MOST_SEALED, Succession, Successors, TAG, Way,
};
use crate::tls::sealer::Sealer;

/// The keys after the first, as both sides derive them: the second is all 2, and so on. Counts them.
struct Numbered(Arc<AtomicU32>);

impl Succession for Numbered {
    fn next(&mut self, _: Way) -> Result<Keys, Error> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) as u8 + 2;
        Keys::new(&AES_256_GCM, &[number; 32], &[number; 12], 0)
    }
}

fn keys(number: u64) -> Keys {
    Keys::new(&AES_256_GCM, &[1; 32], &[1; 12], number).unwrap()
}

fn numbered() -> (Successors, Arc<AtomicU32>) {
    let count = Arc::default();
    (Successors::of(Numbered(Arc::clone(&count))), count)
}

fn sealer() -> Sealer {
    Sealer::new(keys(0), numbered().0)
}

fn opener() -> Opener {
    Opener::new(keys(0), numbered().0)
}

fn seal(sealer: &mut Sealer, bytes: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    let mut left = bytes;
    while !left.is_empty() {
        left = &left[sealer.data(&[IoSlice::new(left)]).unwrap()..];
        sealed.extend_from_slice(sealer.sealed());
        sealer.sent();
    }
    sealed
}

/// What an opener makes of `sealed`, read in pieces of `piece` bytes: the plaintext, and how it ended.
fn open(opener: &mut Opener, mut sealed: &[u8], piece: usize) -> (Vec<u8>, Result<Found, Broken>) {
    let (mut plain, mut bytes) = (Vec::new(), [0; 5000]);
    loop {
        match opener.open() {
            Ok(Found::Data) => loop {
                let got = opener.take(&mut bytes);
                if got == 0 {
                    break;
                }
                plain.extend_from_slice(&bytes[..got]);
            },
            Ok(Found::Part) if !sealed.is_empty() => {
                let room = opener.room();
                let n = room.len().min(piece).min(sealed.len());
                assert!(n > 0);
                room[..n].copy_from_slice(&sealed[..n]);
                opener.filled(n);
                sealed = &sealed[n..];
            }
            end => return (plain, end),
        }
    }
}

/// Records of the first key, from its first: what each carries, and its kind.
fn crafted(records: &[(&[u8], u8)]) -> Vec<u8> {
    let (mut keys, mut buffer) = (keys(0), Vec::new());
    for (bytes, kind) in records {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; HEADER]);
        buffer.extend_from_slice(bytes);
        keys.seal(&mut buffer, start, *kind).unwrap();
    }
    buffer
}

fn records(mut sealed: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while !sealed.is_empty() {
        let length = HEADER + usize::from(u16::from_be_bytes([sealed[3], sealed[4]]));
        records.push(&sealed[..length]);
        sealed = &sealed[length..];
    }
    records
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + (i >> 8)) as u8).collect()
}

fn is_damage(broken: &Result<Found, Broken>) -> bool {
    matches!(broken, Err(broken @ Broken::Tls(Error::DecryptError)) if broken.alert() == Some(AlertDescription::BadRecordMac))
}

#[test]
fn records_are_those_of_rfc_8448() {
    // section 3: what the client sends after its handshake, and the server's answer, which is its second record
    let keys = |key: &str, vector: &str, number| {
        Keys::new(&AES_128_GCM, &hex::decode(key).unwrap(), &hex::decode(vector).unwrap(), number).unwrap()
    };
    let client = || keys("17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9", 0);
    let data = "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a\
                6292a2977014bd1e3deae63aeebb21694915e4";
    let close = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3";
    let mut sealer = Sealer::new(client(), numbered().0);
    let bytes: Vec<u8> = (0..50).collect();
    assert_eq!(sealer.data(&[IoSlice::new(&bytes[..20]), IoSlice::new(&bytes[20..])]).unwrap(), 50);
    sealer.alert(AlertDescription::CloseNotify).unwrap();
    assert_eq!(hex::encode(sealer.sealed()), format!("{data}{close}"));
    let (plain, end) = open(&mut Opener::new(client(), numbered().0), sealer.sealed(), 7);
    assert_eq!((plain, end.unwrap()), (bytes.clone(), Found::End));

    let server = "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2\
                  e5f0a21c0047c2abf332540dd032e167c2955d";
    let mut opener = Opener::new(keys("9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984", 1), numbered().0);
    assert_eq!(open(&mut opener, &hex::decode(server).unwrap(), 5000).0, bytes);
}

#[test]
fn every_algorithm_carries_every_length() {
    let algorithms: [(&'static Algorithm, usize); 3] =
        [(&AES_128_GCM, 16), (&AES_256_GCM, 32), (&CHACHA20_POLY1305, 32)];
    for (algorithm, length) in algorithms {
        assert_eq!(algorithm.tag_len(), TAG);
        let keys = || Keys::new(algorithm, &vec![3; length], &[4; 12], 0).unwrap();
        let (mut sealer, mut opener) = (Sealer::new(keys(), numbered().0), Opener::new(keys(), numbered().0));
        for length in [1, 2, MOST_BYTES - 1, MOST_BYTES, MOST_BYTES + 1, 128 << 10, 700_001] {
            let bytes = pattern(length);
            let sealed = seal(&mut sealer, &bytes);
            let records = records(&sealed);
            assert!(records.iter().all(|record| record.len() <= HEADER + MOST_BYTES + 1 + TAG));
            assert_eq!(records.len(), length.div_ceil(MOST_BYTES), "as few as possible");
            let (plain, end) = open(&mut opener, &sealed, if length < 200_000 { usize::MAX } else { 999 });
            assert!(plain == bytes && end.unwrap() == Found::Part, "{length}");
        }
    }
}

#[test]
fn no_allocation_grows_with_what_is_sealed() {
    let mut sealer = sealer();
    sealer.records_of_a_key = 3;
    let bytes = pattern(1 << 20);
    sealer.data(&[IoSlice::new(&bytes)]).unwrap();
    let place = sealer.sealed().as_ptr();
    for _ in 0..20 {
        sealer.sent();
        let taken = sealer.data(&[IoSlice::new(&bytes)]).unwrap();
        assert!(taken == 128 << 10 && sealer.sealed().as_ptr() == place);
    }
}

#[test]
fn every_flipped_bit_of_a_record_is_an_error() {
    let sealed = crafted(&[(b"one", DATA), (b"two two two", DATA), (b"three", DATA)]);
    let (first, second) = (records(&sealed)[0].len(), records(&sealed)[1].len());
    for at in 0..second {
        for bit in 0..8 {
            let mut sealed = sealed.clone();
            sealed[first + at] ^= 1 << bit;
            let (plain, end) = open(&mut opener(), &sealed, 64);
            assert_eq!(plain, b"one", "{at}.{bit}");
            // a longer record may be waited for in vain: nothing that was damaged comes out
            assert!(end.is_err() || (matches!(end, Ok(Found::Part)) && matches!(at, 3 | 4)), "{at}.{bit}: {end:?}");
            assert!(at < HEADER || is_damage(&end), "{at}.{bit}: {end:?}");
        }
    }
}

#[test]
fn a_record_that_is_left_out_repeated_or_put_elsewhere_does_not_open() {
    let sealed = crafted(&[(b"0", DATA), (b"1", DATA), (b"2", DATA)]);
    let records = records(&sealed);
    for (order, whole) in
        [(vec![0, 2], "0"), (vec![1, 0], ""), (vec![0, 0], "0"), (vec![0, 2, 1], "0"), (vec![0, 1, 0], "01")]
    {
        let sealed = order.iter().flat_map(|i: &usize| records[*i]).copied().collect::<Vec<u8>>();
        let (plain, end) = open(&mut opener(), &sealed, 64);
        assert!(plain == whole.as_bytes() && is_damage(&end), "{order:?}: {end:?}");
    }
    let (plain, end) = open(&mut opener(), &sealed, 1);
    assert!(plain == b"012" && end.unwrap() == Found::Part);
}

#[test]
fn a_record_that_is_not_all_there_is_waited_for() {
    let sealed = crafted(&[(b"first", DATA), (b"second", DATA)]);
    let first = records(&sealed)[0].len();
    for end in 0..sealed.len() {
        let (plain, found) = open(&mut opener(), &sealed[..end], 64);
        assert_eq!((plain.len(), found.unwrap()), (if end < first { 0 } else { 5 }, Found::Part), "{end}");
    }
}

#[test]
fn keys_change_before_they_have_sealed_too_much_and_the_other_side_follows() {
    let (successors, changes) = numbered();
    let mut sealer = Sealer::new(keys(0), successors);
    assert_eq!(sealer.records_of_a_key, 1 << 23);
    sealer.records_of_a_key = 5;
    let (successors, followed) = numbered();
    let mut opener = Opener::new(keys(0), successors);
    // four records with bytes and the one with the news, under each key
    let bytes = pattern(41 * MOST_BYTES);
    let sealed = seal(&mut sealer, &bytes);
    assert_eq!(changes.load(Ordering::Relaxed), 10);
    assert_eq!(records(&sealed).len(), 41 + 10);
    let (plain, end) = open(&mut opener, &sealed, 10_000);
    assert!(plain == bytes && end.unwrap() == Found::Part);
    assert_eq!(followed.load(Ordering::Relaxed), 10);
}

#[test]
fn peers_may_not_keep_us_busy_with_nothing() {
    for (many, carries) in [(32, true), (33, false)] {
        let mut records: Vec<(&[u8], u8)> = vec![(b"", DATA); many];
        records.push((b"data", DATA));
        // after data it may begin again
        records.extend(vec![(&b""[..], DATA); 32]);
        let (plain, end) = open(&mut opener(), &crafted(&records), 64);
        assert_eq!((plain == b"data", end.is_ok()), (carries, carries), "{many}: {end:?}");
    }
    // nor with keys
    for (many, carries) in [(32, true), (33, false)] {
        let (mut key, mut sealed) = (keys(0), Vec::new());
        let (successors, followed) = numbered();
        let mut message = |keys: &mut Keys, bytes: &[u8], kind| {
            let start = sealed.len();
            sealed.extend_from_slice(&[0; HEADER]);
            sealed.extend_from_slice(bytes);
            keys.seal(&mut sealed, start, kind).unwrap();
        };
        let keys_to_come = numbered().0;
        for _ in 0..many {
            message(&mut key, &KEY_UPDATE, HANDSHAKE);
            key = keys_to_come.next(Way::Out).unwrap();
        }
        message(&mut key, b"data", DATA);
        let (plain, end) = open(&mut Opener::new(keys(0), successors), &sealed, 64);
        assert_eq!((plain == b"data", end.is_ok()), (carries, carries), "{many}: {end:?}");
        assert_eq!(followed.load(Ordering::Relaxed), 32);
    }
}

#[test]
fn nothing_but_bytes_alerts_and_new_keys_is_taken() {
    let ticket = [4, 0, 0, 1, 0];
    let (wish, two) = ([24, 0, 0, 1, 1], [KEY_UPDATE, KEY_UPDATE].concat());
    let refused: [(&[u8], u8, &str); 11] = [
        (&wish, HANDSHAKE, "a KeyUpdate that wishes for one of ours"),
        (&ticket, HANDSHAKE, "a message of the handshake after its end"),
        (&KEY_UPDATE[..4], HANDSHAKE, "a KeyUpdate"),
        (&KEY_UPDATE[..1], HANDSHAKE, "a message of the handshake after its end"),
        (&two, HANDSHAKE, "a KeyUpdate"),
        (&[], HANDSHAKE, "a message of the handshake after its end"),
        (&[1], 20, "a record of an unknown kind"),
        (&[1], 24, "a record of an unknown kind"),
        (&[0, 0, 0], 0, "a record of nothing but zeros"),
        (&[1], ALERT, "an alert that is none"),
        (&[3, 0], ALERT, "an alert that is none"),
    ];
    for (bytes, kind, why) in refused {
        let (plain, end) = open(&mut opener(), &crafted(&[(b"data", DATA), (bytes, kind), (b"more", DATA)]), 64);
        assert_eq!(plain, b"data");
        assert!(matches!(&end, Err(Broken::Refused(what, _)) if what.starts_with(why)), "{bytes:?}: {end:?}");
        assert!(end.unwrap_err().alert().is_some());
    }
    for clear in [[20, 3, 3, 0, 1, 1], [21, 3, 3, 0, 2, 2], [22, 3, 3, 0, 5, 24]] {
        let end = open(&mut opener(), &clear, 64).1;
        assert!(matches!(end, Err(Broken::Refused("a record that is not encrypted", _))), "{end:?}");
    }
}

#[test]
fn alerts_end_a_connection_and_one_of_them_is_its_end() {
    for level in [1, 2] {
        let (plain, end) = open(&mut opener(), &crafted(&[(b"data", DATA), (&[level, 0], ALERT)]), 64);
        assert_eq!((plain, end.unwrap()), (b"data".to_vec(), Found::End));
        let end = open(&mut opener(), &crafted(&[(&[level, 46], ALERT)]), 64).1.unwrap_err();
        let Broken::Tls(Error::AlertReceived(alert)) = &end else { panic!("{end:?}") };
        assert_eq!((*alert, end.alert()), (AlertDescription::CertificateUnknown, None));
    }
    let mut sealer = sealer();
    sealer.alert(AlertDescription::BadRecordMac).unwrap();
    let end = open(&mut opener(), sealer.sealed(), 64).1;
    assert!(matches!(end, Err(Broken::Tls(Error::AlertReceived(AlertDescription::BadRecordMac)))), "{end:?}");
}

#[test]
fn records_that_are_too_long_or_too_short_are_refused() {
    // before anything of them is there
    let header = |length: usize| [DATA, 3, 3, (length >> 8) as u8, length as u8];
    let end = open(&mut opener(), &header(MOST_SEALED + 1), 64).1;
    assert!(
        matches!(&end, Err(e @ Broken::Tls(Error::PeerSentOversizedRecord)) if e.alert() == Some(AlertDescription::RecordOverflow))
    );
    assert!(matches!(open(&mut opener(), &header(MOST_SEALED), 64).1, Ok(Found::Part)));
    assert!(is_damage(&open(&mut opener(), &header(TAG), 64).1));
    assert!(is_damage(&open(&mut opener(), &header(0), 64).1));
    // with zeros behind the kind, as far as they are allowed
    let padded = |zeros: usize| [&[7, 7, DATA][..], &vec![0; zeros]].concat();
    let fits = crafted(&[(&padded(MOST_BYTES - 3), 0)]);
    assert_eq!(open(&mut opener(), &fits, 5000).0, [7, 7]);
    let (plain, end) = open(&mut opener(), &crafted(&[(&padded(MOST_BYTES - 2), 0)]), 5000);
    assert!(plain.is_empty() && matches!(end, Err(Broken::Tls(Error::PeerSentOversizedRecord))));
}

#[test]
fn numbers_never_begin_again() {
    let mut last = Sealer::new(keys(u64::MAX - 1), numbered().0);
    last.records_of_a_key = u64::MAX;
    last.alert(AlertDescription::CloseNotify).unwrap();
    last.alert(AlertDescription::CloseNotify).unwrap_err();
    let mut opener = Opener::new(keys(u64::MAX), numbered().0);
    let end = open(&mut opener, &crafted(&[(b"data", DATA)]), 64).1;
    assert!(matches!(end, Err(Broken::Refused(what, _)) if what.contains("numbers")), "{end:?}");
}

#[test]
fn debug_prints_no_key() {
    let printed = format!("{:?} {:?} {:?}", sealer(), opener(), keys(0));
    assert!(printed.contains("number: 0") && !printed.contains("[1") && !printed.contains("1, 1"), "{printed}");
}
