//! Our halves against other implementations of TLS, and against one another.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{AlertDescription, ClientConnection, Error, ServerConnection};

use crate::tls::stream::{Reader, Shared, Writer, split};
use crate::tls::verifier::PeerVerifier;
use crate::tls::*;
use crate::{Listener, connect, keys};

const LONG: Duration = Duration::from_secs(60);
const SIZE: usize = 5 << 20;
/// Records of a key: few, so that keys change hundreds of times.
const FEW: u64 = 3;

fn sockets() -> (TcpStream, TcpStream) {
    let listener = Listener::loopback(0).unwrap();
    let there = connect("b", &listener.local_addr().to_string(), LONG).unwrap();
    (listener.accept("a", LONG).unwrap(), there)
}

fn identity(name: &str) -> TlsIdentity {
    keys::create(tempfile::tempdir().unwrap().path(), name, LONG).unwrap()
}

fn configurations() -> (ClientConfig, ServerConfig) {
    let (ours, theirs, provider) = (identity("a"), identity("b"), provider());
    let verifier = || PeerVerifier::new(None, &provider);
    (
        client_config(&theirs, verifier(), Arc::clone(&provider)).unwrap(),
        server_config(&ours, verifier(), Arc::clone(&provider)).unwrap(),
    )
}

fn name() -> ServerName<'static> {
    ServerName::try_from(ANY_NAME).unwrap()
}

type Ours = (Arc<Shared>, Reader, Writer);

fn ours(side: impl Side, stream: TcpStream) -> Ours {
    let halves = shake(side, &stream, PROTOCOL, LONG).unwrap();
    let ours = split(halves, stream, "peer", identity("a").pin()).unwrap();
    ours.0.outgoing().sealer.records_of_a_key = FEW;
    ours
}

fn our_client(config: ClientConfig) -> UnbufferedClientConnection {
    UnbufferedClientConnection::new(Arc::new(config), name()).unwrap()
}

fn our_server(config: ServerConfig) -> UnbufferedServerConnection {
    UnbufferedServerConnection::new(Arc::new(config)).unwrap()
}

fn bytes(seed: usize) -> Vec<u8> {
    (0..SIZE).map(|i| (i * seed + (i >> 11)) as u8).collect()
}

/// Both ways at once, then the end that is marked.
fn exchange((shared, mut reader, mut writer): Ours) {
    let sent = thread::spawn(move || {
        writer.write_all(&bytes(3)).unwrap();
        writer
    });
    let mut got = vec![0; SIZE];
    reader.read_exact(&mut got).unwrap();
    assert!(got == bytes(5));
    let _writer = sent.join().unwrap();
    assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0, "the end that the peer marked");
    shared.hang_up();
}

/// The other side of it, with the buffers of rustls.
fn other_side<C, D>(mut stream: rustls::StreamOwned<C, TcpStream>)
where
    C: std::ops::DerefMut<Target = rustls::ConnectionCommon<D>>,
    D: rustls::SideData,
{
    // as much as may be under way, in turn: one thread for both ways
    let (ours, theirs) = (bytes(5), bytes(3));
    let mut got = vec![0; SIZE];
    for at in (0..SIZE).step_by(64 << 10) {
        stream.write_all(&ours[at..at + (64 << 10)]).unwrap();
        stream.read_exact(&mut got[at..at + (64 << 10)]).unwrap();
    }
    assert!(got == theirs);
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0, "our end is marked");
}

#[test]
fn rustls_follows_our_keys_whichever_side_dials() {
    let (client, server) = configurations();
    let (a, b) = sockets();
    thread::scope(|scope| {
        scope.spawn(|| exchange(ours(our_server(server), a)));
        let client = ClientConnection::new(Arc::new(client), name()).unwrap();
        other_side(rustls::StreamOwned::new(client, b));
    });
    let (client, server) = configurations();
    let (a, b) = sockets();
    thread::scope(|scope| {
        scope.spawn(|| exchange(ours(our_client(client), b)));
        other_side(rustls::StreamOwned::new(ServerConnection::new(Arc::new(server)).unwrap(), a));
    });
}

#[test]
fn our_own_halves_follow_each_others_keys() {
    let (client, server) = configurations();
    let (a, b) = sockets();
    thread::scope(|scope| {
        let there = scope.spawn(|| ours(our_client(client), b));
        let (shared, mut reader, mut writer) = ours(our_server(server), a);
        let (other_shared, mut other_reader, mut other_writer) = there.join().unwrap();
        let writing = [
            scope.spawn(move || writer.write_all(&bytes(3)).unwrap()),
            scope.spawn(move || other_writer.write_all(&bytes(5)).unwrap()),
        ];
        let reading = scope.spawn(move || {
            let mut got = vec![0; SIZE];
            other_reader.read_exact(&mut got).unwrap();
            assert!(got == bytes(3));
            other_reader
        });
        let mut got = vec![0; SIZE];
        reader.read_exact(&mut got).unwrap();
        assert!(got == bytes(5));
        writing.into_iter().for_each(|writing| writing.join().unwrap());
        let mut other_reader = reading.join().unwrap();
        shared.hang_up();
        assert_eq!(other_reader.read(&mut [0; 9]).unwrap(), 0);
        other_shared.hang_up();
    });
}

