//! A stock of one machine: filled, spent by `infer` and `evaluate`, and made on demand where it is empty.

use std::fs;

use bundle::Embedding;
use cli::exit::{BAD_INPUT, STOCK, USAGE};
use serde_json::Value;

use crate::folder::Place;
use crate::programs::{command, output};
use crate::sessions::convert;

const TEXT: &str = "w4 w9 w17 w5";

struct World {
    place: Place,
    bundle: String,
    stock: String,
}

impl World {
    fn new() -> World {
        let place = Place::new();
        convert(&place.student(), Embedding::Private, &place.bundle());
        let stock = place.root.path().join("stock").display().to_string();
        World { bundle: place.bundle().display().to_string(), stock, place }
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let done = output(command("runtime", self.place.root.path()).args(args));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code(), text(&done.stdout), text(&done.stderr))
    }

    fn fill(&self, packs: &str) -> (Option<i32>, String, String) {
        self.run(&["stock", "fill", "--stock", &self.stock, "--bundle", &self.bundle, "--packs", packs])
    }

    #[track_caller]
    fn infer(&self, flags: &[&str]) -> Value {
        let own = ["infer", "--json", "--bundle", &self.bundle, "--text", TEXT];
        let (code, out, err) = self.run(&[&own[..], flags].concat());
        assert_eq!(code, Some(0), "{err}");
        serde_json::from_str(&out).unwrap()
    }
}

#[test]
fn a_stock_of_one_machine_is_filled_and_spent() {
    let world = World::new();
    let (code, out, err) = world.fill("16x2");
    assert!(code == Some(0) && out.starts_with("2 packs are in stock"), "{out} {err}");
    assert!(err.contains("protects nothing"), "{err}");
    let with = ["--stock", &world.stock];
    let on_demand = world.infer(&[]);
    assert_eq!(on_demand["cost"]["attempts_from_stock"], 0);
    for taken in [1, 1, 0] {
        let report = world.infer(&with);
        assert_eq!(report["cost"]["attempts_from_stock"], taken, "{report}");
        assert_eq!(report["results"][0]["label"], on_demand["results"][0]["label"]);
        assert_eq!(report["cost"]["offline_bytes"] == 0, taken == 1, "{report}");
        // the online phase is the same whatever it is made from
        for what in ["rounds", "online_bytes_each_way"] {
            assert_eq!(report["cost"][what], on_demand["cost"][what], "{what}");
        }
    }
    // what was spent stays spent, and more can be made
    let (code, out, err) = world.run(&["stock", "status", "--stock", &world.stock, "--json"]);
    assert_eq!(code, Some(0), "{err}");
    let status: Value = serde_json::from_str(&out).unwrap();
    for party in status["stocks"].as_array().unwrap() {
        let class = &party["classes"][0];
        assert_eq!((&class["available"], &class["burnt"]), (&0.into(), &2.into()), "{status}");
    }
    assert_eq!(world.fill("16x1").0, Some(0));
    assert_eq!(world.infer(&with)["cost"]["attempts_from_stock"], 1);
}

/// Neither the roles nor the command say more than the result; without the flag both do.
#[test]
fn quiet_filling_says_nothing_but_what_came_of_it() {
    let world = World::new();
    let other = world.place.root.path().join("other");
    convert(&world.place.student(), Embedding::Private, &other);
    let fill = |bundle: &str, flags: &[&str]| {
        let words = ["stock", "fill", "--stock", &world.stock, "--packs", "16x1", "--bundle", bundle];
        world.run(&[&words[..], flags].concat())
    };
    let other = other.display().to_string();
    assert_eq!(fill(&world.bundle, &["-q"]).0, Some(0));
    // the roles have something to say of each: packs of the bundle before are discarded
    let (code, out, err) = fill(&other, &["-q"]);
    assert!(code == Some(0) && out.starts_with("1 packs are in stock") && err.is_empty(), "{out} {err}");
    let (code, _, err) = fill(&world.bundle, &[]);
    assert!(code == Some(0) && err.contains("protects nothing") && err.contains("packs of another bundle"), "{err}");
}

#[test]
fn what_is_wrong_with_a_stock_is_said_before_anything_runs() {
    let world = World::new();
    let none = world.place.root.path().join("none").display().to_string();
    let (code, _, err) = world.run(&["infer", "--bundle", &world.bundle, "--text", TEXT, "--stock", &none]);
    assert!(code == Some(BAD_INPUT) && err.contains("runtime stock fill --stock"), "{err}");
    for packs in ["16", "x3", "16x0", "ax3", "16x65537"] {
        let (code, _, err) = world.fill(packs);
        assert!(code == Some(USAGE) && err.contains("such as 32x10"), "{packs}: {err}");
    }
    let (code, _, err) = world.fill("17x1");
    assert!(code == Some(USAGE) && err.contains("this model's classes are 16"), "{err}");
    assert_eq!(world.fill("16x1").0, Some(0));
    let (code, _, err) = world.run(&["infer", "--config", "c.toml", "--stock", &world.stock, "--text", TEXT]);
    assert!(code == Some(USAGE) && err.contains("--stock cannot be given beside --config"), "{err}");
    let beaver = ["--engine", "beaver", "--functions", "series"];
    let words = ["infer", "--bundle", &world.bundle, "--text", TEXT, "--stock", &world.stock];
    let (code, _, err) = world.run(&[&words[..], &beaver].concat());
    assert!(code == Some(USAGE) && err.contains("keeps no stock"), "{err}");
    // a ledger that is not whole ends the run at once, with what to do
    let ledger = world.place.root.path().join("stock").join("party1").join("ledger.redb");
    fs::write(&ledger, &fs::read(&ledger).unwrap()[..1000]).unwrap();
    let (code, out, err) = world.run(&words);
    assert!(code == Some(STOCK) && err.contains("runtime stock drop") && out.is_empty(), "{code:?} {err}");
}
