//! Mistakes of operators: configurations, keys, and what is asked of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use net::keys::create;

use super::{Case, NOTHING, World, edit};

const PARTY: &str = "runtime party --config {root}/party0.toml";
const DEALER: &str = "runtime dealer --config {root}/dealer.toml";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Configurations of P0 and of the dealer, with the dealer's key.
fn laid_out(world: &World) {
    let pin = |digit: &str| format!("pins = [\"pb1-{}\"]\n", digit.repeat(64));
    let party = format!(
        "role = \"party0\"\nbundle = \"bundle/party0\"\nkeys = \"keys\"\nlisten = \"127.0.0.1:7100\"\n\
         [peers.party1]\n{}[peers.dealer]\n{}[clients]\n{}",
        pin("1"),
        pin("d"),
        pin("c")
    );
    let dialled =
        |name: &str, digit: &str| format!("[peers.{name}]\n{}address = \"{name}.invalid:7100\"\n", pin(digit));
    let dealer = format!(
        "role = \"dealer\"\nbundle = \"bundle/dealer\"\nkeys = \"keys\"\n{}{}",
        dialled("party0", "0"),
        dialled("party1", "1")
    );
    fs::write(world.path("party0.toml"), party).unwrap();
    fs::write(world.path("dealer.toml"), dealer).unwrap();
}

fn with_keys(world: &World) {
    laid_out(world);
    create(&world.path("keys"), "a role", DAY).unwrap();
}

fn party_with(world: &World, from: &str, to: &str) {
    laid_out(world);
    edit(&world.path("party0.toml"), from, to);
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |wrong, prepare: fn(&World), run, code, says| Case { wrong, prepare, run, code, says };
    let mut cases = configurations();
    cases.extend([
        case("a service without its key", laid_out, PARTY, 3, &["keys/key.pem", "runtime keys new"]),
        case(
            "a key that others may read",
            |w| {
                with_keys(w);
                fs::set_permissions(w.path("keys/key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
            },
            DEALER,
            3,
            &["mode 0644", "chmod 600"],
        ),
        case(
            "the certificate of another key",
            |w| {
                with_keys(w);
                create(&w.path("other"), "a role", DAY).unwrap();
                fs::rename(w.path("other/cert.pem"), w.path("keys/cert.pem")).unwrap();
            },
            DEALER,
            3,
            &["cert.pem", "not of the key"],
        ),
        case(
            "a key that is cut off",
            |w| {
                with_keys(w);
                super::halve(&w.path("keys/key.pem"));
            },
            DEALER,
            3,
            &["key.pem", "not a private key"],
        ),
        case("a new key in the place of one", with_keys, "runtime keys new {root}/keys", 3, &["there is one already"]),
        case(
            "a next key that nobody made",
            with_keys,
            "runtime keys rotate --activate {root}/keys",
            3,
            &["no next key"],
        ),
        case(
            "a service with another role's part of the bundle",
            |w| {
                with_keys(w);
                edit(&w.path("dealer.toml"), "bundle/dealer", "bundle/party1");
            },
            DEALER,
            3,
            &["bundle/party1"],
        ),
        case("a doctor who does not know of whom", NOTHING, "runtime doctor", 2, &["--config FILE"]),
    ]);
    cases.extend(stocks());
    cases
}

fn stocks() -> Vec<Case> {
    let case = |wrong, prepare: fn(&World), run, code, says| Case { wrong, prepare, run, code, says };
    fn with_stock(world: &World, key: &str) {
        let classes = "[stock.classes]\n32 = { low = 1, high = 2 }\n[clients]";
        party_with(world, "[clients]", &format!("[stock]\nfolder = \"stock\"\n{key}quota = \"1G\"\n{classes}"));
    }
    vec![
        case(
            "a stock with its key inside",
            |w| with_stock(w, "key = \"stock/key\"\n"),
            PARTY,
            3,
            &["`stock.key` lies within", "name another place"],
        ),
        case("a stock of nobody", NOTHING, "runtime stock status", 2, &["--config FILE", "--stock DIR"]),
        case(
            "a stock that is not there",
            |w| with_stock(w, ""),
            "runtime stock status --config {root}/party0.toml",
            3,
            &["no stock in"],
        ),
        case(
            "a stock whose ledger is gone",
            |w| {
                with_stock(w, "key = \"stock.key\"\n");
                fs::create_dir_all(w.path("stock/packs")).unwrap();
                fs::write(w.path("stock/packs/0-0.pack"), [0; 80]).unwrap();
                fs::write(w.path("stock/lock"), []).unwrap();
                fs::write(w.path("stock.key"), [7; 32]).unwrap();
                fs::set_permissions(w.path("stock.key"), fs::Permissions::from_mode(0o600)).unwrap();
            },
            "runtime stock verify --config {root}/party0.toml",
            14,
            &["packs and no ledger", "runtime stock drop"],
        ),
    ]
}

fn configurations() -> Vec<Case> {
    let case = |wrong, prepare: fn(&World), run, code, says| Case { wrong, prepare, run, code, says };
    vec![
        case("no configuration", NOTHING, PARTY, 3, &["party0.toml", "no such file"]),
        case("a key with a typo", |w| party_with(w, "listen", "lisen"), PARTY, 3, &["4:1", "did you mean `listen`?"]),
        case(
            "a number in quotes",
            |w| party_with(w, "[clients]", "[run]\ndeadline = \"30\"\n[clients]"),
            PARTY,
            3,
            &["`run.deadline` is a text", "without quotes"],
        ),
        case(
            "one key for two roles",
            |w| party_with(w, &"d".repeat(64), &"1".repeat(64)),
            PARTY,
            3,
            &["peers.party1.pins", "a key of its own"],
        ),
        case(
            "no client that may ask",
            |w| party_with(w, &format!("\"pb1-{}\"", "c".repeat(64)), ""),
            PARTY,
            3,
            &["names nobody"],
        ),
        case(
            "an address without its port",
            |w| {
                laid_out(w);
                edit(&w.path("dealer.toml"), "party0.invalid:7100", "party0.invalid");
            },
            DEALER,
            3,
            &["it has no port"],
        ),
        case("another role's configuration", laid_out, "runtime dealer --config {root}/party0.toml", 2, &["of party0"]),
        case(
            "a flag beside a configuration",
            laid_out,
            "runtime party --config {root}/party0.toml --threads 2",
            2,
            &["--threads", "--set"],
        ),
        case(
            "an engine that masked wires do not go with",
            |w| party_with(w, "[clients]", "[run]\nfunctions = \"secformer\"\n[clients]"),
            PARTY,
            3,
            &["`run.engine`", "does not go with"],
        ),
    ]
}
