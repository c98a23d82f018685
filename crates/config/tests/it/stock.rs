use std::fs;
use std::path::Path;

use config::{Marks, Refill, StockConfig};

use crate::examples::{Placed, example, refusal};

const CLASSES: &str = "[stock.classes]\n32 = { low = 5, high = 20 }\n";

fn text(role: &str, lines: &str) -> String {
    format!("{}[stock]\n{lines}", example(role))
}

fn stock(role: &str, lines: &str) -> StockConfig {
    Placed::new(&text(role, lines)).read(&[], &[]).unwrap().stock.unwrap()
}

#[test]
fn a_stock_is_read_with_its_defaults() {
    for role in ["party0", "party1", "dealer", "client"] {
        assert_eq!(Placed::new(&example(role)).read(&[], &[]).unwrap().stock, None);
    }
    for (role, classes) in [("party0", CLASSES), ("party1", "")] {
        let placed = Placed::new(&text(role, &format!("folder = \"stock\"\nquota = \"20G\"\n{classes}")));
        let stock = placed.read(&[], &[]).unwrap().stock.unwrap();
        assert_eq!(stock.folder, placed.folder().join("stock"));
        assert_eq!(stock.key, placed.folder().join("keys").join(role).join("stock.key"));
        assert_eq!((stock.quota, stock.parallel, stock.refill), (20_000_000_000, 1, None));
        let marks = (32, Marks { low: 5, high: 20 });
        assert_eq!(Vec::from_iter(stock.classes), if role == "party0" { vec![marks] } else { vec![] });
    }
}

#[test]
fn everything_that_can_be_said_of_a_stock_is_read() {
    let lines = "folder = \"/mnt/stock\"\nkey = \"safe/../stock.key\"\nquota = \"1.5T\"\nparallel = 16\n\
                 refill = \"23:30-05:00\"\nrenew = true\n[stock.classes.16]\nlow = 1\nhigh = 1\n\
                 [stock.classes.65536]\nlow = 65536\nhigh = 65536\n";
    let stock = stock("party0", lines);
    assert_eq!(stock.folder, Path::new("/mnt/stock"));
    assert!(stock.key.ends_with("safe/../stock.key"));
    assert_eq!((stock.quota, stock.parallel), (1_500_000_000_000, 16));
    assert_eq!(stock.refill, Some(Refill { from: 23 * 3600 + 1800, until: 5 * 3600, renew: true }));
    let marks = [(16, 1), (65_536, 65_536)].map(|(rows, mark)| (rows, Marks { low: mark, high: mark }));
    assert_eq!(Vec::from_iter(stock.classes), marks);
}

#[test]
fn flags_and_variables_reach_the_marks_of_a_class() {
    let placed = Placed::new(&text("party0", &format!("folder = \"stock\"\nquota = \"20G\"\n{CLASSES}")));
    let env = [("PRIVATE_BERT_STOCK__CLASSES__32__LOW", "7"), ("PRIVATE_BERT_STOCK__QUOTA", "3G")];
    let stock = placed.read(&["stock.classes.32.high=8"], &env).unwrap().stock.unwrap();
    assert_eq!((stock.quota, stock.classes[&32]), (3_000_000_000, Marks { low: 7, high: 8 }));
    let (code, words) = placed.refusal(&["stock.classes.32.high=4"], &[]);
    let expected = "--set stock.classes.32.high: `stock.classes.32.high` is 4; write a number from 5 to 65536";
    assert_eq!((code, words.as_str()), (cli::exit::USAGE, expected));
}

/// Lines 11 and 12 of party0's file, and what follows them.
#[test]
fn a_stock_that_is_not_right_is_refused_with_its_place() {
    let place = "folder = \"stock\"\nquota = \"20G\"\n";
    let with = |lines: &str| format!("{place}{lines}{CLASSES}");
    let cases = [
        ("", "11:1: `stock.folder` is missing; name the folder of the packs: folder = \"stock/party0\"".to_string()),
        (
            "folder = \"stock\"\n",
            "11:1: `stock.quota` is missing; say how many bytes of the disk packs may take: quota = \"20G\"".into(),
        ),
        (
            "folder = \"stock\"\nquota = \"20X\"\n",
            "13:9: `stock.quota` is \"20X\"; expected a size such as 6G, 800M or 1.5GB".into(),
        ),
        (&with("paralel = 2\n"), "14:1: unknown key `stock.paralel`; did you mean `stock.parallel`?".into()),
        (&with("32 = 2\n"), "14:1: unknown key `stock.32`; did you mean `stock.classes.32`?".into()),
        (
            &with("colour = 2\n"),
            "14:1: unknown key `stock.colour`; the keys of `stock` are folder, key, quota, parallel, refill, renew, \
             classes"
                .into(),
        ),
        (&with("parallel = 0\n"), "14:12: `stock.parallel` is 0; write a number from 1 to 16".into()),
        (&with("parallel = 17\n"), "14:12: `stock.parallel` is 17; write a number from 1 to 16".into()),
        (
            &with("renew = true\n"),
            "14:9: `stock.renew` is true without `stock.refill`, at whose begin the stock is renewed; write refill = \
             \"02:00-05:00\""
                .into(),
        ),
        (
            &with("refill = \"02:00-02:00\"\n"),
            "14:10: `stock.refill` begins when it ends; write a longer one, or leave it out for orders at any time of \
             the day"
                .into(),
        ),
    ];
    for (lines, words) in cases {
        assert_eq!(refusal(&text("party0", lines)), format!("role.toml:{words}"), "{lines}");
    }
    for wrong in ["02:00", "2:00-5:00", "02:00-24:00", "02:60-03:00", "02:00-05:00-06:00", "+2:00-05:00", "zz:zz-05:00"]
    {
        let words = format!("14:10: `stock.refill` is \"{wrong}\"; write two times of the day, UTC: \"02:00-05:00\"");
        let text = text("party0", &with(&format!("refill = \"{wrong}\"\n")));
        assert_eq!(refusal(&text), format!("role.toml:{words}"));
    }
}

