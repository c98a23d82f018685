//! Asking a server: redirects, refusals, and patience with a busy one.

use std::fmt;
use std::io::Read;
use std::thread::sleep;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{HeaderMap, Request};
use ureq::tls::{RootCerts, TlsConfig, parse_pem};

use super::fault::Fault;
use super::settings::{Settings, Token};
use super::url::{is_loopback, joined, same_server, server_of};
use crate::Error;

/// How often an unreachable server, and how often one in trouble, is asked.
const UNREACHABLE_TRIES: u32 = 3;
const TRIES: u32 = 5;
/// A server that is there takes a connection sooner.
const CONNECT: Duration = Duration::from_secs(10);
/// More redirects than that are a circle.
const MOST_REDIRECTS: usize = 10;
/// The longest list of files.
const LONGEST_TEXT: u64 = 64 << 20;

/// The side that asks.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<Token>,
    timeout: Duration,
    patience: Duration,
    pause: Duration,
}

/// What is asked about, for errors and notes.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The repository's page.
    pub(super) page: String,
    /// A file or a revision.
    pub(super) name: String,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.page, self.name)
    }
}

/// An answer that is no refusal.
pub(super) struct Reply {
    status: u16,
    headers: HeaderMap,
    /// The headers of the redirect that led away from the hub to a large file's content.
    linked: Option<HeaderMap>,
    body: ureq::Body,
}

/// What is known of a file before it is fetched.
#[derive(Debug)]
pub(super) struct Meta {
    pub(super) etag: String,
    pub(super) size: Option<u64>,
}

/// Which bytes of a file are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) from: u64,
    /// The last one; to the end where none is said.
    pub(super) last: Option<u64>,
}

impl Range {
    const WHOLE: Range = Range { from: 0, last: None };

    pub(super) fn from(from: u64) -> Range {
        Range { from, last: None }
    }

