//! What a component asks for and consists of, read from its bytes: nothing is compiled and nothing runs.

use std::collections::BTreeSet;

use serde::Serialize;
use sha2::{Digest, Sha256};
use wasmparser::{ComponentExternName, ComponentInstance, Instance, Parser, Payload};
use wasmtime::{Engine, Precompiled};

use crate::Error;
use crate::interface::{Class, Interface, classify};

/// What a component says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// `component`; anything else is an error of [`inspect`].
    pub kind: &'static str,
    /// Bytes.
    pub size: u64,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The versions of `floe:plugin` that its imports and exports name; one in a sound component.
    pub contract: BTreeSet<String>,
    /// It exports `floe:plugin/node`.
    pub node: bool,
    /// It exports `floe:plugin/toolset`.
    pub toolset: bool,
    /// Everything exported, as written.
    pub exports: Vec<String>,
    /// Everything imported, by what the host makes of it.
    pub imports: Imports,
    /// How much there is of what takes time or memory.
    pub counts: Counts,
}

/// Imports by what the host makes of them, each as written and in the component's order.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Imports {
    /// Interfaces of `floe:plugin`: always there.
    pub contract: Vec<String>,
    /// WASI without effect outside the call: always there.
    pub inert: Vec<String>,
    /// Interfaces of `floe:capability`: each needs a grant.
    pub capabilities: Vec<String>,
    /// The rest of WASI: each needs a grant.
    pub wasi: Vec<String>,
    /// No interface that this host knows.
    pub unknown: Vec<String>,
}

impl Imports {
    /// What needs a grant or is unknown, in that order.
    pub fn questionable(&self) -> impl Iterator<Item = &String> {
        self.capabilities.iter().chain(&self.wasi).chain(&self.unknown)
    }

    /// The keys under `grants` of what it asks for, and the names of imports that no grant gives.
    pub fn asks(&self) -> impl Iterator<Item = String> {
        self.questionable().map(|import| crate::interface::key(import).map_or_else(|| crate::plain(import, 128), str::to_owned))
    }

    fn group(&mut self, class: Class) -> &mut Vec<String> {
        match class {
            Class::Contract => &mut self.contract,
            Class::Inert => &mut self.inert,
            Class::Capability => &mut self.capabilities,
            Class::Wasi => &mut self.wasi,
            Class::Unknown => &mut self.unknown,
        }
    }
}

/// How much there is, the component's parts at any depth included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Functions with a body.
    pub functions: u64,
    /// Memories.
    pub memories: u64,
    /// Tables.
    pub tables: u64,
    /// Core modules.
    pub modules: u64,
    /// Components within the component.
    pub components: u64,
    /// Imports of the component and of its parts.
    pub imports: u64,
    /// Places where a module or component is instantiated.
    pub instances: u64,
}

/// Reads a component's imports, exports and sizes.
///
/// # Errors
/// [`Error::NotAComponent`] and [`Error::Damaged`].
pub fn inspect(bytes: &[u8]) -> Result<Inspection, Error> {
    check_kind(bytes)?;
    let mut inspection = Inspection {
        kind: "component",
        size: number(bytes.len()),
        digest: digest(bytes),
        contract: BTreeSet::new(),
        node: false,
        toolset: false,
        exports: Vec::new(),
        imports: Imports::default(),
        counts: Counts::default(),
    };
    let damaged = |Unreadable { offset, reason }| Error::Damaged { offset: number(offset), size: number(bytes.len()), reason };
    let (mut depth, mut names) = (0_u32, 0);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| damaged(error.into()))?;
        match &payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
        count(&payload, &mut inspection.counts).map_err(|error| damaged(error.into()))?;
        if depth == 1 {
            name(payload, &mut names, &mut inspection).map_err(damaged)?;
        }
    }
    Ok(inspection)
}

/// The most that the local variables of a function times its loops may be. The compiler keeps each variable at each loop: a
/// function of 16 KiB with a thousand of both takes it gigabytes, and those that compilers write stay far below this.
pub const MAX_FUNCTION_WORK: u64 = 250_000;

/// Refuses functions that would take a compiler more than their size lets expect.
pub(crate) fn check_functions(bytes: &[u8]) -> Result<(), Error> {
    let damaged = |Unreadable { offset, reason }| Error::Damaged { offset: number(offset), size: number(bytes.len()), reason };
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::CodeSectionEntry(body) = payload.map_err(|error| damaged(error.into()))? {
            let work = function_work(&body).map_err(|error| damaged(error.into()))?;
            if work > MAX_FUNCTION_WORK {
                let at = body.range().start;
                return Err(Error::Compile(format!(
                    "the function at byte {at} has too many local variables and loops for a compiler: {work} as their product, \
                     {MAX_FUNCTION_WORK} at most; split it"
                )));
            }
        }
    }
    Ok(())
}

fn function_work(body: &wasmparser::FunctionBody<'_>) -> wasmparser::Result<u64> {
    let mut locals = 0_u64;
    for local in body.get_locals_reader()? {
        locals += u64::from(local?.0);
    }
    let mut loops = 0_u64;
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        loops += u64::from(matches!(operators.read()?, wasmparser::Operator::Loop { .. }));
    }
    Ok(locals * loops)
}

