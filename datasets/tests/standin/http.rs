//! The stand-in's side of HTTP/1.1.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use super::{Fault, Kind, Repo, Seen, State, World, etag, is_large};

/// A request, read.
struct Asked {
    method: String,
    path: String,
    token: Option<String>,
    range: Option<(u64, Option<u64>)>,
}

/// An answer before faults.
#[derive(Default)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// The content of a file: ranges and the faults of bodies apply.
    is_file: bool,
}

/// Answers requests until the peer goes.
pub(super) fn converse(world: &Arc<World>, stream: TcpStream, content: bool) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(asked) = read(&mut reader) {
        if world.ended() || !reply(world, &stream, &asked, content) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_string(), words.next()?.to_string());
    let mut asked = Asked { method, path, token: None, range: None };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { return Some(asked) };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => asked.token = value.strip_prefix("Bearer ").map(Into::into),
            "range" => {
                let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
                asked.range = Some((from.parse().ok()?, to.parse().ok()));
            }
            _ => {}
        }
    }
}

/// Answers one request; whether the connection goes on.
fn reply(world: &World, mut stream: &TcpStream, asked: &Asked, content: bool) -> bool {
    let path = decoded(asked.path.split('?').next().unwrap_or_default());
    let (mut answer, fault) = {
        let mut state = world.state();
        let answer = if content { stored(&state, &path) } else { hub(&state, world, asked, &path) };
        let fault = state.take_fault(&path, asked.method == "GET" && answer.is_file, content);
        (answer, fault)
    };
    if let Some(Fault::Status(status, after)) = fault {
        answer = error(status, "", "a fault of the stand-in");
        answer.headers.extend(after.map(|seconds| ("Retry-After", seconds.to_string())));
    }
    let range = asked.range.filter(|_| answer.is_file && fault != Some(Fault::IgnoreRange));
    let whole = answer.body.len() as u64;
    if let Some((from, to)) = range {
        let to = to.unwrap_or(u64::MAX).min(whole.saturating_sub(1));
        if from >= whole {
            answer = Answer { status: 416, ..Answer::default() };
            answer.headers.push(("Content-Range", format!("bytes */{whole}")));
        } else {
            answer.status = 206;
            answer.headers.push(("Content-Range", format!("bytes {from}-{to}/{whole}")));
            answer.body = answer.body[from as usize..=to as usize].to_vec();
        }
    }
    if fault == Some(Fault::Corrupt)
        && let Some(byte) = answer.body.first_mut()
    {
        *byte ^= 1;
    }
    let seen = Seen {
        method: asked.method.clone(),
        path,
        token: asked.token.clone(),
        from: range.map_or(0, |(from, _)| from),
        status: answer.status,
        sent: 0,
        content,
    };
    let number = {
        let mut state = world.state();
        state.seen.push(seen);
        state.seen.len() - 1
    };
    if fault == Some(Fault::Silent) {
        wait(world);
        return false;
    }
    let mut head = format!("HTTP/1.1 {} -\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    if stream.write_all(head.as_bytes()).is_err() {
        return false;
    }
    if asked.method == "HEAD" {
        return true;
    }
    send(world, stream, &answer.body, fault, number)
}

/// Sends a body, as the answer to request `number`; whether the connection goes on.
fn send(world: &World, mut stream: &TcpStream, body: &[u8], fault: Option<Fault>, number: usize) -> bool {
    let (most, piece) = match fault {
        Some(Fault::BreakOff(most) | Fault::Stall(most)) => (body.len().min(most as usize), 1 << 16),
        Some(Fault::Slow(rate)) => (body.len(), (rate as usize / 20).max(1)),
        _ => (body.len(), 1 << 16),
    };
    for piece in body[..most].chunks(piece) {
        // Counted before it goes: who has read it all looks at the count at once.
        if let Some(seen) = world.state().seen.get_mut(number) {
            seen.sent += piece.len() as u64;
        }
        if world.ended() || stream.write_all(piece).is_err() {
            return false;
        }
        if matches!(fault, Some(Fault::Slow(_))) {
            sleep(Duration::from_millis(50));
        }
    }
    match fault {
        Some(Fault::BreakOff(_)) => false,
        Some(Fault::Stall(_)) => {
            wait(world);
            false
        }
        _ => true,
    }
}

/// Until the hub ends, at most a minute.
fn wait(world: &World) {
    for _ in 0..1200 {
        if world.ended() {
            return;
        }
        sleep(Duration::from_millis(50));
    }
}

impl State {
    fn take_fault(&mut self, path: &str, is_body: bool, content: bool) -> Option<Fault> {
        let fits = |(part, times, fault): &&mut (String, usize, Fault)| {
            let applies = match fault {
                Fault::Status(..) | Fault::Silent => !content,
                _ => is_body,
            };
            *times > 0 && path.contains(part.as_str()) && applies
        };
        let (_, times, fault) = self.faults.iter_mut().find(fits)?;
        *times -= 1;
        Some(fault.clone())
    }

    fn repo(&self, kind: Kind, id: &str) -> Option<&Repo> {
        self.repos.get(&(kind, id.to_string()))
    }
}

