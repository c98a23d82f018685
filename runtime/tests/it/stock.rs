//! `runtime stock`: what it shows, checks and throws away, and each thing that can be wrong with its code and words.

use std::fs;
use std::path::{Path, PathBuf};

use cli::exit::{BAD_INPUT, STOCK, USAGE};
use redb::{Database, TableDefinition};
use serde_json::Value;
use stock::{Binding, Boots, Class, Lineage, Party, Reconciled, State, Stock, StockKey};
use tempfile::TempDir;

use crate::programs::{command, output, tree};
use crate::services::Said;

const CLASS: Class = Class { bundle: [1; 16], plan: [2; 32], rows: 32 };

/// The stocks of both parties of one machine, five packs each, of which party0 spent one; and party0's configuration.
struct World {
    root: TempDir,
}

impl World {
    fn new() -> World {
        let world = World { root: tempfile::tempdir().unwrap() };
        fs::create_dir(world.path("local")).unwrap();
        for party in [Party::P0, Party::P1] {
            let stock = world.open(party);
            let reconciled = meet(&stock);
            match party {
                Party::P0 => drop(stock.reserve(&CLASS, 5).unwrap()),
                Party::P1 => stock.accept(&CLASS, 0..5).unwrap(),
            }
            for serial in 0..5 {
                let mut writer = stock.writer(&CLASS, serial).unwrap();
                writer.append(&[7; 100_000]).unwrap();
                writer.finish([serial as u8; 32]).unwrap();
            }
            if party == Party::P0 {
                let binding = Binding { session: [9; 16], request: 1, attempt: 1 };
                drop(stock.burn(&reconciled, &CLASS, 0, binding).unwrap());
            }
        }
        let pin = |digit: char| format!("pins = [\"pb1-{}\"]", String::from(digit).repeat(64));
        let config = format!(
            "role = \"party0\"\nbundle = \"bundle\"\nkeys = \"keys\"\nlisten = \"127.0.0.1:7100\"\n[peers.party1]\n{}\n\
             [peers.dealer]\n{}\n[clients]\n{}\n[stock]\nfolder = \"local/party0\"\nkey = \"local/party0.key\"\n\
             quota = \"2G\"\n[stock.classes]\n32 = {{ low = 1, high = 2 }}\n",
            pin('1'),
            pin('d'),
            pin('c')
        );
        fs::write(world.path("party0.toml"), config).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn open(&self, party: Party) -> Stock {
        let name = if party == Party::P0 { "party0" } else { "party1" };
        let key = StockKey::read_or_create(&self.path(&format!("local/{name}.key"))).unwrap();
        Stock::open(&self.path("local").join(name), key, party, 1 << 30).unwrap()
    }

    fn run(&self, args: &[&str]) -> Said {
        let done = output(command("runtime", self.root.path()).arg("stock").args(args));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = Said { code: done.status.code(), out: text(&done.stdout), err: text(&done.stderr) };
        assert!(!said.err.contains("panicked"), "{said:?}");
        said
    }

    /// Of the stock of this machine.
    fn local(&self, words: &[&str]) -> Said {
        self.run(&[words, &["--stock", "local"]].concat())
    }

    /// Of party0's, by its configuration.
    fn party0(&self, words: &[&str]) -> Said {
        self.run(&[words, &["--config", "party0.toml"]].concat())
    }

    /// The file of one of party0's packs that are left, by their order.
    fn pack(&self, at: usize) -> PathBuf {
        let packs = tree(&self.path("local/party0/packs"));
        let mut packs: Vec<PathBuf> = packs.into_keys().collect();
        packs.sort();
        self.path("local/party0/packs").join(&packs[at])
    }

    fn ledger(&self) -> PathBuf {
        self.path("local/party0/ledger.redb")
    }
}

/// Compares a stock with a peer that has nothing and saw nothing.
fn meet(stock: &Stock) -> Reconciled {
    let lineage = Lineage { party: stock.party().peer(), boots: Boots::first(1), seen: None };
    stock.state(&lineage.greeting()).unwrap();
    stock.reconcile(&State { lineage, answers: stock.greeting().unwrap(), classes: Vec::new() }).unwrap()
}

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at as usize] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"))
}

