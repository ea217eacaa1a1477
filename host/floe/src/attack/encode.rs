//! From a case's text to the bytes of a component.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::corpus::{Form, Place, Run};

/// The rest of a plugin, with the places at which a case may stand.
const FRAME: &str = include_str!("../../../../tests/attack/frame/frame.wat");
/// What a case may import, a line each.
const IMPORTS: &str = include_str!("../../../../tests/attack/frame/imports.wat");
/// The contract, what is granted beside it, and the world of all of it and WASI.
const WORLD: [(&str, &str); 3] = [
    ("plugin.wit", include_str!("../../../../wit/plugin/plugin.wit")),
    ("subflow.wit", include_str!("../../../../wit/capability/subflow.wit")),
    ("world.wit", include_str!("../../../../tests/attack/frame/world.wit")),
];

/// The bytes that are loaded; the error says what is wrong with the case.
pub(super) fn encode(run: Run<'_>) -> Result<Vec<u8>, String> {
    let case = run.case;
    let text = || repeated(case.body);
    let mut bytes = match case.form {
        Form::Core => component(&framed(run)?)?,
        Form::Whole => wat::parse_str(text()).map_err(|error| error.to_string())?,
        Form::Text => text().into_bytes(),
        Form::Hex => digits(case.body).ok_or("its bytes are not hexadecimal digits")?,
    };
    bytes.truncate(case.keep.unwrap_or(usize::MAX));
    Ok(bytes)
}

/// The core module: imports, the frame, whose memory is the first, and the case, which it calls at the place.
fn framed(run: Run<'_>) -> Result<String, String> {
    let mut module = String::from("(module\n");
    for name in &run.case.imports {
        let line =
            IMPORTS.lines().find(|line| line.strip_prefix("(func $").is_some_and(|rest| rest.split(' ').next() == Some(name)));
        module += line.ok_or_else(|| format!("`{name}` is no line of frame/imports.wat"))?;
        module.push('\n');
    }
    let hook = format!(";;@{} ", run.place.name());
    if run.place == Place::Load || !FRAME.contains(&hook) {
        return Err(format!("a core module has no place {}", run.place.name()));
    }
    module += &FRAME.replace(&hook, "");
    module += &repeated(run.case.body);
    module.push_str(")\n");
    Ok(module)
}

fn component(module: &str) -> Result<Vec<u8>, String> {
    let said = |error: anyhow::Error| format!("{error:#}");
    let mut module = wat::parse_str(module).map_err(|error| error.to_string())?;
    let mut resolve = Resolve::default();
    let mut world = None;
    for (file, text) in WORLD {
        world = Some(resolve.push_source(file, text).map_err(said)?);
    }
    let package = world.ok_or("there is no world")?;
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
