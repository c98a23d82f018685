//! Laws of the house that a compiler does not check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;

/// Which of our crates may use which, floor by floor (ARCHITECTURE.md).
const EDGES: [(&str, &[&str]); 17] = [
    ("cli", &[]),
    ("datasets", &["cli"]),
    ("ring64", &[]),
    ("net", &[]),
    ("model", &["ring64"]),
    ("mpc", &["ring64", "model", "net"]),
    ("bundle", &["ring64", "model"]),
    ("checkpoint", &["model"]),
    ("stock", &[]),
    ("config", &["bundle", "cli", "net"]),
    ("roles", &["bundle", "cli", "model", "mpc", "net", "ring64", "stock"]),
    ("local", &["bundle", "cli", "convert", "model", "mpc", "net", "roles"]),
    ("bench", &["bundle", "cli", "convert", "local", "model", "mpc", "ring64", "roles"]),
    ("trials", &["bundle", "cli", "datasets", "local", "model", "net", "roles", "stock"]),
    ("distill", &["checkpoint", "cli", "datasets", "model", "net"]),
    ("convert", &["bundle", "checkpoint", "cli", "datasets", "model", "mpc", "ring64"]),
    (
        "runtime",
        &[
            "bench",
            "bundle",
            "checkpoint",
            "cli",
            "config",
            "convert",
            "datasets",
            "local",
            "model",
            "mpc",
            "net",
            "ring64",
            "roles",
            "stock",
            "trials",
        ],
    ),
];

const MOST_LINES_OF_A_FILE: usize = 450;
const MOST_LINES_OF_A_FUNCTION: usize = 70;
/// Functions that are longer: the ends of their files' paths, their names, and why.
const LONG_FUNCTIONS: [(&str, &str, &str); 2] =
    [("bad_input/running.rs", "cases", "a table of runs"), ("bad_input/teaching.rs", "cases", "a table of runs")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

#[test]
fn crates_use_only_the_floors_below_them() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let allowed: BTreeMap<_, BTreeSet<_>> =
        EDGES.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();
    let ours: BTreeSet<String> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    assert_eq!(ours, allowed.keys().map(|n| n.to_string()).collect());
    for package in &metadata.packages {
        for dependency in package.dependencies.iter().filter(|d| ours.contains(&d.name)) {
            // a crate's tests may switch on its own features
            let own = dependency.name == package.name.as_str();
            let allowed = allowed[package.name.as_str()].contains(dependency.name.as_str());
            assert!(own || allowed, "{} must not use {}", package.name, dependency.name);
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    sources(&root(), &mut found);
    assert!(found.len() > 50, "{} source files", found.len());
    found
}

/// How long the comment, text or character is that begins here; 0 where none does. `in_word`: after a letter.
fn opaque(rest: &str, in_word: bool) -> usize {
    let through = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return through("*/", 2);
    }
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')).filter(|_| !in_word);
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            return through(&format!("\"{}", "#".repeat(hashes)), rest.len() - raw.len() + hashes + 1);
        }
    }
    let mut chars = rest.char_indices();
    match (chars.next(), chars.next(), chars.next()) {
        (Some((_, '"')), ..) => {
            let mut escaped = false;
            let mut is_end = |c: char| {
                let end = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                end
            };
            rest[1..].find(&mut is_end).map_or(rest.len(), |at| at + 2)
        }
        (Some((_, '\'')), Some((_, '\\')), _) => through("'", 3),
        (Some((_, '\'')), _, Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// A source with spaces for comments, texts and characters, on the same lines.
fn code_of(text: &str) -> String {
    let (mut code, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let in_word = code.chars().next_back().is_some_and(|c| is_word(c.encode_utf8(&mut [0; 4])));
        let (skipped, after) = rest.split_at(opaque(rest, in_word));
        if skipped.is_empty() {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(skipped.chars().map(|c| if c == '\n' { c } else { ' ' }));
            rest = after;
        }
    }
    code
}

/// A word, `::`, or another character that is no space.
struct Token<'a> {
    text: &'a str,
    line: usize,
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (line, mut rest) in code.lines().enumerate() {
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let length = if rest.starts_with("::") { 2 } else { word.max(first.len_utf8()) };
            let (text, after) = rest.split_at(length);
            if !first.is_whitespace() {
                found.push(Token { text, line });
            }
            rest = after;
        }
    }
    found
}

