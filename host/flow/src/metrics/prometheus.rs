//! Prometheus' text exposition format, version 0.0.4.

use std::fmt::{self, Write};

use super::{Metrics, Sample, samples};

impl Metrics {
    /// All numbers as Prometheus reads them; the content type is `text/plain; version=0.0.4`.
    pub fn prometheus(&self) -> String {
        let numbers = self.numbers();
        let mut text = String::new();
        for family in samples::families() {
            let (name, kind, help) = (family.name, family.kind, family.help);
            // Writing to a string does not fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for sample in family.samples(&numbers) {
                let _ = line(&mut text, &sample);
            }
        }
        text
    }
}

fn line(text: &mut String, sample: &Sample) -> fmt::Result {
    text.push_str(&sample.name);
    let mut open = '{';
    for (label, value) in &sample.labels {
        write!(text, "{open}{label}=\"")?;
        for char in value.chars() {
            match char {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                _ => text.push(char),
            }
        }
        text.push('"');
        open = ',';
    }
    text.push_str(if sample.labels.is_empty() { " " } else { "} " });
    writeln!(text, "{}", sample.value)
}
