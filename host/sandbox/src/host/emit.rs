//! `floe:plugin/emit`: messages into the attempt's buffer, chunks and progress to the trace's reader.

use floe_flow::{Chunk, Context, Failure, FailureKind, Output, Payload};
use serde_json::json;

use crate::bindings::floe::plugin::emit::{Field, Host};
use crate::bindings::floe::plugin::types;
use crate::convert::{self, Wrong};
use crate::state::State;

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
        Ok(self.progress(kind, data).await.map_err(convert::failure_to_guest))
    }
}

impl State {
    fn message(&mut self, output: types::Output) -> Result<(), Failure> {
        self.trace()?;
        let size = convert::output_size(&output);
        self.charge(size)?;
        self.call.bytes_out += size as u64;
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
        self.check_piece(size)?;
        self.call.bytes_out += size as u64;
        let stream = stream.map(|stream| convert::label("a stream's name", stream)).transpose().map_err(wrong)?;
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

    async fn progress(&mut self, kind: String, data: String) -> Result<(), Failure> {
        let ctx = self.trace()?;
        let size = kind.len() + data.len();
        self.check_piece(size)?;
        self.call.bytes_out += size as u64;
        let kind = convert::label("a kind of progress", kind).map_err(wrong)?;
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
        Ok(())
    }

    /// What goes to the trace's reader waits in the host until it is read: it is bounded in number there, in size here.
    fn check_piece(&self, size: usize) -> Result<(), Failure> {
        let (used, max) = (size as u64, self.plugin.limits.chunk);
        if used > max { Err(self.plugin.limit(FailureKind::Exhausted, "chunk", used, max)) } else { Ok(()) }
    }
}

/// What is wrong with an argument is told to the guest.
fn wrong(Wrong(what): Wrong) -> Failure {
    Failure::new(FailureKind::InvalidInput, what)
}
