//! JSON at the border of a plugin: text that is passed on as it came, and types that are read from it or written to it.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::plugin::types::{Failure, Field};
use crate::failure::Result;

/// Bytes of the text that an error shows before the place where reading stopped.
const EXCERPT_BYTES: usize = 40;

/// JSON text as it crosses the border, neither read nor checked.
///
/// As a node's input and output it passes payloads on untouched and has no schema. The host checks what leaves a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Json(String);

impl Json {
    /// Takes text as it is.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Writes a value.
    pub fn new(value: &impl Serialize) -> Result<Self> {
        serde_json::to_string(value).map(Self).map_err(|error| Failure::internal(format_args!("cannot write JSON: {error}")))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.0
    }

    /// Reads the text; what does not fit is `invalid-input`, and the message names the field and shows the place.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0).map_err(|error| Failure::invalid_input(explain(&self.0, &error)))
    }
}

/// What a plugin can take: [`Json`], or any type with `Deserialize` and `JsonSchema`.
pub trait FromJson: Sized {
    /// The JSON Schema of what is taken; none: anything.
    fn schema() -> Option<Json>;
    /// Reads it.
    fn from_json(json: Json) -> Result<Self>;
}

/// What a plugin can give: [`Json`], or any type with `Serialize` and `JsonSchema`.
pub trait IntoJson {
    /// The JSON Schema of what is given; none: anything.
    fn schema() -> Option<Json>;
    /// Writes it.
    fn into_json(self) -> Result<Json>;
}

impl<T: DeserializeOwned + JsonSchema> FromJson for T {
    fn schema() -> Option<Json> {
        schema_of::<T>(SchemaSettings::draft2020_12().for_deserialize())
    }

    fn from_json(json: Json) -> Result<Self> {
        json.parse()
    }
}

impl FromJson for Json {
    fn schema() -> Option<Json> {
        None
    }

    fn from_json(json: Json) -> Result<Self> {
        Ok(json)
    }
}

impl<T: Serialize + JsonSchema> IntoJson for T {
    fn schema() -> Option<Json> {
        schema_of::<T>(SchemaSettings::draft2020_12().for_serialize())
    }

    fn into_json(self) -> Result<Json> {
        Json::new(&self)
    }
}

impl IntoJson for Json {
    fn schema() -> Option<Json> {
        None
    }

    fn into_json(self) -> Result<Json> {
        Ok(self)
    }
}

/// A key with its value, for logs and the metadata of messages.
pub fn field(key: impl Into<String>, value: impl Serialize) -> Field {
    (key.into(), text_of(&value))
}

/// Writes a value where no failure can be returned: what cannot be written becomes a string that says so.
pub(crate) fn text_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| serde_json::Value::from(format!("not JSON: {error}")).to_string())
}

/// Reads a configuration. The host may pass `null` or `{}` where the flow gives none; a type may understand only one of them. If
/// it understands neither, `{}` is what its fields are missing in.
pub(crate) fn parse_config<T: FromJson>(text: String) -> Result<T> {
    match text.as_str() {
        "null" => T::from_json(Json(text)).or_else(|_| T::from_json(Json::from_text("{}"))),
        "{}" => T::from_json(Json(text)).or_else(|failure| T::from_json(Json::from_text("null")).map_err(|_| failure)),
        _ => T::from_json(Json(text)),
    }
}

/// The schema of a configuration: a type that takes nothing (`()`) is described as what the flow file can leave out.
pub(crate) fn config_schema<T: FromJson>() -> Option<String> {
    let schema = T::schema();
    if schema == <() as FromJson>::schema() {
        return Some(r#"{"type":["object","null"],"maxProperties":0}"#.to_owned());
    }
    schema.map(Json::into_text)
}

fn schema_of<T: JsonSchema>(mut settings: SchemaSettings) -> Option<Json> {
    // The contract fixes the dialect, so that naming it in each schema adds nothing.
    settings.meta_schema = None;
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let says_something = schema.as_object().is_some_and(|object| object.keys().any(|key| key != "title"));
    says_something.then(|| Json(text_of(&schema)))
}

/// serde's message, which names missing and unknown fields, and the text just before the place, which names the others.
fn explain(text: &str, error: &serde_json::Error) -> String {
    if error.line() == 0 {
        // Without a place, as for the fields of tagged enums.
        return error.to_string();
    }
    let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let end = text.floor_char_boundary(line_start + error.column());
    let start = text.floor_char_boundary(end.saturating_sub(EXCERPT_BYTES));
    let excerpt = text[start..end].replace(char::is_control, " ");
    format!("{error}, after `{excerpt}`")
}
