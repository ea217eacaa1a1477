//! What loads and what is refused, and in which words.

use std::time::Duration;

use expect_test::{Expect, expect};
use floe_sandbox::{Clock, Compiler, Config, Error, Grants, Limits, Profile, Sandbox, inspect};

use crate::support::{component, limits, load, sandbox, starting, wat};

fn check(error: &Error, expect: &Expect) {
    expect.assert_eq(&error.to_string());
}

#[tokio::test]
async fn what_is_no_component_is_named() {
    let sandbox = sandbox(4);
    let golden = std::fs::read(crate::contract::GOLDEN).unwrap();
    let engine = wasmtime::Engine::default();
    let compiled = engine.precompile_component(&wat("(component)")).unwrap();
    let compiled_module = engine.precompile_module(&wat("(module)")).unwrap();
    let cases: [(&[u8], Expect); 9] = [
        (
            &compiled_module,
            expect![
                "plugin `x`: this is machine code that Wasmtime compiled, and a host only runs what it compiled itself; give the component (.wasm) instead"
            ],
        ),
        (b"", expect![[r#"plugin `x`: the file is empty; build or fetch the plugin again"#]]),
        (
            b"(component)",
            expect![[
                r#"plugin `x`: this is text, not a compiled component; give the component (.wasm) that `floe build` makes of the plugin's source"#
            ]],
        ),
        (
            b"\x7fELF\0\0\0\0\0\0",
            expect![
                "plugin `x`: this is not WebAssembly; give the component (.wasm) that `floe build` makes of the plugin's source"
            ],
        ),
        (
            &wat("(module)"),
            expect![
                "plugin `x`: this is a core WebAssembly module, not a component; build the plugin for a component target such as wasm32-wasip2"
            ],
        ),
        (
            &compiled,
            expect![
                "plugin `x`: this is machine code that Wasmtime compiled, and a host only runs what it compiled itself; give the component (.wasm) instead"
            ],
        ),
        (
            b"\0asm\x01",
            expect![
                "plugin `x`: the component is damaged or cut off at byte 5 of 5: it ends within the header; build or fetch it again"
            ],
        ),
        (
            &golden[..golden.len() / 2],
            expect![
                "plugin `x`: the component is damaged or cut off at byte 130574 of 130950: unexpected end-of-file; build or fetch it again"
            ],
        ),
        (
            b"\0asm\x63\0\x09\0",
            expect![
                "plugin `x`: this is WebAssembly of a version that this host does not know; build the plugin for a component target such as wasm32-wasip2"
            ],
        ),
    ];
    for (bytes, expect) in &cases {
        check(&load(&sandbox, bytes).await.unwrap_err(), expect);
    }
}

#[tokio::test]
async fn what_is_not_granted_is_refused_with_the_lines_that_would_grant_it() {
    let sandbox = sandbox(4);
    let grants = Grants { unserved: ["sockets".to_owned()].into(), ..Grants::default() };
    let cases = [
        (
            r#"(component (import "floe:plugin/log@0.2.0" (instance)))"#,
            expect![
                "plugin `x`: it was built for the contract floe:plugin@0.2.0, and this host serves floe:plugin@0.1.0; rebuild it for that version"
            ],
        ),
        (
            r#"(component (import "floe:plugin/log" (instance)))"#,
            expect![
                "plugin `x`: it was built for the contract floe:plugin@(no version), and this host serves floe:plugin@0.1.0; rebuild it for that version"
            ],
        ),
        (
            r#"(component (import "floe:plugin/secrets@0.1.0" (instance)))"#,
            expect![
                "plugin `x`: it imports `floe:plugin/secrets@0.1.0`, which is no interface that this host knows; build the plugin without it"
            ],
        ),
        (
            r#"(component (import "floe:capability/model@0.0.1" (instance)))"#,
            expect![[r#"
            plugin `x`: it imports `floe:capability/model@0.0.1`, which is not granted and not available in this host yet; the lines that would grant it:
              plugins:
                x:
                  grants:
                    model: [MODEL]"#]],
        ),
        (
            r#"(component (import "floe:capability/root@0.0.1" (instance)))"#,
            expect![
                "plugin `x`: it imports `floe:capability/root@0.0.1`, which is no interface that this host knows; build the plugin without it"
            ],
        ),
        (
            r#"(component (import "wasi:http/outgoing-handler@0.2.4" (instance)))"#,
            expect![[r#"
            plugin `x`: it imports `wasi:http/outgoing-handler@0.2.4`, which is not granted; the lines that would grant it:
              plugins:
                x:
                  grants:
                    http: [{ host: api.example.com, methods: [GET], path: "/*" }]"#]],
        ),
        (
            r#"(component (import "wasi:sockets/tcp@0.2.4" (instance)))"#,
            expect![[r#"
            plugin `x`: it imports `wasi:sockets/tcp@0.2.4`, which is not granted and not available in this host yet; the lines that would grant it:
              plugins:
                x:
                  grants:
                    sockets: [{ host: db.example.com, port: 5432 }]"#]],
        ),
        (
            r#"(component (import "wasi:cli/run@0.3.0" (instance)))"#,
            expect![
                "plugin `x`: it imports `wasi:cli/run@0.3.0`, which is no interface that this host knows; build the plugin without it"
            ],
        ),
        (
            r#"(component (import "acme:thing/x@1.0.0" (instance)))"#,
            expect![
                "plugin `x`: it imports `acme:thing/x@1.0.0`, which is no interface that this host knows; build the plugin without it"
            ],
        ),
        (
            r#"(component (import "run" (func)))"#,
            expect!["plugin `x`: it imports `run`, which is no interface that this host knows; build the plugin without it"],
        ),
        (
            "(component)",
            expect![
                "plugin `x`: it exports neither `floe:plugin/node@0.1.0` nor `floe:plugin/toolset@0.1.0`, so there is nothing to call"
            ],
        ),
    ];
    for (text, expect) in &cases {
        let loaded = sandbox.load("x", &wat(text), &Grants::default(), &limits()).await;
        check(&loaded.unwrap_err(), expect);
    }
    let sockets = wat(r#"(component (import "wasi:sockets/tcp@0.2.4" (instance)))"#);
    let loaded = sandbox.load("x", &sockets, &grants, &limits()).await;
    check(
        &loaded.unwrap_err(),
        &expect!["plugin `x`: it imports `wasi:sockets/tcp@0.2.4`, which is granted but not available in this host yet"],
    );
}

/// `describe` is called without capabilities, also where they are granted.
#[tokio::test]
async fn who_describes_itself_has_no_clock_and_no_numbers() {
    let sandbox = sandbox(4);
    let grants = Grants { clock: Some(Clock::Coarse(Duration::ZERO)), random: true, ..Grants::default() };
    for (capability, function) in [("clock", "now"), ("clock", "monotonic"), ("random", "next")] {
        let imports =
            format!(r#"(import "floe:capability/{capability}@0.1.0" (instance $c (export "{function}" (func (result u64)))))"#);
        let cores = format!(
            r#"(core func $f (canon lower (func $c "{function}")))
            (core module $m
                (import "c" "f" (func $f (result i64)))
                (func $start (drop (call $f)))
                (start $start)
                (func (export "f")))
            (core instance $i (instantiate $m (with "c" (instance (export "f" (func $f))))))"#
        );
        let refused = sandbox.load("x", &component(&imports, &cores), &grants, &limits()).await.unwrap_err().to_string();
        let says = format!("a plugin that describes itself has no `{capability}`");
        assert_eq!(refused, format!("plugin `x`: it cannot describe itself: the plugin broke the contract: {says}"));
    }
}

/// Whatever it imports, it can be looked at, and has nothing of it.
#[tokio::test]
async fn a_component_is_looked_at_with_everything_denied() {
    let sandbox = sandbox(4);
    for (guest, node) in [(floe_tests::WANTS_HTTP, "fetch"), (floe_tests::WANTS_STATE, "visits")] {
        let plugin = sandbox.load_denied("x", &floe_tests::bytes(guest), &limits()).await.unwrap();
        let names: Vec<&str> = plugin.nodes.iter().map(|spec| spec.name.as_str()).collect();
        assert!(names.contains(&node) && plugin.inspection.imports.questionable().count() > 0, "{names:?}");
    }
    // What it describes itself by is called, and is not there.
    let calls = component(
        r#"(import "acme:thing/x@1.0.0" (instance $x (export "go" (func))))"#,
        r#"(core func $go (canon lower (func $x "go")))
           (core module $m (import "" "go" (func $go)) (start $go) (func (export "f")))
           (core instance $i (instantiate $m (with "" (instance (export "go" (func $go))))))"#,
    );
    check(
        &sandbox.load_denied("x", &calls, &limits()).await.unwrap_err(),
        &expect![
            "plugin `x`: it cannot describe itself: the plugin broke the contract: unknown import: `acme:thing/x@1.0.0#go` has not been defined"
        ],
    );
    // That it is ready now admits it nowhere else.
    check(
        &load(&sandbox, &calls).await.unwrap_err(),
        &expect![
            "plugin `x`: it imports `acme:thing/x@1.0.0`, which is no interface that this host knows; build the plugin without it"
        ],
    );
    let other = wat(r#"(component (import "floe:plugin/log@0.2.0" (instance)))"#);
    assert!(matches!(sandbox.load_denied("x", &other, &limits()).await.unwrap_err().reason(), Error::Contract { .. }));
    assert!(matches!(
        sandbox.load_denied("x", &wat("(component)"), &limits()).await.unwrap_err().reason(),
        Error::NoExport { .. }
    ));
}

#[tokio::test]
async fn size_is_limited_before_compiling() {
    let sandbox = sandbox(4);
    let bytes = starting("(func) (func)");
    let rust = limits;
    let cases = [
        (
            Limits { module: 100, ..rust() },
            expect!["plugin `x`: limit `module` reached: the component has 197 of 100; raise it with `plugins.x.limits.module`"],
        ),
        (
            Limits { functions: 2, ..rust() },
            expect![
                "plugin `x`: limit `functions` reached: the component has 3 of 2; raise it with `plugins.x.limits.functions`"
            ],
        ),
        (
            Limits { nested: 0, ..rust() },
            expect!["plugin `x`: limit `nested` reached: the component has 1 of 0; raise it with `plugins.x.limits.nested`"],
        ),
        (
            Limits { memory: 1 << 40, ..rust() },
            expect!["plugin `x`: `plugins.x.limits.memory` is 1099511627776, but this host takes at most 1073741824"],
        ),
    ];
    for (limits, expect) in &cases {
        check(&sandbox.load("x", &bytes, &Grants::default(), limits).await.unwrap_err(), expect);
    }
    let imports = component(
        r#"(import "floe:plugin/log@0.1.0" (instance))"#,
        "(core module $m (func (export \"f\"))) (core instance $i (instantiate $m))",
    );
    let limits = Limits { imports: 0, ..rust() };
    check(
        &sandbox.load("x", &imports, &Grants::default(), &limits).await.unwrap_err(),
        &expect!["plugin `x`: limit `imports` reached: the component has 1 of 0; raise it with `plugins.x.limits.imports`"],
    );
}

/// A component that has so many more of something than a profile allows.
type Make<'m> = &'m dyn Fn(usize) -> Vec<u8>;

/// A component that has one more than a profile allows is refused before anything is compiled: there is no compiler here.
#[tokio::test]
async fn each_profile_bounds_a_component_before_compiling() {
    let compiler = Compiler::Child { program: "/nowhere/compiler".into(), args: Vec::new() };
    let sandbox = Sandbox::new(Config { instances: 4, compiler, ..Config::new(1) }).unwrap();
    for profile in Profile::ALL {
        let limits = Limits::profile(profile);
        let count = |limit: u32, extra: usize| limit as usize + extra;
        let functions = |extra| starting(&"(func)".repeat(count(limits.functions, extra) - 1));
        let imports = |extra| {
            let core = format!("(core module $o {})", "(import \"a\" \"b\" (func))".repeat(count(limits.imports, extra)));
            component("", &format!("{core} (core module $m (func (export \"f\"))) (core instance $i (instantiate $m))"))
        };
        let parts = |extra| {
            let parts = "(component)".repeat(count(limits.nested, extra) - 1);
            component("", &format!("{parts} (core module $m (func (export \"f\"))) (core instance $i (instantiate $m))"))
        };
        let instances = |extra| {
            let more = "(core instance (instantiate $m))".repeat(count(limits.nested, extra) - 1);
            component("", &format!("(core module $m (func (export \"f\"))) {more} (core instance $i (instantiate $m))"))
        };
        let module = |extra| {
            let mut bytes = starting("");
            bytes.resize(usize::try_from(limits.module).unwrap() + extra, 0);
            bytes
        };
        let cases: [(&str, Make<'_>); 5] =
            [("module", &module), ("functions", &functions), ("imports", &imports), ("nested", &parts), ("nested", &instances)];
        for (limit, make) in cases {
            let error = sandbox.load("x", &make(1), &Grants::default(), &limits).await.unwrap_err();
            assert!(
                matches!(error.reason(), Error::Limit { limit: found, .. } if *found == limit),
                "{profile:?} {limit}: {error}"
            );
            let error = sandbox.load("x", &make(0), &Grants::default(), &limits).await.unwrap_err();
            assert!(!matches!(error.reason(), Error::Limit { .. }), "{profile:?} {limit}: {error}");
        }
    }
}

#[tokio::test]
async fn proposals_that_no_language_needs_do_not_compile() {
    let sandbox = sandbox(4);
    let cases = [
        (
            "(memory i64 1)",
            expect![
                "plugin `x`: the component does not compile: failed to parse WebAssembly module: memory64 must be enabled for 64-bit memories (at offset 0x1f)"
            ],
        ),
        (
            "(memory 1 1 shared)",
            expect![
                "plugin `x`: the component does not compile: failed to parse WebAssembly module: threads must be enabled for shared memories (at offset 0x1f)"
            ],
        ),
        (
            "(type (struct))",
            expect![
                "plugin `x`: the component does not compile: failed to parse WebAssembly module: struct indexed types not supported without the gc feature (at offset 0x15)"
            ],
        ),
        (
            "(tag)",
            expect![
                "plugin `x`: the component does not compile: failed to parse WebAssembly module: exceptions proposal not enabled (at offset 0x1e)"
            ],
        ),
    ];
    for (core, expect) in &cases {
        check(&load(&sandbox, &starting(core)).await.unwrap_err(), expect);
    }
    let other = component(
        r#"(import "floe:plugin/log@0.1.0" (instance (export "write" (func (param "a" u32)))))"#,
        "(core module $m (func (export \"f\"))) (core instance $i (instantiate $m))",
    );
    check(
        &load(&sandbox, &other).await.unwrap_err(),
        &expect![
            "plugin `x`: its interfaces are not those of floe:plugin@0.1.0: component imports instance `floe:plugin/log@0.1.0`, but a matching implementation was not found in the linker: instance export `write` has the wrong type: type mismatch with parameters: expected 3-tuple, found 1-tuple; rebuild it with the contract of this version"
        ],
    );
}

/// Instantiation runs guest code, so all limits hold there.
#[tokio::test]
async fn a_start_function_runs_under_limits() {
    let cases = [
        ("(func $s (loop (br 0))) (start $s)", "limit `fuel` reached: used 1000000000 of 1000000000"),
        ("(func $s (call $s)) (start $s)", "limit `stack` reached: the plugin's calls are nested beyond 524288 bytes"),
        ("(func $s unreachable) (start $s)", "the plugin crashed: wasm `unreachable` instruction executed"),
        // What was refused before is not what ended it.
        (
            "(memory 1) (func $s (drop (memory.grow (i32.const 2000))) (drop (i32.div_u (i32.const 1) (i32.const 0)))) (start $s)",
            "the plugin crashed: integer divide by zero",
        ),
        ("(memory 2000)", "limit `memory` reached: used 131072000 of 67108864"),
        ("(memory 600) (memory 600)", "limit `memory` reached: used 78643200 of 67108864"),
        (
            "(memory 1) (func $s (drop (memory.grow (i32.const 2000))) unreachable) (start $s)",
            "limit `memory` reached: used 131137536",
        ),
        ("(table 20000 funcref)", "limit `table_elements` reached: used 20000 of 10000"),
        ("", "the plugin broke the contract: expected 1-tuple, found 0-tuple"),
    ];
    for (core, reason) in cases {
        fails(&starting(core), reason).await;
    }
}

#[tokio::test]
async fn parts_and_handles_are_limited() {
    let parts = "(core instance (instantiate $n))".repeat(16);
    let parts = format!("(core module $n) {parts} (core module $m (func (export \"f\"))) (core instance $i (instantiate $m))");
    fails(&component("", &parts), "limit `instances` reached: used 17 of 16").await;

    // Handles that the guest makes alone, in the tables that the host keeps for it.
    let handles = r#"(type $r (resource (rep i32))) (core func $new (canon resource.new $r))
        (core module $m (import "" "new" (func $new (param i32) (result i32)))
            (func $s (loop (drop (call $new (i32.const 1))) (br 0))) (start $s) (func (export "f")))
        (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))"#;
    fails(&component("", handles), "limit `handles` reached: used 1001 of 1000").await;

    // Values of the host behind handles.
    let pollables = r#"(import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
        (alias export $poll "pollable" (type $pollable))
        (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
            (alias outer 1 $pollable (type $outer)) (export "pollable" (type $p (eq $outer)))
            (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))"#;
    let subscribe = r#"(core func $new (canon lower (func $clock "subscribe-duration")))
        (core module $m (import "" "new" (func $new (param i64) (result i32)))
            (func $s (loop (drop (call $new (i64.const 1))) (br 0))) (start $s) (func (export "f")))
        (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))"#;
    fails(&component(pollables, subscribe), "limit `resources` reached: used 513 of 512").await;
}

/// An instance takes a place for each memory, so that the engine's slots are never taken by a few.
#[tokio::test]
async fn memories_take_places() {
    let three = starting("(memory 1) (memory 1) (memory 1)");
    let full = "no room for an instance with 3 memories: 2 run at once at most, each memory counted";
    let error = load(&sandbox(2), &three).await.unwrap_err().to_string();
    assert_eq!(error, format!("plugin `x`: it cannot describe itself: {full}"));
    fails(&three, "the plugin broke the contract").await;
}

#[tokio::test]
async fn limits_beyond_what_the_host_holds_are_refused() {
    let limits = [
        Limits { random: u64::MAX, ..limits() },
        Limits { memory: u64::MAX, ..limits() },
        Limits { hostcall: u64::MAX, ..limits() },
        Limits { stdio: u64::MAX, ..limits() },
        Limits { log_line: u64::MAX, ..limits() },
        Limits { chunk: u64::MAX, ..limits() },
        Limits { emit: u64::MAX, ..limits() },
        Limits { result: u64::MAX, ..limits() },
        Limits { compile_memory: u64::MAX, ..limits() },
    ];
    for limits in limits {
        let error = sandbox(1).load("x", &starting(""), &Grants::default(), &limits).await.unwrap_err();
        assert!(matches!(error.reason(), Error::LimitTooHigh { value: u64::MAX, .. }), "{error}");
    }
}

/// Names end in terminals, logs and in the lines that people paste into a file.
#[tokio::test]
async fn names_are_names() {
    let golden = std::fs::read(crate::contract::GOLDEN).unwrap();
    for (name, hostile, reason) in [
        ("wasi:io/poll@0.2.6", "wasi:io/\u{1b}[7mx0.2.6", "contains '\\u{1b}'"),
        ("wasi:io/poll@0.2.6", "wasi:x/y@0.2.\u{202e}00", "contains '\\u{202e}'"),
        ("wasi:io/poll@0.2.6", "wasi:a\n b/t@0.2.60", "contains '\\n'"),
        (
            "wasi:io/poll@0.2.6",
            "wasi:a{b}/tt@0.2.6",
            "it imports `wasi:a{b}/tt@0.2.6`, which is no interface that this host knows",
        ),
    ] {
        assert_eq!(name.len(), hostile.len());
        let mut bytes = golden.clone();
        let places: Vec<usize> = (0..bytes.len() - name.len()).filter(|at| bytes[*at..].starts_with(name.as_bytes())).collect();
        for at in places {
            bytes[at..at + name.len()].copy_from_slice(hostile.as_bytes());
        }
        let error = load(&sandbox(1), &bytes).await.unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains(char::is_control), "{error}");
    }
}

/// Loading fails as the component describes itself, for this reason.
async fn fails(bytes: &[u8], reason: &str) {
    let error = load(&sandbox(4), bytes).await.unwrap_err().to_string();
    let expected = format!("plugin `x`: it cannot describe itself: {reason}");
    assert!(error.starts_with(&expected), "{error}\n{expected}");
}

/// Sixteen kilobytes that would take the compiler gigabytes.
#[tokio::test]
async fn functions_that_no_compiler_can_take_are_refused() {
    let variables: String = (0..1000).map(|n| format!("(local.set {n} (i32.add (local.get {n}) (i32.const 1)))")).collect();
    let (open, close) = ("(loop ".repeat(1000), "(br_if 0 (i32.const 0)))".repeat(1000));
    let bomb = starting(&format!("(func (local {}) {open} {variables} {close})", "i32 ".repeat(1000)));
    let error = load(&sandbox(1), &bomb).await.unwrap_err().to_string();
    assert!(error.contains("has too many local variables and loops for a compiler: 1000000 as their product"), "{error}");
}

#[tokio::test]
async fn compiling_is_limited_in_time() {
    let sandbox = floe_sandbox::Sandbox::new(floe_sandbox::Config { instances: 4, ..floe_sandbox::Config::new(2) }).unwrap();
    let limits = Limits { compile: Duration::from_millis(1), ..limits() };
    let loaded = sandbox.load("x", &floe_tests::bytes(floe_tests::TEXT), &Grants::default(), &limits).await;
    check(
        &loaded.unwrap_err(),
        &expect!["plugin `x`: compiling took longer than limit `compile` allows, 1ms; raise it with `plugins.x.limits.compile`"],
    );
}

/// Without fuel to end it, the tick does.
#[tokio::test]
async fn wall_time_ends_what_fuel_does_not() {
    let sandbox = sandbox(4);
    let limits = Limits { fuel: u64::MAX / 4, wall: Duration::from_millis(50), ..limits() };
    let spins = starting("(func $s (loop (br 0))) (start $s)");
    let loaded = sandbox.load("x", &spins, &Grants::default(), &limits).await;
    check(
        &loaded.unwrap_err(),
        &expect![
            "plugin `x`: it cannot describe itself: limit `wall` reached: used 50 of 50; raise it with `plugins.x.limits.wall`"
        ],
    );
}

#[tokio::test]
async fn a_description_is_checked() {
    let sandbox = sandbox(4);
    let cases = [
        (
            floe_tests::EVIL_NAMES,
            expect![
                "plugin `x`: its description breaks the contract: `` is no name of a node; a name is [a-z0-9_-]+, at most 64 bytes"
            ],
        ),
        (
            floe_tests::EVIL_SCHEMA,
            expect![
                "plugin `x`: its description breaks the contract: the input schema of node `not-json` is not valid JSON: key must be a string at line 1 column 3"
            ],
        ),
        (
            floe_tests::EVIL_DESCRIBE,
            expect![
                "plugin `x`: it cannot describe itself: limit `fuel` reached: used 1000000000 of 1000000000; raise it with `plugins.x.limits.fuel`"
            ],
        ),
        (
            floe_tests::WANTS_HTTP,
            expect![[r#"
            plugin `x`: it imports `wasi:http/types@0.2.4`, which is not granted; the lines that would grant it:
              plugins:
                x:
                  grants:
                    http: [{ host: api.example.com, methods: [GET], path: "/*" }]"#]],
        ),
        (
            floe_tests::WANTS_STATE,
            expect![[r#"
                plugin `x`: it imports `floe:capability/state@0.1.0`, which is not granted; the lines that would grant it:
                  plugins:
                    x:
                      grants:
                        state: { space: NAME, bytes: 1MiB }"#]],
        ),
    ];
    for (path, expect) in &cases {
        check(&load(&sandbox, &floe_tests::bytes(path)).await.unwrap_err(), expect);
    }
}

#[tokio::test]
async fn a_plugin_says_what_it_has() {
    let sandbox = sandbox(4);
    let echo = load(&sandbox, &floe_tests::bytes(floe_tests::ECHO)).await.unwrap();
    let names: Vec<&str> = echo.nodes.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!((names, echo.tools.len()), (vec!["echo", "greet"], 0));
    assert!(echo.nodes[1].input.is_some() && echo.digest.starts_with("sha256:"));
    check(
        &echo.node("grete", &crate::support::json("{}"), 1).unwrap_err(),
        &expect!["plugin `x`: there is no node `grete`; it has `echo`, `greet`"],
    );
    let text = sandbox.load("text", &floe_tests::bytes(floe_tests::TEXT), &Grants::default(), &limits()).await.unwrap();
    assert!(!text.tools.is_empty(), "{text:?}");
    let empty = crate::support::json("{}");
    check(&text.tool("x", &empty, &empty, 1).unwrap_err(), &expect!["plugin `text`: there is no tool `x`; it has `word-count`"]);
}

#[test]
fn inspection_needs_no_compiler() {
    let inspection = inspect(&floe_tests::bytes(floe_tests::WANTS_HTTP)).unwrap();
    assert_eq!(inspection.contract.iter().collect::<Vec<_>>(), ["0.1.0"]);
    assert!(inspection.node && inspection.imports.wasi.iter().any(|name| name.starts_with("wasi:http/")), "{inspection:?}");
    assert!(inspection.imports.unknown.is_empty() && inspection.imports.capabilities.is_empty(), "{inspection:?}");
    let inspection = inspect(&floe_tests::bytes(floe_tests::WANTS_STATE)).unwrap();
    expect![[r#"["floe:capability/state@0.1.0"]"#]].assert_eq(&format!("{:?}", inspection.imports.capabilities));
    let inspection = inspect(&starting("(memory 1) (table 1 funcref) (func)")).unwrap();
    expect!["Counts { functions: 2, memories: 1, tables: 1, modules: 1, components: 0, imports: 0, instances: 1 }"]
        .assert_eq(&format!("{:?}", inspection.counts));
}

#[test]
fn profiles_differ_where_their_languages_do() {
    let memory: Vec<u64> = Profile::ALL.iter().map(|profile| Limits::profile(*profile).memory >> 20).collect();
    assert_eq!(memory, [64, 128, 256, 256]);
}
