//! How services live: started in any order, full, idle, reloaded, killed, told to end.

use std::fs::{self, File};
use std::process::Stdio;
use std::slice;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use bundle::Role;
use cli::exit::{BUSY, LOST, REFUSED, USAGE};
use net::keys;
use roles::exit::code_of;
use roles::handshake::fresh;
use roles::message::{PublicTexts, Request, kind, send};
use trials::deployment::SERVICES;

use super::{TEXT, World, soon};
use crate::programs::command;
use crate::sessions::{PATIENCE, signal};

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const LONG: &str = "[run]\ndeadline = 120\n";

#[test]
fn a_service_that_ends_answers_what_was_asked_and_turns_new_clients_away() {
    let mut world = World::started(2, "", LONG);
    let mut held = world.hold(0);
    let mark = world.mark(Role::Party0);
    let mut meanwhile = || {
        signal("TERM", world.services.process(Role::Party0).unwrap());
        mark.wait("ending: no new session; waiting for those that run", 1);
        let said = world.infer(1, &[]);
        said.ended(BUSY, &["party0 is busy: this service is ending; try again in"]);
    };
    // the parties wait for the text meanwhile
    held.client.classify(slice::from_ref(&world.sample()), &mut meanwhile).unwrap();
    let status = world.services.ended(Role::Party0, PATIENCE).unwrap();
    assert!(status.success(), "{status}");
    let error = held.ask().unwrap_err();
    assert_eq!(code_of(&error), BUSY, "{error:#}");
    assert!(error.to_string().contains("this service is ending"), "{error:#}");
    world.services.start(Role::Party0).unwrap();
    world.services.ready(PATIENCE).unwrap();
    world.works(1);
    // nothing runs: each ends at once
    for role in SERVICES {
        signal("TERM", world.services.process(role).unwrap());
        let status = world.services.ended(role, PATIENCE).unwrap();
        assert!(status.success(), "{role}: {status}");
    }
}

#[test]
fn a_session_without_a_request_or_without_its_text_is_ended() {
    let world = World::started(2, "[limits]\nidle = 3\n", "[run]\ndeadline = 10\n");
    let [zero, one] = [Role::Party0, Role::Party1].map(|role| world.mark(role));
    let mut held = world.hold(0);
    let mut links = [0, 1].map(|_| Vec::new());
    let session = fresh().unwrap();
    for (party, links) in links.iter_mut().enumerate() {
        links.push(world.link(1, session, party, &mut |_| ()).unwrap());
    }
    let lengths = Request { texts: PublicTexts::exact(vec![world.sample().ids.len()]) };
    links.iter_mut().flatten().for_each(|link| send(link, kind::REQUEST, 1, 0, &lengths).unwrap());
    for link in links.iter_mut().flatten() {
        link.set_deadline(PATIENCE);
        link.expect(kind::READY, 1, 0, 0, None).unwrap();
    }
    let idle = "no request came for 3 s; open another session";
    zero.wait(idle, 1);
    let error = held.ask().unwrap_err();
    assert_eq!(code_of(&error), BUSY, "{error:#}");
    assert!(error.to_string().contains(idle) && error.to_string().contains("try again in"), "{error:#}");
    // one of the two gives up first, and takes the other along
    assert!(soon(|| [&zero, &one].iter().all(|mark| mark.warnings().len() == 2)), "{:#?}", zero.lines());
    let all = [zero.warnings(), one.warnings()].concat();
    assert!(all.iter().any(|line| line.contains("client: receiving step 0 did not finish within 10.")), "{all:#?}");
    assert!(soon(|| world.services.status(0).unwrap().sessions == 0));
}

