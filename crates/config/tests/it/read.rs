use std::time::Duration;

use bundle::Role;
use config::{EngineChoice, LogFormat, LogLevel, ScheduleChoice};

use crate::examples::{Placed, example, pin};

#[test]
fn each_role_is_read_with_its_defaults() {
    for role in Role::ALL {
        let placed = Placed::new(&example(role.name()));
        let config = placed.read(&[], &[]).unwrap();
        let is_party = matches!(role, Role::Party0 | Role::Party1);
        assert_eq!((config.role, &config.path), (role, &placed.path()));
        assert_eq!(config.bundle, placed.folder().join("bundle").join(role.name()));
        assert_eq!(config.keys, placed.folder().join("keys").join(role.name()));
        assert_eq!(config.listen.map(|at| at.to_string()), is_party.then(|| "0.0.0.0:7100".to_string()));
        assert_eq!(config.clients.is_some(), is_party);
        let known: Vec<Role> = config.peers.keys().copied().collect();
        let dialled: Vec<Role> = known.iter().copied().filter(|peer| config.peers[peer].address.is_some()).collect();
        let (knows, dials) = match role {
            Role::Party0 => ([Role::Party1, Role::Dealer], vec![]),
            Role::Party1 => ([Role::Party0, Role::Dealer], vec![Role::Party0]),
            _ => ([Role::Party0, Role::Party1], vec![Role::Party0, Role::Party1]),
        };
        assert_eq!((known, dialled), (knows.to_vec(), dials), "{role}");
        let (run, limits, log) = (config.run, config.limits, config.log);
        assert_eq!((run.deadline, run.threads, run.memory.limit), (Duration::from_secs(120), 0, None));
        assert_eq!((run.schedule, run.engine), (ScheduleChoice::Ahead, EngineChoice::Masked));
        assert_eq!((run.functions, run.truncation, run.sines), (None, None, None));
        assert_eq!((limits.sessions, limits.waiting, limits.sessions_per_client), (4, 8, 2));
        assert_eq!((limits.handshakes, limits.handshakes_per_address), (128, 32));
        assert_eq!([limits.idle, limits.join, limits.drain], [300, 30, 60].map(Duration::from_secs));
        assert_eq!((log.format, log.level), (LogFormat::Text, LogLevel::Info));
    }
}

#[test]
fn everything_that_can_be_said_is_read() {
    let said = "[run]\ndeadline = 86400\nschedule = \"stream\"\nthreads = 1024\nmemory = \"1.5GB\"\nengine = \"beaver\"\n\
                functions = \"secformer\"\ntruncation = \"dealt\"\nsines = \"refitted\"\n\
                [limits]\nsessions = 64\nwaiting = 0\nsessions_per_client = 1\nhandshakes = 4096\n\
                handshakes_per_address = 1\nidle = 1\njoin = 2\ndrain = 3\n[log]\nformat = \"json\"\nlevel = \"debug\"\n";
    let (old, new) = (pin('1'), pin('2'));
    let text = example("party0").replace(&format!("[\"{old}\"]"), &format!("[\"{old}\", \"{new}\"]")) + said;
    let config = Placed::new(&text).read(&[], &[]).unwrap();
    let pins: Vec<String> = config.peers[&Role::Party1].pins.iter().map(ToString::to_string).collect();
    assert_eq!(pins, [old, new]);
    let (run, limits, log) = (config.run, config.limits, config.log);
    assert_eq!((run.deadline, run.threads), (Duration::from_secs(86_400), 1024));
    assert_eq!((run.schedule, run.engine), (ScheduleChoice::Stream, EngineChoice::Beaver));
    assert_eq!(run.memory.limit, Some(1_500_000_000));
    let named = [run.functions, run.truncation, run.sines].map(Option::unwrap);
    assert_eq!(named, ["secformer", "dealt", "refitted"]);
    assert_eq!((limits.sessions, limits.waiting, limits.sessions_per_client), (64, 0, 1));
    assert_eq!((limits.handshakes, limits.handshakes_per_address), (4096, 1));
    assert_eq!([limits.idle, limits.join, limits.drain], [1, 2, 3].map(Duration::from_secs));
    assert_eq!((log.format, log.level), (LogFormat::Json, LogLevel::Debug));
}

#[test]
fn every_client_may_ask_only_where_that_is_spelt_out() {
    let listed = Placed::new(&example("party0")).read(&[], &[]).unwrap().clients.unwrap();
    assert!(!listed.any && listed.allows(&pin('c').parse().unwrap()) && !listed.allows(&pin('9').parse().unwrap()));
    let text = example("party0").replace(&format!("pins = [\"{}\"]", pin('c')), "any = true");
    let open = Placed::new(&text).read(&[], &[]).unwrap().clients.unwrap();
    assert!(open.any && open.pins.is_empty() && open.allows(&pin('9').parse().unwrap()));
}

#[test]
fn addresses_are_names_or_numbers_with_a_port() {
    for address in ["localhost:1", "10.0.0.7:65535", "[2001:db8::7]:7100", "party_0.example.org.:7100"] {
        let text = example("dealer").replace("party0.example.org:7100", address);
        let config = Placed::new(&text).read(&[], &[]).unwrap();
        assert_eq!(config.peers[&Role::Party0].address.as_deref(), Some(address));
    }
}

#[test]
fn a_later_check_names_where_a_value_was_given() {
    let placed = Placed::new(&(example("party0") + "[run]\nfunctions = \"none\"\n"));
    let words = |sets: &[&str], env: &[(&str, &str)], key: &str| {
        let words = placed.read(sets, env).unwrap().fault(key, "is not known").to_string();
        words.rsplit(['/', '\\']).next().unwrap().to_string()
    };
    assert_eq!(words(&[], &[], "run.functions"), "role.toml:12:13: `run.functions` is not known");
    let env = [("PRIVATE_BERT_RUN__FUNCTIONS", "x")];
    let variable = "environment variable PRIVATE_BERT_RUN__FUNCTIONS: `run.functions` is not known";
    assert_eq!(words(&[], &env, "run.functions"), variable);
    assert_eq!(words(&["run.functions=y"], &env, "run.functions"), "--set run.functions: `run.functions` is not known");
    assert_eq!(words(&[], &[], "run.sines"), "role.toml: `run.sines` is not known");
}
