//! Three services and their clients, each with a folder, a key and a configuration of its own, as processes of this machine.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bundle::{ClientBundle, PartyBundle, Role};
use net::keys;
use net::{Pin, TlsIdentity};
use roles::handshake::{Identity, fresh};
use roles::service::dial::PeerAddress;
use roles::service::examine::examine;
use roles::service::status::Status;
use roles::service::stock::StockStatus;
use serde_json::Value;

/// The three that serve.
pub const SERVICES: [Role; 3] = [Role::Party0, Role::Party1, Role::Dealer];
/// A party's stock, in its folder, where its configuration names one.
pub const STOCK: &str = "stock";
/// What a certificate of a trial holds for.
const VALID: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Ports that a system does not draw from for connections of its own.
const GIVEN: Range<u16> = 20_000..32_000;
/// Between two looks at a service.
const POLL: Duration = Duration::from_millis(50);

/// What differs between trials.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where P0 and P1 listen.
    pub listen: [SocketAddr; 2],
    /// Where others dial them: other addresses where something stands between.
    pub dial: [SocketAddr; 2],
    /// How many clients there are.
    pub clients: usize,
    /// Lines of TOML for every role.
    pub all: String,
    /// Lines of TOML for the parties.
    pub parties: String,
    /// Lines of TOML for P0 alone, after those.
    pub party0: String,
}

impl Plan {
    /// On free ports of loopback, nothing in between.
    pub fn loopback(clients: usize) -> Result<Plan> {
        let listen = free()?;
        Ok(Plan { listen, dial: listen, clients, all: String::new(), parties: String::new(), party0: String::new() })
    }
}

/// Two free ports of loopback that the system gives to no one who asks for any: they are still free when a service that was
/// killed comes back to them.
fn free() -> Result<[SocketAddr; 2]> {
    let drawn = u16::from_le_bytes(fresh::<2>()?);
    let count = GIVEN.len() as u16;
    let ports = (0..count).map(|at| GIVEN.start + (drawn % count + at) % count);
    let addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut free = addresses.filter(|address| TcpListener::bind(address).is_ok());
    free.next().zip(free.next()).map(|(one, other)| [one, other]).context("no free ports on loopback")
}

/// Services of a trial. They are killed when this goes.
#[derive(Debug)]
pub struct Deployment {
    program: PathBuf,
    root: PathBuf,
    plan: Plan,
    pins: Vec<(String, Pin)>,
    running: Vec<(Role, Child)>,
    /// Put before the program of a role, such as `ip netns exec NAME`.
    pub wrap: fn(Role) -> Vec<String>,
    /// Flags of the parties beside their configuration.
    pub flags: Vec<String>,
}

impl Deployment {
    /// Makes folders, keys and configurations below `root` from a whole bundle.
    pub fn lay_out(root: &Path, program: &Path, bundle: &Path, plan: Plan) -> Result<Deployment> {
        let mut pins = Vec::new();
        let mut names: Vec<String> = SERVICES.iter().map(|role| role.name().to_owned()).collect();
        names.extend((0..plan.clients).map(|client| format!("client{client}")));
        for name in &names {
            let folder = root.join(name);
            fs::create_dir_all(&folder)?;
            let identity = keys::create(&folder.join("keys"), name, VALID)?;
            pins.push((name.clone(), identity.pin()));
            let part = name.trim_end_matches(|c: char| name.starts_with("client") && c.is_ascii_digit());
            copy(&bundle.join(part), &folder.join("bundle"))?;
        }
        let deployment = Deployment {
            program: program.to_owned(),
            root: root.to_owned(),
            plan,
            pins,
            running: Vec::new(),
            wrap: |_| Vec::new(),
            flags: Vec::new(),
        };
        for name in &names {
            fs::write(deployment.config(name), deployment.text(name)?)?;
        }
        Ok(deployment)
    }

    /// The configuration of a role or of a client, by its name.
    pub fn config(&self, name: &str) -> PathBuf {
        self.root.join(name).join("config.toml")
    }

    /// The folder of a role or of a client.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The key of a role or of a client.
    pub fn pin(&self, name: &str) -> Result<Pin> {
        let found = self.pins.iter().find(|(other, _)| other == name);
        Ok(found.with_context(|| format!("no key of {name}"))?.1)
    }

    fn text(&self, name: &str) -> Result<String> {
        let role = if name.starts_with("client") { "client" } else { name };
        let mut text = format!("role = \"{role}\"\nbundle = \"bundle\"\nkeys = \"keys\"\n");
        let dial = |index: usize| format!("address = \"{}\"\n", self.plan.dial[index]);
        let peers: &[(&str, String)] = match role {
            "party0" => &[("party1", String::new()), ("dealer", String::new())],
            "party1" => &[("party0", dial(0)), ("dealer", String::new())],
            _ => &[("party0", dial(0)), ("party1", dial(1))],
        };
        if let Some(index) = ["party0", "party1"].iter().position(|party| *party == role) {
            writeln!(text, "listen = \"{}\"", self.plan.listen[index])?;
            let clients = self.pins.iter().filter(|(name, _)| name.starts_with("client"));
            let pins: Vec<String> = clients.map(|(_, pin)| format!("\"{pin}\"")).collect();
            writeln!(text, "[clients]\npins = [{}]", pins.join(", "))?;
            text += &self.plan.parties;
            if index == 0 {
                text += &self.plan.party0;
            }
        }
        for (peer, address) in peers {
            writeln!(text, "[peers.{peer}]\npins = [\"{}\"]\n{address}", self.pin(peer)?)?;
        }
        Ok(text + &self.plan.all)
    }

