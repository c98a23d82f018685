//! What programs say and log, whatever happens: who, which session, which step, and no secret.

use std::collections::BTreeSet;
use std::fs;

use bundle::Role;
use cli::exit::REFUSED;
use net::keys;
use roles::handshake::fresh;
use roles::message::{PublicTexts, Request, kind, send};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use trials::deployment::SERVICES;

use super::{World, soon};
use crate::programs::tree;
use crate::sessions::{PATIENCE, signal};

/// Words that are nowhere else, and the numbers that the tokenizer has for those that it knows.
const WORDS: [&str; 5] = ["w23", "w11", "w28", "quarterly", "publication"];
const IDS: [&str; 3] = ["23", "11", "28"];
/// Letters and digits in a row that are no word of a sentence.
const BLOB: usize = 16;
/// Numbers in a row that are no measurement.
const LIST: usize = 4;

/// A run with all that may happen in it, under one form of the log. Gives what was said by whom.
fn run(format: &str) -> (World, Vec<(String, String)>, Vec<f64>) {
    let all = format!("[run]\ndeadline = 60\n[log]\nlevel = \"debug\"\nformat = \"{format}\"\n");
    let mut world = World::started(2, "", &all);
    let mut said = Vec::new();
    let text = WORDS.join(" ");
    let answered = world.configured(&["infer", "--text", &text], "client0", &[]);
    assert_eq!(answered.code, Some(0), "{answered:?}");
    said.push(("standard output of infer".to_owned(), answered.out));
    said.push(("standard error of infer".to_owned(), answered.err));
    let numbers = world.configured(&["infer", "--text", &text, "--json"], "client0", &[]);
    let report: Value = serde_json::from_str(&numbers.out).unwrap();
    let logits =
        report["results"][0]["logits"].as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap()).collect();
    said.push(("standard error of infer".to_owned(), numbers.err));
    // who is not known, who goes in the midst of a request, roles that are read again, lost and ended
    keys::create(&world.path("unknown"), "unknown", std::time::Duration::from_secs(1 << 20)).unwrap();
    let unknown = world.configured(&["infer", "--text", &text], "client0", &["keys=../../unknown"]);
    unknown.ended(REFUSED, &["does not know the key"]);
    said.push(("standard error of infer".to_owned(), unknown.err));
    let marks = SERVICES.map(|role| world.mark(role));
    let session = fresh().unwrap();
    let mut links = [0, 1].map(|party| world.link(1, session, party, &mut |_| ()).unwrap());
    let lengths = Request { texts: PublicTexts::exact(vec![world.sample().ids.len()]) };
    links.iter_mut().for_each(|link| send(link, kind::REQUEST, 1, 0, &lengths).unwrap());
    links.iter_mut().for_each(|link| drop(link.expect(kind::READY, 1, 0, 0, None).unwrap()));
    drop(links);
    marks.iter().for_each(|mark| assert!(soon(|| !mark.warnings().is_empty())));
    signal("HUP", world.services.process(Role::Party0).unwrap());
    marks[0].wait("read again", 1);
    let held = world.hold(0);
    world.services.kill(Role::Party1).unwrap();
    marks[0].wait("lost: party1", 1);
    drop(held);
    for role in [Role::Party0, Role::Dealer] {
        signal("TERM", world.services.process(role).unwrap());
        assert!(world.services.ended(role, PATIENCE).unwrap().success());
    }
    for role in SERVICES {
        said.push((format!("log of {role}"), fs::read_to_string(world.services.log(role)).unwrap()));
    }
    (world, said, logits)
}

