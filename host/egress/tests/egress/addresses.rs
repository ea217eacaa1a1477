//! Which addresses are connected to: never one that nobody checked.

use std::net::IpAddr;

use floe_egress::Error;
use floe_egress::address::{Class, classify};

use crate::support::{Scripted, Server, client_with, get, rule, session, text};

const TABLE: [(&str, Class); 60] = [
    ("8.8.8.8", Class::Public),
    ("1.1.1.1", Class::Public),
    ("100.63.255.255", Class::Public),
    ("100.128.0.0", Class::Public),
    ("172.15.255.255", Class::Public),
    ("172.32.0.0", Class::Public),
    ("198.17.255.255", Class::Public),
    ("223.255.255.255", Class::Public),
    ("10.0.0.1", Class::Private),
    ("127.0.0.1", Class::Private),
    ("127.255.255.254", Class::Private),
    ("172.16.0.1", Class::Private),
    ("172.31.255.255", Class::Private),
    ("192.168.1.1", Class::Private),
    ("100.64.0.1", Class::Private),
    ("100.127.255.255", Class::Private),
    ("169.254.169.254", Class::Link),
    ("169.254.0.1", Class::Link),
    ("168.63.129.16", Class::Link),
    ("192.0.0.192", Class::Link),
    ("100.100.100.200", Class::Link),
    ("0.0.0.0", Class::Never),
    ("0.1.2.3", Class::Never),
    ("192.0.0.1", Class::Never),
    ("192.0.2.1", Class::Never),
    ("192.88.99.1", Class::Never),
    ("198.18.0.1", Class::Never),
    ("198.19.255.255", Class::Never),
    ("198.51.100.1", Class::Never),
    ("203.0.113.1", Class::Never),
    ("224.0.0.1", Class::Never),
    ("239.255.255.255", Class::Never),
    ("240.0.0.1", Class::Never),
    ("255.255.255.255", Class::Never),
    ("2606:4700::1111", Class::Public),
    ("2a00:1450::1", Class::Public),
    ("::1", Class::Private),
    ("fc00::1", Class::Private),
    ("fdff::1", Class::Private),
    ("fec0::1", Class::Private),
    ("fd00:ec2::254", Class::Link),
    ("fe80::1", Class::Link),
    ("febf::1", Class::Link),
    ("::", Class::Never),
    ("::127.0.0.1", Class::Never),
    ("::8.8.8.8", Class::Never),
    ("ff02::1", Class::Never),
    ("100::1", Class::Never),
    ("2001::1", Class::Never),
    ("2001:db8::1", Class::Never),
    ("3fff::1", Class::Never),
    ("::ffff:127.0.0.1", Class::Private),
    ("::ffff:169.254.169.254", Class::Link),
    ("::ffff:8.8.8.8", Class::Public),
    ("64:ff9b::7f00:1", Class::Private),
    ("64:ff9b::a9fe:a9fe", Class::Link),
    ("64:ff9b::808:808", Class::Public),
    ("64:ff9b:1::7f00:1", Class::Private),
    ("2002:7f00:1::1", Class::Private),
    ("2002:808:808::1", Class::Public),
];

#[test]
fn every_form_of_an_address_is_classified() {
    for (address, class) in TABLE {
        assert_eq!(classify(address.parse::<IpAddr>().unwrap()), class, "{address}");
    }
}

/// With everything granted that a `*` grants, a server on loopback is not even connected to.
#[tokio::test]
async fn nothing_private_is_reached_without_a_grant() {
    let server = Server::says("secrets");
    let port = server.port;
    let hosts = [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "127.0.0.1.",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "0",
        "[::]",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "１２７.0.0.1",
        "anything.example.com",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ];
    for host in hosts {
        for answers in [&["127.0.0.1"][..], &["::1"], &["::ffff:127.0.0.1"], &["1.1.1.1", "127.0.0.1"], &["169.254.169.254"]] {
            let client = client_with(Scripted::new(&[answers]));
            let error = client.send(&session(vec![rule("*", port)]), get(&format!("http://{host}:{port}/"))).await.unwrap_err();
            assert!(matches!(error, Error::Address { .. }), "{host}: {error}");
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_denied_address_says_what_would_grant_it() {
    let denied = async |url: &str, answer: &str, grant: &str| {
        let client = client_with(Scripted::new(&[&[answer]]));
        client.send(&session(vec![rule(grant, 80)]), get(url)).await.unwrap_err().to_string()
    };
    let private = denied("http://a.example.com/", "10.1.2.3", "*").await;
    assert_eq!(
        private,
        "`a.example.com` has the address 10.1.2.3, which is private; a rule that names this host and says `private: true` would grant it"
    );
    // A name never opens the link, whatever is granted to it.
    let link = denied("http://a.example.com/", "169.254.169.254", "a.example.com").await;
    assert!(link.contains("which is of the link or of a metadata service; a rule that names this very address"), "{link}");
    let never = denied("http://0.0.0.0/", "1.1.1.1", "0.0.0.0").await;
    assert!(never.ends_with("which is reserved; no rule can grant it"), "{never}");
}

#[tokio::test]
async fn a_private_address_is_reached_where_it_is_granted() {
    let server = Server::says("hello");
    let client = client_with(Scripted::new(&[&["::ffff:127.0.0.1"]]));
    for (host, grant) in
        [("127.0.0.1", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("inner.test", "inner.test"), ("a.inner.test", "*.inner.test")]
    {
        let url = format!("http://{host}:{}/", server.port);
        let response = client.send(&session(vec![rule(grant, server.port)]), get(&url)).await.unwrap();
        assert_eq!(text(response).await.unwrap(), "hello", "{host}");
    }
}

/// Whoever answers for the name says something else the second time; there is no second time.
#[tokio::test]
async fn a_name_is_looked_up_once_and_pinned() {
    let server = Server::says("hello");
    let resolver = Scripted::new(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let client = client_with(resolver.clone());
    let session = session(vec![rule("flips.test", server.port)]);
    let url = format!("http://flips.test:{}/", server.port);
    assert_eq!(text(client.send(&session, get(&url)).await.unwrap()).await.unwrap(), "hello");
    assert_eq!((resolver.lookups(), server.connections()), (1, 1));
    let error = client.send(&session, get(&url)).await.unwrap_err();
    assert!(matches!(error, Error::Address { class: Class::Link, .. }), "{error}");
    assert_eq!((resolver.lookups(), server.connections()), (2, 1));
}
