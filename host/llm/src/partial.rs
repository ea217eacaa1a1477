//! JSON as it comes: strings at chosen places of an object are handed on while they grow, whatever the order of the keys, wherever the
//! text is cut into pieces.
//!
//! It looks for the first `{` and follows that object to its end; what stands around it is skipped. It checks no more than it needs to
//! know where it is: whoever wants the value parses the whole text when it is there.

use serde_json::Value;

/// How deep values may be nested, as in serde_json.
pub const MAX_NESTING: usize = 128;
/// Bytes of a number or word; no number means more with more.
pub const MAX_WORD: usize = 64;

/// Reads an object piece by piece.
#[derive(Debug)]
pub struct Partial {
    paths: Vec<Vec<String>>,
    /// Bytes of a key beyond which it cannot be one that is looked for.
    longest: usize,
    state: State,
    /// The objects and arrays that are open.
    open: Vec<Open>,
    /// The path at which the value that comes or is being read stands.
    here: Option<usize>,
    /// The paths below the value that comes.
    below: Vec<usize>,
    /// A key or a word so far.
    buffer: String,
    escape: Escape,
    events: Vec<Event>,
    /// Bytes that have been looked at.
    at: usize,
}

/// What happened at one of the paths, by its index.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A string grew by this, unescaped.
    Text {
        /// Which path.
        path: usize,
        /// What came.
        text: String,
    },
    /// The string is whole.
    End {
        /// Which path.
        path: usize,
    },
    /// A number, a boolean or null.
    Scalar {
        /// Which path.
        path: usize,
        /// The value.
        value: Value,
    },
    /// An object or array begins.
    Open {
        /// Which path.
        path: usize,
        /// It is an array.
        is_array: bool,
    },
}

/// The text is no JSON object, or too deep for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} does not belong into a JSON object")]
pub struct Damaged {
    /// Which byte of all that came.
    pub at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the object.
    Before,
    /// A value comes; in an array that has just begun, or its end.
    Value { or_end: bool },
    /// A key comes; in an object that has just begun, or its end.
    Key { or_end: bool },
    /// Within a key.
    InKey,
    /// Between a key and its value.
    Colon,
    /// Within a string.
    InString,
    /// Within a number or word.
    Word,
    /// After a value.
    After,
    /// The object has ended.
    Done,
    /// Nothing more is read.
    Damaged(usize),
}

/// Where in an escape a string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    /// After the back slash.
    Slash,
    /// After `\u`; with what came before if that was the first half of a pair.
    Hex {
        digits: u8,
        value: u32,
        high: Option<u32>,
    },
    /// After the first half of a pair.
    High(u32),
    /// After the first half and a back slash.
    HighSlash(u32),
}

#[derive(Debug)]
struct Open {
    is_array: bool,
    /// The paths that lead into it.
    paths: Vec<usize>,
}

impl Partial {
    /// Looks at these paths: keys joined by dots, from the outermost object in. Nothing within an array is on a path. An event says which
    /// by the path's index.
    pub fn new(paths: &[&str]) -> Self {
        let paths: Vec<Vec<String>> = paths.iter().map(|path| path.split('.').map(str::to_owned).collect()).collect();
        Self {
            longest: paths.iter().flatten().map(String::len).max().unwrap_or(0),
            state: State::Before,
            open: Vec::new(),
            here: None,
            below: Vec::new(),
            buffer: String::new(),
            escape: Escape::None,
            events: Vec::new(),
            at: 0,
            paths,
        }
    }

    /// What follows from the next piece. After a damage, the same failure again.
    pub fn push(&mut self, piece: &str) -> Result<Vec<Event>, Damaged> {
        if let State::Damaged(at) = self.state {
            return Err(Damaged { at });
        }
        let mut rest = piece;
        while let Some(char) = rest.chars().next() {
            let taken = match self.run(rest) {
                0 => match self.take(char) {
                    Some(true) => char.len_utf8(),
                    Some(false) => 0,
                    None => {
                        self.state = State::Damaged(self.at);
                        return Err(Damaged { at: self.at });
                    }
                },
                run => run,
            };
            self.at += taken;
            rest = &rest[taken..];
        }
        Ok(std::mem::take(&mut self.events))
    }

    /// Whether the object has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes as much as can be taken at once, in bytes: the plain text of a string, or all around the object.
    fn run(&mut self, rest: &str) -> usize {
        match self.state {
            State::Before => rest.find('{').unwrap_or(rest.len()),
            State::Done => rest.len(),
            State::InKey | State::InString if self.escape == Escape::None => {
                let run = rest.find(['"', '\\']).unwrap_or(rest.len());
                self.add(&rest[..run]);
                run
            }
            _ => 0,
        }
    }