    /// Starts a service; what it says goes to the end of `log` in its folder.
    pub fn start(&mut self, role: Role) -> Result<()> {
        ensure!(self.running.iter().all(|(other, _)| *other != role), "{role} runs already");
        let log = File::options().create(true).append(true).open(self.log(role))?;
        let command = if role == Role::Dealer { "dealer" } else { "party" };
        let mut words = (self.wrap)(role);
        words.extend([self.program.display().to_string(), command.into(), "--config".into()]);
        let mut process = Command::new(&words[0]);
        process.args(&words[1..]).arg(self.config(role.name()));
        if role != Role::Dealer {
            process.args(&self.flags);
        }
        process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.running.push((role, process.spawn().with_context(|| format!("starting {role}"))?));
        Ok(())
    }

    /// Starts all services.
    pub fn start_all(&mut self) -> Result<()> {
        SERVICES.into_iter().try_for_each(|role| self.start(role))
    }

    /// What a service has said so far.
    pub fn log(&self, role: Role) -> PathBuf {
        self.root.join(role.name()).join("log")
    }

    /// The process of a service.
    pub fn process(&self, role: Role) -> Option<u32> {
        self.running.iter().find(|(other, _)| *other == role).map(|(_, child)| child.id())
    }

    /// Services that were started and have ended by themselves.
    pub fn fallen(&mut self) -> Vec<Role> {
        let ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        self.running.iter_mut().filter_map(|(role, child)| ended(child).then_some(*role)).collect()
    }

    /// Kills a service (SIGKILL).
    pub fn kill(&mut self, role: Role) -> Result<()> {
        if let Some(at) = self.running.iter().position(|(other, _)| *other == role) {
            let (_, mut child) = self.running.swap_remove(at);
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Waits until a service has ended by itself.
    pub fn ended(&mut self, role: Role, within: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + within;
        let at = self
            .running
            .iter()
            .position(|(other, _)| *other == role)
            .with_context(|| format!("{role} is not started"))?;
        loop {
            if let Some(status) = self.running[at].1.try_wait()? {
                self.running.swap_remove(at);
                return Ok(status);
            }
            ensure!(Instant::now() < end, "{role} did not end within {within:?}");
            thread::sleep(POLL);
        }
    }

    /// What a party says of itself to a client.
    pub fn status(&self, index: usize) -> Result<Status> {
        let tls = TlsIdentity::read(&self.folder("client0").join("keys"))?;
        let client = ClientBundle::open(&self.folder("client0").join("bundle"))?;
        let me = Identity::pinned(Role::Client, fresh()?, client.id, &client.spec)?;
        let to = self.address(index)?;
        Ok(examine(&tls, &me, &to, Duration::from_secs(5))?.status)
    }

    /// What a party says of its stock to its own operator.
    pub fn stock(&self, index: usize) -> Result<StockStatus> {
        let (role, folder) = (SERVICES[index], self.folder(SERVICES[index].name()));
        let bundle = PartyBundle::open(&folder.join("bundle"), index)?;
        let me = Identity::pinned(role, fresh()?, bundle.id, &bundle.spec)?;
        let tls = TlsIdentity::read(&folder.join("keys"))?;
        let status = examine(&tls, &me, &self.address(index)?, Duration::from_secs(5))?.status;
        status.stock.with_context(|| format!("{role} tells of no stock"))
    }

    /// What `runtime stock status` says of a party.
    pub fn stock_status(&self, role: Role) -> Result<Value> {
        let mut program = Command::new(&self.program);
        let said =
            program.args(["stock", "status", "--json", "-q", "--config"]).arg(self.config(role.name())).output()?;
        ensure!(said.status.success(), "stock status of {role}: {}", String::from_utf8_lossy(&said.stderr));
        let mut all: Value = serde_json::from_slice(&said.stdout)?;
        Ok(all["stocks"][0].take())
    }

    /// Where a party is dialled, and its key.
    pub fn address(&self, index: usize) -> Result<PeerAddress> {
        let role = SERVICES[index];
        Ok(PeerAddress { role, address: self.plan.dial[index].to_string(), pins: vec![self.pin(role.name())?] })
    }

    /// Waits until both parties say that all roles are connected.
    pub fn ready(&self, within: Duration) -> Result<()> {
        let end = Instant::now() + within;
        loop {
            let missing = |index| self.status(index).map(|status| status.missing);
            match (missing(0), missing(1)) {
                (Ok(zero), Ok(one)) if zero.is_empty() && one.is_empty() => return Ok(()),
                (zero, one) => ensure!(Instant::now() < end, "not ready within {within:?}: {zero:?}, {one:?}"),
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Copies a folder of files; weights are linked where the file system can.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("{}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
