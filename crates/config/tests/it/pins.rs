use std::fs;

use crate::examples::{Placed, example, pin, refusal};

/// A party with this table of clients.
fn party(clients: &str) -> String {
    example("party0").replace(&format!("pins = [\"{}\"]", pin('c')), clients)
}

#[test]
fn a_malformed_pin_is_refused_where_it_stands() {
    let text = |bad: &str| example("party0").replace(&format!("[\"{}\"]", pin('d')), &format!("[\n  {bad},\n]"));
    let cases = [
        (
            "\"ssh-ed25519\"",
            "has what is no pin: a pin begins with `pb1-`; copy it whole, as `runtime keys new` printed it",
        ),
        (
            "\"pb1-abc\"",
            "has what is no pin: a pin has 64 digits after `pb1-`, this has 3; copy it whole, as `runtime keys new` printed it",
        ),
        ("7", "is a whole number; write a text in quotes, such as \"pb1-…\""),
    ];
    for (bad, words) in cases {
        assert_eq!(refusal(&text(bad)), format!("role.toml:9:3: `peers.dealer.pins` {words}"));
    }
    let odd = text(&format!("\"{}z\"", &pin('d')[..67]));
    assert!(refusal(&odd).contains("digit 64 after `pb1-` is not one of 0-9 and a-f"));
}

#[test]
fn a_role_has_one_pin_or_two() {
    let with = |pins: &str| example("party0").replace(&format!("[\"{}\"]", pin('d')), pins);
    let words = |count| {
        format!("role.toml:8:8: `peers.dealer.pins` has {count} pins; write one, or two while a key is being replaced")
    };
    assert_eq!(refusal(&with("[]")), words(0));
    assert_eq!(refusal(&with(&format!("['{}', '{}', '{}']", pin('a'), pin('b'), pin('e')))), words(3));
}

#[test]
fn no_pin_stands_for_two() {
    let d = pin('d');
    let twice = example("party0").replace(&format!("[\"{d}\"]"), &format!("[\"{d}\", \"{d}\"]"));
    assert_eq!(refusal(&twice), "role.toml:8:81: this pin stands twice in `peers.dealer.pins`");
    let own = "every role and every client has a key of its own";
    assert_eq!(
        refusal(&example("party0").replace(&d, &pin('1'))),
        format!("role.toml:8:9: this pin of `peers.dealer.pins` stands in `peers.party1.pins` already; {own}")
    );
    assert_eq!(
        refusal(&example("party1").replace(&pin('c'), &pin('0').to_uppercase().replace("PB", "pb"))),
        format!("role.toml:11:9: this pin of `clients.pins` stands in `peers.party0.pins` already; {own}")
    );
    assert_eq!(
        refusal(&example("client").replace(&pin('1'), &pin('0'))),
        format!("role.toml:8:9: this pin of `peers.party1.pins` stands in `peers.party0.pins` already; {own}")
    );
}

#[test]
fn nobody_and_everybody_are_refused_as_clients_unless_spelt_out() {
    let nobody =
        "role.toml:9:2: `clients` names nobody; write pins, a file, or any = true for every client that there is";
    for empty in ["", "any = false", "pins = []"] {
        assert_eq!(refusal(&party(empty)), nobody, "{empty}");
    }
    let beside = |key, line| {
        format!("role.toml:{line}:7: `clients.any` is true beside `clients.{key}`; leave one of the two out")
    };
    assert_eq!(refusal(&party(&format!("pins = ['{}']\nany = true", pin('c')))), beside("pins", 11));
    assert_eq!(refusal(&party("file = \"absent\"\nany = true")), beside("file", 11));
    assert_eq!(
        refusal(&party("any = 1")),
        "role.toml:10:7: `clients.any` is a whole number; write true or false, without quotes"
    );
}

#[test]
fn a_file_of_clients_is_read_beside_the_list_and_again_when_it_changes() {
    let placed = Placed::new(&party(&format!("pins = [\"{}\"]\nfile = \"clients.txt\"", pin('c'))));
    let file = placed.folder().join("clients.txt");
    let pins = || {
        let clients = placed.read(&[], &[]).unwrap().clients.unwrap();
        clients.pins.iter().map(|pin| pin.to_string()).collect::<Vec<_>>()
    };
    fs::write(&file, format!("\u{feff}# ours\r\n\r\n  {} # the office\r\n{}", pin('a'), pin('b'))).unwrap();
    assert_eq!(pins(), [pin('a'), pin('b'), pin('c')]);
    // for now nobody else
    fs::write(&file, "# nobody\n").unwrap();
    assert_eq!(pins(), [pin('c')]);
    let refused = |text: &[u8]| {
        fs::write(&file, text).unwrap();
        placed.refusal(&[], &[]).1
    };
    assert_eq!(
        refused(format!("# ours\n{}\n  pb1-7 # short\n", pin('a')).as_bytes()),
        "clients.txt:3:3: not a pin: a pin has 64 digits after `pb1-`, this has 1; copy it whole, as `runtime keys new` \
         printed it; write one a line, and # before what is not one"
    );
    assert_eq!(
        refused(format!("{}\n{}\n", pin('a'), pin('a')).as_bytes()),
        "clients.txt:2:1: this pin stands twice in `clients.file`"
    );
    let own = "every role and every client has a key of its own";
    assert_eq!(
        refused(format!("\n{}\n", pin('d')).as_bytes()),
        format!("clients.txt:2:1: this pin of `clients.file` stands in `peers.dealer.pins` already; {own}")
    );
    assert_eq!(
        refused(b"#\n\xff\n"),
        "role.toml:11:8: `clients.file` names clients.txt, which is not UTF-8 (line 2); save it as UTF-8"
    );
    fs::remove_file(&file).unwrap();
    let words = "role.toml:11:8: `clients.file` names clients.txt, which is not there; check the path";
    assert_eq!(placed.refusal(&[], &[]).1, words);
    fs::create_dir(&file).unwrap();
    let words = "role.toml:11:8: `clients.file` names clients.txt, which is a folder; name the file in it";
    assert_eq!(placed.refusal(&[], &[]).1, words);
}
