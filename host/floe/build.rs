//! Lists the hostile components of `tests/attack`, so that the program carries them: `attack.rs` in the folder of the build.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/attack");
    let folder = folder.canonicalize().expect("the repository has tests/attack");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder can be read")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .collect();
    files.sort();
    let mut list = String::from("&[\n");
    for file in &files {
        let name = file.file_stem().and_then(|stem| stem.to_str()).expect("cases have plain names");
        writeln!(list, "    ({name:?}, include_str!({:?})),", file.display().to_string()).expect("a string takes text");
    }
    list.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("attack.rs"), list).expect("OUT_DIR can be written");
}
