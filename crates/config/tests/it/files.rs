use std::fs;

use cli::Coded;
use cli::exit::BAD_INPUT;
use config::Config;

use crate::examples::{Placed, example, refusal};

#[test]
fn a_file_that_is_none_is_refused_with_its_path() {
    let placed = Placed::new("");
    let words = |name: &str| {
        let error = Config::read(&placed.folder().join(name), &[], []).unwrap_err();
        let coded = error.downcast_ref::<Coded>().unwrap();
        assert_eq!(coded.code, BAD_INPUT);
        coded.message.split(name).nth(1).unwrap().to_string()
    };
    assert_eq!(words("absent.toml"), ": no such file; check the path");
    fs::create_dir(placed.folder().join("folder.toml")).unwrap();
    assert_eq!(words("folder.toml"), ": is a folder; name the file in it");
    fs::write(placed.folder().join("odd.toml"), b"role = \"party0\"\nkeys = \"\xff\"\n").unwrap();
    assert_eq!(words("odd.toml"), ": is not UTF-8 (line 2); save it as UTF-8");
    let most = format!("{}{}", example("party0"), "#".repeat(1 << 20));
    fs::write(placed.folder().join("long.toml"), &most).unwrap();
    assert_eq!(words("long.toml"), ": is larger than 1 MiB; is this the right file?");
    fs::write(placed.folder().join("full.toml"), &most[..1 << 20]).unwrap();
    Config::read(&placed.folder().join("full.toml"), &[], []).unwrap();
}

/// Opening one that nobody writes to would wait for ever.
#[cfg(unix)]
#[test]
fn a_pipe_is_refused_without_opening_it() {
    let placed = Placed::new("");
    let path = placed.folder().join("pipe.toml");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let words = Config::read(&path, &[], []).unwrap_err().to_string();
    assert!(words.ends_with("pipe.toml: is not a regular file; write it to one"), "{words}");
}

#[test]
fn what_is_not_toml_is_refused_on_one_line_with_its_place() {
    assert_eq!(
        refusal("role = \"party0\"\nlisten = 0.0.0.0:7100\n"),
        "role.toml:2:13: not TOML: invalid float, expected nothing; write lines like `listen = \"0.0.0.0:7100\"`"
    );
    for text in
        ["role = \"a\"\nrole = \"b\"\n", "[run\n", "role", "= 1", "a = [1, ", "a = \"\\q\"", "\u{0}", "é = \"é\" é"]
    {
        let words = refusal(text);
        assert!(words.starts_with("role.toml:") && words.contains("not TOML: "), "{text:?}: {words}");
    }
}

/// Bytes from outside neither panic nor exhaust the stack.
#[test]
fn depth_and_damage_are_refused() {
    for text in [
        "a.".repeat(200_000) + "a = 1",
        format!("a = {}", "[".repeat(500_000)),
        "[a.".repeat(9) + "b]",
        "a = {".repeat(99_999),
    ] {
        assert!(refusal(&text).len() < 400);
    }
    let whole = example("party0") + "[run]\nmemory = \"6G\"\n";
    for at in 0..whole.len() {
        // cut short, or with another byte: refused or read, and never a panic
        let _ = Placed::new(&whole[..at]).read(&[], &[]);
        let mut bytes = whole.clone().into_bytes();
        bytes[at] = b"\"[]=.#'\\\n{}\x01"[at % 12];
        let _ = Placed::new(&String::from_utf8(bytes).unwrap()).read(&[], &[]);
    }
}

#[test]
fn a_byte_order_mark_and_ends_of_lines_of_windows_do_no_harm() {
    let text = format!("\u{feff}{}", example("party0").replace('\n', "\r\n"));
    Placed::new(&text).read(&[], &[]).unwrap();
    assert_eq!(
        refusal(&text.replace("\"keys/", "0#\"keys/")),
        "role.toml:3:8: `keys` is a whole number; write a text in quotes, such as \"keys/party0\""
    );
}
