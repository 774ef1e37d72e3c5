//! The layer among others: with the layers of tower and tower-http, in every place of a router,
//! under HTTP/1 and HTTP/2 connections that break, and at a shutdown.

mod body_first;
mod body_first_http2;
mod capped;
mod ends;
mod extractors;
mod hangups;
mod itself;
mod layers;
mod limits;
mod options;
mod order;
mod plain;
mod resets;
mod routes;
mod sent_away;
mod shutdown;
mod streams;
mod support;
mod upgrades;
