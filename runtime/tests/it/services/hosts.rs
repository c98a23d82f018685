//! Four hosts, each with an address and an interface of its own, and a private label between them: what each of them can see.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use socket2::{Domain, Protocol, Socket, Type};
use trials::deployment::{Plan, SERVICES};

use super::{World, soon};
use crate::programs::output;
use crate::sessions::program;

/// The hosts, and what they are joined by.
const HOSTS: [&str; 4] = ["party0", "party1", "dealer", "client"];
const SWITCH: &str = "switch";
/// Words of the text, long enough to be nothing else.
const WORDS: [&str; 3] = ["quarterly", "numbers", "publication"];
/// What is sent in clear at the end, to see that a capture would have it.
const CONTROL: &str = "in clear as a control";
/// Where a helper writes what it sees, or whom it sends the control to.
const CAPTURE: &str = "HOSTS_TEST_CAPTURE";
const SAY: &str = "HOSTS_TEST_SAY";
const HELPER: &str = "services::hosts::helper";

fn host(name: &str) -> String {
    format!("pb{}-{name}", std::process::id())
}

fn address(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, index as u8 + 1)
}

fn within(name: &str) -> Vec<String> {
    ["ip", "netns", "exec", &host(name)].map(String::from).to_vec()
}

/// The namespaces of all hosts; they go with this.
struct Hosts;

impl Hosts {
    /// Makes them, or says why it may not.
    fn make() -> Result<Hosts, String> {
        let hosts = Hosts;
        for name in HOSTS.iter().chain([&SWITCH]) {
            ip(&["netns", "add", &host(name)])?;
        }
        let switch = host(SWITCH);
        ip(&["-n", &switch, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "bridge", "up"])?;
        for (index, name) in HOSTS.iter().enumerate() {
            let (own, port) = (host(name), format!("port{index}"));
            let end = ["type", "veth", "peer", "name", &port, "netns", &switch];
            ip(&[&["link", "add", "eth0", "netns", &own], &end[..]].concat())?;
            ip(&["-n", &switch, "link", "set", &port, "master", "bridge", "up"])?;
            ip(&["-n", &own, "addr", "add", &format!("{}/24", address(index)), "dev", "eth0"])?;
            ip(&["-n", &own, "link", "set", "eth0", "up"])?;
            ip(&["-n", &own, "link", "set", "lo", "up"])?;
        }
        Ok(hosts)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in HOSTS.iter().chain([&SWITCH]) {
            let _ = ip(&["netns", "del", &host(name)]);
        }
    }
}

fn ip(args: &[&str]) -> Result<(), String> {
    let done = Command::new("ip").args(args).output().map_err(|error| format!("`ip` cannot be run: {error}"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&done.stderr).trim())),
    }
}