    fn header(self) -> Option<String> {
        match self {
            Range { from: 0, last: None } => None,
            Range { from, last } => {
                Some(format!("bytes={from}-{}", last.map_or(String::new(), |last| last.to_string())))
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Head,
    Get,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Client, Error> {
        let endpoint = settings.endpoint.clone();
        if server_of(&endpoint).is_none() || joined(&endpoint, &endpoint).is_none() {
            let expected = "expected an address such as https://huggingface.co, without user and password";
            return Err(Error::Usage(format!("HF_ENDPOINT: {expected}")));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("private-bert/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(settings.timeout))
            .timeout_connect(Some(settings.timeout.min(CONNECT)))
            .timeout_recv_response(Some(settings.timeout))
            .timeout_per_read(Some(settings.timeout))
            .timeout_per_write(Some(settings.timeout));
        if is_loopback(&endpoint) {
            config = config.proxy(None);
        }
        if let Some(path) = &settings.roots {
            let pem = std::fs::read(path).map_err(|source| Error::Read { path: path.clone(), source })?;
            let certificates = parse_pem(&pem).filter_map(|item| match item {
                Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            let roots = RootCerts::new_with_certs(&certificates.collect::<Vec<_>>());
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Client {
            agent: config.build().new_agent(),
            endpoint,
            token: settings.token.clone(),
            timeout: settings.timeout,
            patience: settings.patience,
            pause: settings.pause,
        })
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The pause before a try: longer with each.
    pub(super) fn pause(&self, tries: u32) -> Duration {
        self.pause.saturating_mul(1 << tries.saturating_sub(1).min(8))
    }

    /// The whole of a text.
    pub(super) fn read(&self, url: &str, subject: &Subject) -> Result<Vec<u8>, Fault> {
        let mut tries = 1;
        loop {
            let reply = self.ask(Method::Get, url, Range::WHOLE, subject, &note)?;
            let mut bytes = Vec::new();
            match reply.into_reader().take(LONGEST_TEXT).read_to_end(&mut bytes) {
                Ok(_) => return Ok(bytes),
                Err(error) if tries >= UNREACHABLE_TRIES => {
                    return Err(self.unreachable(url, self.broken(&error)));
                }
                Err(_) => sleep(self.pause(tries)),
            }
            tries += 1;
        }
    }

    /// What a file is before it is fetched: the hub's own word, also where the content lies elsewhere.
    pub(super) fn head(&self, url: &str, subject: &Subject) -> Result<Meta, Fault> {
        let reply = self.ask(Method::Head, url, Range::WHOLE, subject, &note)?;
        let odd = |reason: &str| Fault::Odd { what: subject.to_string(), reason: reason.into() };
        let linked = reply.linked.as_ref().unwrap_or(&reply.headers);
        let etag = header(linked, "x-linked-etag").or_else(|| header(&reply.headers, "etag"));
        let etag = etag.ok_or_else(|| odd("no ETag"))?;
        let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_string();
        // it becomes a file's name
        if etag.is_empty()
            || etag.starts_with('.')
            || !etag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        {
            return Err(odd("a strange ETag"));
        }
        let own = || (reply.status < 300).then(|| header(&reply.headers, "content-length")).flatten();
        let size = header(linked, "x-linked-size").or_else(own).and_then(|size| size.parse().ok());
        Ok(Meta { etag, size })
    }

    /// A part of a file's content, as far as the server heeds that: see [`Reply::first`].
    pub(super) fn get(&self, url: &str, range: Range, subject: &Subject, tell: &dyn Fn(&str)) -> Result<Reply, Fault> {
        self.ask(Method::Get, url, range, subject, tell)
    }

    /// Asks until there is an answer, a refusal, or no patience left.
    fn ask(
        &self,
        method: Method,
        url: &str,
        range: Range,
        subject: &Subject,
        tell: &dyn Fn(&str),
    ) -> Result<Reply, Fault> {
        let (mut tries, mut waited) = (0, Duration::ZERO);
        loop {
            tries += 1;
            let (fault, after) = match self.follow(method, url, range, subject) {
                Ok(reply) if reply.status < 400 || reply.status == 416 => return Ok(reply),
                Ok(reply) => (self.refusal(&reply, subject), reply.after()),
                Err(fault) => (fault, None),
            };
            let most = match fault {
                Fault::Unreachable { .. } => UNREACHABLE_TRIES,
                Fault::Server { .. } | Fault::TooMany { .. } => TRIES,
                _ => 1,
            };
            let pause = after.unwrap_or_else(|| self.pause(tries));
            if tries >= most || waited.saturating_add(pause) > self.patience {
                return Err(fault);
            }
            let reason = match &fault {
                Fault::TooMany { .. } => "too many requests".into(),
                Fault::Server { status, .. } => format!("the hub has a problem (status {status})"),
                Fault::Unreachable { reason, .. } => reason.clone(),
                other => other.to_string(),
            };
            tell(&format!("{subject}: {reason}; trying again in {:.1} s", pause.as_secs_f64()));
            sleep(pause);
            waited += pause;
        }
    }

    /// Asks once, and again where redirects lead: the token goes to the hub only.
    fn follow(&self, method: Method, url: &str, range: Range, subject: &Subject) -> Result<Reply, Fault> {
        let odd = |reason: &str| Fault::Odd { what: subject.to_string(), reason: reason.into() };
        let mut url = url.to_string();
        let mut linked = None;
        for _ in 0..=MOST_REDIRECTS {
            let verb = if method == Method::Head { "HEAD" } else { "GET" };
            // what is kept is what was sent, not what a server makes of it on the way
            let mut request = Request::builder().method(verb).uri(&url).header("Accept-Encoding", "identity");
            if let Some(range) = range.header() {
                request = request.header("Range", range);
            }
            if let Some(token) = self.token.as_ref().filter(|_| same_server(&url, &self.endpoint)) {
                request = request.header("Authorization", token.header());
            }
            let request = request.body(()).map_err(|_| odd("a redirect to no address"))?;
            let response = self.agent.run(request).map_err(|error| self.unreachable(&url, self.words(&error)))?;
            let (parts, body) = response.into_parts();
            let status = parts.status.as_u16();
            let location = header(&parts.headers, "location").filter(|_| matches!(status, 301..=303 | 307 | 308));
            let Some(location) = location else {
                return Ok(Reply { status, headers: parts.headers, linked, body });
            };
            let next = joined(&url, location).ok_or_else(|| odd("a redirect that leads nowhere safe"))?;
            if header(&parts.headers, "x-linked-etag").is_some() {
                linked = Some(parts.headers.clone());
            }
            if method == Method::Head && !same_server(&next, &url) && linked.is_some() {
                return Ok(Reply { status, headers: parts.headers, linked, body });
            }
            url = next;
        }
        Err(odd("redirects without end"))
    }

    /// What a status of 400 and more means.
    fn refusal(&self, reply: &Reply, subject: &Subject) -> Fault {
        let (status, code) = (reply.status, header(&reply.headers, "x-error-code").unwrap_or_default());
        let (what, token) = (subject.to_string(), self.token.is_some());
        match (status, code) {
            (403, _) | (401, "GatedRepo") => Fault::Refused { what, status, page: subject.page.clone() },
            (401, _) if token => Fault::BadToken { what, endpoint: self.endpoint.clone() },
            (401, _) => Fault::Hidden { what },
            (404, "RevisionNotFound") => Fault::NotFound { what, detail: ": there is no such revision" },
            (404, "EntryNotFound") => Fault::NotFound { what, detail: ": there is no such file" },
            (404, _) => Fault::NotFound { what, detail: "" },
            (429, _) => Fault::TooMany { what, after: reply.after(), token },
            (408 | 500..=599, _) => Fault::Server { what, status },
            _ => Fault::Odd { what, reason: format!("status {status}") },
        }
    }

    fn unreachable(&self, url: &str, reason: String) -> Fault {
        // of a redirect's target no more than the server: the rest may be signed
        let endpoint = if same_server(url, &self.endpoint) { Some(self.endpoint.clone()) } else { server_of(url) };
        Fault::Unreachable { endpoint: endpoint.unwrap_or_default(), reason }
    }

    /// Why there is no answer, in words without addresses.
    fn words(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(_) => format!("no answer within {} s", self.timeout.as_secs_f64()),
            ureq::Error::HostNotFound => "there is no such host".into(),
            ureq::Error::ConnectionFailed => "no connection".into(),
            ureq::Error::Io(error) => self.broken(error),
            ureq::Error::BadUri(_) => "no address".into(),
            other => other.to_string(),
        }
    }

    /// Why a body ended early.
    pub(super) fn broken(&self, error: &std::io::Error) -> String {
        use std::io::ErrorKind::{ConnectionRefused, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock};
        match error.kind() {
            TimedOut | WouldBlock => format!("nothing came for {} s", self.timeout.as_secs_f64()),
            UnexpectedEof | ConnectionReset => "the connection ended".into(),
            ConnectionRefused => "the connection was refused".into(),
            _ => error.to_string(),
        }
    }
}

impl Reply {
    /// The number of the first byte that comes, from 0; none where it cannot be told or nothing comes.
    pub(super) fn first(&self) -> Option<u64> {
        match self.status {
            // bytes 100-199/200
            206 => header(&self.headers, "content-range")?.strip_prefix("bytes ")?.split('-').next()?.parse().ok(),
            200..=299 => Some(0),
            _ => None,
        }
    }

    pub(super) fn into_reader(self) -> impl Read {
        self.body.into_reader()
    }

    /// How long the server asks to be left alone.
    fn after(&self) -> Option<Duration> {
        header(&self.headers, "retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs)
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn note(text: &str) {
    cli::log(text);
}