#[test]
fn the_searches_below_find_what_is_there() {
    let text = concat!(
        "fn a<'a>(b: [u8; 2]) -> &'a str {\n    // fn no() {\n    let c = ('}', '\\'', b'\"', r#\"}\" \\\"#, \"\\\\\");\n",
        "    fn inner() {}\n    \"}\\\"}\"\n}\ntrait T { fn d(); }\ntype F = fn(u8);\n"
    );
    assert_eq!(functions(text), [("a".into(), 6), ("inner".into(), 1)]);
    let crate_of = |files: &[(&str, &str)]| -> BTreeMap<Module, String> {
        files.iter().map(|(name, code)| (name.split("::").map(String::from).collect(), code_of(code))).collect()
    };
    let round = |files: &[(&str, &str)]| circle(&crate_of(files)).map(|way| way.iter().map(|m| m.join("::")).collect());
    let c = ("c", "fn f() { super::a::g() }");
    let found: Option<Vec<String>> = round(&[("a", "use crate::{b::{X as Y, Z}, other};"), ("b", "use super::c;"), c]);
    assert_eq!(found.unwrap(), ["a", "b", "c", "a"]);
    for a in ["// use crate::c;", "use crate::d::c;", "fn c() { \"crate::c\" }", "use other::crate_::c;"] {
        assert_eq!(round(&[("a", a), c]), None::<Vec<String>>, "{a}");
    }
    // a parent and its children
    assert_eq!(round(&[("a", "use crate::a::b;"), ("a::b", "use super::f; use crate::a;")]), None::<Vec<String>>);
}

