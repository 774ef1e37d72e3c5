//! What the documents say is so: their links lead somewhere, and the page for operators has each
//! warning and error.

mod events;
mod links;
