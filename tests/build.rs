//! Builds every guest in one nested cargo with a target directory of its own, so that it does not wait for the outer one's lock.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages of the guests.
const GUESTS: [&str; 15] = [
    "cookbook",
    "echo",
    "text",
    "evil",
    "evil-describe",
    "evil-names",
    "evil-schema",
    "calls-http",
    "calls-subflow",
    "calls-tools",
    "reads-files",
    "wants-clock",
    "wants-http",
    "wants-random",
    "wants-state",
];
const TARGET: &str = "wasm32-wasip2";

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the workspace").to_owned();
    for part in ["wit", "guest-sdk/rust", "plugins", "tests/guests", "Cargo.lock", "Cargo.toml"] {
        println!("cargo:rerun-if-changed={}", root.join(part).display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    add_target(&root);
    let target_dir = out.join("guests");
    build(&root, &target_dir);
    fs::write(out.join("guests.rs"), bindings(&target_dir.join(TARGET).join("release"))).expect("OUT_DIR can be written");
}

/// A fresh machine has the toolchain, but not the target.
fn add_target(root: &Path) {
    let printed = nested("rustc", root).args(["--print", "target-libdir", "--target", TARGET]).output();
    let libdir = printed.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if Path::new(&libdir).is_dir() {
        return;
    }
    println!("cargo:warning=adding the target {TARGET} with rustup");
    let added = nested("rustup", root).args(["target", "add", TARGET]).status();
    assert!(added.is_ok_and(|status| status.success()), "`rustup target add {TARGET}` failed; the guests need this target");
}

fn build(root: &Path, target_dir: &Path) {
    let mut cargo = nested(env!("CARGO"), root);
    cargo.args(["build", "--release", "--target", TARGET, "--target-dir"]).arg(target_dir);
    for guest in GUESTS {
        cargo.args(["-p", guest]);
    }
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "the guests do not build");
}

/// A command without what the outer cargo set for its own build.
fn nested(program: &str, root: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root);
    for (name, _) in env::vars_os() {
        let inherited = name.to_string_lossy();
        let outer = [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
        ];
        if outer.contains(&&*inherited) || inherited.starts_with("CARGO_CFG_") || inherited.starts_with("CARGO_FEATURE_") {
            command.env_remove(&name);
        }
    }
    command
}

/// A constant with the path of each guest, and a macro over all of them.
fn bindings(dir: &Path) -> String {
    let mut code = String::new();
    let mut each = String::new();
    for guest in GUESTS {
        let name = guest.replace('-', "_");
        let path = dir.join(format!("{name}.wasm"));
        assert!(path.is_file(), "{} is missing", path.display());
        writeln!(code, "/// The component of `{guest}`.\npub const {}: &str = {path:?};", name.to_uppercase())
            .expect("a string takes all");
        write!(each, "$each!({name});").expect("a string takes all");
    }
    write!(code, "/// Calls a macro with the name of each guest.\n#[macro_export]\nmacro_rules! foreach_guest {{ ($each:ident) => {{ {each} }} }}\n")
        .expect("a string takes all");
    code
}