/// What must not be said: the text, keys and seeds in any writing, the answer's numbers.
fn secrets(world: &World, logits: &[f64]) -> Vec<(String, String)> {
    let mut secrets = Vec::new();
    secrets.extend(WORDS.map(|word| ("a word of the text".to_owned(), word.to_owned())));
    secrets.extend([", ", ",", " "].map(|between| ("the text's numbers".to_owned(), IDS.join(between))));
    secrets
        .extend(logits.iter().map(|logit| ("a logit".to_owned(), logit.abs().to_string().chars().take(9).collect())));
    let mut bytes = |what: &str, bytes: &[u8]| {
        let list: Vec<String> = bytes.iter().take(8).map(u8::to_string).collect();
        let all = hex(bytes);
        secrets.extend([&all[..32], &all[all.len() - 32..]].map(|hex| (what.to_owned(), hex.to_owned())));
        secrets.extend([", ", ","].map(|between| (what.to_owned(), list.join(between))));
    };
    for name in ["party0", "party1", "dealer", "client0", "client1"] {
        let folder = world.services.folder(name);
        let key = PrivateKeyDer::from_pem_file(folder.join("keys/key.pem")).unwrap();
        // RFC 8410: the seed stands behind sixteen bytes
        bytes(&format!("the key of {name}"), &key.secret_der()[16..48]);
        for file in ["seed", "seeds"] {
            if let Ok(seeds) = fs::read(folder.join("bundle").join(file)) {
                seeds.chunks_exact(32).for_each(|seed| bytes(&format!("a seed of {name}"), seed));
            }
        }
    }
    for name in ["party0", "party1", "dealer", "client0", "client1"] {
        let pem = fs::read_to_string(world.services.folder(name).join("keys/key.pem")).unwrap();
        let body = pem.lines().filter(|line| !line.starts_with("-----"));
        // the first line's beginning is the same in every key
        secrets.extend(body.map(|line| (format!("the key of {name}"), line[line.len() - 20..].to_owned())));
    }
    secrets
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names that everybody may know: pins, and what bundles are called.
fn public(world: &World) -> BTreeSet<String> {
    let mut public = BTreeSet::new();
    for name in ["party0", "party1", "dealer", "client0", "client1"] {
        public.insert(world.services.pin(name).unwrap().to_string().replace("pb1-", ""));
    }
    public.insert(keys::show(&world.path("unknown")).unwrap().current.to_string().replace("pb1-", ""));
    public
}

#[test]
fn nothing_that_is_said_or_logged_is_a_secret() {
    for format in ["text", "json"] {
        let (world, said, logits) = run(format);
        let (secrets, public) = (secrets(&world, &logits), public(&world));
        assert!(secrets.len() > 40 && said.len() == 7, "{} secrets", secrets.len());
        for (whose, text) in &said {
            for (what, secret) in &secrets {
                assert!(!text.contains(secret.as_str()), "{format}: {whose} has {what}: {secret}");
            }
            opaque(&format!("{format}: {whose}"), text, &public);
        }
        // names of folders are no secrets, but what lies in them is: nothing else was written
        let written = tree(&world.path("roles"));
        let logs = written.keys().filter(|path| path.ends_with("log")).count();
        assert_eq!(logs, SERVICES.len());
    }
}

/// Shares and masks have no look of their own: nothing that looks like one may stand in a line.
fn opaque(whose: &str, text: &str, public: &BTreeSet<String>) {
    for line in text.lines() {
        for word in line.split(|c: char| !c.is_ascii_alphanumeric()) {
            let digits = word.chars().filter(char::is_ascii_digit).count();
            // a score has as many digits as a number of the machine has, a share has more
            let most = if digits == word.len() { BLOB + 1 } else { BLOB - 1 };
            let blob = word.len() > most && digits > 2;
            assert!(!blob || public.contains(word), "{whose} has what nobody can read: {line}");
        }
        let mut row = 0;
        for word in line.split([',', ' ', '[', ']', ';']).filter(|word| !word.is_empty()) {
            row = if word.parse::<f64>().is_ok() { row + 1 } else { 0 };
            assert!(row < LIST, "{whose} has a list of numbers: {line}");
        }
    }
}

#[test]
fn each_line_names_its_role_and_those_of_a_session_the_session_and_the_step() {
    let (_world, said, _) = run("json");
    let logs = said.iter().filter_map(|(whose, text)| Some((whose.strip_prefix("log of ")?, text)));
    let (mut sessions, mut steps) = (BTreeSet::new(), 0);
    for (role, text) in logs {
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{role}: {error}: {line}"));
            assert_eq!(line["role"], role, "{line}");
            for key in ["timestamp", "level", "message"] {
                assert!(line[key].is_string(), "{line}");
            }
            let message = line["message"].as_str().unwrap();
            if message.starts_with("session ") || message.contains("lost: ") {
                let session = line["session"].as_str().unwrap_or_else(|| panic!("no session: {line}"));
                assert_eq!(session.len(), 8, "{line}");
                sessions.insert(session.to_owned());
            }
            // where the message has a step, a machine finds it as well
            if let Some((_, step)) = message.split_once("receiving step ") {
                let step: u64 = step.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
                assert_eq!(line["step"], step, "{line}");
                steps += 1;
            }
        }
    }
    assert_eq!(sessions.len(), 4, "two that were answered, one whose client went, one whose party was killed");
    assert!(steps > 0, "nobody was waiting at a step");
}
