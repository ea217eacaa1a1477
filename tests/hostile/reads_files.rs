//! A directory to read from, and nothing that could change it or lead out of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use floe_sandbox::{Ceiling, Config, Directory, Grants, Limits, MAX_LISTED, Sandbox, Tenants};
use serde_json::{Value, json};

use crate::support::{Solo, limits, origin, sandbox, soon};

pub(crate) const GUEST: &str = floe_tests::READS_FILES;

/// A directory with something of every kind, beside one that is nobody's business.
fn world() -> tempfile::TempDir {
    let world = tempfile::tempdir().unwrap();
    let data = world.path().join("data");
    fs::create_dir_all(data.join("sub/deep")).unwrap();
    fs::create_dir(world.path().join("outside")).unwrap();
    fs::write(world.path().join("outside/secret"), "secret").unwrap();
    fs::write(data.join("file"), "text").unwrap();
    fs::write(data.join("sub/deep/file"), "deep").unwrap();
    symlink("file", data.join("link")).unwrap();
    symlink("../outside/secret", data.join("out")).unwrap();
    symlink(world.path().join("outside/secret"), data.join("out-absolute")).unwrap();
    symlink("../outside", data.join("out-dir")).unwrap();
    symlink("sub/../../outside/secret", data.join("out-by-detour")).unwrap();
    symlink("loop", data.join("loop")).unwrap();
    symlink("/dev/zero", data.join("zero")).unwrap();
    assert!(Command::new("mkfifo").arg(data.join("pipe")).status().unwrap().success());
    symlink("pipe", data.join("link-to-pipe")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(data.join("socket")).unwrap());
    world
}

fn granted(dir: &Path) -> Grants {
    Grants { files: vec![Directory { dir: dir.to_owned(), name: "/data".to_owned() }], ..Grants::default() }
}

async fn solo(sandbox: &Sandbox, world: &Path, node: &str) -> Solo {
    let limits = Limits { fuel: 2_000_000_000, memory: 32 << 20, wall: Duration::from_secs(20), ..limits() };
    Solo::within(sandbox, (GUEST, "reader"), node, &granted(&world.join("data")), &limits).await
}

/// Everything below, with times, so that no change goes unnoticed.
fn everything(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let text = if meta.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
        all.push(format!("{path:?} {:?} {:?} {text}", meta.file_type(), meta.modified().unwrap()));
        if meta.is_dir() {
            all.extend(everything(&path));
        }
    }
    all.sort_unstable();
    all
}

#[tokio::test]
async fn without_a_grant_there_is_no_directory() {
    let sandbox = sandbox(1, 2);
    let attack = Solo::new(&sandbox, (GUEST, "reader"), "attack", &Grants::default()).await;
    assert_eq!(attack.fails(json!([])).await, ("not-found".to_owned(), "no directory".to_owned()));
    let read = Solo::new(&sandbox, (GUEST, "reader"), "read", &Grants::default()).await;
    for path in ["/data/file", "/etc/passwd", "file", ".", "/"] {
        assert_eq!(read.fails(json!(path)).await.0, "not-found", "{path}");
    }
}

#[tokio::test]
async fn what_is_granted_is_read() {
    let world = world();
    let sandbox = sandbox(1, 2);
    let read = solo(&sandbox, world.path(), "read").await;
    assert_eq!(read.ask("a", json!("/data/file")).await, json!("text"));
    assert_eq!(read.ask("a", json!("/data/sub/deep/file")).await, json!("deep"));
    assert_eq!(read.ask("a", json!("/data/sub/../link")).await, json!("text"));
    fs::write(world.path().join("data/file"), "changed").unwrap();
    assert_eq!(read.ask("a", json!("/data/file")).await, json!("changed"));
    let list = solo(&sandbox, world.path(), "list").await;
    assert_eq!(list.ask("a", json!("/data/sub")).await, json!(["deep"]));
    assert_eq!(list.ask("a", json!("/data")).await.as_array().map(Vec::len), Some(12));
    // Also by the descriptor that it came with, which no library reads.
    let attack = solo(&sandbox, world.path(), "attack").await;
    let listed = attack.ask("a", json!(["list_granted", "list_granted"])).await;
    assert_eq!(listed[0].as_array().map(Vec::len), Some(12), "{listed}");
    assert!(listed[0] == listed[1] && listed[0][0] == "file", "{listed}");
    // It is the directory that was there when the plugin was loaded, whatever has its name now.
    fs::rename(world.path().join("data"), world.path().join("moved")).unwrap();
    symlink("outside", world.path().join("data")).unwrap();
    assert_eq!(read.ask("a", json!("/data/file")).await, json!("changed"));
    assert_eq!(read.fails(json!("/data/secret")).await.0, "not-found");
}

