//! Nodes to copy from, each a few lines. The folders in `examples` wire them.
//!
//! - [`tickets`]: a type in, a type out; a configuration; a payload of any shape.
//! - [`classify`]: an output that is one of several types, with a discriminator to route by.
//! - [`choose`]: a node that names its successors, by the payload and by what the call is told of its message.
//! - [`orders`]: a fan-out, a node for each part, and nodes that take what a join gathered.
//! - [`research`]: a loop of turns with a memory, up to a final answer.
//! - [`lookup`]: failures of several kinds, and a node that failures travel to.
//! - [`live`]: pieces of a stream and progress, seen while the call runs.
//! - [`envelope`]: metadata, topic and priority, set and shown.
//!
//! Nothing is kept between calls: what differs from one attempt or turn to the next follows from what the call is told.

mod choose;
mod classify;
mod envelope;
mod live;
mod lookup;
mod orders;
mod research;
mod tickets;

floe_guest::export!(nodes: [
    tickets::Rate,
    tickets::Assign,
    classify::Classify,
    choose::Choose,
    orders::Check,
    orders::Lines,
    orders::Price,
    orders::Total,
    orders::Ship,
    orders::Bill,
    research::Research,
    lookup::Lookup,
    lookup::Cached,
    live::Draft,
    live::Import,
    envelope::Tag,
    envelope::Show,
]);
