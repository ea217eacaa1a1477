//! From a case's text to the bytes of a component.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

use super::corpus::{Form, Place, Run};
use crate::builder::SERVED;

/// The rest of a plugin, with the places at which a case may stand.
const FRAME: &str = include_str!("../../../../tests/attack/frame/frame.wat");
/// What a case may import, a line each.
const IMPORTS: &str = include_str!("../../../../tests/attack/frame/imports.wat");
/// The contract.
const CONTRACT: &str = include_str!("../../../../wit/plugin/plugin.wit");
/// The world that a case is made for, without what may be granted.
const WORLD: &str = include_str!("../../../../tests/attack/frame/world.wit");

/// What a case writes for the port of the server that it is not to reach, which always has as many digits.
const PORT: &str = "99999";

/// A text of a case with the server's port in its place.
pub(super) fn with_port(text: &str, port: u16) -> String {
    text.replace(PORT, &format!("{port:05}"))
}

/// The bytes that are loaded; the error says what is wrong with the case. `port` is where the server is.
pub(super) fn encode(run: Run<'_>, port: u16) -> Result<Vec<u8>, String> {
    let case = run.case;
    let text = || repeated(case.body);
    let mut bytes = match case.form {
        Form::Core => {
            let imports: Result<Vec<&str>, String> = case.imports.iter().map(|name| import(name)).collect();
            component(&framed(&imports?.join("\n"), &repeated(&with_port(case.body, port)), run.place)?)?
        }
        Form::Whole => wat::parse_str(text()).map_err(|error| error.to_string())?,
        Form::Text => text().into_bytes(),
        Form::Hex => digits(case.body).ok_or("its bytes are not hexadecimal digits")?,
    };
    bytes.truncate(case.keep.unwrap_or(usize::MAX));
    Ok(bytes)
}

/// A plugin like that of a case, whose node `attack` does what the body says. The imports are lines as in `frame/imports.wat`.
pub(super) fn plugin(imports: &str, body: &str) -> Result<Vec<u8>, String> {
    component(&framed(imports, body, Place::Handle)?)
}

/// The line of a function that a case imports.
fn import(name: &str) -> Result<&'static str, String> {
    let is_meant = |line: &&str| line.strip_prefix("(func $").is_some_and(|rest| rest.split(' ').next() == Some(name));
    IMPORTS.lines().find(is_meant).ok_or_else(|| format!("`{name}` is no line of frame/imports.wat"))
}

/// The core module: imports, the frame, whose memory is the first, and the case, which it calls at the place.
fn framed(imports: &str, body: &str, place: Place) -> Result<String, String> {
    let hook = format!(";;@{} ", place.name());
    if place == Place::Load || !FRAME.contains(&hook) {
        return Err(format!("a core module has no place {}", place.name()));
    }
    Ok(format!("(module\n{imports}\n{}{body})\n", FRAME.replace(&hook, "")))
}

fn component(module: &str) -> Result<Vec<u8>, String> {
    let said = |error: anyhow::Error| format!("{error:#}");
    let mut module = wat::parse_str(module).map_err(|error| error.to_string())?;
    let mut resolve = Resolve::default();
    resolve.push_source("plugin.wit", CONTRACT).map_err(said)?;
    let mut capabilities = SourceMap::default();
    let mut world = WORLD.to_owned();
    for (name, interface) in SERVED {
        capabilities.push_str(&format!("{name}.wit"), interface);
        world = world.replace("world case {", &format!("world case {{\n  import floe:capability/{name}@0.1.0;"));
    }
    let capabilities = capabilities.parse().map_err(|(_, error)| error.to_string())?;
    resolve.push_group(capabilities).map_err(|error| error.to_string())?;
    let package = resolve.push_source("world.wit", &world).map_err(said)?;
    let world = resolve.select_world(&[package], Some("case")).map_err(said)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(said)?;
    // Not validated here: what is wrong with it is for the host to find.
    ComponentEncoder::default().validate(false).module(&module).map_err(said)?.encode().map_err(said)
}

/// A line `;; repeat N: TEXT` stands for N copies of the text, in each of which `#` is the copy's number.
fn repeated(body: &str) -> String {
    let mut text = String::with_capacity(body.len());
    for line in body.lines() {
        let repeat = line.trim_start().strip_prefix(";; repeat ").and_then(|line| line.split_once(": "));
        match repeat.and_then(|(times, part)| Some((times.parse::<usize>().ok()?, part))) {
            Some((times, part)) => (0..times).for_each(|copy| text += &part.replace('#', &copy.to_string())),
            None => text += line,
        }
        text.push('\n');
    }
    text
}

fn digits(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().filter(|char| !char.is_whitespace()).map(|char| u8::try_from(char.to_digit(16)?).ok()).collect();
    digits?.chunks(2).map(|pair| Some(pair.first()? << 4 | pair.get(1)?)).collect()
}
