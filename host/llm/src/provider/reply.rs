//! An answer as it comes together, in whatever language.

use serde_json::Value;

use crate::error::{MAX_EXPLANATION, plain};
use crate::{Error, Finish, Usage};

#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) usage: Usage,
    pub(crate) finish: Option<Finish>,
    /// The model's name for itself.
    pub(crate) model: Option<String>,
    /// Why the model will not answer.
    pub(crate) refusal: String,
    /// Nothing more comes.
    pub(crate) is_over: bool,
}

impl Reply {
    /// Notes more text, and gives it back for the reader.
    pub(crate) fn add(&mut self, text: &str) -> String {
        self.text.push_str(text);
        text.to_owned()
    }

    /// Notes the model's own name, once.
    pub(crate) fn name(&mut self, value: Option<&Value>) {
        if self.model.is_none()
            && let Some(name) = value.and_then(Value::as_str)
        {
            self.model = Some(plain(name, super::MAX_NAME));
        }
    }

    /// Whether this is an answer that can be used, when all has come.
    pub(crate) fn check(&self, name: &str) -> Result<(), Error> {
        if !self.text.is_empty() {
            return Ok(());
        }
        let model = name.to_owned();
        if !self.refusal.is_empty() {
            return Err(Error::Refused { model, message: plain(&self.refusal, MAX_EXPLANATION) });
        }
        let message = match self.finish {
            Some(Finish::Filter) => {
                return Err(Error::Refused { model, message: "its filter took all of the answer".to_owned() });
            }
            Some(Finish::Length) => "the tokens ran out before a word was said; allow more",
            Some(Finish::Stop) | None => "there is no text in it",
        };
        Err(Error::Malformed { model, message: message.to_owned(), received: String::new() })
    }
}

/// A count, where it is one.
pub(crate) fn count(value: &Value, key: &str) -> Option<u64> {
    value.get(key)?.as_u64()
}
