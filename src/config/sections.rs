//! `[proxy]`, `[client_tls]`, `[server_tls]`, `[auth]`, `[log]`, `[limits]` and `[admin]` become [`Settings`].

use std::collections::HashSet;

use toml::de::DeTable;

use super::{
    Address, Admin, Limits, Log, Overrides, Problem, Settings,
    reader::{Kind, Placed, Reader, Section},
    shape::{ADMIN, LIMITS, LOG, PROXY},
    tls, value,
};

/// The settings of a file, unless no server is named.
pub(super) fn read(
    root: &DeTable<'_>,
    overrides: &Overrides,
    reader: &mut Reader<'_>,
) -> Option<Settings> {
    reader.check_sections(root);
    let proxy = reader.section(root, &PROXY);
    let listen = read_listen(&proxy, overrides, reader);
    let upstream = read_upstream(&proxy, overrides, reader);
    let target = reader.value(&proxy, "target_session_attrs", &value::TARGET);
    let reuse_port = reader.value(&proxy, "reuse_port", &value::SWITCH);
    let log = read_log(root, reader);
    let limits = read_limits(root, reader);
    let admin = read_admin(root, &listen, reader);
    let client_tls = tls::read_client(root, reader);
    let server_tls = tls::read_server(root, upstream.as_deref().unwrap_or_default(), reader);
    let users = tls::read_users(root, reader);
    if users.is_none() {
        tls::reject_silent_fallback(client_tls.as_ref(), server_tls.as_ref(), reader);
    }

    let client_tls = client_tls.map(|it| it.value);
    let upstream = upstream?;
    for Placed { at, value } in &upstream {
        if listen.iter().chain(admin.as_ref().map(|it| &it.listen)).any(|it| it == value) {
            reader.reject(*at, Problem::Loop(value.to_string()));
        }
    }
    let reuse_port = reuse_port.is_some_and(|it| it.value);
    Some(Settings {
        listen,
        reuse_port,
        upstream: upstream.into_iter().map(|it| it.value).collect(),
        target_session_attrs: target.map(|it| it.value).unwrap_or_default(),
        client_tls,
        server_tls,
        users,
        log,
        limits,
        admin,
    })
}

fn read_listen(
    proxy: &Section<'_>,
    overrides: &Overrides,
    reader: &mut Reader<'_>,
) -> Vec<Address> {
    let listen = read_addresses(proxy, "listen", &value::LISTEN, reader);
    if !overrides.listen.is_empty() {
        return overrides.listen.clone();
    }
    match listen {
        Some(listen) => listen.into_iter().map(|it| it.value).collect(),
        None => vec![default_listen()],
    }
}

fn read_upstream(
    proxy: &Section<'_>,
    overrides: &Overrides,
    reader: &mut Reader<'_>,
) -> Option<Vec<Placed<Address>>> {
    let written = read_addresses(proxy, "upstream", &value::UPSTREAM, reader);
    if !overrides.upstream.is_empty() {
        let at = written.iter().flatten().next().map_or(proxy.at, |it| it.at);
        let placed = |it: &Address| Placed { at, value: it.clone() };
        return Some(overrides.upstream.iter().map(placed).collect());
    }
    reader.require(proxy, "upstream", "upstream = \"127.0.0.1:5432\"");
    written.filter(|it| !it.is_empty())
}

/// One address or a list of them, none of them twice.
fn read_addresses(
    proxy: &Section<'_>,
    key: &'static str,
    kind: &Kind<Address>,
    reader: &mut Reader<'_>,
) -> Option<Vec<Placed<Address>>> {
    let addresses = reader.values(proxy, key, kind);
    let mut seen = HashSet::new();
    for Placed { at, value } in addresses.iter().flatten() {
        if !seen.insert(value) {
            reader.reject(*at, Problem::Twice { key, value: value.to_string() });
        }
    }
    addresses
}

fn read_log(root: &DeTable<'_>, reader: &mut Reader<'_>) -> Log {
    let section = reader.section(root, &LOG);
    let mut log = Log::default();
    set(&mut log.format, reader.value(&section, "format", &value::FORMAT));
    set(&mut log.key_values, reader.value(&section, "key_values", &value::KEY_VALUES));
    set(&mut log.level, reader.value(&section, "level", &value::LEVEL));
    log.file = reader.value(&section, "file", &value::FILE).map(|it| it.value);
    log
}

fn read_limits(root: &DeTable<'_>, reader: &mut Reader<'_>) -> Limits {
    let section = reader.section(root, &LIMITS);
    let mut limits = Limits::default();
    set(&mut limits.connections, reader.value(&section, "connections", &value::CONNECTIONS));
    let per_address = reader.value(&section, "connections_per_address", &value::CONNECTIONS);
    limits.connections_per_address = per_address.map(|it| it.value);
    set(&mut limits.logins, reader.value(&section, "logins", &value::CONNECTIONS));
    set(&mut limits.connect_timeout, reader.value(&section, "connect_timeout", &value::TIMEOUT));
    set(&mut limits.startup_timeout, reader.value(&section, "startup_timeout", &value::TIMEOUT));
    set(&mut limits.drain_delay, reader.value(&section, "drain_delay", &value::DELAY));
    set(&mut limits.drain_timeout, reader.value(&section, "drain_timeout", &value::DELAY));
    set(&mut limits.inspect, reader.value(&section, "inspect", &value::INSPECT));
    limits
}

fn read_admin(root: &DeTable<'_>, listen: &[Address], reader: &mut Reader<'_>) -> Option<Admin> {
    let section = reader.section(root, &ADMIN);
    if section.is_written() {
        reader.require(&section, "listen", "listen = \"127.0.0.1:9432\"");
    }
    let reload = reader.value(&section, "reload", &value::SWITCH);
    let Placed { at, value: admin } = reader.value(&section, "listen", &value::ADMIN)?;
    if let Some(proxy) = listen.iter().find(|it| it.collides(&admin)) {
        let problem = Problem::Taken { admin: admin.to_string(), proxy: proxy.to_string() };
        reader.reject(at, problem);
    }
    Some(Admin { listen: admin, reload: reload.is_some_and(|it| it.value) })
}

fn set<T>(setting: &mut T, written: Option<Placed<T>>) {
    if let Some(Placed { value, .. }) = written {
        *setting = value;
    }
}

/// Only this machine: a proxy that listens to the world is something to ask for.
fn default_listen() -> Address {
    Address::Tcp { host: "127.0.0.1".to_owned(), port: 7432 }
}