#[test]
fn keys_and_pins_are_read_again_without_a_pause() {
    let mut world = World::new(3, "", LONG);
    let pin = world.services.pin("client2").unwrap().to_string();
    let parties = ["party0", "party1"];
    parties.iter().for_each(|party| world.edit(party, &format!(", \"{pin}\""), ""));
    world.services.start_all().unwrap();
    world.services.ready(PATIENCE).unwrap();
    let mut held = world.hold(0);
    held.ask().unwrap();
    world.infer(2, &[]).ended(REFUSED, &["party0 does not know the key"]);
    parties
        .iter()
        .for_each(|party| world.edit(party, "[clients]\npins = [", &format!("[clients]\npins = [\"{pin}\", ")));
    reload(&world, &[Role::Party0, Role::Party1], "the configuration was read again");
    world.works(2);
    // what cannot be read changes nothing
    world.edit("party0", "[clients]", "[client]");
    reload(&world, &[Role::Party0], "nothing was changed: ");
    world.works(2);
    world.edit("party0", "[client]", "[clients]");
    // another key, with an overlap
    let folder = world.services.folder("party0").join("keys");
    let (old, next) = (world.services.pin("party0").unwrap(), keys::prepare(&folder, "party0", MONTH).unwrap());
    let others = ["party1", "dealer", "client1", "client2"];
    let pins = |pins: &str| format!("[peers.party0]\npins = [{pins}]");
    let (before, both, after) = (format!("\"{old}\""), format!("\"{old}\", \"{next}\""), format!("\"{next}\""));
    others.iter().for_each(|name| world.edit(name, &pins(&before), &pins(&both)));
    reload(&world, &[Role::Party1, Role::Dealer], "the configuration was read again");
    world.works(1);
    keys::activate(&folder).unwrap();
    reload(&world, &[Role::Party0], "the configuration was read again");
    world.works(1);
    others.iter().for_each(|name| world.edit(name, &pins(&both), &pins(&after)));
    reload(&world, &[Role::Party1, Role::Dealer], "the configuration was read again");
    world.works(1);
    // who keeps the old pin is refused, and a session from before all this goes on
    world.infer(0, &[]).ended(REFUSED, &[&format!("party0: expected pin {old}, got {next}")]);
    held.ask().unwrap();
}

fn reload(world: &World, roles: &[Role], words: &str) {
    for role in roles {
        let mark = world.mark(*role);
        signal("HUP", world.services.process(*role).unwrap());
        mark.wait(words, 1);
    }
}

#[test]
fn what_is_full_says_when_to_come_again_and_lets_others_in_by_their_order() {
    let limits = "[limits]\nsessions = 2\nwaiting = 2\nsessions_per_client = 1\n";
    let world = World::started(5, limits, LONG);
    let [first, second] = [0, 1].map(|client| world.hold(client));
    let most = "party0 is busy: this client has 1 sessions already, which is the most; try again in";
    world.infer(0, &[]).ended(BUSY, &[most]);
    let waiting = |count: usize| soon(|| world.services.status(0).unwrap().waiting == count);
    let (sender, admitted) = channel();
    thread::scope(|scope| {
        let mut held = vec![second, first];
        let mut ends = Vec::new();
        for client in [2, 3] {
            let (end, ended) = channel::<()>();
            ends.push(end);
            let (sender, world) = (sender.clone(), &world);
            scope.spawn(move || {
                let mut said = Vec::new();
                let opened = world.open(client, fresh().unwrap(), &mut |words| said.push(words.to_owned())).unwrap();
                sender.send((client, said)).unwrap();
                let _ = ended.recv();
                opened.bye().unwrap();
            });
            assert!(waiting(client - 1));
        }
        let full = "party0 is busy: 2 sessions run and 2 clients wait; try again in";
        world.infer(4, &[]).ended(BUSY, &[full]);
        // long enough that both have been told where they stand
        thread::sleep(Duration::from_secs(3));
        for (client, before) in [(2, "0 before us"), (3, "1 before us")] {
            held.pop().unwrap().client.bye().unwrap();
            let (next, said) = admitted.recv_timeout(PATIENCE).unwrap();
            assert_eq!((next, said.first().map(String::as_str)), (client, Some(before)), "{said:?}");
        }
        assert!(waiting(0));
        ends.clear();
    });
    assert!(soon(|| world.services.status(0).unwrap().sessions == 0));
    world.works(4);
}

#[test]
fn roles_are_started_in_any_order_and_say_whom_they_wait_for() {
    let mut world = World::new(1, "", LONG);
    let words = world.path("words");
    let config = world.services.config("client0").display().to_string();
    let mut client = command("runtime", &world.path(""));
    client.args(["infer", "--text", TEXT, "--config", &config, "--set", "run.deadline=300"]);
    client.stdout(Stdio::null()).stderr(File::create(&words).unwrap());
    let mut client = client.spawn().unwrap();
    let said = |what: &str| soon(|| fs::read_to_string(&words).unwrap().contains(what));
    assert!(said("nobody listens at") && said("(party0); trying again"), "{}", fs::read_to_string(&words).unwrap());
    for role in [Role::Party1, Role::Dealer] {
        let mark = world.mark(role);
        world.services.start(role).unwrap();
        mark.wait("waiting for party0: cannot reach party0 at", 1);
    }
    world.services.start(Role::Party0).unwrap();
    let mut status = None;
    let ended = soon(|| {
        status = client.try_wait().unwrap();
        status.is_some()
    });
    if !ended {
        client.kill().unwrap();
    }
    let words = fs::read_to_string(&words).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{words}");
    // said once, however long it lasted
    assert_eq!(words.matches("nobody listens at").count(), 1, "{words}");
}

