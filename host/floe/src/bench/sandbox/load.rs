//! What loading takes: compiling in a process of its own, then from the cache on disk, then once more in the same process.

use std::fmt::Write;
use std::time::Duration;

use floe_sandbox::{Grants, Limits};
use tokio::time::Instant;

use super::{micros, wrong};
use crate::bench::report::{Figures, Row};
use crate::settings::Settings;
use crate::{Error, attack, start};

/// Bytes of the component, at least.
const SIZE: usize = 1_000_000;
/// Sums in one of its functions, and bytes of each.
const SUMS: usize = 30;
const SUM: usize = 8;

/// How long it took, in microseconds.
#[derive(Debug)]
pub(super) struct Loading {
    figures: Figures,
    bytes: usize,
}

impl Loading {
    pub(super) async fn measure(settings: &Settings, limits: &Limits, rounds: usize) -> Result<Self, Error> {
        let component = large()?;
        let mut figures = Figures::default();
        for _ in 0..rounds {
            let folder = tempfile::tempdir()?;
            let settings = Settings { cache: Some(folder.path().to_owned()), ..settings.clone() };
            let sandbox = start::sandbox(&settings)?;
            let load = |sandbox: floe_sandbox::Sandbox| {
                let component = &component;
                async move {
                    let started = Instant::now();
                    sandbox.load("large", component, &Grants::default(), limits).await.map_err(wrong)?;
                    Ok::<(Duration, floe_sandbox::Sandbox), Error>((started.elapsed(), sandbox))
                }
            };
            let (compiled, sandbox) = load(sandbox).await?;
            // What it keeps ready goes with it.
            drop(sandbox);
            let (cached, sandbox) = load(start::sandbox(&settings)?).await?;
            let (kept, _) = load(sandbox).await?;
            figures.record("compiled", micros(compiled));
            figures.record("cached", micros(cached));
            figures.record("kept", micros(kept));
        }
        Ok(Self { figures, bytes: component.len() })
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let millis = |name, figure| {
            let millis = self.figures.median(figure) / 1e3;
            Row::new(name, millis, format!("{millis:.2} ms"))
        };
        let mb = self.bytes as f64 / 1e6;
        vec![
            Row::new("a component that is loaded, with functions made for it", mb, format!("{mb:.2} MB")),
            millis("  compiled in a process of its own", "compiled"),
            millis("  from the cache on disk, in another process's place", "cached"),
            millis("  once more in the same process", "kept").at_most(1.0, "ms"),
        ]
    }
}

/// A small plugin beside functions that nobody calls, as the libraries of one are.
fn large() -> Result<Vec<u8>, Error> {
    let mut body = String::from("(func $attack)\n");
    let mut functions = 0_u32;
    while (functions as usize) * SUMS * SUM < SIZE {
        body += "(func (param i32) (result i32) (local.get 0)";
        for sum in 0..SUMS {
            let _ =
                write!(body, " (i32.mul (i32.const {})) (i32.add (local.get 0))", 1_000_003 + functions as usize * SUMS + sum);
        }
        body += ")\n";
        functions += 1;
    }
    attack::plugin("", &body)
}