#[tokio::test]
async fn nothing_is_changed() {
    let world = world();
    let sandbox = sandbox(1, 2);
    let attack = solo(&sandbox, world.path(), "attack").await;
    let before = everything(world.path());
    let open = |path: &str, flags: &[&str]| json!({ "open": [path, flags] });
    let mut ops = Vec::new();
    for path in ["file", "link", "new", "sub", "sub/", "file/", "out", "../outside/secret", "/etc/passwd", "."] {
        for flags in [
            &["write"][..],
            &["read", "write"],
            &["read", "write", "follow"],
            &["truncate"],
            &["read", "truncate"],
            &["read", "truncate", "follow"],
            &["create"],
            &["read", "create"],
            &["create", "exclusive"],
            &["read", "exclusive"],
            &["create", "truncate", "write"],
            &["directory", "create"],
            &["directory", "mutate"],
            &["read", "mutate", "follow"],
        ] {
            ops.push(open(path, flags));
        }
        for op in ["create_directory", "remove_directory", "unlink", "set_times"] {
            ops.push(json!({ op: path }));
        }
        for op in ["rename", "link", "symlink"] {
            ops.extend([json!({ op: [path, "new"] }), json!({ op: ["file", path] }), json!({ op: [path, "sub/new/"] })]);
        }
    }
    let count = ops.len();
    assert_eq!(attack.ask("a", ops.into()).await, Value::from(vec![json!("error: read-only"); count]));

    let changed = attack.ask("a", json!([{ "change_open": "file" }])).await;
    let refused = json!({ "Err": "read-only" });
    let nothing = json!({ "Ok": null });
    assert_eq!(changed[0], json!([refused, refused, refused, refused, refused, nothing, nothing]));
    assert_eq!(everything(world.path()), before);
}

#[tokio::test]
async fn nothing_leads_out_of_it() {
    let world = world();
    let sandbox = sandbox(1, 2);
    let attack = solo(&sandbox, world.path(), "attack").await;
    let absolute = world.path().join("outside/secret");
    let paths = [
        "../outside/secret",
        "sub/../../outside/secret",
        "sub/deep/../../../outside/secret",
        "..",
        "../",
        "/",
        "/etc/passwd",
        "//etc/passwd",
        absolute.to_str().unwrap(),
        "out",
        "out-absolute",
        "out-dir/secret",
        "out-by-detour",
        "zero",
        "loop",
        "file/../../outside/secret",
        "\u{0}",
        "file\u{0}",
        "",
    ];
    let mut ops = Vec::new();
    for path in paths {
        for flags in [json!(["read"]), json!(["read", "follow"]), json!(["read", "follow", "directory"]), json!([])] {
            ops.push(json!({ "open": [path, flags] }));
        }
        ops.push(json!({ "stat": path }));
    }
    let told = attack.ask("a", ops.clone().into()).await;
    for (op, told) in ops.iter().zip(told.as_array().unwrap()) {
        assert!(told.as_str().is_some_and(|told| told.starts_with("error: ")), "{op}: {told}");
    }
    // What a link says is a text of the directory.
    let links =
        attack.ask("a", json!([{ "read_link": "out" }, { "read_link": "../outside" }, { "open": ["file/", ["read"]] }])).await;
    assert_eq!(links[0], json!("../outside/secret"));
    assert!(links[1].as_str().is_some_and(|told| told.starts_with("error: ")), "{links}");
    assert!(links[2].as_str().is_some_and(|told| told.starts_with("error: ")), "{links}");
}

/// To open a pipe would wait for its other end: more often than there are threads for it.
#[tokio::test]
async fn pipes_sockets_and_devices_are_not_opened() {
    let world = world();
    let sandbox = sandbox(1, 2);
    let attack = solo(&sandbox, world.path(), "attack").await;
    let open = |path: &str| json!({ "open": [path, ["read", "follow"]] });
    for _ in 0..3 {
        let mut ops = vec![open("pipe"); 100];
        ops.extend([open("link-to-pipe"), open("socket"), json!({ "stat": "pipe" }), json!({ "hash": "pipe" }), open("file")]);
        let told = soon(attack.ask("a", ops.into())).await;
        let told = told.as_array().unwrap();
        assert!(told[..102].iter().all(|told| *told == json!("error: not-permitted")), "{told:?}");
        assert_eq!(told[102..], [json!("DescriptorType::Unknown"), json!("hashed"), json!([b't'])]);
    }
    // A directory that is a device's.
    let devices = Solo::new(&sandbox, (GUEST, "reader"), "attack", &granted(Path::new("/dev"))).await;
    let told = devices.ask("a", json!([open("zero"), open("null"), open("full")])).await;
    assert_eq!(told, json!(["error: not-permitted", "error: not-permitted", "error: not-permitted"]));
}

