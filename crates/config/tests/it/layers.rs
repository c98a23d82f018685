use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use bundle::Role;
use cli::exit::{BAD_INPUT, USAGE};

use crate::examples::{Placed, example, pin};

#[test]
fn flags_go_before_variables_and_variables_before_the_file() {
    let placed = Placed::new(&(example("party0") + "[run]\ndeadline = 10\n"));
    let variable = ("PRIVATE_BERT_RUN__DEADLINE", "20");
    let deadline = |sets: &[&str], env: &[(&str, &str)]| placed.read(sets, env).unwrap().run.deadline.as_secs();
    assert_eq!(deadline(&[], &[]), 10);
    assert_eq!(deadline(&[], &[variable]), 20);
    assert_eq!(deadline(&["run.deadline=30"], &[variable]), 30);
    assert_eq!(deadline(&["run.deadline=30", "run.deadline = 40"], &[variable]), 40);
}

#[test]
fn variables_and_flags_reach_every_level_and_need_no_quotes() {
    let placed = Placed::new(&example("party1"));
    let env = [
        ("PRIVATE_BERT_LISTEN", "127.0.0.1:7000"),
        ("PRIVATE_BERT_PEERS__PARTY0__ADDRESS", "\"p0:1\""),
        ("PRIVATE_BERT_LIMITS__SESSIONS_PER_CLIENT", "3"),
        ("PRIVATE_BERT_RUN__FUNCTIONS", "7"),
        // none of ours
        ("PRIVATE_BERT_CACHE", "/tmp/cache"),
        ("PRIVATE_BERT_MODELS", "/tmp/models"),
        ("PRIVATE_BERTRAND", "x"),
        ("private_bert_listen", "x"),
        ("PATH", "/bin"),
    ];
    let pins = format!("peers.dealer.pins=['{}', \"{}\"]", pin('d'), pin('e'));
    let config = placed.read(&[&pins, "clients.any=false", "log.level=warn", "run.threads=0x10"], &env).unwrap();
    assert_eq!(config.listen.unwrap().to_string(), "127.0.0.1:7000");
    assert_eq!(config.peers[&Role::Party0].address.as_deref(), Some("p0:1"));
    assert_eq!(config.peers[&Role::Dealer].pins.len(), 2);
    assert_eq!((config.limits.sessions_per_client, config.run.threads), (3, 16));
    assert_eq!(config.run.functions.as_deref(), Some("7"));
    assert_eq!(config.run.deadline, Duration::from_secs(120));
}

#[test]
fn an_error_names_the_variable_or_the_flag() {
    let placed = Placed::new(&example("party0"));
    let variables = [
        ("RUN__DEADLINE", "soon", "`run.deadline` is a text; write a whole number from 1 to 86400, without quotes"),
        ("RUN__DEADLINE", "0", "`run.deadline` is 0; write a number from 1 to 86400"),
        ("RUN__DEADLINE", "", "`run.deadline` is a text; write a whole number from 1 to 86400, without quotes"),
        ("RUN__DEADLINE", "1\nx = 2", "`run.deadline` is a text; write a whole number from 1 to 86400, without quotes"),
        ("LISTEM", "127.0.0.1:7000", "unknown key `listem`; did you mean `listen`?"),
        ("PEERS__PARTY1__PINS", "pb1-0", "`peers.party1.pins` is a text; write a list, such as [\"pb1-…\"]"),
        ("CLIENTS__ANY", "yes", "`clients.any` is a text; write true or false, without quotes"),
        ("RUN", "{ deadline = 3 }", "`run` is a table; set one key of it, such as `run.KEY`"),
        ("PEERS", "x", "`peers` is a table; set one key of it, such as `peers.KEY`"),
        ("ROLE__X", "x", "`role` is no table, as role.toml:1:8 sets it; leave one of the two out"),
        ("RUN__", "x", "`run.` is not the name of a key; write one such as PRIVATE_BERT_RUN__DEADLINE"),
        ("", "x", "`` is not the name of a key; write one such as PRIVATE_BERT_RUN__DEADLINE"),
    ];
    for (name, value, words) in variables {
        let name = format!("PRIVATE_BERT_{name}");
        let expected = (BAD_INPUT, format!("environment variable {name}: {words}"));
        assert_eq!(placed.refusal(&[], &[(&name, value)]), expected);
    }
    let flags = [
        ("run.deadline=86401", "run.deadline: `run.deadline` is 86401; write a number from 1 to 86400"),
        ("run.deadlin=3", "run.deadlin: unknown key `run.deadlin`; did you mean `run.deadline`?"),
        ("run.deadline", "run.deadline: has no value; write it as `--set run.deadline=30`"),
        ("=3", ": `` is not the name of a key; write one such as run.deadline"),
        ("run..x=3", "run..x: `run..x` is not the name of a key; write one such as run.deadline"),
        ("role=dealr", "role: `role` is \"dealr\"; did you mean \"dealer\"?"),
        ("bundle=", "bundle: `bundle` is empty; write a text such as \"bundle/party0\""),
    ];
    for (flag, words) in flags {
        assert_eq!(placed.refusal(&[flag], &[]), (USAGE, format!("--set {words}")));
    }
    // as deep as a command line is long
    let deep = format!("{}=1", ["a"; 50_000].join("."));
    let (code, words) = placed.refusal(&[&deep], &[]);
    assert!(code == USAGE && words.len() < 250, "{words}");
}

fn sources(folder: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // this crate speaks of keys under names of variables
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "config" {
            sources(&path, texts);
        } else if name.ends_with(".rs") || name.ends_with(".py") || name.ends_with(".sh") {
            texts.push(fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

/// Otherwise a service would refuse to start where somebody has set where bundles are kept.
#[test]
fn every_other_variable_of_these_programs_is_passed_over() {
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), &mut texts);
    let mut found = BTreeSet::new();
    for text in &texts {
        for rest in text.split(config::PREFIX).skip(1) {
            let name = rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap();
            // with two underscores it is a key's
            if !name.is_empty() && !name.contains("__") {
                found.insert(format!("{}{name}", config::PREFIX));
            }
        }
    }
    assert_eq!(Vec::from_iter(found), config::UNRELATED);
}