#[test]
fn status_counts_packs_by_class_and_says_what_a_local_stock_protects() {
    let world = World::new();
    let said = world.party0(&["status"]);
    said.ended(0, &[]);
    assert!(said.err.is_empty(), "{said:?}");
    for words in [
        "party0, ",
        " rows ",
        "32          4        0        1          0",
        "01010101  02020202",
        "of a quota of 2.0 GB",
    ] {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
    let said = world.local(&["status"]);
    said.ended(0, &["both parties' halves and keys lie together: it protects nothing"]);
    assert!(said.out.contains("party0, ") && said.out.contains("party1, ") && !said.out.contains("quota"), "{said:?}");
    let said = world.local(&["status", "--json", "-q"]);
    assert!(said.err.is_empty(), "{said:?}");
    let all = json(&said);
    assert_eq!(all["protects"], "nothing");
    let [zero, one] = [0, 1].map(|at| &all["stocks"][at]);
    assert_eq!((&zero["party"], &one["party"]), (&"party0".into(), &"party1".into()));
    let class = &zero["classes"][0];
    for (key, value) in [("rows", 32), ("available", 4), ("ordered", 0), ("burnt", 1), ("discarded", 0)] {
        assert_eq!(class[key], value, "{key}");
    }
    assert_eq!(class["bundle"], "01".repeat(16));
    assert_eq!((&one["classes"][0]["available"], &one["quota_bytes"]), (&5.into(), &Value::Null));
    assert_eq!((class["bytes"].as_u64(), class["oldest_seconds"].is_u64()), (zero["used_bytes"].as_u64(), true));
    let all = json(&world.party0(&["status", "--json"]));
    assert_eq!((&all["stocks"][0]["quota_bytes"], &all["protects"]), (&2_000_000_000_u64.into(), &Value::Null));
}

/// Looking makes nothing: neither a stock nor a key.
#[test]
fn where_there_is_no_stock_none_is_made() {
    let world = World::new();
    fs::create_dir(world.path("empty")).unwrap();
    let before = tree(world.root.path());
    for action in [&["status"][..], &["verify"], &["drop"], &["drop", "--yes"]] {
        for place in ["empty", "nowhere"] {
            let said = world.run(&[action, &["--stock", place]].concat());
            said.ended(BAD_INPUT, &["there is no stock in ", "/party1; check the path"]);
        }
        let said = world.party0(&[action, &["--set", "stock.folder=elsewhere"]].concat());
        said.ended(BAD_INPUT, &["there is no stock in elsewhere; check the path"]);
    }
    let text = fs::read_to_string(world.path("party0.toml")).unwrap();
    fs::write(world.path("bare.toml"), text.split("[stock]").next().unwrap()).unwrap();
    world
        .run(&["status", "--config", "bare.toml"])
        .ended(BAD_INPUT, &["bare.toml: `stock` is missing", "write [stock]"]);
    fs::remove_file(world.path("bare.toml")).unwrap();
    world.run(&["status"]).ended(USAGE, &["which stock? say --config FILE or --stock DIR"]);
    world.run(&["status", "--config", "party0.toml", "--stock", "local"]).ended(USAGE, &["cannot be used with"]);
    assert_eq!(tree(world.root.path()), before);
}

#[test]
fn one_half_of_a_local_stock_is_shown_with_a_warning() {
    let world = World::new();
    fs::remove_dir_all(world.path("local/party1")).unwrap();
    let said = world.local(&["status"]);
    said.ended(0, &["warning: there is no stock in local/party1, and the other party's is of no use alone"]);
    assert!(said.out.contains("party0, ") && !said.out.contains("party1, "), "{said:?}");
}

#[test]
fn damaged_packs_are_found_and_discarded_and_sound_ones_stay() {
    let world = World::new();
    let said = world.local(&["verify"]);
    said.ended(0, &["protects nothing"]);
    assert_eq!(
        said.out,
        "party0: 4 packs sound, 0 damaged and discarded\nparty1: 5 packs sound, 0 damaged and discarded\n"
    );
    flip(&world.pack(1), 50_000);
    fs::remove_file(world.pack(3)).unwrap();
    let said = world.party0(&["verify", "--json"]);
    said.ended(STOCK, &["was cut, altered or exchanged", " is missing: ", "2 packs damaged; what was is discarded"]);
    let found = &json(&said)["stocks"][0];
    assert_eq!((&found["sound"], found["damaged"].as_array().unwrap().len()), (&2.into(), 2));
    let said = world.party0(&["verify"]);
    said.ended(0, &[]);
    assert_eq!(said.out, "party0: 2 packs sound, 0 damaged and discarded\n");
    let class = &json(&world.party0(&["status", "--json"]))["stocks"][0]["classes"][0];
    assert_eq!((&class["available"], &class["discarded"]), (&2.into(), &2.into()));
}

#[test]
fn packs_are_thrown_away_only_where_that_is_said() {
    let world = World::new();
    let before = tree(&world.path("local/party0/packs"));
    let said = world.party0(&["drop"]);
    said.ended(USAGE, &["this throws away 4 packs (", " in local/party0; say --yes to do it"]);
    assert_eq!(tree(&world.path("local/party0/packs")), before);
    let said = world.party0(&["drop", "--yes"]);
    said.ended(0, &["note: the other party throws its halves away when the two connect next"]);
    assert_eq!(said.out, "party0: 4 packs thrown away\n");
    assert!(tree(&world.path("local/party0/packs")).is_empty());
    // the ledger is the same one still
    let class = &json(&world.party0(&["status", "--json"]))["stocks"][0]["classes"][0];
    assert_eq!((&class["available"], &class["burnt"], &class["discarded"]), (&0.into(), &1.into(), &4.into()));
    world.local(&["drop"]).ended(USAGE, &["0 packs", " and 5 packs ("]);
    let said = world.local(&["drop", "--yes", "--json", "-q"]);
    assert!(said.err.is_empty(), "{said:?}");
    let all = json(&said);
    let [zero, one] = [0, 1].map(|at| &all["stocks"][at]);
    assert_eq!((&zero["dropped"], &one["dropped"], &one["ledger_removed"]), (&0.into(), &5.into(), &Value::Null));
}

/// What is done to a stock, and the code and words of `status` and `verify` then.
type Fault = (&'static str, fn(&World), i32, &'static [&'static str]);

const DROP: &str = "drop the stock (runtime stock drop)";

/// A ledger that cannot be used: the cure of each is to drop the stock.
const FAULTS: [Fault; 9] = [
    (
        "corrupted",
        |world| {
            (4100..fs::metadata(world.ledger()).unwrap().len()).step_by(512).for_each(|at| flip(&world.ledger(), at))
        },
        STOCK,
        &["the ledger in local/party0 is damaged (", DROP],
    ),
    (
        "truncated",
        |world| fs::write(world.ledger(), [0; 100]).unwrap(),
        STOCK,
        &["the ledger in local/party0 was cut short (100 bytes are left)", DROP],
    ),
    (
        "of another version",
        |world| alter(world, b"format", b"private-bert stock 9"),
        STOCK,
        &["has the format \"private-bert stock 9\", this release reads", "start the release that wrote it", DROP],
    ),
    (
        "altered",
        |world| alter(world, b"boots", &[[0, 0, 0, 0, 0, 0, 0, 1], [5; 8]].concat()),
        STOCK,
        &["the ledger in local/party0 was altered by somebody without its key", DROP],
    ),
    (
        "missing",
        |world| fs::remove_file(world.ledger()).unwrap(),
        STOCK,
        &["local/party0 holds packs and no ledger", DROP],
    ),
    (
        "under another key",
        |world| fs::write(world.path("local/party0.key"), [9; 32]).unwrap(),
        STOCK,
        &["the ledger in local/party0 was written under another stock key; name that key's file", DROP],
    ),
    (
        "without its key",
        |world| fs::remove_file(world.path("local/party0.key")).unwrap(),
        BAD_INPUT,
        &["there is no key at local/party0.key for the stock in local/party0; put the key back", DROP],
    ),
    (
        "under what is no key",
        |world| fs::write(world.path("local/party0.key"), [9; 31]).unwrap(),
        BAD_INPUT,
        &["local/party0.key is no stock key: it has 31 bytes"],
    ),
    (
        "under a key that others read",
        |world| {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(world.path("local/party0.key"), fs::Permissions::from_mode(0o644)).unwrap();
        },
        BAD_INPUT,
        &["the stock key local/party0.key has mode 644: other users may have read it", DROP],
    ),
];

/// Changes a row of the ledger behind its back.
fn alter(world: &World, key: &[u8], value: &[u8]) {
    let database = Database::open(world.ledger()).unwrap();
    let transaction = database.begin_write().unwrap();
    let rows: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");
    drop(transaction.open_table(rows).unwrap().insert(key, value).unwrap());
    transaction.commit().unwrap();
}

#[test]
fn a_ledger_that_cannot_be_used_is_named_and_dropping_cures_it() {
    for (what, fault, code, words) in FAULTS {
        let world = World::new();
        fault(&world);
        let before = tree(world.root.path());
        for action in ["status", "verify"] {
            let said = world.party0(&[action]);
            said.ended(code, words);
            assert!(said.out.is_empty(), "{what}: {said:?}");
        }
        world.local(&["status"]).ended(code, words);
        world.party0(&["drop"]).ended(USAGE, &["this throws away the ledger and all packs in local/party0 ("]);
        // no pack goes, and no key is made, before that is said
        assert_eq!(Vec::from_iter(tree(world.root.path()).keys()), Vec::from_iter(before.keys()), "{what}");
        let said = world.party0(&["drop", "--yes"]);
        said.ended(0, &["note: the other party throws"]);
        assert!(
            said.out.starts_with("party0: all packs and the ledger removed, as it could not be used: "),
            "{said:?}"
        );
        let left: Vec<PathBuf> = tree(&world.path("local/party0")).into_keys().collect();
        assert_eq!(left, ["lock", "packs"].map(PathBuf::from), "{what}");
        world.party0(&["status"]).ended(BAD_INPUT, &["there is no stock in local/party0"]);
    }
}

#[test]
fn a_stock_that_a_process_works_with_is_left_alone() {
    let world = World::new();
    let service = world.open(Party::P0);
    let names = || Vec::from_iter(tree(&world.path("local")).into_keys());
    let before = names();
    for action in [&["status"][..], &["verify"], &["drop"], &["drop", "--yes"]] {
        let words =
            ["another process works with the stock in local/party0", "if it is this party's service, stop the service"];
        world.party0(action).ended(STOCK, &words);
        world.local(action).ended(STOCK, &words);
    }
    // nor is it removed where its key is gone
    fs::rename(world.path("local/party0.key"), world.path("aside")).unwrap();
    world.party0(&["drop", "--yes"]).ended(STOCK, &["another process works with the stock in local/party0"]);
    fs::rename(world.path("aside"), world.path("local/party0.key")).unwrap();
    drop(service);
    assert_eq!(names(), before);
    world.party0(&["status"]).ended(0, &[]);
}

/// A path that was mistaken costs nothing.
#[test]
fn the_other_partys_stock_is_not_dropped() {
    let world = World::new();
    let other = ["--set", "stock.folder=local/party1", "--set", "stock.key=local/party1.key"];
    for action in [&["status"][..], &["drop", "--yes"]] {
        let words = ["the ledger in local/party1 is P1's and this is P0; name this party's own folder"];
        world.party0(&[action, &other].concat()).ended(STOCK, &words);
    }
    world.open(Party::P1);
}
