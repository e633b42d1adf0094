//! The rules of ARCHITECTURE.md that a machine can check.

use std::{fs, path::Path};

use tidegate_suite::root;

/// What a module must not contain.
#[derive(Clone, Copy, PartialEq)]
enum Ban {
    /// Anything is fine.
    Nothing,
    /// No waiting, no tokio: state machines and data.
    Async,
    /// No tokio at all: the world is asked through `env`.
    Tokio,
    /// Tokio's I/O traits and channels are fine; its clock, network, files and tasks are not.
    TokioWorld,
}

/// The engine's modules from the bottom up. A module may use those of its own layer and of lower ones.
const LAYERS: &[(&[&str], Ban)] = &[
    (&["defect", "id", "key_group", "instant", "error", "metrics", "recycler"], Ban::Async),
    (&["env"], Ban::TokioWorld),
    (&["stream"], Ban::Async),
    // Its report is awaited: that is how a simulated task dies at a step.
    (&["probe"], Ban::Tokio),
    (&["state", "exchange", "job"], Ban::Async),
    (&["checkpoint"], Ban::Async),
    (&["storage"], Ban::Tokio),
    (&["graph", "operator", "connector"], Ban::Tokio),
    (&["runtime"], Ban::TokioWorld),
    (&["env::real", "lib"], Ban::Nothing),
];

const LONGEST_FILE: usize = 500;

/// A source file: its path below the root of the repository, and its text.
type File = (String, String);

fn sources() -> Vec<File> {
    let mut files = Vec::new();
    for package in ["engine/src", "sim/src", "scenarios/src"] {
        collect(&root().join(package), &mut files);
    }
    assert!(files.len() > 100, "the sources were not found");
    files
}

fn collect(directory: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// `checkpoint` for `engine/src/checkpoint/pending.rs`.
fn module(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("engine/src/")?;
    if inside.starts_with("env/real/") {
        return Some("env::real");
    }
    let end = inside.find(['/', '.']).expect("a file has a suffix");
    Some(&inside[..end])
}

fn layer(module: &str) -> Option<(usize, Ban)> {
    let at = LAYERS.iter().position(|(modules, _)| modules.contains(&module))?;
    Some((at, LAYERS[at].1))
}

/// The code of a file: no comments, no tests.
fn code(path: &str, text: &str) -> String {
    let is_test_file = ["/tests.rs", "/local_executor.rs", "/memory_disk.rs"].iter().any(|end| path.ends_with(end));
    if is_test_file {
        return String::new();
    }
    let body = text.split("#[cfg(test)]\nmod tests {").next().expect("a split has a first part");
    let lines = body.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The modules of the engine that the code names: after `crate::`, and in the groups of `use crate::{…}`.
fn used_modules(code: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = |text: &'_ str| text.find(|c| !is_name(c)).unwrap_or(text.len());
    let mut used = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            used.push(module_of(rest, name(rest)));
            continue;
        };
        let mut depth = 0;
        let mut starts = true;
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => starts = true,
                c if depth == 0 && starts && is_name(c) => {
                    let rest = &group[i..];
                    used.push(module_of(rest, name(rest)));
                    starts = false;
                }
                _ => {}
            }
        }
    }
    used
}

fn module_of(path: &str, len: usize) -> &str {
    if path.starts_with("env::real") { "env::real" } else { &path[..len] }
}

/// Everything that breaks a rule.
fn violations(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files {
        let code = code(path, text);
        let mut complain = |what: String| found.push(format!("{path}: {what}"));
        if !text.starts_with("//!") {
            complain("does not begin with what it is about".into());
        }
        if text.lines().count() > LONGEST_FILE {
            complain(format!("is longer than {LONGEST_FILE} lines: it holds more than one concept"));
        }
        let rooms = ["engine/src/", "sim/src/", "scenarios/src/"];
        let is_room = rooms.iter().any(|r| path.strip_prefix(r).is_some_and(|p| p.matches('/').count() == 1));
        if is_room && path.ends_with("/mod.rs") && !text.contains("Deliberately absent") {
            complain("does not say what is deliberately absent".into());
        }
        if !path.starts_with("sim/") && code.contains("madsim::") {
            complain("names madsim, which belongs into sim".into());
        }
        let Some(own) = module(path) else { continue };
        let Some((own_layer, ban)) = layer(own) else {
            complain(format!("module {own} stands in no layer"));
            continue;
        };
        for used in used_modules(&code) {
            match layer(used) {
                Some((layer, _)) if layer > own_layer => complain(format!("uses {used}, which is above {own}")),
                _ => {}
            }
        }
        let banned: &[&str] = match ban {
            Ban::Nothing => &[],
            Ban::Async => &["async ", ".await", "tokio", "std::fs", "std::net", "std::time::Instant", "std::thread"],
            Ban::Tokio => &["tokio", "std::fs", "std::net", "std::thread"],
            Ban::TokioWorld => {
                &["tokio::net", "tokio::time", "tokio::fs", "tokio::spawn", "tokio::task", "std::fs", "std::net::Tcp"]
            }
        };
        for word in banned.iter().filter(|word| code.contains(**word)) {
            complain(format!("contains {word}, which layer {own_layer} must not"));
        }
    }
    found
}

#[test]
fn the_rules_hold() {
    let found = violations(&sources());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A rule that cannot be broken is none.
#[test]
fn each_rule_can_be_broken() {
    let file = |path: &str, text: &str| vec![(path.to_owned(), text.to_owned())];
    let cases = [
        ("engine/src/state/heap.rs", "fn f() {}", "does not begin with"),
        ("sim/src/run.rs", &("//! x\n".to_owned() + &"\n".repeat(500)), "is longer than"),
        ("sim/src/fault/mod.rs", "//! x", "deliberately absent"),
        ("engine/src/job/a.rs", "//! x\nuse madsim::time;", "names madsim"),
        ("engine/src/tide/a.rs", "//! x", "stands in no layer"),
        ("engine/src/state/a.rs", "//! x\nuse crate::runtime::Session;", "uses runtime"),
        ("engine/src/state/a.rs", "//! x\nuse crate::{id::{A, B}, graph::JobGraph};", "uses graph"),
        ("engine/src/runtime/a.rs", "//! x\nfn f() { crate::env::real::env() }", "uses env::real"),
        ("engine/src/checkpoint/a.rs", "//! x\npub async fn f() {}", "contains async"),
        ("engine/src/storage/a.rs", "//! x\nuse tokio::sync::mpsc;", "contains tokio"),
        ("engine/src/runtime/a.rs", "//! x\nuse tokio::net::TcpStream;", "contains tokio::net"),
    ];
    for (path, text, complaint) in cases {
        let found = violations(&file(path, text));
        assert!(found.iter().any(|f| f.contains(complaint)), "{path}: {complaint}: {found:?}");
    }
    let fine = "//! x\nuse crate::{id::{A, B}, stream};\n// use crate::runtime\n#[cfg(test)]\nmod tests {\nuse crate::runtime;";
    assert_eq!(violations(&file("engine/src/state/a.rs", fine)), [""; 0]);
}

/// The top level is what the customer fixed: these folders, and documents.
#[test]
fn the_top_level() {
    let mut names: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        // The reports in `docs` are made by a program, which may not have run yet.
        .filter(|name| !name.starts_with('.') && name != "target" && name != "docs")
        .collect();
    names.sort();
    assert_eq!(names, ["benches", "engine", "scenarios", "sim", "tests"]);
}
