//! The proxy's encryption of a connection to the server, as the `postgres` crate takes it.

use std::io;
use std::pin::Pin;

use postgres::Socket;
use postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

use crate::auth::Binding;
use crate::proxy::tls::{Encrypted, ServerLeg};

/// What encrypts connections to the server, whichever of its hosts they lead to.
#[derive(Clone)]
pub(super) struct Connector(pub(super) ServerLeg);

/// The same for one host.
pub(super) struct ToHost {
    leg: ServerLeg,
    host: String,
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Box<dyn Encrypted>;
    type TlsConnect = ToHost;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<ToHost> {
        Ok(ToHost { leg: self.0.clone(), host: host.to_owned() })
    }
}

impl TlsConnect<Socket> for ToHost {
    type Stream = Box<dyn Encrypted>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Box<dyn Encrypted>>> + Send>>;

    fn connect(self, server: Socket) -> Self::Future {
        Box::pin(async move { self.leg.encrypt(server, &self.host).await })
    }
}

impl TlsStream for Box<dyn Encrypted> {
    fn channel_binding(&self) -> ChannelBinding {
        match self.end_point() {
            Binding::None => ChannelBinding::none(),
            Binding::EndPoint(hash) => ChannelBinding::tls_server_end_point(hash),
        }
    }
}