#[test]
fn marks_of_classes_that_are_not_right_are_refused_with_their_place() {
    let place = "folder = \"stock\"\nquota = \"20G\"\n";
    let class = |line: &str| format!("{place}[stock.classes]\n{line}\n");
    let both = "write both, such as { low = 50, high = 200 }: orders begin below low and end at high";
    let lines = "write [stock.classes] with lines such as 32 = { low = 50, high = 200 }";
    let cases = [
        (place, format!("11:1: `stock.classes` is missing; party0 says how many packs there are to be: {lines}")),
        (&class(""), format!("14:8: `stock.classes` names no length of texts; {lines}")),
        (
            &class("33 = { low = 1, high = 2 }"),
            "15:1: unknown key `stock.classes.33`; did you mean `stock.classes.32`?".into(),
        ),
        (
            &class("32 = 5"),
            "15:6: `stock.classes.32` is a whole number; write a table: [stock.classes.32], and its keys below".into(),
        ),
        (&class("32 = { low = 5 }"), format!("15:6: `stock.classes.32.high` is missing; {both}")),
        (&class("32 = { high = 5 }"), format!("15:6: `stock.classes.32.low` is missing; {both}")),
        (
            &class("32 = { lo = 5, high = 6 }"),
            "15:8: unknown key `stock.classes.32.lo`; did you mean `stock.classes.32.low`?".into(),
        ),
        (
            &class("32 = { low = 0, high = 6 }"),
            "15:14: `stock.classes.32.low` is 0; write a number from 1 to 65536".into(),
        ),
        (
            &class("32 = { low = 7, high = 6 }"),
            "15:24: `stock.classes.32.high` is 6; write a number from 7 to 65536".into(),
        ),
        (
            &class("32 = { low = 7, high = 65537 }"),
            "15:24: `stock.classes.32.high` is 65537; write a number from 7 to 65536".into(),
        ),
    ];
    for (lines, words) in cases {
        assert_eq!(refusal(&text("party0", lines)), format!("role.toml:{words}"), "{lines}");
    }
}

#[test]
fn a_key_within_the_folder_that_it_protects_is_refused() {
    let why = "who copies the one copies the other";
    for key in ["stock/key", "stock", "other/../stock/deep/key", "./stock/key"] {
        let lines = format!("folder = \"./other/../stock/\"\nkey = \"{key}\"\nquota = \"1G\"\n");
        let words = refusal(&text("party1", &lines));
        assert_eq!(words, format!("role.toml:14:7: `stock.key` lies within `stock.folder`: {why}; name another place"));
    }
    for folder in ["keys", "keys/party1", "."] {
        let words = refusal(&text("party1", &format!("folder = \"{folder}\"\nquota = \"1G\"\n")));
        let what = "`stock.folder` holds the stock's key, stock.key in the folder of `keys`";
        assert_eq!(words, format!("role.toml:13:10: {what}: {why}; name a folder beside it"));
    }
    stock("party1", "folder = \"stock\"\nkey = \"stock.key\"\nquota = \"1G\"\n");
}

#[test]
fn party1_does_not_say_what_is_ordered() {
    for (line, key, column) in [
        ("refill = \"02:00-05:00\"", "refill", 1),
        ("renew = false", "renew", 1),
        ("[stock.classes]\n32 = { low = 1, high = 2 }", "classes", 8),
    ] {
        let words = refusal(&text("party1", &format!("folder = \"stock\"\nquota = \"1G\"\n{line}\n")));
        let why = "party0 orders packs for both, and says how many and when";
        assert_eq!(words, format!("role.toml:15:{column}: {why}; leave `stock.{key}` out"));
    }
}

/// What an operator is told to write.
#[test]
fn the_example_of_the_documentation_is_a_stock_of_party0() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating.md");
    let guide = fs::read_to_string(guide).unwrap();
    let lines = guide.split("```toml\n[stock]\n").nth(1).unwrap().split("```").next().unwrap();
    let stock = stock("party0", lines);
    assert!(stock.refill.is_some_and(|refill| refill.renew) && stock.classes.len() > 1);
}
