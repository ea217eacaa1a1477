//! What the guest is told of a call, in the contract's types.

use floe_flow::{Context, Message, Payload};

use crate::bindings::exports::floe::plugin::{node, toolset};
use crate::bindings::floe::plugin::types;

/// What a call is made of, beside what its store holds. Everything is borrowed: it is copied once, into the guest.
pub(crate) struct Request<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) message: &'a Message,
    pub(crate) id: &'a str,
    pub(crate) parent: Option<&'a str>,
    pub(crate) attempt: u32,
    pub(crate) deadline_ms: u64,
}

impl<'a> Request<'a> {
    pub(crate) fn meta(&self) -> Vec<types::FieldParam<'a>> {
        self.message.meta.entries().iter().map(|(key, value)| (key.as_str(), value.text())).collect()
    }

    pub(crate) fn node(&self, meta: &'a [types::FieldParam<'a>]) -> node::Message<'a> {
        let (origin, message) = (self.ctx.origin(), self.message);
        node::Message {
            trace: &origin.trace,
            id: self.id,
            parent: self.parent,
            source: message.source.as_deref(),
            attempt: self.attempt,
            turn: message.turn,
            deadline_ms: Some(self.deadline_ms),
            tenant: &origin.tenant,
            user: origin.user.as_deref(),
            session: origin.session.as_deref(),
            topic: message.topic.as_deref(),
            priority: message.priority,
            payload: message.payload.text(),
            meta,
        }
    }

    pub(crate) fn tool(&self, context: &'a Payload) -> toolset::Caller<'a> {
        let origin = self.ctx.origin();
        toolset::Caller {
            trace: &origin.trace,
            id: self.id,
            attempt: self.attempt,
            deadline_ms: Some(self.deadline_ms),
            tenant: &origin.tenant,
            user: origin.user.as_deref(),
            session: origin.session.as_deref(),
            context: context.text(),
        }
    }

    /// Bytes of the texts that the guest gets.
    pub(crate) fn size(&self) -> u64 {
        let (origin, message) = (self.ctx.origin(), self.message);
        let names = [self.parent, message.source.as_deref(), origin.user.as_deref(), origin.session.as_deref()];
        let names = names.into_iter().chain([message.topic.as_deref(), Some(&origin.tenant), Some(&origin.trace), Some(self.id)]);
        (message.payload.text().len() + message.meta.size() + names.flatten().map(str::len).sum::<usize>()) as u64
    }
}
