//! A streamed body as the texts of its events: Server-Sent Events (WHATWG HTML §9.2), or a line of JSON each.

/// Bytes of one event: providers send some words at a time.
pub const MAX_EVENT: usize = 1 << 20;

/// How events are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// `data:` lines, and an empty line after each event.
    Events,
    /// One event a line.
    Lines,
}

/// What is wrong with a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// An event has this many bytes or more.
    TooLong(usize),
    /// It is no UTF-8.
    NoText,
}

#[derive(Debug)]
pub(super) struct Lines {
    framing: Framing,
    /// Of the line that has not ended yet.
    line: Vec<u8>,
    /// Of the event that has not ended yet.
    data: String,
}

impl Lines {
    pub(super) fn new(framing: Framing) -> Self {
        Self { framing, line: Vec::new(), data: String::new() }
    }

    /// The texts of the events that end in this part of the body.
    pub(super) fn push(&mut self, part: &[u8]) -> Result<Vec<String>, Fault> {
        let mut events = Vec::new();
        let mut lines = part.split(|byte| *byte == b'\n');
        let mut current = lines.next().unwrap_or_default();
        loop {
            let used = self.line.len() + current.len() + self.data.len();
            if used > MAX_EVENT {
                return Err(Fault::TooLong(used));
            }
            self.line.extend_from_slice(current);
            let Some(next) = lines.next() else { return Ok(events) };
            events.extend(self.end_line()?);
            current = next;
        }
    }

    /// What is left when the body has ended: a last event whose end was not sent.
    pub(super) fn finish(&mut self) -> Result<Option<String>, Fault> {
        let last = self.end_line()?;
        Ok(last.or_else(|| (!self.data.is_empty()).then(|| std::mem::take(&mut self.data))))
    }

    fn end_line(&mut self) -> Result<Option<String>, Fault> {
        let line = String::from_utf8(std::mem::take(&mut self.line)).map_err(|_| Fault::NoText)?;
        let line = line.trim_end_matches('\r');
        match self.framing {
            Framing::Lines => Ok((!line.trim().is_empty()).then(|| line.to_owned())),
            Framing::Events if line.is_empty() => Ok((!self.data.is_empty()).then(|| std::mem::take(&mut self.data))),
            Framing::Events => {
                if let Some(data) = line.strip_prefix("data:") {
                    if !self.data.is_empty() {
                        self.data.push('\n');
                    }
                    self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
                }
                Ok(None)
            }
        }
    }
}
