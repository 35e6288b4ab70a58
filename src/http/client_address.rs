//! Who is at the other end: the peer, or whom a trusted proxy names.

use std::{
    convert::Infallible,
    hash::Hash,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use axum::extract::FromRequestParts;
use config::Network;
use http::{HeaderMap, request::Parts};

/// The other end of a connection; the server puts one into each request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection from this address.
    Tcp(IpAddr),
    /// A Unix socket: whoever may open it is trusted to name the client.
    Unix,
    /// The owner's socket: a process of the user that the server runs as, or of root.
    Owner {
        /// The process's user, as the kernel says.
        uid: u32,
    },
}

impl Peer {
    /// Whether what it says of the client is believed: a proxy in one of the `trusted` networks, or whoever may open a Unix
    /// socket. `None` is a request that came over no connection.
    pub(crate) fn is_trusted(peer: Option<Self>, trusted: &[Network]) -> bool {
        match peer {
            Some(Self::Tcp(address)) => trusted.iter().any(|network| network.contains(address)),
            Some(Self::Unix | Self::Owner { .. }) | None => true,
        }
    }
}

/// The address of the client, for limits and logs. `0.0.0.0` where nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    const UNKNOWN: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    /// The key for rate limits: the address, or the /64 of an IPv6 one, which is what one client has.
    pub fn limit_key(self) -> impl Hash {
        match self.0.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        }
    }

    /// The peer's address, or the last one in `X-Forwarded-For` that is not a trusted proxy's.
    pub(crate) fn find(peer: Option<Peer>, headers: &HeaderMap, trusted: &[Network]) -> Self {
        let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
        let mut last = match peer {
            Some(Peer::Tcp(address)) if !is_trusted(address) => return Self(address),
            Some(Peer::Tcp(address)) => Self(address),
            Some(Peer::Unix) | None => Self::UNKNOWN,
            // Stands in no network, and forwards nobody.
            Some(Peer::Owner { .. }) => return Self::UNKNOWN,
        };
        let forwarded = headers.get_all("x-forwarded-for").into_iter();
        let hops: Vec<&str> = forwarded
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for hop in hops.into_iter().rev() {
            let Some(address) = parse(hop.trim()) else {
                break;
            };
            last = Self(address);
            if !is_trusted(address) {
                break;
            }
        }
        last
    }
}

/// An address as proxies write it: plain, with a port, in brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    text.parse()
        .ok()
        .or_else(|| bracketed.and_then(|(address, _)| address.parse().ok()))
        .or_else(|| {
            text.parse::<std::net::SocketAddr>()
                .ok()
                .map(|address| address.ip())
        })
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self::UNKNOWN))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{ClientAddress, Peer};

    fn find(peer: &str, forwarded: &[&str]) -> String {
        let peer = if peer == "unix" {
            Peer::Unix
        } else {
            Peer::Tcp(peer.parse().unwrap())
        };
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted = ["127.0.0.0/8".parse().unwrap(), "10.0.0.1".parse().unwrap()];
        ClientAddress::find(Some(peer), &headers, &trusted)
            .0
            .to_string()
    }

    #[test]
    fn only_trusted_proxies_name_the_client() {
        for (peer, forwarded, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            (
                "127.0.0.1",
                &["6.6.6.6, 198.51.100.7, 10.0.0.1"],
                "198.51.100.7",
            ),
            ("127.0.0.1", &["6.6.6.6", "198.51.100.7"], "198.51.100.7"),
            ("127.0.0.1", &["6.6.6.6, rubbish"], "127.0.0.1"),
            ("unix", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("unix", &["198.51.100.7:4711"], "198.51.100.7"),
            ("unix", &[], "0.0.0.0"),
            ("::ffff:127.0.0.1", &["198.51.100.7"], "198.51.100.7"),
        ] {
            assert_eq!(find(peer, forwarded), expected, "{peer} {forwarded:?}");
        }
    }
}
