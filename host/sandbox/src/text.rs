//! Text that a guest wrote, before anybody reads it: no control characters, no escape sequences, a bounded length.

/// The text on one line: control and format characters (ANSI escapes, bidirectional overrides) are dropped, white space becomes
/// single spaces, and what goes beyond `max` bytes is cut, with `…` as its last character.
pub fn plain(text: &str, max: usize) -> String {
    clean(text, max, false)
}

/// As [`plain`], but white space stays as it is.
pub(crate) fn plain_lines(text: &str, max: usize) -> String {
    clean(text, max, true)
}

fn clean(text: &str, max: usize, lines: bool) -> String {
    const ELLIPSIS: char = '…';
    let mut clean = String::with_capacity(text.len().min(max));
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let char = match char {
            // An escape sequence goes as a whole: what is left of it would be noise.
            '\u{1b}' => {
                skip_escape(&mut chars);
                continue;
            }
            '\n' | '\t' if lines => char,
            _ if char.is_whitespace() && !lines => ' ',
            _ if char.is_control() || is_format(char) => continue,
            _ => char,
        };
        if char == ' ' && !lines && (clean.is_empty() || clean.ends_with(' ')) {
            continue;
        }
        if clean.len() + char.len_utf8() > max {
            while clean.len() + ELLIPSIS.len_utf8() > max && clean.pop().is_some() {}
            if max >= ELLIPSIS.len_utf8() {
                clean.push(ELLIPSIS);
            }
            return clean;
        }
        clean.push(char);
    }
    clean
}

/// ECMA-48: a control sequence ends with a byte from `@` to `~`, a control string with BEL or ST; any other escape is one
/// character long.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => while chars.next().is_some_and(|char| !('@'..='~').contains(&char)) {},
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(char) = chars.next() {
                if char == '\u{7}' || char == '\u{9c}' {
                    break;
                }
                if char == '\u{1b}' {
                    chars.next();
                    break;
                }
            }
        }
        _ => {}
    }
}

/// Characters that change how their neighbours are shown: zero-width, bidirectional controls, tags.
pub(crate) fn is_format(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether this is a name as the contract allows it: `[a-z0-9_-]+`, at most 64 bytes.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::{plain, plain_lines};

    #[test]
    fn guest_text_loses_what_is_not_text() {
        assert_eq!(plain("a\u{1b}[31mred\u{1b}[0m b\r\nc\u{7}\u{202e}d", 100), "ared b cd");
        assert_eq!(plain("\u{1b}]0;title\u{7}x\u{1b}]8;;u\u{1b}\\y", 100), "xy");
        assert_eq!(plain("äöü", 4), "…");
        assert_eq!(plain("äöü", 6), "äöü");
        assert_eq!(plain("abcdefgh", 6), "abc…");
        assert_eq!(plain(" \r\n\u{1b}[0m a\u{2028}", 100), "a ");
        assert_eq!(plain("abc", 1), "");
        assert_eq!(plain_lines("a\n\tb\u{0}", 100), "a\n\tb");
    }
}
