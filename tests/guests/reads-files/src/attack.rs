//! What a library would not do: every function that could change something, and paths and files of every odd kind.

use floe_guest::{Context, Failure, Json, Node, Outcome, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::wasi::wasi::filesystem::preopens::get_directories;
use self::wasi::wasi::filesystem::types::{Datetime, Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags};

mod wasi {
    wit_bindgen::generate!({
        path: "wit",
        world: "attacker",
        generate_all,
    });
}

/// What to do with a path, in the first directory that was granted.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    /// Opens with these flags: `create`, `directory`, `exclusive`, `truncate`, `read`, `write`, `mutate`, `follow`; and reads a byte.
    Open(String, Vec<String>),
    Stat(String),
    ReadLink(String),
    CreateDirectory(String),
    RemoveDirectory(String),
    Unlink(String),
    Rename(String, String),
    Link(String, String),
    Symlink(String, String),
    SetTimes(String),
    /// Opens to read, and then does all that changes a file.
    ChangeOpen(String),
    /// Opens a directory, lists it so many times at once, and gives the number of entries of all.
    List(String, usize),
    /// Lists the directory that was granted by the descriptor that it came with, and gives the names of its entries, in order.
    ListGranted,
    Hash(String),
}

/// Does one of these.
pub(crate) struct Attack;

impl Node for Attack {
    const NAME: &'static str = "attack";
    const DESCRIPTION: &'static str = "Does to its directory what it is told to, and gives what came of each.";
    type Config = ();
    type Input = Vec<Op>;
    type Output = Json;

    fn handle((): (), ops: Vec<Op>, _: &Context) -> Result<Outcome<Json>> {
        let mut directories = get_directories();
        if directories.is_empty() {
            return Err(Failure::not_found("no directory"));
        }
        let (dir, _) = directories.remove(0);
        let told = |op| run(&dir, op).unwrap_or_else(|error| json!(format!("error: {}", error.name())));
        let all: Vec<Value> = ops.into_iter().map(told).collect();
        Ok(Json::new(&all)?.into())
    }
}

fn run(dir: &Descriptor, op: Op) -> std::result::Result<Value, ErrorCode> {
    let done = |()| json!("done");
    let later = NewTimestamp::Timestamp(Datetime { seconds: 1, nanoseconds: 0 });
    match op {
        Op::Open(path, flags) => {
            let has = |flag: &str| flags.iter().any(|given| given == flag);
            let open = |flag, value| if has(flag) { value } else { OpenFlags::empty() };
            let open = open("create", OpenFlags::CREATE)
                | open("directory", OpenFlags::DIRECTORY)
                | open("exclusive", OpenFlags::EXCLUSIVE)
                | open("truncate", OpenFlags::TRUNCATE);
            let mode = |flag, value| if has(flag) { value } else { DescriptorFlags::empty() };
            let mode = mode("read", DescriptorFlags::READ)
                | mode("write", DescriptorFlags::WRITE)
                | mode("mutate", DescriptorFlags::MUTATE_DIRECTORY);
            let follow = if has("follow") { PathFlags::SYMLINK_FOLLOW } else { PathFlags::empty() };
            let opened = dir.open_at(follow, &path, open, mode)?;
            Ok(opened.read(1, 0).map_or_else(|error| json!(format!("opened, {}", error.name())), |(bytes, _)| json!(bytes)))
        }
        Op::Stat(path) => dir.stat_at(PathFlags::SYMLINK_FOLLOW, &path).map(|stat| json!(format!("{:?}", stat.type_))),
        Op::ReadLink(path) => dir.readlink_at(&path).map(|to| json!(to)),
        Op::CreateDirectory(path) => dir.create_directory_at(&path).map(done),
        Op::RemoveDirectory(path) => dir.remove_directory_at(&path).map(done),
        Op::Unlink(path) => dir.unlink_file_at(&path).map(done),
        Op::Rename(from, to) => dir.rename_at(&from, dir, &to).map(done),
        Op::Link(from, to) => dir.link_at(PathFlags::empty(), &from, dir, &to).map(done),
        Op::Symlink(to, path) => dir.symlink_at(&to, &path).map(done),
        Op::SetTimes(path) => dir.set_times_at(PathFlags::empty(), &path, later, NewTimestamp::Now).map(done),
        Op::ChangeOpen(path) => {
            let file = dir.open_at(PathFlags::empty(), &path, OpenFlags::empty(), DescriptorFlags::READ)?;
            let told = [
                file.set_size(0),
                file.set_times(later, later),
                file.write(b"x", 0).map(|_| ()),
                file.write_via_stream(0).map(|_| ()),
                file.append_via_stream().map(|_| ()),
                file.sync(),
                file.sync_data(),
            ];
            Ok(told.into_iter().map(|told| json!(told.map_err(|error| error.name().to_owned()))).collect())
        }
        Op::List(path, times) => {
            let open = dir.open_at(PathFlags::empty(), &path, OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
            let listings = (0..times).map(|_| open.read_directory()).collect::<std::result::Result<Vec<_>, _>>()?;
            let mut entries = 0;
            for listing in &listings {
                while listing.read_directory_entry()?.is_some() {
                    entries += 1;
                }
            }
            Ok(json!(entries))
        }
        Op::ListGranted => list(dir).map(|names| json!(names)),
        Op::Hash(path) => dir.metadata_hash_at(PathFlags::empty(), &path).map(|_| json!("hashed")),
    }
}

fn list(dir: &Descriptor) -> std::result::Result<Vec<String>, ErrorCode> {
    let (listing, mut names) = (dir.read_directory()?, Vec::new());
    while let Some(entry) = listing.read_directory_entry()? {
        names.push(entry.name);
    }
    names.sort_unstable();
    Ok(names)
}
