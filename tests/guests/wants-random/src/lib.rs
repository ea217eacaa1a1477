//! Imports the capability `random`: the host must refuse to load it unless that is granted. Gives the numbers that it gets.

use floe_guest::capability::random;
use floe_guest::{Context, Json, Node, Outcome, Result};

floe_guest::export!(nodes: [Numbers]);

/// Draws.
struct Numbers;

impl Node for Numbers {
    const NAME: &'static str = "numbers";
    const DESCRIPTION: &'static str = "Gives as many numbers as it is told, each as hexadecimal digits.";
    type Config = ();
    type Input = usize;
    type Output = Json;

    fn handle((): (), count: usize, _: &Context) -> Result<Outcome<Json>> {
        assert!(random::below(10) < 10 && random::below(0) == 0, "a number is below its end");
        let numbers: Vec<String> = (0..count).map(|_| format!("{:016x}", random::next())).collect();
        Ok(Json::new(&numbers)?.into())
    }
}
