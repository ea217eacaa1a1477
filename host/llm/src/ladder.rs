//! Structured output from any model, down a ladder: the provider's own schema mode, its JSON mode, the prompt alone. What comes back is
//! looked for, repaired where that invents nothing, and checked by the caller; if it does not fit, the model is told once why; then the
//! next model is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;
use tracing::warn;

use crate::error::plain;
use crate::extract::{Candidate, candidates};
use crate::{Answer, Error, Finish, MAX_RECEIVED, Message, Model, Output, Request, Role, Schema};

/// Times that a model is told what was wrong. A second time seldom helps, and each costs as much as the first answer.
pub const CORRECTIONS: usize = 1;
/// Characters of an unusable answer that the model sees again: its own text, which it has to correct.
pub const MAX_ECHO: usize = 8_000;
/// Characters of what was wrong with an answer, for the model.
pub const MAX_COMPLAINT: usize = 1_000;

/// How a model is asked for JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// By a message that shows the schema.
    Prompt,
    /// By the provider's JSON mode, and that message.
    Json,
    /// By the provider's schema mode.
    Schema,
}

/// Models of which one shall give JSON that fits. Each [`ask`](Ladder::ask) makes several calls: whoever counts them against a budget
/// puts a [`Model`] of its own around each.
#[derive(Debug)]
pub struct Ladder {
    models: Vec<Step>,
}

/// A model, and the rung that it has not refused yet.
#[derive(Debug)]
struct Step {
    model: Arc<dyn Model>,
    rung: AtomicU8,
}

/// Says why a value is not what the caller needs; what it says is shown to the model.
pub type Fits<'a> = &'a (dyn Fn(&Value) -> Result<(), String> + Sync);

/// What came of asking.
#[derive(Debug)]
pub struct Asked {
    /// The value, or why there is none: what the last model that was asked failed with.
    pub result: Result<Found, Error>,
    /// Every answer that was got on the way, for its usage and cost.
    pub answers: Vec<Answer>,
    /// Times that a model was asked to correct itself.
    pub corrections: u32,
}

/// A value that fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The value.
    pub value: Value,
    /// Damages of the text that were repaired to read it.
    pub repairs: u32,
    /// The text broke off, and what had come fits all the same. Lists may lack their ends: not to be acted upon blindly.
    pub is_cut: bool,
    /// How the model was asked.
    pub rung: Rung,
    /// The model's [name](Model::name).
    pub model: String,
}

impl Ladder {
    /// Asks these models, in this order.
    pub fn new(models: Vec<Arc<dyn Model>>) -> Self {
        let step = |model: Arc<dyn Model>| Step { rung: AtomicU8::new(top(model.as_ref()) as u8), model };
        Self { models: models.into_iter().map(step).collect() }
    }

    /// Asks for a value of this schema that `fits`. The request's own [`Output`] does not count. Pieces are those of one answer at a
    /// time: before another one begins, the reader is told.
    pub async fn ask(&self, request: &Request, schema: &Arc<Schema>, fits: Fits<'_>) -> Asked {
        let nobody = Error::Invalid("there is no model to ask".to_owned());
        let mut asked = Asked { result: Err(nobody), answers: Vec::new(), corrections: 0 };
        for (index, step) in self.models.iter().enumerate() {
            let result = step.climb(request, schema, fits, &mut asked).await;
            let is_over = result.as_ref().map_or_else(|error| !error.moves_on(), |_| true);
            if let (Err(error), false, Some(next)) = (&result, is_over, self.models.get(index + 1)) {
                warn!(%error, model = step.model.name(), next = next.model.name(), "A model does not answer, the next one is asked.");
            }
            asked.result = result;
            if is_over {
                break;
            }
        }
        asked
    }
}

/// The highest rung that a model claims.
fn top(model: &dyn Model) -> Rung {
    match model.abilities() {
        abilities if abilities.schema => Rung::Schema,
        abilities if abilities.json => Rung::Json,
        _ => Rung::Prompt,
    }
}

impl Step {
    fn rung(&self) -> Rung {
        match self.rung.load(Ordering::Relaxed) {
            rung if rung == Rung::Schema as u8 => Rung::Schema,
            rung if rung == Rung::Json as u8 => Rung::Json,
            _ => Rung::Prompt,
        }
    }

