use crate::examples::{example, pin, refusal};

#[test]
fn an_unknown_key_is_refused_with_what_it_may_have_been_meant_as() {
    let after = |lines: &str| example("party0") + lines;
    let before = |line: &str| format!("{line}\n{}", example("party0"));
    let cases = [
        (before("lisen = \"a\""), "1:1: unknown key `lisen`; did you mean `listen`?"),
        (before("Listen = \"a\""), "1:1: unknown key `Listen`; did you mean `listen`?"),
        (before("deadline = 1"), "1:1: unknown key `deadline`; did you mean `run.deadline`?"),
        (
            before("colour = 1"),
            "1:1: unknown key `colour`; the keys are role, bundle, keys, listen, peers, clients, run, limits, stock, log",
        ),
        (
            after("listen = \"a\""),
            "11:1: unknown key `clients.listen`; `listen` stands at the top of the file, before the first [table]",
        ),
        (after("[run]\nthread = 1"), "12:1: unknown key `run.thread`; did you mean `run.threads`?"),
        (
            after("[limits]\nsessions-per-client = 1"),
            "12:1: unknown key `limits.sessions-per-client`; did you mean `limits.sessions_per_client`?",
        ),
        (after("[log]\ncolour = 1"), "12:1: unknown key `log.colour`; the keys of `log` are format, level"),
        (after("[peers.party2]"), "11:8: unknown key `peers.party2`; did you mean `peers.party0`?"),
        (
            after("[peers.auditor]\nx = 1"),
            "11:8: unknown key `peers.auditor`; the keys of `peers` are party0, party1, dealer, client",
        ),
        (after("[log.\"a\\u001bb\"]"), "11:6: unknown key `log.a\\u{1b}b`; the keys of `log` are format, level"),
    ];
    for (text, words) in cases {
        assert_eq!(refusal(&text), format!("role.toml:{words}"));
    }
    // a key as long as a file is not repeated
    assert!(refusal(&before(&format!("{} = 1", "k".repeat(500_000)))).len() < 200);
}

#[test]
fn a_wrong_type_is_refused_with_what_would_be_right() {
    let cases = [
        (
            "role = \"party0\"",
            "role = true",
            "1:8: `role` is true or false; write a text in quotes, such as \"party0\"",
        ),
        (
            "role = \"party0\"",
            "role = \"server\"",
            "1:8: `role` is \"server\"; write one of party0, party1, dealer, client",
        ),
        ("\"keys/party0\"", "\" \"", "3:8: `keys` is empty; write a text such as \"keys/party0\""),
        (
            "\"keys/party0\"",
            "1979-05-27",
            "3:8: `keys` is a date or time; write a text in quotes, such as \"keys/party0\"",
        ),
        (
            "\"0.0.0.0:7100\"",
            "7100",
            "4:10: `listen` is a whole number; write a text in quotes, such as \"0.0.0.0:7100\"",
        ),
        (
            "[clients]",
            "[run]\ndeadline = \"30\"\n[clients]",
            "10:12: `run.deadline` is a text; write a whole number from 1 to 86400, without quotes",
        ),
        (
            "[clients]",
            "[run]\ndeadline = 3.5\n[clients]",
            "10:12: `run.deadline` is a number with a fraction; write a whole number from 1 to 86400, without quotes",
        ),
        (
            "[clients]",
            "[run]\nmemory = 6\n[clients]",
            "10:10: `run.memory` is a whole number; write a text in quotes, such as \"6G\"",
        ),
        (
            "[clients]",
            "[run]\nmemory = \"6X\"\n[clients]",
            "10:10: `run.memory` is \"6X\"; expected a size such as 6G, 800M or 1.5GB",
        ),
        (
            "[clients]",
            "[run]\nschedule = \"streamed\"\n[clients]",
            "10:12: `run.schedule` is \"streamed\"; did you mean \"stream\"?",
        ),
        (
            "[clients]",
            "[run]\nengine = \"gpu\"\n[clients]",
            "10:10: `run.engine` is \"gpu\"; write one of masked, beaver",
        ),
        (
            "[clients]",
            "[log]\nlevel = \"trace\"\n[clients]",
            "10:9: `log.level` is \"trace\"; write one of info, error, warn, debug",
        ),
        ("[clients]", "[[run]]\n[clients]", "9:1: `run` is a list; write a table: [run], and its keys below"),
    ];
    for (from, to, words) in cases {
        let text = example("party0");
        assert!(text.contains(from));
        assert_eq!(refusal(&text.replace(from, to)), format!("role.toml:{words}"));
    }
    let text = example("party0").split("[peers").next().unwrap().to_string() + "peers = 3\n";
    assert_eq!(refusal(&text), "role.toml:5:9: `peers` is a whole number; write a table: [peers], and its keys below");
}

