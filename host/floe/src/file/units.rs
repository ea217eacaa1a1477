//! Durations, sizes and counts as people write them.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A duration: `100ms`, `2s`, `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Duration);

/// A moment, since 1970-01-01T00:00:00Z: `2026-01-01T00:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Duration);

/// A number of bytes: `512KiB`, `64MiB`, `1MB`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// A whole number that may be written `1e9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u64);

const TIME_UNITS: [(&str, f64); 7] =
    [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
const BYTE_UNITS: [(&str, f64); 7] =
    [("KiB", 1024.0), ("MiB", 1_048_576.0), ("GiB", 1_073_741_824.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("B", 1.0)];
/// Whole numbers up to here are exact as floating-point numbers.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Reads `100ms`, `2s`, `1.5m`; the error says how to write it.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; write a number and a unit: 100ms, 2s, 5m, 1h");
    let seconds = with_unit(text, &TIME_UNITS).ok_or_else(wrong)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// Reads `64MiB`, `1KiB`, `1MB`, `100B`; the error says how to write it.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let bytes = with_unit(text, &BYTE_UNITS).and_then(whole);
    bytes.ok_or_else(|| format!("`{text}` is no size; write a number and a unit: 512KiB, 64MiB, 1GiB, 1MB"))
}

/// Reads `2026-01-01T00:00:00Z`, with parts of a second if need be (RFC 3339, in UTC, from 1970 to 2400); the error says how to
/// write it.
fn parse_moment(text: &str) -> Result<Duration, String> {
    moment(text.trim()).ok_or_else(|| format!("`{text}` is no moment; write date and time in UTC: 2026-01-01T00:00:00Z"))
}

fn moment(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if is_leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month.checked_sub(1)?).ok()?;
    let in_month = *months.get(before)?;
    if !(1970..=2400).contains(&year) || !(1..=in_month).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let days = years + months[..before].iter().sum::<u64>() + day - 1;
    if !(1..=9).contains(&fraction.len()) || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(((days * 24 + hour) * 60 + minute) * 60 + second, nanoseconds))
}

/// Three numbers of so many digits.
fn fields(text: &str, between: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    let mut parts = text.split(between);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| factor)?;
    number.parse::<f64>().ok().map(|number| number * factor)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range and the fraction are checked first")]
fn whole(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..=MAX_EXACT).contains(&number)).then_some(number as u64)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= size {
                // One decimal, and none where the size is a whole number of units.
                let tenths = self.0 / (size / 10).max(1);
                return if self.0.is_multiple_of(size) {
                    write!(f, "{} {unit}", self.0 / size)
                } else {
                    write!(f, "{}.{} {unit}", self.0 / size, tenths % 10)
                };
            }
        }
        write!(f, "{} B", self.0)
    }
}

// === how they are read ===

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 100ms, 2s or 5m")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                parse_time(text).map(Time).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Moment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a moment such as 2026-01-01T00:00:00Z")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Moment, E> {
                parse_moment(text).map(Moment).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 512KiB or 64MiB")
            }

            fn visit_u64<E>(self, bytes: u64) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
                parse_bytes(text).map(Bytes).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number such as 1000 or 1e9")
            }

            fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
                Ok(Count(count))
            }

            fn visit_f64<E: Error>(self, count: f64) -> Result<Count, E> {
                whole(count).map(Count).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Float(count), &self))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

// === how an editor checks them ===

/// A number as people write it, of so many digits before the point that no unit makes too much of it.
fn number(digits: u8) -> String {
    format!(r"([0-9]{{1,{digits}}}(\.[0-9]*)?|\.[0-9]+)")
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = format!("^{} ?(ns|us|µs|ms|s|m|h)$", number(15));
        json_schema!({ "type": "string", "pattern": pattern, "examples": ["100ms", "2s", "5m"] })
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$";
        json_schema!({ "type": "string", "pattern": pattern, "examples": ["2026-01-01T00:00:00Z"] })
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let (kilo, mega, giga) = (number(12), number(9), number(6));
        // A byte has no parts; which parts of a kilobyte are whole bytes, no pattern says.
        let pattern = format!(r"^([0-9]{{1,15}}(\.0*)? ?B|{kilo} ?(kB|KiB)|{mega} ?(MB|MiB)|{giga} ?(GB|GiB))$");
        json_schema!({
            "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": pattern }],
            "examples": ["512KiB", "64MiB"],
        })
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": MAX_EXACT, "multipleOf": 1, "examples": [1000, 1e9] })
    }
}

/// A [`Time`] that timers can count: of a millisecond or more.
pub(crate) struct FromMillisecond;

/// [`Bytes`] that are not 0.
pub(crate) struct FromByte;

/// A [`Count`] that is not 0.
pub(crate) struct FromOne;

impl JsonSchema for FromMillisecond {
    fn schema_name() -> Cow<'static, str> {
        "DurationFromMillisecond".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        // By unit: what is less than a millisecond; of minutes and hours, nothing.
        let less = r"^0*([0-9]{0,6}(\.[0-9]*)? ?ns|[0-9]{0,3}(\.[0-9]*)? ?(us|µs)|(\.[0-9]*)? ?ms|(\.(0{0,3}|000[0-9]*))? ?s|(\.0*)? ?(m|h))$";
        json_schema!({ "allOf": [Time::json_schema(generator), { "not": { "type": "string", "pattern": less } }] })
    }
}

impl JsonSchema for FromByte {
    fn schema_name() -> Cow<'static, str> {
        "BytesFromOne".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let nothing = json_schema!({ "anyOf": [{ "const": 0 }, { "type": "string", "pattern": "^[0.]+ ?[A-Za-z]+$" }] });
        json_schema!({ "allOf": [Bytes::json_schema(generator), { "not": nothing }] })
    }
}

impl JsonSchema for FromOne {
    fn schema_name() -> Cow<'static, str> {
        "CountFromOne".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "allOf": [Count::json_schema(generator), { "minimum": 1 }] })
    }
}