    fn below(&self, rung: Rung) -> Option<Rung> {
        match rung {
            Rung::Schema if self.model.abilities().json => Some(Rung::Json),
            Rung::Schema | Rung::Json => Some(Rung::Prompt),
            Rung::Prompt => None,
        }
    }

    /// Asks this model, and once more with what was wrong.
    async fn climb(&self, request: &Request, schema: &Arc<Schema>, fits: Fits<'_>, asked: &mut Asked) -> Result<Found, Error> {
        let mut request = request.clone();
        let mut left = CORRECTIONS;
        loop {
            let (answer, rung) = self.descend(&request, schema).await?;
            let judged = judge(&answer, fits);
            let found = |Candidate { value, repairs, is_cut }| Found {
                value,
                repairs,
                is_cut,
                rung,
                model: self.model.name().to_owned(),
            };
            let text = answer.text.clone();
            let finish = answer.finish;
            asked.answers.push(answer);
            let why = match judged {
                Ok(candidate) => return Ok(found(candidate)),
                Err(why) => plain(&why, MAX_COMPLAINT),
            };
            let model = self.model.name().to_owned();
            if finish == Finish::Filter {
                return Err(Error::Refused { model, message: "its filter cut the answer off".to_owned() });
            }
            if left == 0 {
                return Err(Error::Malformed { model, message: why, received: plain(&text, MAX_RECEIVED) });
            }
            left -= 1;
            asked.corrections += 1;
            let echo: String = text.chars().take(MAX_ECHO).collect();
            request.messages.push(Message::new(Role::Assistant, echo));
            let complaint =
                format!("That answer cannot be used: {why}. Answer again with one corrected JSON object and nothing else.");
            request.messages.push(Message::new(Role::User, complaint));
        }
    }

    /// Asks on the highest rung that is not known to be refused, and on the next one below where it is. What a provider refuses is
    /// remembered only if it takes the same on a lower rung: else the reason is another.
    async fn descend(&self, request: &Request, schema: &Arc<Schema>) -> Result<(Answer, Rung), Error> {
        let mut rung = self.rung();
        loop {
            if let Some(pieces) = &request.pieces {
                pieces.restart(self.model.name()).await?;
            }
            match self.model.complete(&on(rung, request, schema)).await {
                Ok(answer) => {
                    if self.rung.fetch_min(rung as u8, Ordering::Relaxed) > rung as u8 {
                        warn!(
                            model = self.model.name(),
                            ?rung,
                            "A provider takes no schema or JSON mode; it is asked for JSON so."
                        );
                    }
                    return Ok((answer, rung));
                }
                Err(error @ Error::BadRequest { .. }) => rung = self.below(rung).ok_or(error)?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// The request as it goes out on this rung.
fn on(rung: Rung, request: &Request, schema: &Arc<Schema>) -> Request {
    let mut request = request.clone();
    request.output = match rung {
        Rung::Schema => Output::Schema(Arc::clone(schema)),
        Rung::Json => Output::Json,
        Rung::Prompt => Output::Text,
    };
    if rung != Rung::Schema {
        let at = request.messages.iter().take_while(|message| message.role == Role::System).count();
        let rule = format!(
            "Answer with one JSON object and nothing else, without a code fence. It must fit this JSON Schema: {}",
            schema.schema
        );
        request.messages.insert(at, Message::new(Role::System, rule));
    }
    request
}

/// The likeliest value that fits, or why the likeliest one does not.
fn judge(answer: &Answer, fits: Fits<'_>) -> Result<Candidate, String> {
    let mut why = None;
    for candidate in candidates(&answer.text) {
        match fits(&candidate.value) {
            Ok(()) => return Ok(candidate),
            Err(reason) => why = why.or(Some(reason)),
        }
    }
    let why = why.unwrap_or_else(|| "there is no JSON object in it".to_owned());
    Err(match answer.finish {
        Finish::Length => format!("it broke off at the limit of tokens, and {why}"),
        Finish::Stop | Finish::Filter => why,
    })
}
