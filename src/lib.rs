//! A proxy between applications and PostgreSQL that turns listed duplicate-key errors (SQLSTATE
//! 23505) into success, as if the INSERT had been written with `ON CONFLICT DO NOTHING`.
//!
//! In reading order; each room imports only from those before it:
//!
//! * [`wire`]: frames and messages, bytes in and views out;
//! * [`rules`]: which constraints are listed, and what is to become of their conflicts;
//! * [`sql`]: what a statement's text is;
//! * [`session`]: the machine between a client and a server, without sockets;
//! * [`auth`]: who a client is, where the proxy makes sure of that by itself;
//! * [`config`]: the text of `rules.toml`;
//! * [`proxy`]: sockets, threads, tasks and log lines around sessions;
//! * [`cli`]: the commands.
//!
//! All but the last two are pure: values in, values out, no tokio, files, clock or log.

pub mod auth;
pub mod cli;
pub mod config;
pub mod proxy;
pub mod rules;
pub mod session;
pub mod sql;
pub mod wire;
