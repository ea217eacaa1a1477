//! Bodies as they pass: counted, looked through for secrets, with back pressure, and gone with their connection when dropped.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use crate::connect::{Connection, Fate, broken};
use crate::quota::{self, Quota};
use crate::scrub::{Scrubber, Stream};
use crate::substitute::Watch;
use crate::{Error, headers};

/// The body of a request.
pub type RequestBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A request's body on its way out.
pub(crate) struct Sent {
    pub(crate) inner: RequestBody,
    /// How many bytes it said that it has.
    pub(crate) expected: Option<u64>,
    pub(crate) sent: u64,
    pub(crate) quotas: Vec<Arc<Quota>>,
    pub(crate) watch: Watch,
    /// Where the reason goes if it fails, among others: what hyper makes of an error is another error.
    pub(crate) fate: Arc<Fate>,
}

impl Sent {
    fn check(&mut self, frame: &Frame<Bytes>) -> Result<(), Error> {
        if let Some(data) = frame.data_ref() {
            let count = data.len() as u64;
            self.quotas.iter().try_for_each(|quota| quota.bytes_out(count))?;
            self.sent += count;
            self.fate.has_data.fetch_or(count > 0, Ordering::Relaxed);
            if self.expected.is_some_and(|expected| self.sent > expected) {
                return Err(self.wrong_length());
            }
            self.watch.push(data)?;
        }
        if let Some(trailers) = frame.trailers_ref() {
            headers::check(trailers)?;
            self.quotas.iter().try_for_each(|quota| quota.bytes_out(headers::size(trailers) as u64))?;
            for (name, value) in trailers {
                // Apart from each other and from the body.
                [b"\n", name.as_str().as_bytes(), b"\n", value.as_bytes()].iter().try_for_each(|part| self.watch.push(part))?;
            }
        }
        Ok(())
    }

    fn wrong_length(&self) -> Error {
        let expected = self.expected.unwrap_or_default();
        Error::Invalid(format!("the body has other than the {expected} bytes that its content-length says"))
    }

    fn fail(&self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.fate.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        Poll::Ready(Some(Err(error)))
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => match self.check(&frame) {
                Ok(()) => Poll::Ready(Some(Ok(frame))),
                Err(error) => self.fail(error),
            },
            Some(Err(error)) => self.fail(Error::Invalid(format!("the request's body ended early: {error}"))),
            None if self.expected.is_some_and(|expected| self.sent != expected) => {
                let error = self.wrong_length();
                self.fail(error)
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && self.expected.is_none_or(|expected| self.sent == expected)
    }

    fn size_hint(&self) -> SizeHint {
        match self.expected {
            Some(expected) => SizeHint::with_exact(expected.saturating_sub(self.sent)),
            None => self.inner.size_hint(),
        }
    }
}

/// What an answer's body is subject to.
pub(crate) struct Rules {
    pub(crate) quotas: Vec<Arc<Quota>>,
    pub(crate) scrubber: Option<Arc<Scrubber>>,
    pub(crate) fate: Arc<Fate>,
    /// Until when, by which limit, and how long that was.
    pub(crate) end: Pin<Box<Sleep>>,
    pub(crate) limit: &'static str,
    pub(crate) after: Duration,
}

/// The body of an answer: its connection is driven by reading it, so that nothing comes in faster than it is read, and is closed
/// when this is dropped.
pub struct Body {
    incoming: Incoming,
    connection: Option<Connection>,
    places: Vec<quota::Connection>,
    rules: Rules,
    scrub: Option<Stream>,
    /// What is certain, but not handed out yet.
    ready: VecDeque<Frame<Bytes>>,
    is_over: bool,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

impl Body {
    pub(crate) fn new(incoming: Incoming, connection: Option<Connection>, places: Vec<quota::Connection>, rules: Rules) -> Self {
        let scrub = rules.scrubber.as_ref().map(Scrubber::stream);
        Self { incoming, connection, places, rules, scrub, ready: VecDeque::new(), is_over: false }
    }

    /// Puts what follows from the next frame into `ready`; the end, too, has what was held back.
    fn take(&mut self, frame: Option<Frame<Bytes>>) -> Result<(), Error> {
        let count = |quotas: &[Arc<Quota>], bytes: usize| quotas.iter().try_for_each(|quota| quota.bytes_in(bytes as u64));
        let mut trailers: Option<HeaderMap> = None;
        if let Some(frame) = frame {
            match frame.into_data() {
                Ok(data) => {
                    count(&self.rules.quotas, data.len())?;
                    let data = self.scrub.as_mut().map_or_else(|| data.clone(), |scrub| scrub.push(&data));
                    self.ready.push_back(Frame::data(data));
                    return Ok(());
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        if let Some(mut scrub) = self.scrub.take() {
            self.ready.push_back(Frame::data(scrub.finish()));
        }
        if let Some(mut trailers) = trailers {
            count(&self.rules.quotas, headers::size(&trailers))?;
            headers::clean(&mut trailers, self.rules.scrubber.as_deref());
            self.ready.push_back(Frame::trailers(trailers));
        }
        Ok(())
    }

    fn end(&mut self) {
        self.is_over = true;
        self.connection = None;
        self.places.clear();
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            while let Some(frame) = self.ready.pop_front() {
                if frame.data_ref().is_none_or(|data| !data.is_empty()) {
                    return Poll::Ready(Some(Ok(frame)));
                }
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            if self.rules.end.as_mut().poll(cx).is_ready() {
                self.end();
                let Rules { limit, after, .. } = self.rules;
                return Poll::Ready(Some(Err(Error::TimedOut { limit, phase: "the whole exchange", after })));
            }
            if let Some(connection) = &mut self.connection
                && connection.as_mut().poll(cx).is_ready()
            {
                self.connection = None;
            }
            let frame = match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => Some(frame),
                Some(Err(error)) => {
                    self.end();
                    return Poll::Ready(Some(Err(broken(&self.rules.fate, &error))));
                }
                None => None,
            };
            let is_end = frame.is_none();
            let taken = self.take(frame);
            if is_end || taken.is_err() {
                self.end();
            }
            if let Err(error) = taken {
                self.ready.clear();
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}