#[tokio::test]
async fn listings_are_bounded_before_they_are_made() {
    let world = world();
    let many = world.path().join("data/many");
    fs::create_dir(&many).unwrap();
    for number in 0..MAX_LISTED {
        fs::write(many.join(format!("{number}")), "").unwrap();
    }
    let sandbox = sandbox(1, 2);
    let attack = solo(&sandbox, world.path(), "attack").await;
    let list = |path: &str, times: usize| json!({ "list": [path, times] });
    // One at a time, as often as one likes; together with another it would be too much.
    let told =
        attack.ask("a", json!([list("many", 1), list("many", 1), list("many", 2), list("sub", 100), list("many", 1)])).await;
    assert_eq!(told, json!([MAX_LISTED, MAX_LISTED, "error: insufficient-memory", 100, MAX_LISTED]));
    fs::write(many.join("one more"), "").unwrap();
    let told = attack.ask("a", json!([list("many", 1), list("file", 1), list("pipe", 1), list(".", 1)])).await;
    let not = "error: not-directory";
    assert_eq!((&told[0], &told[1], &told[3]), (&json!("error: insufficient-memory"), &json!(not), &json!(13)), "{told}");
}

#[tokio::test]
async fn a_grant_names_a_directory_that_is_there_and_a_plain_path() {
    let world = world();
    let sandbox = sandbox(1, 1);
    let data = world.path().join("data");
    let refused = async |dirs: &[(&Path, &str)]| {
        let files = dirs.iter().map(|(dir, name)| Directory { dir: (*dir).to_owned(), name: (*name).to_owned() }).collect();
        let grants = Grants { files, ..Grants::default() };
        let error = sandbox.load("reader", &floe_tests::bytes(GUEST), &grants, &limits()).await.unwrap_err();
        error.to_string()
    };
    let line = "plugin `reader`: `plugins.reader.grants.files`: ";
    assert_eq!(refused(&[(&data, "data")]).await, format!("{line}`data` is no absolute path such as /data"));
    assert_eq!(refused(&[(&data, "/a/../b")]).await, format!("{line}`/a/../b` is no absolute path such as /data"));
    assert_eq!(refused(&[(&data, "/d"), (&data, "/d")]).await, format!("{line}`/d` is given twice"));
    let file = data.join("file");
    assert_eq!(refused(&[(&file, "/d")]).await, format!("{line}cannot read the directory `{}`: it is none", file.display()));
    let gone = refused(&[(&data.join("gone"), "/d")]).await;
    assert!(gone.starts_with(&format!("{line}cannot read the directory")) && gone.contains("No such file"), "{gone}");
}

/// A tenant's ceiling lets a plugin have the directories that it names, and no others.
#[tokio::test]
async fn a_ceiling_keeps_directories_back() {
    let world = world();
    let data = world.path().join("data").canonicalize().unwrap();
    let ceiling = |dir: &Path| Ceiling { grants: Some(granted(dir)), ..Ceiling::none() };
    let tenants = [
        ("same".into(), ceiling(&data)),
        ("around".into(), ceiling(data.parent().unwrap())),
        ("within".into(), ceiling(&data.join("sub"))),
        ("nothing".into(), Ceiling { grants: Some(Grants::default()), ..Ceiling::none() }),
    ];
    let tenants = Some(Tenants { tenants: tenants.into(), others: None });
    let sandbox = Sandbox::new(Config { instances: 2, tenants, ..Config::new(1) }).unwrap();
    let read = Solo::new(&sandbox, (GUEST, "reader"), "read", &granted(&data)).await;
    for (tenant, reads) in [("same", true), ("around", false), ("within", false), ("nothing", false)] {
        let (outputs, terminal) = read.call(origin(tenant, None, None), json!("/data/file")).await;
        assert_eq!(outputs.len(), usize::from(reads), "{tenant}: {terminal:?}");
    }
}
