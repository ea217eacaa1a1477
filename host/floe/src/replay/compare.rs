//! What differs between an attempt and its repetition.

use floe_flow::{Attempted, Outcome, Output, Repeated};
use serde::Serialize;

/// Bytes of a text that are shown.
const SHOWN: usize = 160;
/// Bytes of them that stand before the first difference.
const BEFORE: usize = 40;
/// Differences of one attempt that are shown.
const MAX_SHOWN: usize = 3;

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// An output by its number, the failure, the fuel, …
    pub(super) what: String,
    /// As the record has it; none: it is new. Both texts are cut to what differs.
    pub(super) then: Option<String>,
    /// As it is now; none: it is gone.
    pub(super) now: Option<String>,
}

/// All that differs; nothing: the attempt came out the same.
pub(super) fn differences(then: &Attempted, now: &Repeated) -> Vec<Difference> {
    let (before, after) = (parts(&then.result), parts(&now.result));
    let mut found = Vec::new();
    for (what, text) in &before {
        let other = after.iter().find(|(other, _)| other == what).map(|(_, text)| text);
        if other != Some(text) {
            let (then, now) = cut(text, other.map_or("", String::as_str));
            found.push(Difference { what: what.clone(), then: Some(then), now: other.map(|_| now) });
        }
    }
    for (what, text) in after.iter().filter(|(what, _)| before.iter().all(|(other, _)| other != what)) {
        found.push(Difference { what: what.clone(), then: None, now: Some(cut(text, "").0) });
    }
    let fuel = [then.receipt.fuel, now.receipt.fuel];
    if fuel[0] != fuel[1] {
        let [then, now] = fuel.map(|fuel| Some(fuel.to_string()));
        found.push(Difference { what: "fuel".to_owned(), then, now });
    }
    found
}

/// The differences in one line.
pub(super) fn sentence(differences: &[Difference]) -> String {
    let clauses = differences.iter().take(MAX_SHOWN).map(|Difference { what, then, now }| match (then, now) {
        (Some(then), Some(now)) => format!("{what} was {then} and is {now}"),
        (Some(then), None) => format!("{what} was {then} and is gone"),
        (None, now) => format!("{what} is new: {}", now.as_deref().unwrap_or_default()),
    });
    let mut text = clauses.collect::<Vec<_>>().join("; ");
    if differences.len() > MAX_SHOWN {
        text += &format!("; {} more", differences.len() - MAX_SHOWN);
    }
    text
}

/// A result as names and texts, in the order in which the node gave them.
fn parts(result: &Result<(Vec<Output>, Outcome), floe_flow::Failure>) -> Vec<(String, String)> {
    let (emitted, outcome) = match result {
        Ok(result) => result,
        Err(failure) => {
            let text = serde_json::to_string(failure).unwrap_or_else(|_| failure.message.clone());
            return vec![("the failure".to_owned(), text)];
        }
    };
    let returned: &[Output] = if let Outcome::Outputs(outputs) = outcome { outputs } else { &[] };
    let outputs = emitted.iter().chain(returned).enumerate();
    let mut parts: Vec<_> = outputs.map(|(number, output)| (format!("output {number}"), text(output))).collect();
    match outcome {
        Outcome::Outputs(_) => {}
        Outcome::Again { memory, tokens_used } => {
            parts.push(("the next turn's memory".to_owned(), memory.text().to_owned()));
            parts.push(("the tokens used".to_owned(), tokens_used.to_string()));
        }
        Outcome::Final(answer) => parts.push(("the answer".to_owned(), answer.text().to_owned())),
    }
    parts
}

/// The payload alone, unless there is more.
fn text(output: &Output) -> String {
    if *output == Output::new(output.payload.clone()) {
        return output.payload.text().to_owned();
    }
    serde_json::to_string(output).unwrap_or_else(|_| output.payload.text().to_owned())
}

/// Both texts from just before where they differ, on one line, cut.
fn cut(one: &str, other: &str) -> (String, String) {
    let same = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let from = same.saturating_sub(BEFORE);
    let shown = |text: &str| {
        let from = text.floor_char_boundary(from);
        let dots = if from > 0 { "…" } else { "" };
        format!("{dots}{}", floe_sandbox::plain(&text[from..], SHOWN))
    };
    (shown(one), shown(other))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use floe_flow::{At, Attempted, Failure, FailureKind, MessageId, Outcome, Output, Payload, Receipt, Repeated};
    use serde_json::json;

    use super::{differences, sentence};

    type Result = std::result::Result<(Vec<Output>, Outcome), Failure>;

    fn outputs(payloads: &[&str]) -> Result {
        let output = |text: &&str| Output::new(Payload::from(json!(text)));
        Ok((Vec::new(), Outcome::Outputs(payloads.iter().map(output).collect())))
    }

    fn check(then: Result, now: Result, fuel: [u64; 2], expect: &Expect) {
        let [then_used, now_used] = fuel.map(|fuel| Receipt { fuel, ..Receipt::default() });
        let at = At { node: "n".into(), message: MessageId::INPUT, attempt: 1 };
        let then = Attempted { at, message: None, result: then, receipt: then_used, tape: None };
        let now = Repeated { result: now, receipt: now_used };
        expect.assert_eq(&sentence(&differences(&then, &now)));
    }

    #[test]
    fn what_differs_is_said_and_cut() {
        check(outputs(&["a"]), outputs(&["a"]), [7, 7], &expect![""]);
        check(
            outputs(&["a", "b"]),
            outputs(&["a", "c"]),
            [7, 8],
            &expect![[r#"output 1 was "b" and is "c"; fuel was 7 and is 8"#]],
        );
        check(outputs(&["a", "b"]), outputs(&["a"]), [7, 7], &expect![[r#"output 1 was "b" and is gone"#]]);
        check(outputs(&[]), outputs(&["a"]), [7, 7], &expect![[r#"output 0 is new: "a""#]]);
        let failure = Err(Failure::new(FailureKind::Busy, "later"));
        check(
            outputs(&["a"]),
            failure,
            [7, 7],
            &expect![[r#"output 0 was "a" and is gone; the failure is new: {"kind":"busy","message":"later"}"#]],
        );
        let again = |tokens_used| Ok((Vec::new(), Outcome::Again { memory: json!(1).into(), tokens_used }));
        check(again(1), again(2), [7, 7], &expect!["the tokens used was 1 and is 2"]);
        let long = format!("{}a{}", "ä".repeat(500), "ö".repeat(500));
        check(
            outputs(&[&long]),
            outputs(&[&long.replace('a', "b")]),
            [7, 7],
            &expect![
                "output 0 was …ääääääääääääääääääääaöööööööööööööööööööööööööööööööööööööööööööööööööööööööööö… and is …ääääääääääääääääääääböööööööööööööööööööööööööööööööööööööööööööööööööööööööööö…"
            ],
        );
        let many: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check(
            outputs(&many),
            outputs(&["x"; 9]),
            [7, 7],
            &expect![[r#"output 0 was "0" and is "x"; output 1 was "1" and is "x"; output 2 was "2" and is "x"; 6 more"#]],
        );
    }
}
