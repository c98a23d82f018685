//! A place between the roles: every frame to and from a party passes here, and at a chosen one something is done.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use net::HEADER_LEN;
use serde_json::Value;

use super::stand_in::stand_in;

/// A frame of a session, by what anybody between the roles can see of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) kind: u8,
    pub(crate) step: u32,
}

/// Does something once, before the frame of a moment is passed on.
pub(crate) struct Watch {
    moment: Moment,
    act: Box<dyn Fn() + Send + Sync>,
    fired: AtomicBool,
}

impl Watch {
    pub(crate) fn new(moment: Moment, act: impl Fn() + Send + Sync + 'static) -> Arc<Watch> {
        Arc::new(Watch { moment, act: Box::new(act), fired: AtomicBool::new(false) })
    }

    pub(crate) fn fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }

    fn see(&self, from: &str, to: &str, header: &[u8; HEADER_LEN]) {
        let (kind, step) = (header[5], u32::from_le_bytes(header[12..16].try_into().unwrap()));
        let wanted = (self.moment.from, self.moment.to, self.moment.kind, self.moment.step);
        if (from, to, kind, step) == wanted && !self.fired.swap(true, Ordering::SeqCst) {
            (self.act)();
        }
    }
}

/// Files by which `stand-in.sh` tells the test about the role that it became.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) folder: PathBuf,
}

impl Told {
    fn number(&self, file: String) -> u32 {
        let (path, end) = (self.folder.join(file), Instant::now() + super::PATIENCE);
        loop {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if let Some(line) = text.strip_suffix('\n') {
                return line.parse().unwrap();
            }
            assert!(Instant::now() < end, "{} never came", path.display());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The process that is, or was, this role.
    pub(crate) fn process(&self, role: &str) -> u32 {
        self.number(format!("{role}.pid"))
    }

    /// Where the role listens.
    fn port(&self, role: &str) -> u16 {
        self.number(format!("{role}.port")) as u16
    }

    /// A program to start roles from, whose parties say that they listen at these ports; `first` is what the shell does first
    /// in `victim`'s place.
    pub(crate) fn stand_in(&self, ports: [u16; 2], victim: &str, first: &str) -> PathBuf {
        stand_in(&self.folder, Some(ports), victim, first)
    }
}

/// Listens in a party's place and passes everything on. Its threads end with their connections; the listener's with the test.
pub(crate) fn stand_before(role: &'static str, told: &Told, watch: &Arc<Watch>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, watch) = (told.clone(), watch.clone());
    thread::spawn(move || {
        for caller in listener.incoming().flatten() {
            let (told, watch) = (told.clone(), watch.clone());
            thread::spawn(move || pass(caller, role, &told, &watch));
        }
    });
    port
}

fn pass(mut caller: TcpStream, role: &'static str, told: &Told, watch: &Arc<Watch>) {
    // a party that is gone refuses here; the caller sees its end
    let Ok(called) = TcpStream::connect(("127.0.0.1", told.port(role))) else { return };
    let Some(first) = frame(&mut caller) else { return };
    let hello: Value = serde_json::from_slice(&first.1).unwrap();
    let from = hello["role"].as_str().unwrap().to_string();
    let (back_from, back_to) = (called.try_clone().unwrap(), caller.try_clone().unwrap());
    let (watch_back, to) = (watch.clone(), from.clone());
    thread::spawn(move || forward(None, back_from, back_to, role, &to, &watch_back));
    forward(Some(first), caller, called, &from, role, watch);
}

type Bytes = ([u8; HEADER_LEN], Vec<u8>);

fn frame(stream: &mut TcpStream) -> Option<Bytes> {
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header).ok()?;
    let length = u64::from_le_bytes(header[40..].try_into().unwrap());
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).ok()?;
    Some((header, payload))
}

fn forward(first: Option<Bytes>, mut input: TcpStream, mut output: TcpStream, from: &str, to: &str, watch: &Watch) {
    let mut next = first.or_else(|| frame(&mut input));
    while let Some((header, payload)) = next {
        watch.see(from, to, &header);
        if output.write_all(&header).and_then(|()| output.write_all(&payload)).is_err() {
            break;
        }
        next = frame(&mut input);
    }
    for stream in [input, output] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// Kills a role and waits until it computes no more.
pub(crate) fn kill(process: u32) {
    super::signal("KILL", process);
    let end = Instant::now() + super::PATIENCE;
    while super::lives(process) {
        assert!(Instant::now() < end, "process {process} outlives its kill");
        thread::yield_now();
    }
}

/// A folder of one session's own, with the bundle under a name that only its processes have in their command lines.
pub(crate) fn own_folder(root: &Path, name: &str, bundle: &Path) -> Told {
    let folder = root.join(name);
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(bundle, folder.join("bundle")).unwrap();
    Told { folder }
}
