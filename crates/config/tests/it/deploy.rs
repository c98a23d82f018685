//! The examples of `deploy`, with pins in the places that they leave for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bundle::Role;
use config::Config;

use crate::examples::{Placed, pin, refusal};

fn deploy() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn text(role: Role) -> String {
    fs::read_to_string(deploy().join(format!("{role}.toml"))).unwrap()
}

fn configured(role: Role) -> Config {
    let pins = [("PARTY0", '0'), ("PARTY1", '1'), ("DEALER", 'd'), ("CLIENT", 'c')];
    let filled = pins.iter().fold(text(role), |text, (name, digit)| {
        text.replace(&format!("\"pb1-{name}\""), &format!("\"{}\"", pin(*digit)))
    });
    Placed::new(&filled).read(&[], &[]).unwrap()
}

#[test]
fn the_examples_are_four_roles_that_know_each_other() {
    let all: BTreeMap<Role, Config> = Role::ALL.into_iter().map(|role| (role, configured(role))).collect();
    for (role, config) in &all {
        assert_eq!(config.role, *role);
        for (peer, known) in &config.peers {
            let digit = match peer {
                Role::Party0 => '0',
                Role::Party1 => '1',
                Role::Dealer => 'd',
                Role::Client => 'c',
            };
            assert_eq!(known.pins, [pin(digit).parse().unwrap()], "{peer} at {role}");
            // whom it dials listens on that port, and knows it
            let Some(address) = &known.address else { continue };
            let port = all[peer].listen.unwrap().port();
            assert_eq!(address, &format!("{peer}.example.org:{port}"), "{peer} at {role}");
            assert!(*role == Role::Client || all[peer].peers.contains_key(role), "{role} at {peer}");
        }
        assert_eq!(config.run.schedule, all[&Role::Party0].run.schedule);
    }
    assert_eq!(all[&Role::Party0].clients, all[&Role::Party1].clients);
    assert!(all[&Role::Party0].clients.as_ref().unwrap().allows(&pin('c').parse().unwrap()));
}

#[test]
fn an_example_with_a_pin_left_out_is_refused() {
    for role in Role::ALL {
        assert!(refusal(&text(role)).contains("is no pin: a pin has 64 digits after `pb1-`"), "{role}");
    }
}

/// The units name the files that the examples say they are.
#[test]
fn the_units_start_roles_from_these_files() {
    let party = fs::read_to_string(deploy().join("private-bert-party@.service")).unwrap();
    let dealer = fs::read_to_string(deploy().join("private-bert-dealer.service")).unwrap();
    assert!(party.contains("\nExecStart=/usr/local/bin/runtime party --config /etc/private-bert/party%i.toml\n"));
    assert!(dealer.contains("\nExecStart=/usr/local/bin/runtime dealer --config /etc/private-bert/dealer.toml\n"));
    for role in [Role::Party0, Role::Party1, Role::Dealer] {
        let config = configured(role);
        assert!(text(role).contains(&format!("/etc/private-bert/{role}.toml")));
        let unit = if role == Role::Dealer { &dealer } else { &party };
        let state = unit.lines().find_map(|line| line.strip_prefix("StateDirectory=")).unwrap();
        let index = role.name().trim_start_matches("party");
        let state = Path::new("/var/lib").join(state.replace("%i", index));
        assert_eq!((config.bundle, config.keys), (state.join("bundle"), state.join("keys")));
        // a service is not ended while sessions drain
        let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
        assert!(stop.parse::<u64>().unwrap() > config.limits.drain.as_secs());
    }
}