/// What cannot be read, and where.
struct Unreadable {
    offset: usize,
    reason: String,
}

impl From<wasmparser::BinaryReaderError> for Unreadable {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self { offset: error.offset(), reason: error.message().to_owned() }
    }
}

/// Counts what the payload announces, at any depth.
fn count(payload: &Payload<'_>, counts: &mut Counts) -> wasmparser::Result<()> {
    match payload {
        Payload::FunctionSection(section) => counts.functions += u64::from(section.count()),
        Payload::MemorySection(section) => counts.memories += u64::from(section.count()),
        Payload::TableSection(section) => counts.tables += u64::from(section.count()),
        Payload::ImportSection(section) => counts.imports += u64::from(section.count()),
        Payload::ComponentImportSection(section) => counts.imports += u64::from(section.count()),
        Payload::ModuleSection { .. } => counts.modules += 1,
        Payload::ComponentSection { .. } => counts.components += 1,
        Payload::InstanceSection(section) => {
            for instance in section.clone() {
                counts.instances += u64::from(matches!(instance?, Instance::Instantiate { .. }));
            }
        }
        Payload::ComponentInstanceSection(section) => {
            for instance in section.clone() {
                counts.instances += u64::from(matches!(instance?, ComponentInstance::Instantiate { .. }));
            }
        }
        _ => {}
    }
    Ok(())
}

/// More names than any component has at its outside.
const MAX_NAMES: usize = 10_000;

/// What the component model allows in the name of an import or export, and people can read. Everything that is made of a name
/// later, for a terminal, a log or a file, relies on this.
fn check_name(name: &str, offset: usize, known: &mut usize) -> Result<(), Unreadable> {
    *known += 1;
    if *known > MAX_NAMES {
        return Err(Unreadable { offset, reason: format!("it has more than {MAX_NAMES} imports and exports") });
    }
    match name.chars().find(|char| !char.is_ascii_graphic()) {
        Some(char) => Err(Unreadable { offset, reason: format!("the name of an import or export contains {char:?}") }),
        None => Ok(()),
    }
}

/// Takes down the names of the outermost component's imports and exports.
fn name(payload: Payload<'_>, known: &mut usize, inspection: &mut Inspection) -> Result<(), Unreadable> {
    match payload {
        Payload::ComponentImportSection(section) => {
            for import in section.into_iter_with_offsets() {
                let (offset, import) = import?;
                let ComponentExternName { name, .. } = import.name;
                check_name(name, offset, known)?;
                let class = classify(name);
                if let (Class::Contract, Some(interface)) = (class, Interface::parse(name)) {
                    inspection.contract.insert(interface.version.unwrap_or_default().to_owned());
                }
                inspection.imports.group(class).push(name.to_owned());
            }
        }
        Payload::ComponentExportSection(section) => {
            for export in section.into_iter_with_offsets() {
                let (offset, export) = export?;
                let ComponentExternName { name, .. } = export.name;
                check_name(name, offset, known)?;
                if let Some(interface) = Interface::parse(name).filter(|interface| interface.package == "floe:plugin") {
                    inspection.contract.insert(interface.version.unwrap_or_default().to_owned());
                    inspection.node |= interface.name == "node";
                    inspection.toolset |= interface.name == "toolset";
                }
                inspection.exports.push(name.to_owned());
            }
        }
        _ => {}
    }
    Ok(())
}

/// Tells a component from what else people hand in.
fn check_kind(bytes: &[u8]) -> Result<(), Error> {
    const MAGIC: &[u8] = b"\0asm";
    let not = |found, remedy| Err(Error::NotAComponent { found, remedy });
    if bytes.is_empty() {
        return not("the file is empty", "build or fetch the plugin again");
    }
    if let Some(Precompiled::Component | Precompiled::Module) = Engine::detect_precompiled(bytes) {
        return not(
            "this is machine code that Wasmtime compiled, and a host only runs what it compiled itself",
            "give the component (.wasm) instead",
        );
    }
    if bytes.len() < 8 && MAGIC.starts_with(&bytes[..bytes.len().min(4)]) {
        let size = number(bytes.len());
        return Err(Error::Damaged { offset: size, size, reason: "it ends within the header".to_owned() });
    }
    if !bytes.starts_with(MAGIC) {
        let head = &bytes[..bytes.len().min(1024)];
        let text = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true) && !head.contains(&0);
        let found = if text { "this is text, not a compiled component" } else { "this is not WebAssembly" };
        return not(found, "give the component (.wasm) that `floe build` makes of the plugin's source");
    }
    if !Parser::is_component(bytes) {
        return not(
            if Parser::is_core_wasm(bytes) {
                "this is a core WebAssembly module, not a component"
            } else {
                "this is WebAssembly of a version that this host does not know"
            },
            "build the plugin for a component target such as wasm32-wasip2",
        );
    }
    Ok(())
}

/// What a component's bytes are called: `sha256:` and 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

fn number(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