/// The content network: `/{sha256}/{file}`.
fn stored(state: &State, path: &str) -> Answer {
    let sha = path.split('/').nth(1).unwrap_or_default();
    let files = state.repos.values().flat_map(|repo| repo.commits.values()).flatten();
    match files.into_iter().find(|(name, bytes)| etag(name, bytes) == sha) {
        Some((_, bytes)) => Answer { status: 200, body: bytes.clone(), is_file: true, ..Answer::default() },
        None => error(404, "", "no such content"),
    }
}

/// The hub itself.
fn hub(state: &State, world: &World, asked: &Asked, path: &str) -> Answer {
    let raw: Vec<&str> = asked.path.split('?').next().unwrap_or_default().trim_matches('/').split('/').collect();
    let words: Vec<String> = raw.iter().map(|word| decoded(word)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (api, kind, rest) = match words.as_slice() {
        ["api", "models", rest @ ..] => (true, Kind::Model, rest),
        ["api", "datasets", rest @ ..] => (true, Kind::Dataset, rest),
        ["datasets", rest @ ..] => (false, Kind::Dataset, rest),
        rest => (false, Kind::Model, rest),
    };
    let verb = rest.iter().position(|word| ["revision", "tree", "resolve"].contains(word)).unwrap_or(rest.len());
    let id = rest[..verb].join("/");
    if let Some(new) = state.names.get(&id) {
        // as the real hub does: a relative place
        let place = asked.path.replacen(&id, new, 1);
        return Answer { status: 307, headers: vec![("Location", place)], ..Answer::default() };
    }
    let repo = state.repo(kind, &id).filter(|repo| repo.private.is_none() || repo.private == asked.token);
    let Some(repo) = repo else {
        let status = if asked.token.is_some() { 404 } else { 401 };
        return error(status, "RepoNotFound", "Repository not found");
    };
    let revision = rest.get(verb + 1).copied().unwrap_or("main");
    let commit = repo.refs.get(revision).map_or(revision, String::as_str);
    let Some(files) = repo.commits.get(commit) else {
        return error(404, "RevisionNotFound", &format!("Invalid rev id: {revision}"));
    };
    if api {
        let body = if rest.get(verb) == Some(&"tree") { tree(files) } else { info(&id, commit, files) };
        let headers = vec![("Content-Type", "application/json".into())];
        return Answer { status: 200, headers, body: body.into_bytes(), is_file: false };
    }
    if repo.gated.is_some() && repo.gated != asked.token {
        let status = if asked.token.is_some() { 403 } else { 401 };
        return error(status, "GatedRepo", &format!("Access to {path} is restricted"));
    }
    let name = rest.get(verb + 2..).unwrap_or_default().join("/");
    let mut headers = vec![("X-Repo-Commit", commit.to_string())];
    let Some(bytes) = files.get(&name) else {
        let mut answer = error(404, "EntryNotFound", "Entry not found");
        answer.headers.append(&mut headers);
        return answer;
    };
    let tag = etag(&name, bytes);
    if is_large(&name) {
        headers.push(("X-Linked-Size", bytes.len().to_string()));
        headers.push(("X-Linked-Etag", format!("\"{tag}\"")));
        headers.push(("ETag", "\"something-else\"".into()));
        headers.push(("Location", format!("http://{}/{tag}/{name}", world.content)));
        return Answer { status: 302, headers, ..Answer::default() };
    }
    headers.push(("ETag", format!("\"{tag}\"")));
    Answer { status: 200, headers, body: bytes.clone(), is_file: true }
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    let mut headers = vec![("X-Error-Message", message.to_string())];
    if !code.is_empty() {
        headers.push(("X-Error-Code", code.into()));
    }
    Answer { status, headers, body: format!("{{\"error\":\"{message}\"}}").into_bytes(), is_file: false }
}

fn info(id: &str, commit: &str, files: &std::collections::BTreeMap<String, Vec<u8>>) -> String {
    let siblings: Vec<String> = files.keys().map(|name| format!("{{\"rfilename\":\"{name}\"}}")).collect();
    let siblings = siblings.join(",");
    format!("{{\"id\":\"{id}\",\"sha\":\"{commit}\",\"private\":false,\"tags\":[],\"siblings\":[{siblings}]}}")
}

fn tree(files: &std::collections::BTreeMap<String, Vec<u8>>) -> String {
    let entry = |(name, bytes): (&String, &Vec<u8>)| {
        let (tag, size) = (etag(name, bytes), bytes.len());
        let lfs = match is_large(name) {
            true => format!(",\"lfs\":{{\"oid\":\"{tag}\",\"size\":{size},\"pointerSize\":134}}"),
            false => String::new(),
        };
        format!("{{\"type\":\"file\",\"oid\":\"{}\",\"size\":{size},\"path\":\"{name}\"{lfs}}}", &tag[..40])
    };
    format!("[{}]", files.iter().map(entry).collect::<Vec<_>>().join(","))
}

/// `%2F` as `/`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let byte = after.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
