//! Imports the capability `clock`: the host must refuse to load it unless that is granted. Tells what its clocks say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use floe_guest::capability::clock;
use floe_guest::{Context, Json, Node, Outcome, Result};
use serde_json::{Value, json};

floe_guest::export!(nodes: [Times]);

/// Looks at all clocks, waits, and looks again.
struct Times;

impl Node for Times {
    const NAME: &'static str = "times";
    const DESCRIPTION: &'static str = "Waits as many milliseconds as it is given, and tells the times before and after.";
    type Config = ();
    type Input = u64;
    type Output = Json;

    fn handle((): (), wait: u64, _: &Context) -> Result<Outcome<Json>> {
        #[expect(clippy::disallowed_types, reason = "a guest has no other clock")]
        let began = std::time::Instant::now();
        let look = || -> Value {
            let unix = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
            json!({
                "now": unix(clock::now()),
                "monotonic": clock::monotonic().as_nanos() as u64,
                "wasi_now": unix(SystemTime::now()),
                "wasi_elapsed": began.elapsed().as_nanos() as u64,
            })
        };
        let before = look();
        #[expect(clippy::disallowed_methods, reason = "waiting is what is looked at")]
        std::thread::sleep(Duration::from_millis(wait));
        Ok(Json::new(&[before, look()])?.into())
    }
}
