//! Language models behind one trait: providers, retries and fallbacks, structured output, prices, and scripts in a provider's place.
//!
//! It knows no flow, no WebAssembly, no files and no environment: keys, tables and scripts come to it as text. Start at [`Model`]:
//! [`Remote`] is a provider's, [`Scripted`] follows a script, and [`Retry`], [`Fallback`] and [`Recorder`] are models around models.
//! [`Ladder`] gets JSON that fits out of any of them, and [`Partial`] reads JSON while it is streamed.
//!
//! ```
//! use std::sync::Arc;
//!
//! use floe_llm::{Ladder, Request, Schema, Scripted};
//! use serde_json::json;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let model = Scripted::parse("demo", r#"
//!     {"text": "Let me see.\n```json\n{\"answer\": 42,}\n```", "usage": {"input": 9, "output": 12}}
//! "#)?;
//! let ladder = Ladder::new(vec![Arc::new(model)]);
//! let schema = json!({ "type": "object", "required": ["answer"] });
//! let schema = Arc::new(Schema { name: "reply".to_owned(), schema });
//! let fits = |value: &serde_json::Value| match value["answer"].is_u64() {
//!     true => Ok(()),
//!     false => Err("`answer` must be a number".to_owned()),
//! };
//! let asked = ladder.ask(&Request::of_user("How much is it?"), &schema, &fits).await;
//! let found = asked.result?;
//! assert_eq!(found.value["answer"], 42);
//! assert_eq!(found.repairs, 1, "the comma");
//! # Ok::<(), floe_llm::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is absent: conversations that are kept, tools of a provider's own, images and sound, redirects, compressed answers, proxies.

mod error;
mod extract;
mod ladder;
mod model;
mod partial;
mod prices;
mod provider;
mod recorder;
mod retry;
mod scripted;
mod status;
mod tolerant;

pub use error::{Error, MAX_EXPLANATION, MAX_RECEIVED, TimeOut};
pub use extract::{Candidate, MAX_STARTS, candidates};
pub use ladder::{Asked, CORRECTIONS, Fits, Found, Ladder, MAX_COMPLAINT, MAX_ECHO, Rung};
pub use model::{Abilities, Answer, Answering, Finish, Message, Model, Output, Piece, Pieces, Request, Role, Schema, Usage};
pub use partial::{Damaged, Event, MAX_NESTING, MAX_WORD, Partial};
pub use prices::{MAX_TABLE, Price, Prices};
pub use provider::{
    Config, DEFAULT_CHUNK, DEFAULT_CONNECT, DEFAULT_HEADER, DEFAULT_MAX_ANSWER, DEFAULT_MAX_REQUEST, DEFAULT_TIME, MAX_EVENT,
    MAX_NAME, MAX_REFUSAL, MAX_RETRY_AFTER, Provider, Remote, Secret, TimeOuts,
};
pub use recorder::{Recorder, Write};
pub use retry::{Backoff, DEFAULT_ATTEMPTS, DEFAULT_BASE, DEFAULT_CAP, DEFAULT_TOTAL, Fallback, Retry};
pub use scripted::{Fault, MAX_SCRIPT, Scripted};