#[test]
fn a_number_out_of_range_is_refused_with_its_range() {
    for (table, key, least, most) in [
        ("run", "deadline", 1u64, 86_400u64),
        ("run", "threads", 0, 1024),
        ("limits", "sessions", 1, 64),
        ("limits", "waiting", 0, 1024),
        ("limits", "sessions_per_client", 1, 64),
        ("limits", "handshakes", 1, 4096),
        ("limits", "handshakes_per_address", 1, 4096),
        ("limits", "idle", 1, 86_400),
        ("limits", "join", 1, 86_400),
        ("limits", "drain", 1, 86_400),
    ] {
        let text = |number: i128| format!("{}[{table}]\n{key} = {number}\n", example("party0"));
        for fits in [least, most] {
            crate::examples::Placed::new(&text(fits.into())).read(&[], &[]).unwrap();
        }
        for wrong in [i128::from(least) - 1, i128::from(most) + 1, i64::MIN.into(), i64::MAX.into()] {
            let column = key.len() + 4;
            let words = format!("`{table}.{key}` is {wrong}; write a number from {least} to {most}");
            assert_eq!(refusal(&text(wrong)), format!("role.toml:12:{column}: {words}"));
        }
        assert!(refusal(&text(1 << 70)).contains("is a number beyond all limits; write a whole number from"));
    }
}

#[test]
fn what_is_missing_is_named_with_what_to_write() {
    let without = |role: &str, line: &str| {
        let text = example(role);
        let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with(line)).collect();
        assert!(lines.len() < text.lines().count(), "{line}");
        lines.join("\n")
    };
    let cases = [
        ("party0", "role", ": `role` is missing; write role = \"party0\", \"party1\", \"dealer\" or \"client\""),
        (
            "dealer",
            "bundle",
            ": `bundle` is missing; name the folder of this role's part of the bundle: bundle = \"bundle/dealer\"",
        ),
        (
            "client",
            "keys",
            ": `keys` is missing; name the folder of its key, made by `runtime keys new`: keys = \"keys/client\"",
        ),
        ("party1", "listen", ": `listen` is missing; party1 is called by others: write listen = \"0.0.0.0:7100\""),
        (
            "party1",
            "address",
            ":5:1: `peers.party0.address` is missing; party1 dials party0: write address = \"party0.example.org:7100\"",
        ),
        (
            "dealer",
            "pins",
            ":4:1: `peers.party0.pins` is missing; write pins = [\"pb1-…\"], as `runtime keys new` printed it",
        ),
    ];
    for (role, line, words) in cases {
        assert_eq!(refusal(&without(role, line)), format!("role.toml{words}"));
    }
    let up_to = |role: &str, header: &str| example(role).split(header).next().unwrap().to_string();
    assert_eq!(
        refusal(&up_to("party0", "[clients]")),
        "role.toml: `clients` is missing; say which clients may ask: [clients] with pins = [\"pb1-…\"], file = \
         \"clients.txt\" or any = true"
    );
    assert_eq!(
        refusal(&up_to("dealer", "[peers.party0]")),
        "role.toml: `peers` is missing; the dealer must know party0 and party1: write [peers.party0] and [peers.party1]"
    );
    let the = |role: &str| match role {
        "dealer" => "the dealer".to_string(),
        "client" => "a client".into(),
        party => party.to_string(),
    };
    for (role, peer) in [("party0", "dealer"), ("party1", "dealer"), ("dealer", "party1"), ("client", "party1")] {
        let (who, whom) = (the(role), the(peer));
        let words = refusal(&up_to(role, &format!("[peers.{peer}]")));
        let end =
            format!("`peers.{peer}` is missing; {who} must know {whom}: write [peers.{peer}] with pins = [\"pb1-…\"]");
        assert!(words.ends_with(&end), "{words}");
    }
}