#[test]
fn no_file_is_longer_than_450_lines() {
    let mut long = Vec::new();
    for path in all_sources() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        if lines > MOST_LINES_OF_A_FILE {
            long.push(format!("{} has {lines} lines", path.display()));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Each function of a text with the lines from its name to its closing brace.
fn functions(text: &str) -> Vec<(String, usize)> {
    let code = code_of(text);
    let tokens = tokens(&code);
    let mut found = Vec::new();
    for (start, pair) in tokens.windows(2).enumerate() {
        // a type such as fn() has no name
        if pair[0].text != "fn" || !is_word(pair[1].text) {
            continue;
        }
        let (mut brackets, mut braces) = (0, 0);
        for token in &tokens[start..] {
            match token.text {
                "(" | "[" => brackets += 1,
                ")" | "]" => brackets -= 1,
                "{" => braces += 1,
                "}" => braces -= 1,
                // a promise of a trait
                ";" if brackets == 0 && braces == 0 => break,
                _ => {}
            }
            if token.text == "}" && braces == 0 {
                found.push((pair[1].text.into(), token.line - pair[0].line + 1));
                break;
            }
        }
    }
    found
}

#[test]
fn no_function_is_longer_than_70_lines() {
    let (mut long, mut used) = (Vec::new(), BTreeSet::new());
    for path in all_sources() {
        for (name, lines) in functions(&fs::read_to_string(&path).unwrap()) {
            let is = |(file, function): (&str, &str)| path.ends_with(file) && name == function;
            let free = LONG_FUNCTIONS.iter().position(|(file, function, _)| is((file, function)));
            if lines > MOST_LINES_OF_A_FUNCTION {
                used.extend(free);
                if free.is_none() {
                    long.push(format!("{}: {name} has {lines} lines", path.display()));
                }
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
    assert_eq!(used.len(), LONG_FUNCTIONS.len(), "each exception is one still: {used:?}");
}

/// A module by its names from the crate's root.
type Module = Vec<String>;

/// The sources of a crate without comments, texts and tests.
fn modules(source: &Path) -> BTreeMap<Module, String> {
    let mut paths = Vec::new();
    sources(source, &mut paths);
    let module = |path: PathBuf| {
        let names = path.strip_prefix(source).unwrap().with_extension("");
        let mut names: Module = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        names.pop_if(|name| ["lib", "main", "mod"].contains(&name.as_str()));
        let code = code_of(&fs::read_to_string(path).unwrap());
        // clippy holds that nothing follows them
        (names, code.split("#[cfg(test)]\nmod tests {").next().unwrap().to_string())
    };
    paths.into_iter().map(module).collect()
}

/// The paths that begin with `crate` or `super`, in `use` and elsewhere.
fn paths(code: &str) -> Vec<Vec<String>> {
    let tokens: Vec<&str> = tokens(code).into_iter().map(|token| token.text).collect();
    let mut found = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        // `super::super`, and `$crate` of a macro
        let goes_on = at > 0 && ["::", "$"].contains(&tokens[at - 1]);
        if ["crate", "super"].contains(&pair[0]) && pair[1] == "::" && !goes_on {
            branch(&tokens[at..], &[], &mut found);
        }
    }
    found
}

/// Takes apart what `use` imports, after the names before it. Returns how many tokens that were.
fn branch(tokens: &[&str], before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let (mut path, mut at) = (before.to_vec(), 0);
    loop {
        match tokens.get(at) {
            Some(&"{") => loop {
                at += 1;
                if tokens.get(at).is_some_and(|token| *token != "}") {
                    at += branch(&tokens[at..], &path, found);
                }
                match tokens.get(at) {
                    Some(&",") => {}
                    Some(&"}") => return at + 1,
                    _ => return at,
                }
            },
            Some(word) if is_word(word) || *word == "*" => path.push((*word).to_string()),
            _ => break,
        }
        at += 1;
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    found.push(path);
    if tokens.get(at) == Some(&"as") { at + 2 } else { at }
}

/// The module that a path of another one names, as far as it names one: what is exported again is taken to be there.
fn named<'a>(from: &Module, path: &[String], all: &'a BTreeMap<Module, String>) -> Option<&'a Module> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    let (mut place, rest) = match supers {
        0 => (Module::new(), &path[1..]),
        _ => (from[..from.len().saturating_sub(supers)].to_vec(), &path[supers..]),
    };
    for name in rest {
        place.push(name.clone());
        if !all.contains_key(&place) {
            place.pop();
            break;
        }
    }
    all.get_key_value(&place).map(|(module, _)| module)
}

/// A shortest way over imports from a module to itself. What is between parents and children does not count.
fn circle(all: &BTreeMap<Module, String>) -> Option<Vec<&Module>> {
    let imports = |(from, code): (&Module, &String)| {
        let others = paths(code).iter().filter_map(|path| named(from, path, all)).collect::<BTreeSet<_>>();
        others.into_iter().filter(|to| !to.starts_with(from) && !from.starts_with(to)).collect::<Vec<_>>()
    };
    let graph: BTreeMap<&Module, Vec<&Module>> = all.iter().map(|module| (module.0, imports(module))).collect();
    let from = |start| {
        let (mut ways, mut seen) = (vec![vec![start]], BTreeSet::new());
        while !ways.is_empty() {
            let longer =
                |way: &Vec<_>| graph[way[way.len() - 1]].iter().map(|to| [&way[..], &[*to]].concat()).collect();
            ways = ways.iter().flat_map(|way| -> Vec<Vec<&Module>> { longer(way) }).collect();
            ways.retain(|way| seen.insert(way[way.len() - 1]));
            if let Some(round) = ways.iter().find(|way| way[way.len() - 1] == start) {
                return Some(round.clone());
            }
        }
        None
    };
    all.keys().filter_map(from).min_by_key(|way| way.len())
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let mut circles = Vec::new();
    for package in &metadata.packages {
        // one crate lets its parts know each other
        if package.name.as_str() == "distill" {
            continue;
        }
        let all = modules(&package.manifest_path.parent().unwrap().join("src").into_std_path_buf());
        if let Some(way) = circle(&all) {
            let way: Vec<String> = way.iter().map(|module| module.join("::")).collect();
            circles.push(format!("{}: {}", package.name, way.join(" -> ")));
        }
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn unsafe_code_stands_in_the_kernels_of_ring64_only() {
    let source = root().join("crates/ring64/src");
    let kernels = ["avx2.rs", "avx2", "avx512.rs", "avx512", "neon.rs", "neon", "recompiled.rs", "tiles.rs"];
    let kernels = kernels.map(|name| source.join(name));
    let (word, allowed) = (["un", "safe"].concat(), ["allow(un", "safe_code"].concat());
    let mut found = 0;
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().map(|l| l.split("//").next().unwrap_or_default());
        // the word itself, not a part of a longer one such as the lint's name
        let is_code = |line: &str| {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            words.into_iter().any(|w| w == word) || line.contains(&allowed)
        };
        let lines = code.filter(|line| is_code(line)).count();
        let kernel = kernels.iter().any(|kernel| path.starts_with(kernel));
        assert!(lines == 0 || kernel, "{} holds {word} code", path.display());
        found += lines;
    }
    assert!(found > 0, "the search finds what is there");
}

#[test]
fn no_module_is_called_after_nothing_in_particular() {
    for path in all_sources() {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let vague = ["utils", "util", "common", "helpers", "helper", "manager", "misc"];
        assert!(!vague.contains(&stem.as_str()), "{}", path.display());
    }
}

/// What the README's test command leaves out, `.ci/run` runs by name: the name of each test after its `ignore`.
#[test]
fn every_long_test_is_named_in_the_gate() {
    let mark = ["#[ignore = \"", "long: .ci/run runs it by name\"]\nfn "].concat();
    let mut long = Vec::new();
    for path in all_sources() {
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let names = text.split(&mark).skip(1).map(|rest| rest.split('(').next().unwrap());
        long.extend(names.map(|name| format!("{module}::{name}")));
    }
    let gate = fs::read_to_string(root().join(".ci/run")).unwrap();
    let listed = gate.split("\nlong=(").nth(1).unwrap().split(')').next().unwrap();
    let mut listed: Vec<_> = listed.split_whitespace().map(String::from).collect();
    long.sort();
    listed.sort();
    assert_eq!(long, listed);
    assert!(!long.is_empty());
}
