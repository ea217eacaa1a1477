//! What the compiling process writes to its standard output: a header of fixed size, then the content.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Hexadecimal digits of a fingerprint.
const FINGERPRINT: usize = 64;
const HEADER: usize = 1 + FINGERPRINT + 8;

/// What the content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Compiled code.
    Code = 0,
    /// Why the compiler does not take it.
    Refused = 1,
    /// Nothing: there was not enough memory.
    OutOfMemory = 2,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    /// Of the engine that compiled.
    pub(super) fingerprint: String,
    pub(super) content: Vec<u8>,
}

pub(super) fn header(kind: Kind, fingerprint: &str, content: &[u8]) -> Vec<u8> {
    debug_assert_eq!(fingerprint.len(), FINGERPRINT);
    let length = u64::try_from(content.len()).unwrap_or(u64::MAX).to_le_bytes();
    [&[kind as u8], fingerprint.as_bytes(), &length].concat()
}

/// Reads an answer of at most `max` bytes of content. Memory is taken as the bytes come, never for what a length says.
pub(super) async fn read(mut from: impl AsyncRead + Unpin, max: u64) -> io::Result<Answer> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header).await?;
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let kind = match header[0] {
        0 => Kind::Code,
        1 => Kind::Refused,
        2 => Kind::OutOfMemory,
        _ => return Err(invalid("it does not answer as a compiler does")),
    };
    let fingerprint = String::from_utf8_lossy(&header[1..=FINGERPRINT]).into_owned();
    let length = header.last_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
    if length > max {
        return Err(invalid("its answer is larger than the memory that it may use"));
    }
    let mut content = Vec::new();
    let read = from.take(length).read_to_end(&mut content).await?;
    if u64::try_from(read) != Ok(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Answer { kind, fingerprint, content })
}
