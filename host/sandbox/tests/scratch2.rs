//! scratch
use floe_flow::*;
use floe_sandbox as sb;
use std::time::Instant;
fn guest(n: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../target/guests/wasm32-wasip2/release/{n}.wasm", env!("CARGO_MANIFEST_DIR"))).unwrap()
}
#[test]
fn hop() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).init();
    let sandbox = sb::Sandbox::new(sb::Config { threads: 2, cache: None, instances: sb::DEFAULT_POOL }).unwrap();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    rt.block_on(async {
        let lim = sb::Limits { wall: std::time::Duration::from_secs(2), ..sb::Limits::profile(sb::Profile::Rust) };
        for g in ["wants_http", "wants_state", "evil_describe", "evil_names", "evil_schema"] {
            let t = Instant::now();
            match sandbox.load(g, &guest(g), &sb::Grants::default(), &lim).await {
                Ok(p) => println!("{g}: ok {:?}", p.nodes.iter().map(|n| &n.name).collect::<Vec<_>>()),
                Err(e) => println!("{g}: {e}\n  {:?}", t.elapsed()),
            }
        }
        let plugin = sandbox.load("evil", &guest("evil"), &sb::Grants::default(), &lim).await.unwrap();
        let empty = Payload::parse("{}").unwrap();
        for spec in &plugin.nodes {
            let payloads: Vec<&str> = match spec.name.as_str() {
                "sleep" => vec!["50", "60000"],
                "slow" => vec!["1000000", "1000000000"],
                "huge" => vec!["100", "2000000", "5000000", "50000000"],
                "deep" => vec!["100", "100000"],
                "many" => vec!["10", "1000000"],
                "flood-chunk" => vec!["10"],
                "flood-progress" => vec!["10"],
                "flood-log" => vec!["3", "150"],
                "fail" => vec!["{\"kind\":\"busy\"}"],
                "again" => vec!["0"],
                "stdout" => vec!["1"],
                _ => vec!["1"],
            };
            for p in payloads {
                let node = plugin.node(&spec.name, &empty, 1).unwrap();
                let mut g = Graph::builder("x");
                let mut pol = Policy::with_concurrency(1);
                pol.validate = Validate::None;
                g.run("a", node, pol);
                let cfg = {
                    let _g = sandbox.handle().enter();
                    Config::on_current_runtime()
                };
                let flow = Flow::start(g.build().unwrap(), cfg);
                let t0 = Instant::now();
                let h = flow.submit(Submission::new("t", "me", Payload::parse(p).unwrap())).await.unwrap();
                let (o, t) = h.finish().await;
                let s = format!("{o:?}");
                println!("== {} {p}: {:?} {} {t:?}", spec.name, t0.elapsed(), &s[..s.len().min(300)]);
            }
        }
    });
}
