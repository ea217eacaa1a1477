//! A URL is refused, or has one form; and what a rule permits is within the rule.

#![no_main]

use floe_egress::policy::{DEFAULT_METHODS, Policy, Rule, Scope};
use floe_egress::target::{Host, Scheme, Target};
use http::Method;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for url in [text.to_owned(), format!("https://{text}"), format!("https://a.example.com/v1/{text}")] {
        let Ok(target) = Target::parse(&url) else { continue };
        assert_eq!(Target::parse(&target.to_string()).expect("a target can be read"), target);
        let rule = Rule {
            scope: Scope {
                scheme: Scheme::Https,
                host: "*.example.com".parse().expect("it is a pattern"),
                ports: Vec::new(),
                methods: DEFAULT_METHODS.to_vec(),
                path: "/v1/*".parse().expect("it is a pattern"),
            },
            private: false,
            redirects: 0,
        };
        if Policy::try_new(vec![rule]).expect("it is a rule").check(&Method::GET, &target).is_ok() {
            assert!(matches!(&target.host, Host::Name(name) if name.ends_with(".example.com")), "{target}");
            assert!(target.scheme == Scheme::Https && target.port == 443, "{target}");
            assert!(target.path.starts_with("/v1/") && target.path.split('/').all(|segment| segment != ".."), "{target}");
        }
    }
});