#[test]
fn each_role_dies_and_comes_again_while_the_others_stay() {
    let mut world = World::started(4, "", LONG);
    for role in SERVICES {
        let mut held: Vec<_> = (0..4).map(|client| world.hold(client)).collect();
        held.iter_mut().for_each(|held| held.ask().unwrap());
        let others: Vec<Role> = SERVICES.into_iter().filter(|other| *other != role).collect();
        let stay = others.iter().map(|other| (*other, world.mark(*other), world.services.process(*other).unwrap()));
        let stay: Vec<_> = stay.collect();
        world.services.kill(role).unwrap();
        for held in &mut held {
            let error = held.ask().unwrap_err();
            assert_eq!(code_of(&error), LOST, "{role}: {error:#}");
            assert!(format!("{error:#}").contains(role.name()), "{role}: {error:#}");
        }
        for (other, mark, _) in &stay {
            // each of four sessions, and that the role is gone
            let about = |line: &&String| line.contains("session=");
            assert!(soon(|| mark.warnings().iter().filter(about).count() >= 4), "{other}: {:#?}", mark.lines());
            let lines = mark.warnings();
            assert_eq!(lines.iter().filter(about).count(), 4, "{other}: {lines:#?}");
        }
        let absent = world.services.process(role);
        assert_eq!(absent, None);
        world.services.start(role).unwrap();
        world.services.ready(PATIENCE).unwrap();
        world.works(0);
        for (other, _, process) in stay {
            assert_eq!(world.services.process(other), Some(process), "{other} was not restarted");
        }
    }
}

#[test]
fn a_request_that_comes_before_the_dealer_has_joined_is_answered() {
    let world = World::started(1, "", LONG);
    let dealer = world.services.process(Role::Dealer).unwrap();
    signal("STOP", dealer);
    let mut held = world.hold(0);
    thread::scope(|scope| {
        let asking = scope.spawn(|| held.ask());
        // longer than a party looks for something else
        thread::sleep(Duration::from_secs(2));
        signal("CONT", dealer);
        asking.join().unwrap().unwrap();
    });
    let mark = world.mark(Role::Party1);
    signal("STOP", dealer);
    world.hold(0).client.bye().unwrap();
    thread::sleep(Duration::from_secs(1));
    signal("CONT", dealer);
    mark.wait("session ended", 1);
    assert_eq!(mark.warnings(), Vec::<String>::new());
}

#[test]
fn a_client_of_parties_that_miss_a_role_is_told_which_and_when_to_come_again() {
    let mut world = World::new(1, "[limits]\njoin = 8\n", LONG);
    for role in [Role::Party0, Role::Party1] {
        world.services.start(role).unwrap();
    }
    let missing = |index| world.services.status(index).map(|status| status.missing).ok();
    assert!(soon(|| missing(0) == Some(vec![Role::Dealer]) && missing(1) == Some(vec![Role::Dealer])));
    let said = world.infer(0, &[]);
    said.ended(BUSY, &["party0 lets us wait: not connected yet: dealer", "party0 is busy: not connected: dealer"]);
    world.services.start(Role::Dealer).unwrap();
    world.works(0);
}

#[test]
fn a_configuration_is_checked_without_being_run_and_leaves_no_room_for_flags() {
    let world = World::new(1, "", LONG);
    for (name, words) in [
        ("party0", &["party"][..]),
        ("party1", &["party"]),
        ("dealer", &["dealer"]),
        ("client0", &["infer", "--text", TEXT]),
    ] {
        let checked = world.configured(&[words, &["--check-config"]].concat(), name, &[]);
        let role = name.trim_end_matches(|digit: char| name.starts_with("client") && digit.is_ascii_digit());
        let key = world.services.pin(name).unwrap();
        assert_eq!(checked.code, Some(0), "{checked:?}");
        let right = format!("{role}: the configuration is right; key {key}, bundle ");
        assert!(checked.out.starts_with(&right) && checked.out.lines().count() == 1, "{checked:?}");
        let beside = world.configured(&[words, &["--threads", "2"]].concat(), name, &[]);
        beside.ended(USAGE, &["--threads cannot be given beside --config", "use --set"]);
        world.configured(words, name, &["run.dedline=3"]).ended(USAGE, &["did you mean `run.deadline`?"]);
    }
    let other = world.configured(&["dealer"], "party0", &[]);
    other.ended(USAGE, &["is the configuration of party0; this command is dealer"]);
    world.runtime(&["party", "--check-config"]).ended(USAGE, &["--config"]);
}