#[test]
fn what_a_role_has_no_use_for_is_refused_with_why() {
    let top = |role: &str, line: &str| format!("{line}\n{}", example(role));
    let peer = |role: &str, name: &str| format!("{}[peers.{name}]\npins = [\"{}\"]\n", example(role), pin('9'));
    let address = |role: &str| example(role).replace(&pin('d'), &format!("{}\"]\naddress = [\"a:1", pin('d')));
    let cases = [
        (top("dealer", "listen = \"0.0.0.0:7100\""), "1:1: the dealer only dials out; leave `listen` out"),
        (top("client", "listen = \"0.0.0.0:7100\""), "1:1: a client only dials out; leave `listen` out"),
        (example("dealer") + "[clients]\nany = true\n", "10:2: no client calls the dealer; leave `clients` out"),
        (example("client") + "[clients]\nany = true\n", "10:2: no client calls a client; leave `clients` out"),
        (
            example("dealer") + "[limits]\n",
            "10:2: nobody calls the dealer, and limits are for callers; leave `limits` out",
        ),
        (example("dealer") + "[stock]\n", "10:2: the dealer keeps no correlations; the parties do; leave `stock` out"),
        (example("client") + "[stock]\n", "10:2: a client keeps no correlations; the parties do; leave `stock` out"),
        (peer("client", "dealer"), "10:8: a client never meets the dealer; leave `peers.dealer` out"),
        (peer("dealer", "client"), "10:8: the dealer never meets a client; leave `peers.client` out"),
        (peer("party0", "client"), "11:8: clients stand in [clients]; leave `peers.client` out"),
        (peer("party0", "party0"), "11:8: this is party0 itself, and only peers are listed; leave `peers.party0` out"),
        (
            peer("dealer", "dealer"),
            "10:8: this is the dealer itself, and only peers are listed; leave `peers.dealer` out",
        ),
        (address("party0"), "9:1: party0 does not dial the dealer, which calls it; leave `peers.dealer.address` out"),
        (address("party1"), "10:1: party1 does not dial the dealer, which calls it; leave `peers.dealer.address` out"),
    ];
    for (text, words) in cases {
        assert_eq!(refusal(&text), format!("role.toml:{words}"));
    }
}

#[test]
fn an_address_that_nothing_can_listen_on_or_dial_is_refused() {
    for wrong in ["localhost:7100", "0.0.0.0", "7100", "0.0.0.0:70000"] {
        let text = example("party0").replace("0.0.0.0:7100", wrong);
        let cure = "write an IP address and a port, such as \"0.0.0.0:7100\" or \"[::]:7100\"";
        assert_eq!(refusal(&text), format!("role.toml:4:10: `listen` is \"{wrong}\"; {cure}"));
    }
    let nowhere = "this is where to listen, on all addresses, and nowhere to dial";
    let port = "its port is not a number from 1 to 65535";
    let cases = [
        ("party0.example.org", "it has no port"),
        ("0.0.0.0:7100", nowhere),
        ("[::]:7100", nowhere),
        ("party0:", port),
        ("party0:0", port),
        ("party0:+7", port),
        ("party0:65536", port),
        ("party0:https", port),
        ("https://party0:7100", "it has a scheme"),
        ("2001:db8::7:7100", "an IPv6 address stands in brackets, and a port follows it"),
        ("[party0]:7100", "what stands in brackets is no IPv6 address"),
        (":7100", "its host is no name of a machine"),
        ("party 0:7100", "its host is no name of a machine"),
        ("party0/x:7100", "its host is no name of a machine"),
    ];
    for (wrong, why) in cases {
        let text = example("party1").replace("party0.example.org:7100", wrong);
        let cure = "write a host and a port, such as \"party0.example.org:7100\"";
        let words = format!("`peers.party0.address` is \"{wrong}\": {why}; {cure}");
        assert_eq!(refusal(&text), format!("role.toml:7:11: {words}"));
    }
    let text = example("client").replace("party1.example.org", "PARTY0.example.org");
    let words = "role.toml:9:11: `peers.party1.address` is the address of party0 too; the parties are two machines";
    assert_eq!(refusal(&text), words);
}