#[test]
fn what_comes_right_behind_the_handshake_is_not_lost() {
    let (client, server) = configurations();
    let (a, mut b) = sockets();
    thread::scope(|scope| {
        let here = scope.spawn(|| ours(our_server(server), a));
        let mut client = ClientConnection::new(Arc::new(client), name()).unwrap();
        // kept until there are keys, then sent with the end of the handshake
        client.writer().write_all(b"at once").unwrap();
        while client.is_handshaking() {
            if client.wants_write() {
                let mut bytes = Vec::new();
                while client.wants_write() {
                    client.write_tls(&mut bytes).unwrap();
                }
                b.write_all(&bytes).unwrap();
            }
            if client.wants_read() {
                client.read_tls(&mut b).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        b.write_all(&bytes).unwrap();
        let (_shared, mut reader, _writer) = here.join().unwrap();
        let mut got = [0; 7];
        reader.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"at once");
    });
}

#[test]
fn a_peer_whose_record_was_damaged_hears_of_it_and_no_more_is_sent() {
    let (client, server) = configurations();
    let (a, b) = sockets();
    thread::scope(|scope| {
        let here = scope.spawn(|| ours(our_server(server), a));
        let mut client = rustls::StreamOwned::new(ClientConnection::new(Arc::new(client), name()).unwrap(), b);
        client.sock.set_read_timeout(Some(LONG)).unwrap();
        client.write_all(b"good").unwrap();
        let (_shared, mut reader, mut writer) = here.join().unwrap();
        let mut got = [0; 4];
        reader.read_exact(&mut got).unwrap();
        client.sock.write_all(&[&[23, 3, 3, 0, 40][..], &[9; 40]].concat()).unwrap();
        for _ in 0..2 {
            let error = NetError::lost("peer", Wait::Receive(None), reader.read(&mut got).unwrap_err());
            assert!(error.to_string().contains("was changed on its way"), "{error}");
            let error = NetError::lost("peer", Wait::Flush, writer.write(b"more").unwrap_err());
            assert!(error.to_string().contains("was changed on its way"), "{error}");
        }
        let error = client.read(&mut got).unwrap_err();
        let error = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        assert_eq!(error, Some(&Error::AlertReceived(AlertDescription::BadRecordMac)));
    });
}

#[test]
fn openssl_follows_our_keys() {
    // another implementation, where there is one
    let Ok(version) = Command::new("openssl").arg("version").output() else { return };
    assert!(version.status.success());
    let folder = tempfile::tempdir().unwrap();
    keys::create(folder.path(), "b", LONG).unwrap();
    // it reads keys of the older form only, which has no public key behind the private one
    let key = PrivatePkcs8KeyDer::from_pem_file(folder.path().join("key.pem")).unwrap();
    let older = [&hex::decode("302e020100300506032b657004220420").unwrap(), &key.secret_pkcs8_der()[16..48]].concat();
    std::fs::write(folder.path().join("key.der"), older).unwrap();
    let listener = Listener::loopback(0).unwrap();
    let mut openssl = Command::new("openssl")
        .args(["s_client", "-quiet", "-tls1_3", "-alpn", "private-bert/1", "-cert", "cert.pem"])
        .args(["-keyform", "DER", "-key", "key.der"])
        .args(["-connect", &listener.local_addr().to_string()])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (openssl.stdin.take().unwrap(), openssl.stdout.take().unwrap());
    thread::scope(|scope| {
        let writing = scope.spawn(move || stdin.write_all(&bytes(5)).map(|()| stdin).unwrap());
        let reading = scope.spawn(move || {
            let mut got = vec![0; SIZE];
            stdout.read_exact(&mut got).unwrap();
            got
        });
        let stream = listener.accept("b", LONG).unwrap();
        let (shared, mut reader, mut writer) = ours(our_server(configurations().1), stream);
        let sent = scope.spawn(move || writer.write_all(&bytes(3)).unwrap());
        let mut got = vec![0; SIZE];
        reader.read_exact(&mut got).unwrap();
        assert!(got == bytes(5));
        sent.join().unwrap();
        assert!(reading.join().unwrap() == bytes(3));
        let _stdin = writing.join().unwrap();
        shared.hang_up();
    });
    openssl.kill().unwrap();
    openssl.wait().unwrap();
}
