//! Reads JSON that a model damaged, without making anything up.
//!
//! Repaired: commas before a closing bracket, single quotes around strings that end where a string must end, Python's `True`, `False`
//! and `None`, line breaks within strings, and a text that breaks off: what is open is closed, after the last value that is certainly
//! whole. A string, number or word that breaks off is left out with its key, for nobody knows how it would have gone on.

use serde_json::{Map, Number, Value};

/// How deep values may be nested, as in serde_json.
const MAX_DEPTH: usize = 128;

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Repaired {
    pub(crate) value: Value,
    /// How many damages were repaired.
    pub(crate) repairs: u32,
    /// The text broke off.
    pub(crate) is_cut: bool,
}

/// Reads the value that the text begins with. `None` if more than a repair is wrong with it.
pub(crate) fn read(text: &str) -> Option<Repaired> {
    let mut reader = Reader { text, at: 0, repairs: 0, is_cut: false };
    let value = reader.value(0).ok()??;
    let Reader { repairs, is_cut, .. } = reader;
    Some(Repaired { value, repairs: repairs + u32::from(is_cut), is_cut })
}

/// It cannot be read.
struct Broken;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    repairs: u32,
    is_cut: bool,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// The next character that is no white space, without taking it.
    fn peek(&mut self) -> Option<char> {
        self.at = self.text.len() - self.rest().trim_start().len();
        self.rest().chars().next()
    }

    /// A value; `None` if the text breaks off before it is certain.
    fn value(&mut self, depth: usize) -> Result<Option<Value>, Broken> {
        if depth > MAX_DEPTH {
            return Err(Broken);
        }
        match self.peek() {
            None => Ok(self.cut()),
            Some('{') => self.object(depth).map(Some),
            Some('[') => self.array(depth).map(Some),
            Some(quote @ ('"' | '\'')) => Ok(self.string(quote)?.map(Value::String)),
            Some(_) => self.word(),
        }
    }

    fn cut<T>(&mut self) -> Option<T> {
        self.is_cut = true;
        self.at = self.text.len();
        None
    }

    fn object(&mut self, depth: usize) -> Result<Value, Broken> {
        self.at += 1;
        let mut members = Map::new();
        loop {
            match self.peek() {
                None => self.is_cut = true,
                Some('}') => self.at += 1,
                Some(quote @ ('"' | '\'')) => {
                    let Some(key) = self.string(quote)? else { break };
                    match self.peek() {
                        Some(':') => self.at += 1,
                        None => self.is_cut = true,
                        Some(_) => return Err(Broken),
                    }
                    if self.is_cut {
                        break;
                    }
                    let Some(value) = self.value(depth + 1)? else { break };
                    // Of two members of one name nobody knows which was meant.
                    if members.insert(key, value).is_some() {
                        return Err(Broken);
                    }
                    if self.is_cut || !self.separator('}')? {
                        break;
                    }
                    continue;
                }
                Some(_) => return Err(Broken),
            }
            break;
        }
        Ok(Value::Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<Value, Broken> {
        self.at += 1;
        let mut elements = Vec::new();
        if self.peek() == Some(']') {
            self.at += 1;
            return Ok(Value::Array(elements));
        }
        while let Some(element) = self.value(depth + 1)? {
            elements.push(element);
            if self.is_cut || !self.separator(']')? {
                break;
            }
        }
        Ok(Value::Array(elements))
    }

    /// After a member or element: whether another one follows.
    fn separator(&mut self, end: char) -> Result<bool, Broken> {
        match self.peek() {
            None => {
                self.is_cut = true;
                Ok(false)
            }
            Some(',') => {
                self.at += 1;
                if self.peek() == Some(end) {
                    self.repairs += 1;
                    self.at += 1;
                    return Ok(false);
                }
                Ok(true)
            }
            Some(found) if found == end => {
                self.at += 1;
                Ok(false)
            }
            Some(_) => Err(Broken),
        }
    }

    /// A string between these quotes; `None` if it breaks off.
    fn string(&mut self, quote: char) -> Result<Option<String>, Broken> {
        self.at += 1;
        let start = self.at;
        let mut is_escaped = false;
        let end = self.rest().char_indices().find_map(|(at, char)| {
            let ends = char == quote && !is_escaped;
            is_escaped = char == '\\' && !is_escaped;
            ends.then_some(at)
        });
        let Some(end) = end else { return Ok(self.cut()) };
        let inner = &self.text[start..start + end];
        self.at = start + end + 1;
        if quote == '\'' {
            // An apostrophe within such a string looks like its end; then what follows is not what follows a string.
            if !matches!(self.peek(), None | Some(',' | ':' | '}' | ']')) {
                return Err(Broken);
            }
            self.repairs += 1;
        }
        self.unescaped(inner, quote).map(Some)
    }

    fn unescaped(&mut self, inner: &str, quote: char) -> Result<String, Broken> {
        let mut json = String::with_capacity(inner.len() + 2);
        json.push('"');
        let mut is_escaped = false;
        let mut has_control = false;
        for char in inner.chars() {
            match char {
                // In single quotes, `\'` is an apostrophe, and `"` is itself.
                '\'' if is_escaped && quote == '\'' => {
                    json.pop();
                    json.push('\'');
                }
                '"' if !is_escaped => json.push_str("\\\""),
                '\n' | '\r' | '\t' if !is_escaped => {
                    has_control = true;
                    json.push_str(match char {
                        '\n' => "\\n",
                        '\r' => "\\r",
                        _ => "\\t",
                    });
                }
                char => json.push(char),
            }
            is_escaped = char == '\\' && !is_escaped;
        }
        json.push('"');
        self.repairs += u32::from(has_control);
        serde_json::from_str(&json).map_err(|_| Broken)
    }

    /// A number, or one of the words that JSON and Python know.
    fn word(&mut self) -> Result<Option<Value>, Broken> {
        let rest = self.rest();
        let length = rest.find(|char: char| !(char.is_ascii_alphanumeric() || "+-.".contains(char))).unwrap_or(rest.len());
        let word = &rest[..length];
        if word.is_empty() {
            return Err(Broken);
        }
        if length == rest.len() {
            // Whether it ends here, nobody knows.
            return Ok(self.cut());
        }
        let (value, is_python) = match word {
            "true" => (Value::Bool(true), false),
            "false" => (Value::Bool(false), false),
            "null" => (Value::Null, false),
            "True" => (Value::Bool(true), true),
            "False" => (Value::Bool(false), true),
            "None" => (Value::Null, true),
            number => (Value::Number(number.parse::<Number>().map_err(|_| Broken)?), false),
        };
        self.repairs += u32::from(is_python);
        self.at += length;
        Ok(Some(value))
    }
}
