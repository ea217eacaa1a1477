//! Language models behind one trait: what they have in common, and scripts in a provider's place.
//!
//! It knows no flow, no WebAssembly, no files and no environment: tables and scripts come to it as text. Start at [`Model`].

mod error;
mod extract;
mod ladder;
mod model;
mod partial;
mod prices;
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
pub use recorder::{Recorder, Write};
pub use retry::{Backoff, DEFAULT_ATTEMPTS, DEFAULT_BASE, DEFAULT_CAP, DEFAULT_TOTAL, Fallback, Retry};
pub use scripted::{Fault, MAX_SCRIPT, Scripted};