/// Runs the helper below on a host.
fn on(name: &str, variable: &str, value: &str) -> Command {
    let words = within(name);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", HELPER, "--ignored", "--nocapture"]).env(variable, value);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A capture of all interfaces of a host, until this goes.
struct Capture {
    file: PathBuf,
    process: Child,
}

impl Capture {
    fn begin(name: &str, folder: &Path) -> Capture {
        let file = folder.join(format!("{name}.packets"));
        let process = on(name, CAPTURE, &file.display().to_string()).spawn().unwrap();
        let capture = Capture { file, process };
        assert!(soon(|| capture.file.exists()), "no capture of {name}");
        capture
    }

    /// What was seen up to now: source, destination and the whole packet.
    fn packets(&self) -> Vec<(Ipv4Addr, Ipv4Addr, Vec<u8>)> {
        let (bytes, mut packets) = (fs::read(&self.file).unwrap(), Vec::new());
        let mut rest = &bytes[..];
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            if after.len() < length {
                break;
            }
            let (packet, after) = after.split_at(length);
            rest = after;
            // Ethernet, then IPv4
            if packet.len() >= 34 && packet[12..14] == [8, 0] {
                let at =
                    |from: usize| Ipv4Addr::new(packet[from], packet[from + 1], packet[from + 2], packet[from + 3]);
                packets.push((at(26), at(30), packet.to_vec()));
            }
        }
        packets
    }

    /// How many packets pass between two hosts.
    fn between(&self, one: usize, other: usize) -> usize {
        let pair = [address(one), address(other)];
        let passes = |from, to| pair == [from, to] || pair == [to, from];
        self.packets().iter().filter(|(from, to, _)| passes(*from, *to)).count()
    }

    fn has(&self, words: &str) -> bool {
        let has =
            |packet: &[u8]| packet.windows(words.len()).any(|window| window.eq_ignore_ascii_case(words.as_bytes()));
        self.packets().iter().any(|(_, _, packet)| has(packet))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "run on a host by the test below"]
fn helper() {
    if let Ok(to) = std::env::var(SAY) {
        UdpSocket::bind("0.0.0.0:0").unwrap().send_to(CONTROL.as_bytes(), to).unwrap();
    }
    let Ok(path) = std::env::var(CAPTURE) else { return };
    // every protocol, in the byte order of the network
    let every = Protocol::from(i32::from(3u16.to_be()));
    let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(every)).unwrap();
    socket.set_recv_buffer_size(16 << 20).unwrap();
    let mut file = File::create(path).unwrap();
    let mut bytes = vec![0; 1 << 17];
    loop {
        let length = socket.read(&mut bytes).unwrap();
        let packet = [&(length as u32).to_le_bytes(), &bytes[..length]].concat();
        file.write_all(&packet).unwrap();
    }
}

/// Has the client ask for a label.
fn label(world: &World) -> Output {
    let (words, config) = (within("client"), world.services.config("client0"));
    let mut ask = Command::new(&words[0]);
    ask.args(&words[1..]).arg(program()).args(["infer", "--text", &format!("w4 w9 {}", WORDS.join(" ")), "--config"]);
    output(ask.arg(config))
}

#[test]
fn four_hosts_give_a_private_label_and_none_sees_what_it_should_not() {
    let hosts = match Hosts::make() {
        Ok(hosts) => hosts,
        Err(why) => {
            eprintln!("not run: network namespaces cannot be made here (it takes root and iproute2): {why}");
            return;
        }
    };
    let listen = [0, 1].map(|index| (address(index), 7100).into());
    let all = "[run]\ndeadline = 120\n".to_owned();
    let mut world = World::of(Plan { listen, dial: listen, clients: 1, all, ..Plan::loopback(1).unwrap() });
    world.services.wrap = |role| within(role.name());
    let captures = HOSTS.map(|name| Capture::begin(name, &world.path("")));
    world.services.start_all().unwrap();
    let answer = label(&world);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    assert!(String::from_utf8_lossy(&answer.stdout).contains("label"));
    let (control, to) = ("client", format!("{}:9", address(0)));
    assert!(on(control, SAY, &to).status().unwrap().success());
    let [zero, one, dealer, client] = &captures;
    assert!(soon(|| zero.has(CONTROL) && client.has(CONTROL)), "what is in clear is seen");
    // who talks with whom: P0 and P1 with each other and with both others, the dealer and the client never
    for (capture, pairs) in [(zero, [(0, 1), (0, 2), (0, 3)]), (one, [(0, 1), (1, 2), (1, 3)])] {
        assert!(pairs.iter().all(|(one, other)| capture.between(*one, *other) > 10));
    }
    assert!(dealer.between(0, 2) > 10 && dealer.between(1, 2) > 10 && client.between(0, 3) > 10);
    assert_eq!(dealer.between(0, 1), 0, "the dealer sees what the parties open");
    assert_eq!(client.between(0, 1), 0, "the client sees what the parties open");
    for (name, capture) in HOSTS.iter().zip(&captures) {
        assert_eq!(capture.between(2, 3), 0, "{name}: the dealer and the client meet");
        let words = WORDS.iter().chain(&["w4 w9", "PTIF", "\"protocol\"", "\"lengths\""]);
        for words in words {
            assert!(!capture.has(words), "{name} has `{words}` in clear");
        }
    }
    assert!(SERVICES.iter().all(|role| world.services.process(*role).is_some()));
    // the programs first, then their hosts
    drop((captures, world));
    drop(hosts);
}
