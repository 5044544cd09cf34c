//! What a client says first: whether it wants encryption, and then whether it wants a session or
//! cancels a query.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::wire::startup::{self, StartupPacket, StartupParameters};

use super::refusal::Refusal;
use super::socket::Socket;
use super::tls::{ALPN, ClientLeg};

/// What a client asked for, and the packet that says so, verbatim.
pub(super) struct Greeting {
    pub(super) client: Socket,
    pub(super) packet: Vec<u8>,
    pub(super) asked: Asked,
}

pub(super) enum Asked {
    Session(StartupParameters),
    Cancel,
}

pub(super) enum Rejected {
    /// What came is no startup packet; nobody is told, as by the server.
    Malformed(&'static str),
    /// The client has left.
    Left(io::Error),
    /// The handshake failed; the client has been told so by it.
    Handshake(io::Error),
    Refused(Refusal, Socket),
}

impl From<io::Error> for Rejected {
    fn from(error: io::Error) -> Self {
        Self::Left(error)
    }
}

/// The first byte of a TLS handshake, where a packet has its length.
const HANDSHAKE: u8 = 0x16;

/// Reads packets until one begins a session or cancels a query.
///
/// Nothing is read beyond a packet, so that what an attacker has put behind a request for
/// encryption is part of the handshake, and spoils it (CVE-2021-23214).
pub(super) async fn hear(
    mut client: Socket,
    tls: Option<&ClientLeg>,
) -> Result<Greeting, Rejected> {
    // PostgreSQL has no TLS on a Unix-domain socket either.
    let tls = tls.filter(|_| client.is_tcp());
    if let Some(leg) = tls
        && client.peek().await? == HANDSHAKE
    {
        client = encrypt(client, leg).await?;
        if client.alpn() != Some(ALPN) {
            return Err(Rejected::Malformed("TLS began without a request, and without ALPN"));
        }
    }
    let mut asked = Encryption { ssl: client.is_encrypted(), gssenc: client.is_encrypted() };
    loop {
        let packet = read_packet(&mut client).await?;
        let body = packet.get(4..).unwrap_or_default();
        let (seen, encrypts) = match StartupPacket::read(body) {
            None => return Err(Rejected::Malformed("the startup packet was too short")),
            Some(StartupPacket::Startup(parameters)) => {
                if tls.is_some_and(|it| it.required) && !client.is_encrypted() {
                    return Err(Rejected::Refused(Refusal::Unencrypted, client));
                }
                return Ok(Greeting { client, packet, asked: Asked::Session(parameters) });
            }
            // In plain text too: libpq before 17 knows no other way.
            Some(StartupPacket::Cancel) => {
                return Ok(Greeting { client, packet, asked: Asked::Cancel });
            }
            Some(StartupPacket::SslRequest) => (&mut asked.ssl, true),
            Some(StartupPacket::GssEncRequest) => (&mut asked.gssenc, false),
        };
        if std::mem::replace(seen, true) {
            let code = body.first_chunk().map_or(0, |code| i32::from_be_bytes(*code));
            return Err(Rejected::Refused(Refusal::RepeatedRequest(code), client));
        }
        match tls.filter(|_| encrypts) {
            None => client.write_all(b"N").await?,
            Some(leg) => {
                client.write_all(b"S").await?;
                client = encrypt(client, leg).await?;
                asked.gssenc = true;
            }
        }
    }
}

/// What the client has asked for already.
struct Encryption {
    ssl: bool,
    gssenc: bool,
}

async fn encrypt(client: Socket, leg: &ClientLeg) -> Result<Socket, Rejected> {
    let Socket::Tcp(stream) = client else {
        return Err(Rejected::Malformed("TLS within TLS"));
    };
    leg.accept(stream).await.map(Socket::encrypted).map_err(Rejected::Handshake)
}

/// One packet with its length word, within the bounds that the server sets.
async fn read_packet(client: &mut Socket) -> Result<Vec<u8>, Rejected> {
    let length = client.read_i32().await?;
    if !startup::LENGTHS.contains(&length) {
        return Err(Rejected::Malformed("invalid length of startup packet"));
    }
    let rest = u64::try_from(length).unwrap_or_default().saturating_sub(4);
    let mut packet = length.to_be_bytes().to_vec();
    // What is only promised takes no memory.
    if client.take(rest).read_to_end(&mut packet).await? as u64 != rest {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(packet)
}