    /// Takes a character; `false`: it belongs to what comes next, `None`: it does not belong here.
    fn take(&mut self, char: char) -> Option<bool> {
        match self.state {
            State::InKey | State::InString => return self.take_in_string(char),
            State::Word if char.is_ascii_alphanumeric() || "+-.".contains(char) => {
                self.buffer.push(char);
                return (self.buffer.len() <= MAX_WORD).then_some(true);
            }
            State::Word => {
                self.end_word()?;
                return Some(false);
            }
            _ if char.is_ascii_whitespace() => return Some(true),
            _ => {}
        }
        let is_in_array = self.open.last().is_some_and(|open| open.is_array);
        match (self.state, char) {
            (State::Before, '{') | (State::Value { .. }, '{' | '[') => self.begin(char == '[')?,
            (State::Value { or_end: true }, ']') | (State::Key { or_end: true }, '}') => self.end(),
            (State::Value { .. }, '"') => self.state = State::InString,
            (State::Value { .. }, '-' | '0'..='9' | 't' | 'f' | 'n') => {
                self.buffer.clear();
                self.state = State::Word;
                return Some(false);
            }
            (State::Key { .. }, '"') => {
                self.buffer.clear();
                self.state = State::InKey;
            }
            (State::Colon, ':') => self.state = State::Value { or_end: false },
            (State::After, ',') if is_in_array => self.state = State::Value { or_end: false },
            (State::After, ',') => self.state = State::Key { or_end: false },
            (State::After, ']') if is_in_array => self.end(),
            (State::After, '}') if !is_in_array => self.end(),
            _ => return None,
        }
        Some(true)
    }

    fn begin(&mut self, is_array: bool) -> Option<()> {
        if self.open.len() == MAX_NESTING {
            return None;
        }
        if let Some(path) = self.here.take() {
            self.events.push(Event::Open { path, is_array });
        }
        let mut paths = std::mem::take(&mut self.below);
        match (self.open.is_empty(), is_array) {
            (true, _) => paths = (0..self.paths.len()).collect(),
            (false, true) => paths.clear(),
            (false, false) => {}
        }
        self.open.push(Open { is_array, paths });
        self.state = if is_array { State::Value { or_end: true } } else { State::Key { or_end: true } };
        Some(())
    }

    fn end(&mut self) {
        self.open.pop();
        self.state = if self.open.is_empty() { State::Done } else { State::After };
    }

    /// A key has ended: which paths go on with it.
    fn end_key(&mut self) {
        self.state = State::Colon;
        self.here = None;
        self.below.clear();
        let Some(depth) = self.open.len().checked_sub(1) else { return };
        for &index in &self.open[depth].paths {
            let path = &self.paths[index];
            if path[depth] != self.buffer {
                continue;
            }
            if path.len() == depth + 1 {
                self.here = Some(index);
            } else {
                self.below.push(index);
            }
        }
    }

    fn end_word(&mut self) -> Option<()> {
        let value = serde_json::from_str(&self.buffer).ok()?;
        if let Some(path) = self.here.take() {
            self.events.push(Event::Scalar { path, value });
        }
        self.state = State::After;
        Some(())
    }

    fn take_in_string(&mut self, char: char) -> Option<bool> {
        match (self.escape, char) {
            (Escape::None, '"') if self.state == State::InKey => self.end_key(),
            (Escape::None, '"') => {
                if let Some(path) = self.here.take() {
                    self.events.push(Event::End { path });
                }
                self.state = State::After;
            }
            (Escape::None, _) => self.escape = Escape::Slash,
            (Escape::Slash, 'u') => self.escape = Escape::Hex { digits: 0, value: 0, high: None },
            (Escape::Slash, char) => {
                let at = "\"\\/bfnrt".find(char)?;
                self.escape = Escape::None;
                self.add(["\"", "\\", "/", "\u{8}", "\u{c}", "\n", "\r", "\t"][at]);
            }
            (Escape::High(high), '\\') => self.escape = Escape::HighSlash(high),
            (Escape::HighSlash(high), 'u') => self.escape = Escape::Hex { digits: 0, value: 0, high: Some(high) },
            (Escape::Hex { digits, value, high }, char) => {
                let value = value << 4 | char.to_digit(16)?;
                self.escape = match digits {
                    3 => self.unit(value, high)?,
                    _ => Escape::Hex { digits: digits + 1, value, high },
                };
            }
            (Escape::High(_) | Escape::HighSlash(_), _) => return None,
        }
        Some(true)
    }

    /// A `\uXXXX` is whole: a character, half of one, or the other half.
    fn unit(&mut self, unit: u32, high: Option<u32>) -> Option<Escape> {
        let code = match (high, unit) {
            (None, 0xd800..=0xdbff) => return Some(Escape::High(unit)),
            (None, _) => unit,
            (Some(high), 0xdc00..=0xdfff) => 0x1_0000 + ((high - 0xd800) << 10) + (unit - 0xdc00),
            (Some(_), _) => return None,
        };
        let mut text = [0; 4];
        let text = char::from_u32(code)?.encode_utf8(&mut text);
        self.add(text);
        Some(Escape::None)
    }

    /// More of the key or string that is being read.
    fn add(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.state == State::InKey {
            // One byte more than the longest that is looked for is enough to be none of them.
            let room = (self.longest + 1).saturating_sub(self.buffer.len());
            self.buffer.extend(text.chars().take(room));
            return;
        }
        let Some(here) = self.here else { return };
        match self.events.last_mut() {
            Some(Event::Text { path, text: so_far }) if *path == here => so_far.push_str(text),
            _ => self.events.push(Event::Text { path: here, text: text.to_owned() }),
        }
    }
}
