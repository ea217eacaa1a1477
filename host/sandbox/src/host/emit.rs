//! `floe:plugin/emit`: messages into the attempt's buffer, chunks and progress to the trace's reader.

use floe_flow::{Chunk, Context, Failure, FailureKind, Output, Payload, Resource};
use serde_json::json;

use crate::bindings::floe::plugin::emit::{Field, Host};
use crate::bindings::floe::plugin::types;
use crate::convert::{self, Wrong};
use crate::scrubbed;
use crate::state::State;
use crate::tape::Said;

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
        let Piece { ctx, chunk, copy } = match self.piece(stream, text, done, meta, to) {
            Ok(piece) => piece,
            Err(failure) => return Ok(Err(convert::failure_to_guest(failure))),
        };
        let sent = match self.call.answers.recorded::<Said<u64>>("emit.chunk")? {
            Some(recorded) => recorded,
            None => {
                let sent = Said::from(ctx.chunk(chunk).await);
                self.call.answers.keep("emit.chunk", &sent);
                sent
            }
        };
        let sent = Result::from(sent).inspect(|seq| self.call.emitted.extend(copy.map(|copy| copy.output(&ctx, *seq))));
        Ok(sent.map_err(convert::failure_to_guest))
    }

    async fn progress(&mut self, kind: String, data: String) -> wasmtime::Result<Result<(), types::Failure>> {
        self.host_call()?;
        let (ctx, kind, data) = match self.shown(kind, data) {
            Ok(shown) => shown,
            Err(failure) => return Ok(Err(convert::failure_to_guest(failure))),
        };
        let shown = match self.call.answers.recorded::<Said<()>>("emit.progress")? {
            Some(recorded) => recorded,
            None => {
                let shown = Said::from(ctx.progress(kind, data).await);
                self.call.answers.keep("emit.progress", &shown);
                shown
            }
        };
        Ok(Result::from(shown).map_err(convert::failure_to_guest))
    }
}

/// A piece that may be sent.
struct Piece {
    ctx: Context,
    chunk: Chunk,
    copy: Option<Copied>,
}

/// The copy of a piece for successors.
struct Copied {
    chunk: Chunk,
    to: Vec<String>,
}

impl Copied {
    /// Where the piece has its number.
    fn output(self, ctx: &Context, seq: u64) -> Output {
        let Self { chunk: Chunk { stream, text, done, meta }, to } = self;
        let stream = stream.as_deref().unwrap_or(&ctx.origin().trace);
        let payload = Payload::from(json!({ "stream": stream, "seq": seq, "text": text, "done": done }));
        Output { payload, meta, to, topic: None, priority: None }
    }
}

impl State {
    fn message(&mut self, output: types::Output) -> Result<(), Failure> {
        self.trace()?;
        let size = convert::output_size(&output);
        self.charge(size)?;
        self.call.bytes_out += size as u64;
        let output = convert::output(output).map_err(wrong)?;
        let output = match self.scrubber() {
            Some(scrubber) => scrubbed::output(output, scrubber),
            None => output,
        };
        self.call.emitted.push(output);
        Ok(())
    }

    /// Checks a piece. Room for its copy is taken before the reader sees it, so that both see it or neither.
    fn piece(
        &mut self,
        stream: Option<String>,
        text: String,
        done: bool,
        meta: Vec<Field>,
        to: Vec<String>,
    ) -> Result<Piece, Failure> {
        let ctx = self.trace()?;
        let size = text.len() + convert::size(&meta, &to);
        self.check_piece(size)?;
        self.call.bytes_out += size as u64;
        let stream = stream.map(|stream| convert::label("a stream's name", stream)).transpose().map_err(wrong)?;
        let meta = convert::meta(meta).map_err(wrong)?;
        let to = convert::successors(to).map_err(wrong)?;
        let (chunk, to) = match self.scrubber() {
            Some(scrubber) => {
                let stream = stream.map(|stream| scrubbed::text(&stream, scrubber));
                let (text, meta) = (scrubbed::text(&text, scrubber), scrubbed::meta(meta, scrubber));
                (Chunk { stream, text, done, meta }, scrubbed::successors(&to, scrubber))
            }
            None => (Chunk { stream, text, done, meta }, to),
        };
        if to.is_empty() {
            return Ok(Piece { ctx, chunk, copy: None });
        }
        self.charge(size)?;
        Ok(Piece { ctx, copy: Some(Copied { chunk: chunk.clone(), to }), chunk })
    }

    /// Checks what is to be shown.
    fn shown(&mut self, kind: String, data: String) -> Result<(Context, String, Payload), Failure> {
        let ctx = self.trace()?;
        let size = kind.len() + data.len();
        self.check_piece(size)?;
        self.call.bytes_out += size as u64;
        let kind = convert::label("a kind of progress", kind).map_err(wrong)?;
        let data = convert::payload(data).map_err(wrong)?;
        Ok(match self.scrubber() {
            Some(scrubber) => (ctx, scrubbed::text(&kind, scrubber), scrubbed::payload(data, scrubber)),
            None => (ctx, kind, data),
        })
    }

    fn trace(&self) -> Result<Context, Failure> {
        let denied = || Failure::new(FailureKind::Denied, "a plugin that describes itself has no trace to emit to");
        self.call.ctx.clone().ok_or_else(denied)
    }

    /// Takes room in the attempt's buffer for one emission of `size` bytes.
    fn charge(&mut self, size: usize) -> Result<(), Failure> {
        let limits = &self.plugin.limits;
        let bytes = self.call.emitted_bytes.saturating_add(size as u64);
        if bytes > limits.emit {
            return Err(self.plugin.limit(FailureKind::Exhausted, "emit", bytes, limits.emit));
        }
        self.spend(Resource::Emits)?;
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
