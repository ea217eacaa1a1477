//! Which addresses a request may be sent to. Every address that a name stands for is looked at in its canonical form, and one
//! that is not allowed refuses the name: whoever answers for a name could mix addresses, so none is picked from among them.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::Error;
use crate::target::Host;

/// Addresses that are looked at for one name: a large service answers with a dozen.
const MAX_ADDRESSES: usize = 64;
/// Names that are looked up at once in the process. The system's resolver blocks a thread for seconds when nobody answers, and a
/// look-up that nobody waits for any more keeps its place until it is over.
const MAX_LOOKUPS: usize = 16;

/// What an address is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// It belongs to the public network.
    Public,
    /// It belongs to this machine or to the network that it stands in: for rules that say `private: true`.
    Private,
    /// It is of the link, where clouds serve credentials: for rules that say `private: true` and name this very address.
    Link,
    /// Nobody has a service there (unspecified, multicast, reserved, documentation): never.
    Never,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Link => "of the link or of a metadata service",
            Self::Never => "reserved",
        })
    }
}

/// The address as it is connected to: one of IPv4 that IPv6 wraps (`::ffff:0:0/96`) is the one of IPv4.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// What the address is good for, whatever form it is written in. What IPv6 carries of IPv4 (NAT64, 6to4) is judged by what it carries.
/// The lists are IANA's registries of special-purpose addresses.
pub fn classify(address: IpAddr) -> Class {
    match canonical(address) {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

fn classify_v4(address: Ipv4Addr) -> Class {
    match address.octets() {
        // The link; then Azure's metadata service, whose address looks public, and the ones of Oracle and Alibaba.
        [169, 254, ..] | [168, 63, 129, 16] | [192, 0, 0, 192] | [100, 100, 100, 200] => Class::Link,
        [10 | 127, ..] | [192, 168, ..] => Class::Private,
        [172, second, ..] if second & 0xf0 == 16 => Class::Private,
        // Shared by the customers of a provider.
        [100, second, ..] if second & 0xc0 == 64 => Class::Private,
        // "This network", of which 0.0.0.0 is this machine; protocol assignments; documentation; relays of 6to4.
        [0, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => Class::Never,
        // Benchmarks.
        [198, 18 | 19, ..] => Class::Never,
        // Multicast, reserved, broadcast.
        [first, ..] if first >= 224 => Class::Never,
        _ => Class::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> Class {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        // Metadata services of clouds.
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] | [0xfd20, 0x00ce, ..] | [0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe] => {
            Class::Link
        }
        [first, ..] if first & 0xffc0 == 0xfe80 => Class::Link,
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Private,
        // Unique local, and the site-local ones that came before.
        [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Class::Private,
        // NAT64: the well-known prefix carries an address; the local one may carry it anywhere.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => classify_v4(embedded(high, low)),
        [0x64, 0xff9b, 1, ..] => Class::Private,
        // 6to4.
        [0x2002, high, low, ..] => classify_v4(embedded(high, low)),
        // Protocol assignments, Teredo among them; documentation.
        [0x2001, second, ..] if second < 0x200 => Class::Never,
        [0x2001, 0xdb8, ..] => Class::Never,
        [0x3fff, second, ..] if second < 0x1000 => Class::Never,
        // All that has been given out so far. The rest (unspecified, IPv4-compatible, discard, multicast) is none.
        [first, ..] if first & 0xe000 == 0x2000 => Class::Public,
        _ => Class::Never,
    }
}

/// The answer of a [`Resolver`].
pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// What finds the addresses of a name.
pub trait Resolver: fmt::Debug + Send + Sync {
    /// All addresses of the name, in the order to try them.
    fn resolve<'a>(&'a self, name: &'a str) -> Lookup<'a>;
}

/// The system's resolver, with its files and settings.
#[derive(Debug)]
pub struct System {
    lookups: Arc<Semaphore>,
}

impl System {
    /// A resolver with a bound of its own on look-ups at once.
    pub fn new() -> Self {
        Self { lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Resolver for System {
    fn resolve<'a>(&'a self, name: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
            let name = name.to_owned();
            let lookup = move || {
                let _permit = permit;
                (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
            };
            tokio::task::spawn_blocking(lookup).await.map_err(io::Error::other)?
        })
    }
}

/// The addresses of the host, looked up once and all checked: the connection goes to one of them and to no other.
pub(crate) async fn checked(resolver: &dyn Resolver, host: &Host, private: Private) -> Result<Vec<IpAddr>, Error> {
    let (found, is_literal) = match host {
        Host::Address(address) => (vec![*address], true),
        Host::Name(name) => {
            let unreachable = |reason: String| Error::Unreachable(format!("`{name}` is not found: {reason}"));
            let found = resolver.resolve(name).await.map_err(|error| unreachable(error.to_string()))?;
            if found.is_empty() || found.len() > MAX_ADDRESSES {
                return Err(unreachable(format!("it has {} addresses", found.len())));
            }
            (found, false)
        }
    };
    let mut addresses = Vec::with_capacity(found.len());
    for address in found {
        let class = classify(address);
        let is_allowed = match class {
            Class::Public => true,
            Class::Private => private != Private::None,
            Class::Link => private == Private::Named && is_literal,
            Class::Never => false,
        };
        if !is_allowed {
            return Err(Error::Address { host: host.to_string(), address: canonical(address), class });
        }
        let address = canonical(address);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// What the policy says about addresses that are not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Private {
    /// None of them.
    None,
    /// Private ones.
    Some,
    /// Also one of the link, as the rule names it.
    Named,
}
