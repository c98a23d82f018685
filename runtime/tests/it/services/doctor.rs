//! `runtime doctor`: each planted fault is the first thing that it says, from every role that can see it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use bundle::{Embedding, Role};
use cli::exit::{BAD_INPUT, LOST, REFUSED};
use serde_json::Value;

use super::{Said, World, raw, soon};
use crate::sessions::convert;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ALL: [&str; 4] = ["party0", "party1", "dealer", "client0"];

/// What doctor finds from a role: the exit code, and check and words of what it says first.
#[track_caller]
fn finds(world: &World, name: &str, sets: &[&str], code: i32, check: &str, words: &str) {
    let said = world.configured(&["doctor"], name, sets);
    let first = said.out.lines().next().unwrap_or_default();
    assert_eq!(said.code, Some(code), "{name}: {said:?}");
    assert!(first.starts_with(&format!("FAIL  {check}: ")) && first.contains(words), "{name}: {said:?}");
    assert_eq!(said.err, format!("error: {check}: see above\n"), "{name}");
    let (report, json) = report(world, name, sets);
    assert_eq!(json.code, Some(code), "{name}: {json:?}");
    assert_eq!((&report["ok"], &report["checks"][0]["state"]), (&false.into(), &"fail".into()), "{name}: {report}");
    assert_eq!(report["checks"][0]["check"], check, "{name}: {report}");
    // the worst first
    let order = ["fail", "warn", "ok"];
    let states = report["checks"].as_array().unwrap().iter().map(|check| check["state"].as_str().unwrap());
    assert!(states.map(|state| order.iter().position(|known| *known == state).unwrap()).is_sorted(), "{report}");
}

fn report(world: &World, name: &str, sets: &[&str]) -> (Value, Said) {
    let said = world.configured(&["doctor", "--json"], name, sets);
    (serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{name}: {error}: {said:?}")), said)
}

#[test]
fn a_planted_fault_in_each_role_is_found_at_once() {
    let mut world = World::started(1, "", "");
    all_is_well(&world);
    keys(&world);
    bundles(&world);
    pins(&world);
    roles_that_are_away(&mut world);
}

fn all_is_well(world: &World) {
    for name in ALL {
        let (report, said) = report(world, name, &[]);
        assert_eq!((said.code, &report["ok"]), (Some(0), &true.into()), "{name}: {report}");
        let role = if name == "client0" { "client" } else { name };
        assert_eq!(report["role"], role);
        let checks: Vec<&str> =
            report["checks"].as_array().unwrap().iter().map(|check| check["check"].as_str().unwrap()).collect();
        for check in ["configuration", "key", "bundle", "entropy", "descriptors", "disk"] {
            assert!(checks.contains(&check), "{name}: {checks:?}");
        }
        let peers: &[&str] = match name {
            "party0" => &[],
            "party1" => &["party0"],
            _ => &["party0", "party1"],
        };
        for peer in peers {
            for check in ["", " certificate", " clock", " bundle", " state", " link"] {
                assert!(checks.contains(&format!("{peer}{check}").as_str()), "{name}: {checks:?}");
            }
        }
        assert_eq!(checks.contains(&"this service state"), name.starts_with("party"), "{name}: {checks:?}");
    }
}

fn keys(world: &World) {
    let (expired, now) = (world.path("expired"), SystemTime::now());
    raw::keys(&expired, now - 30 * DAY, now - DAY);
    let open = world.path("open");
    raw::keys(&open, now - DAY, now + DAY);
    fs::set_permissions(open.join("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    for name in ALL {
        finds(world, name, &[&format!("keys={}", expired.display())], BAD_INPUT, "key", "the certificate expired on");
        finds(world, name, &[&format!("keys={}", open.display())], BAD_INPUT, "key", "(mode 0644): chmod 600");
        finds(world, name, &["keys=nowhere"], BAD_INPUT, "key", "`runtime keys new`");
    }
}

fn bundles(world: &World) {
    let other = world.path("other");
    convert(&world.place.student(), Embedding::Private, &other);
    let seen = ["this service bundle", "party0 bundle", "party0 bundle", "party0 bundle"];
    for (name, check) in ALL.into_iter().zip(seen) {
        // each part where no other one can be read
        let role = name.trim_end_matches(|digit: char| name.starts_with("client") && digit.is_ascii_digit());
        let part = world.path("moved").join(role).join("bundle");
        fs::create_dir_all(part.parent().unwrap()).unwrap();
        fs::rename(other.join(role), &part).unwrap();
        let set = format!("bundle={}", part.display());
        finds(world, name, &[&set], REFUSED, check, "give all roles parts of one conversion");
        finds(world, name, &["bundle=nowhere"], BAD_INPUT, "bundle", "nowhere");
    }
}

fn pins(world: &World) {
    let wrong = format!("pb1-{}", "0".repeat(64));
    for name in &ALL[1..] {
        let set = format!("peers.party0.pins=[\"{wrong}\"]");
        finds(world, name, &[&set], REFUSED, "party0", &format!("expected pin {wrong}"));
    }
    // a client whose key no party knows
    let stranger = world.path("stranger");
    raw::keys(&stranger, SystemTime::now() - DAY, SystemTime::now() + 90 * DAY);
    let set = format!("keys={}", stranger.display());
    finds(world, "client0", &[&set], REFUSED, "party0", "does not know the key");
}

fn roles_that_are_away(world: &mut World) {
    let missing = |world: &World, index| world.services.status(index).map(|status| status.missing).unwrap_or_default();
    world.services.kill(Role::Dealer).unwrap();
    assert!(soon(|| [0, 1].iter().all(|index| missing(world, *index) == [Role::Dealer])));
    let words = "not connected to it: dealer";
    finds(world, "party0", &[], LOST, "this service state", words);
    for name in &ALL[1..] {
        finds(world, name, &[], LOST, "party0 state", words);
    }
    world.services.start(Role::Dealer).unwrap();
    assert!(soon(|| [0, 1].iter().all(|index| missing(world, *index).is_empty())));
    world.services.kill(Role::Party1).unwrap();
    assert!(soon(|| missing(world, 0) == [Role::Party1]));
    finds(world, "party0", &[], LOST, "this service state", "not connected to it: party1");
    // of itself it says that it is not running, which is no fault before it is started
    let own = world.configured(&["doctor"], "party1", &[]);
    assert!(own.out.contains("warn  this service: not running (cannot reach party1 at"), "{own:?}");
    finds(world, "dealer", &[], LOST, "party0 state", "not connected to it: party1");
    // without party0 nobody says so for it
    world.services.kill(Role::Party0).unwrap();
    for name in &ALL[1..] {
        finds(world, name, &[], LOST, "party0", "cannot reach party0 at");
    }
    for role in [Role::Party0, Role::Party1] {
        world.services.start(role).unwrap();
    }
    assert!(soon(|| [0, 1]
        .iter()
        .all(|index| world.services.status(*index).is_ok_and(|status| status.missing.is_empty()))));
    world.works(0);
}
