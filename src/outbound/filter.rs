//! Which addresses may be asked: the public internet, and what the administrator allows besides.

use std::net::{IpAddr, Ipv6Addr};

use config::Network;

/// IANA's special-purpose registries, and whatever else is nobody's public server. Of IPv6 only `2000::/3` is public.
const REFUSED: [&str; 21] = [
    "0.0.0.0/8",       // this network
    "10.0.0.0/8",      // private
    "100.64.0.0/10",   // carriers' NAT
    "127.0.0.0/8",     // loopback
    "169.254.0.0/16",  // link-local, and the metadata service of every cloud
    "172.16.0.0/12",   // private
    "192.0.0.0/24",    // protocol assignments
    "192.0.2.0/24",    // documentation
    "192.88.99.0/24",  // 6to4 relays
    "192.168.0.0/16",  // private
    "198.18.0.0/15",   // benchmarks
    "198.51.100.0/24", // documentation
    "203.0.113.0/24",  // documentation
    "224.0.0.0/4",     // multicast
    "240.0.0.0/4",     // reserved, broadcast
    "::/3",            // unspecified, loopback, mapped addresses, NAT64
    "4000::/2",        // unassigned
    "8000::/1",        // unassigned, unique local, link-local, multicast
    "2001::/23",       // protocol assignments, Teredo
    "2001:db8::/32",   // documentation
    "2002::/16",       // 6to4 wraps any IPv4 address
];

/// Documentation, newer.
const REFUSED_DOCUMENTATION: &str = "3fff::/20";

/// The prefix under which a NAT64 gateway reaches IPv4.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// Says yes or no to addresses.
#[derive(Clone, Debug)]
pub struct Filter {
    refused: Vec<Network>,
    allowed: Vec<Network>,
}

impl Filter {
    /// Public addresses and `allowed`.
    pub fn new(allowed: Vec<Network>) -> Self {
        let refused = REFUSED.iter().chain([&REFUSED_DOCUMENTATION]);
        Self {
            refused: refused.filter_map(|text| text.parse().ok()).collect(),
            allowed,
        }
    }

    /// Whether `address` may be asked. An IPv4 address in an IPv6 one is judged as what it is.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = plain(address);
        let within = |networks: &[Network]| networks.iter().any(|one| one.contains(address));
        within(&self.allowed) || !within(&self.refused)
    }
}

fn plain(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if v6.segments()[..6] == NAT64 => IpAddr::V4(embedded(v6)),
        other => other,
    }
}

fn embedded(address: Ipv6Addr) -> std::net::Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    [a, b, c, d].into()
}

#[cfg(test)]
mod tests {
    use super::{Filter, REFUSED};

    fn allows(filter: &Filter, address: &str) -> bool {
        filter.allows(address.parse().unwrap())
    }

    #[test]
    fn every_network_of_the_table_is_read() {
        assert_eq!(Filter::new(Vec::new()).refused.len(), REFUSED.len() + 1);
    }

    #[test]
    fn only_public_addresses_are_allowed() {
        let filter = Filter::new(Vec::new());
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(allows(&filter, address), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "4000::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!allows(&filter, address), "{address}");
        }
    }

    #[test]
    fn the_administrator_may_allow_more() {
        let filter = Filter::new(vec![
            "10.1.0.0/16".parse().unwrap(),
            "fd00::/8".parse().unwrap(),
        ]);
        assert!(allows(&filter, "10.1.2.3"));
        assert!(allows(&filter, "::ffff:10.1.2.3"));
        assert!(allows(&filter, "fd00::5"));
        assert!(!allows(&filter, "10.2.0.1"));
        assert!(!allows(&filter, "127.0.0.1"));
    }
}
