//! `floe:plugin/emit`: messages into the attempt's buffer, chunks and progress to the trace's reader.

use floe_flow::{Chunk, Context, Failure, FailureKind, Output, Payload};
use serde_json::json;

use crate::bindings::floe::plugin::emit::{Field, Host};
use crate::bindings::floe::plugin::types;
use crate::convert::{self, Wrong};
use crate::state::State;
use crate::text::plain;

/// Bytes of a stream's name or of a kind of progress.
const MAX_LABEL: usize = 128;

impl Host for State {
    fn message(&mut self, output: types::Output) -> wasmtime::Result<Result<(), types::Failure>> {
        self.host_call()?;
        Ok(self.message(output).map_err(convert::failure_to_guest))
    }

    async fn chunk(
        &mut self,
        stream: Option<String>,
        text: String,
        done: bool,
        meta: Vec<Field>,
        to: Vec<String>,
    ) -> wasmtime::Result<Result<u64, types::Failure>> {
        self.host_call()?;
        Ok(self.chunk(stream, text, done, meta, to).await.map_err(convert::failure_to_guest))
    }

    async fn progress(&mut self, kind: String, data: String) -> wasmtime::Result<Result<(), types::Failure>> {
        self.host_call()?;
        Ok(self.progress(&kind, data).await.map_err(convert::failure_to_guest))
    }
}

impl State {
    fn message(&mut self, output: types::Output) -> Result<(), Failure> {
        self.trace()?;
        self.charge(convert::output_size(&output))?;
        self.call.emitted.push(convert::output(output).map_err(wrong)?);
        Ok(())
    }

    async fn chunk(
        &mut self,
        stream: Option<String>,
        text: String,
        done: bool,
        meta: Vec<Field>,
        to: Vec<String>,
    ) -> Result<u64, Failure> {
        let ctx = self.trace()?;
        let size = text.len() + convert::size(&meta, &to);
        self.call.bytes_out += size as u64;
        let stream = stream.map(|stream| label("stream", stream)).transpose()?;
        let meta = convert::meta(meta).map_err(wrong)?;
        let to = convert::successors(to).map_err(wrong)?;
        if to.is_empty() {
            return ctx.chunk(Chunk { stream, text, done, meta }).await;
        }
        // Room for the copy is taken before the reader sees the piece, so that both see it or neither.
        self.charge(size)?;
        let chunk = Chunk { stream: stream.clone(), text: text.clone(), done, meta: meta.clone() };
        let seq = ctx.chunk(chunk).await?;
        let stream = stream.as_deref().unwrap_or(&ctx.origin().trace);
        let payload = Payload::from(json!({ "stream": stream, "seq": seq, "text": text, "done": done }));
        self.call.emitted.push(Output { payload, meta, to, topic: None, priority: None });
        Ok(seq)
    }

    async fn progress(&mut self, kind: &str, data: String) -> Result<(), Failure> {
        let ctx = self.trace()?;
        self.call.bytes_out += (kind.len() + data.len()) as u64;
        let kind = label("kind", plain(kind, MAX_LABEL))?;
        let data = convert::payload(data).map_err(wrong)?;
        ctx.progress(kind, data).await
    }

    fn trace(&self) -> Result<Context, Failure> {
        let denied = || Failure::new(FailureKind::Denied, "a plugin that describes itself has no trace to emit to");
        self.call.ctx.clone().ok_or_else(denied)
    }

    /// Takes room in the attempt's buffer for one emission of `size` bytes.
    fn charge(&mut self, size: usize) -> Result<(), Failure> {
        let limits = &self.plugin.limits;
        let count = self.call.emitted.len() as u64 + 1;
        if count > u64::from(limits.emits) {
            return Err(self.plugin.limit(FailureKind::Exhausted, "emits", count, limits.emits.into()));
        }
        let bytes = self.call.emitted_bytes.saturating_add(size as u64);
        if bytes > limits.emit {
            return Err(self.plugin.limit(FailureKind::Exhausted, "emit", bytes, limits.emit));
        }
        self.call.emitted_bytes = bytes;
        self.call.bytes_out += size as u64;
        Ok(())
    }
}

fn label(what: &str, label: String) -> Result<String, Failure> {
    if label.is_empty() || label.len() > MAX_LABEL || label.chars().any(char::is_control) {
        let message = format!("a {what} is a text of 1 to {MAX_LABEL} bytes without control characters");
        return Err(Failure::new(FailureKind::InvalidInput, message));
    }
    Ok(label)
}

/// What is wrong with an argument is told to the guest.
fn wrong(Wrong(what): Wrong) -> Failure {
    Failure::new(FailureKind::InvalidInput, what)
}
