//! What is permitted, and what a target may look like.

use floe_egress::policy::{DEFAULT_METHODS, Policy, Rule, Scope};
use floe_egress::target::{Host, Scheme, Target};
use http::Method;
use proptest::prelude::*;

fn rule(host: &str, path: &str) -> Rule {
    Rule {
        scope: Scope {
            scheme: Scheme::Https,
            host: host.parse().unwrap(),
            ports: Vec::new(),
            methods: DEFAULT_METHODS.to_vec(),
            path: path.parse().unwrap(),
        },
        private: false,
        redirects: 0,
    }
}

fn permits(rule: Rule, method: &Method, url: &str) -> bool {
    let Ok(target) = Target::parse(url) else { return false };
    Policy::try_new(vec![rule]).unwrap().check(method, &target).is_ok()
}

#[test]
fn a_target_has_one_form() {
    let table = [
        ("https://EXAMPLE.com", "https://example.com/"),
        ("HTTPS://example.com./a", "https://example.com/a"),
        ("https://example.com:443/", "https://example.com/"),
        ("http://example.com:80?q=1#part", "http://example.com/?q=1"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://ＥＸＡＭＰＬＥ.com/", "https://example.com/"),
        ("http://0x7f.1:8080/", "http://127.0.0.1:8080/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:127.0.0.1]/"),
        ("https://a.test/%7euser/%2f%c3%a4ä", "https://a.test/~user/%2F%C3%A4%C3%A4"),
        ("https://a.test/?a=%41&b=%2f", "https://a.test/?a=A&b=%2F"),
    ];
    for (url, expected) in table {
        assert_eq!(Target::parse(url).unwrap().to_string(), expected, "{url}");
    }
}

#[test]
fn what_could_mean_two_things_is_refused() {
    let long = format!("https://a.test/{}", "a".repeat(9000));
    let table = [
        "",
        "a.test",
        "//a.test/",
        "ftp://a.test/",
        "https:a.test",
        "https:///a",
        "https://",
        "https://a.test:0/",
        "https://a.test:/",
        "https://a.test:65536/",
        "https://a.test:+1/",
        "https://user@a.test/",
        "https://user:pass@a.test/",
        "https://@a.test/",
        "https://a.test\\@b.test/",
        "https:\\\\a.test/",
        "https://a.test/\\b",
        "https://a b.test/",
        "https://a.test/a b",
        "https://a.test/\r\nhost: b",
        "https://a.test/\0",
        "https://a%2etest/",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://a..test/",
        "https://.test/",
        "https://a.test../",
        "https://-.a_b,c/",
        "https://a.test/..",
        "https://a.test/a/../b",
        "https://a.test/a/./b",
        "https://a.test/%2e%2e/b",
        "https://a.test/a/%2E./b",
        "https://a.test/a/..;x/b",
        "https://a.test/..%2fb",
        "https://a.test/..%5cb",
        "https://a.test/%252e%252e/b",
        "https://a.test/%252e%252e%252fb",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "https://[1.2.3.4]/",
        "https://[::1/",
        "https://::1/",
        &long,
    ];
    for url in table {
        assert!(Target::parse(url).is_err(), "{url:?} is taken for {:?}", Target::parse(url));
    }
}

#[test]
fn rules_permit_what_they_say() {
    let get = Method::GET;
    let table = [
        (rule("a.test", "/*"), "https://a.test/x?y", true),
        (rule("A.test.", "/*"), "https://a.TEST./x", true),
        (rule("a.test", "/*"), "http://a.test/x", false),
        (rule("a.test", "/*"), "https://a.test:8443/x", false),
        (rule("a.test", "/*"), "https://b.a.test/x", false),
        (rule("*.a.test", "/*"), "https://b.a.test/x", true),
        (rule("*.a.test", "/*"), "https://c.b.a.test/x", true),
        (rule("*.a.test", "/*"), "https://a.test/x", false),
        (rule("*.a.test", "/*"), "https://ba.test/x", false),
        (rule("*", "/*"), "https://ba.test/x", true),
        (rule("*", "/*"), "https://1.1.1.1/x", true),
        (rule("1.1.1.1", "/*"), "https://16843009/x", true),
        (rule("a.test", "/v1/*"), "https://a.test/v1/x/y", true),
        (rule("a.test", "/v1/*"), "https://a.test/v1/", true),
        (rule("a.test", "/v1/*"), "https://a.test/v1", false),
        (rule("a.test", "/v1/*"), "https://a.test/v1x", false),
        (rule("a.test", "/v1/*"), "https://a.test/V1/x", false),
        (rule("a.test", "/v1/*"), "https://a.test/%76%31/x", true),
        (rule("a.test", "/v1/*"), "https://a.test//v1/x", false),
        (rule("a.test", "/v1/*"), "https://a.test/v1//x", false),
        (rule("a.test", "/v1/*"), "https://a.test/v1/../x", false),
        (rule("a.test", "/v1/*"), "https://a.test/v1/%2e%2e/x", false),
        (rule("a.test", "/v1/*"), "https://a.test/v1/..%2fx", false),
        (rule("a.test", "/v1/*"), "https://a.test/v1/a%2fb", false),
        (rule("a.test", "/*"), "https://a.test/v1/a%2fb", true),
        (rule("a.test", "/v1/*/x"), "https://a.test/v1/a/x", true),
        (rule("a.test", "/v1/*/x"), "https://a.test/v1/a/b/x", false),
        (rule("a.test", "/v1/*/x"), "https://a.test/v1//x", false),
        (rule("a.test", "/v1/x"), "https://a.test/v1/x", true),
        (rule("a.test", "/v1/x"), "https://a.test/v1/x/", false),
        (rule("a.test", "/v1/x"), "https://a.test/v1/x?z=/v2", true),
    ];
    for (rule, url, expected) in table {
        assert_eq!(permits(rule.clone(), &get, url), expected, "{rule} and {url}");
    }
    assert!(!permits(rule("a.test", "/*"), &Method::POST, "https://a.test/"));
    assert!(permits(rule("a.test", "/*"), &Method::HEAD, "https://a.test/"));
}

#[test]
fn a_ceiling_lowers_what_is_permitted() {
    let policy = |rules: &[Rule]| Policy::try_new(rules.to_vec()).unwrap();
    let granted = policy(&[rule("a.test", "/*"), rule("b.test", "/*")]);
    let within = granted.at_most(&policy(&[rule("*.test", "/v1/*"), rule("c.other", "/*")]));
    let twice = within.at_most(&policy(&[rule("*", "/v1/x")]));
    let table = [
        ("https://a.test/v1/x", true, true, true),
        ("https://a.test/v1/y", true, true, false),
        ("https://a.test/v2", true, false, false),
        ("https://b.test/v1/x", true, true, true),
        ("https://c.test/v1/x", false, false, false),
    ];
    for (url, one, two, three) in table {
        let target = Target::parse(url).unwrap();
        let permitted = [&granted, &within, &twice].map(|policy| policy.check(&Method::GET, &target).is_ok());
        assert_eq!(permitted, [one, two, three], "{url}");
    }
}

#[test]
fn a_denial_has_the_rule_that_would_permit_it() {
    let denied =
        |method: Method, url: &str| Policy::default().check(&method, &Target::parse(url).unwrap()).unwrap_err().to_string();
    let table = [
        (
            denied(Method::GET, "https://a.test/v1/x?token=1"),
            r#"`GET https://a.test/v1/x` is not granted; the rule that would grant it: { host: a.test, methods: [GET], path: "/v1/x" }"#,
        ),
        (
            denied(Method::POST, "http://127.0.0.1:8080/"),
            r#"`POST http://127.0.0.1:8080/` is not granted; the rule that would grant it: { scheme: http, host: "127.0.0.1", ports: [8080], methods: [POST], path: "/" }"#,
        ),
        (
            denied(Method::GET, "https://a.test/a%2fb"),
            r#"`GET https://a.test/a%2Fb` is not granted; the rule that would grant it: { host: a.test, methods: [GET] }"#,
        ),
    ];
    for (error, expected) in table {
        assert_eq!(error, expected);
    }
    let long = denied(Method::GET, &format!("https://a.test/{}", "a".repeat(5000)));
    assert!(long.len() < 1000, "what was asked is cut");
}

#[test]
fn patterns_that_mislead_are_refused() {
    let any = Rule { private: true, ..rule("*", "/*") };
    assert!(Policy::try_new(vec![any]).unwrap_err().to_string().contains("`private: true` needs a host"));
    for host in ["", "*.", "*.1.2.3.4", "a.*", "*a.test", "user@a.test", "a.test/x", "a.test:80", "**"] {
        assert!(host.parse::<floe_egress::policy::HostPattern>().is_err(), "{host}");
    }
    for path in ["", "v1", "/v*", "/v1/x*", "/a/../b", "/a//b", "/a?b", "/a#b", "/a\\b", "/a%2fb", "/a;b"] {
        assert!(path.parse::<floe_egress::policy::PathPattern>().is_err(), "{path}");
    }
}

/// Texts of the characters that matter, and anything.
fn text() -> impl Strategy<Value = String> {
    let odd = proptest::string::string_regex(
        "(https?://)?([a-z0-9.*:@\\[\\]%/\\\\?#;&=_-]|%2e|%2f|%25|\\.\\./|v1/|example\\.com|ä|。){0,40}",
    );
    prop_oneof![odd.unwrap(), any::<String>()]
}

proptest! {
    #[test]
    fn canonical_forms_stay_as_they_are(url in text()) {
        if let Ok(target) = Target::parse(&url) {
            prop_assert_eq!(Target::parse(&target.to_string()).unwrap(), target);
        }
    }

    #[test]
    fn nothing_outside_of_a_pattern_is_permitted(
        name in "([a-z]|[.@:#/%\\\\ä*-]){0,5}",
        parent in "(\\.example\\.com|example\\.com|\\.EXAMPLE\\.com\\.|\\.example\\.com\\.evil)",
        above in "(v1|v2|/v1|%76%31|v1/\\.\\.|\\.\\./v1)",
        tail in text(),
    ) {
        let url = format!("https://{name}{parent}/{above}/{tail}");
        if permits(rule("*.example.com", "/v1/*"), &Method::GET, &url) {
            let target = Target::parse(&url).unwrap();
            let Host::Name(host) = &target.host else { panic!("{target}") };
            prop_assert!(host.ends_with(".example.com"), "{}", target);
            prop_assert!(target.path.starts_with("/v1/"), "{}", target);
            prop_assert!(target.path.split('/').all(|segment| segment != ".."), "{}", target);
            prop_assert!(!["//", "%2F", "%5C", "%25", "\\"].iter().any(|part| target.path.contains(part)), "{}", target);
        }
    }

    #[test]
    fn patterns_never_panic(text in text()) {
        let _ = text.parse::<floe_egress::policy::HostPattern>();
        let _ = text.parse::<floe_egress::policy::PathPattern>();
    }
}
