//! Characters that look like others, or like nothing: what word processors, web pages and chats leave in a file that is copied from them.

/// What a character is called, and what to write instead.
pub(in crate::config) struct Odd {
    pub c: char,
    name: &'static str,
    pub instead: &'static str,
}

impl Odd {
    /// `U+00A0 (no-break space)`.
    pub fn named(&self) -> String {
        format!("U+{:04X} ({})", u32::from(self.c), self.name)
    }
}

const DELETE: &str = "delete it";
const SPACE: &str = "write an ordinary space";
const DOUBLE: &str = "quotes must be straight: \"";
const SINGLE: &str = "quotes must be straight: '";
const MINUS: &str = "write the minus of the keyboard, -";

/// The character, if it is one of those.
pub(in crate::config) fn odd(c: char) -> Option<Odd> {
    let (name, instead) = match c {
        '\u{a0}' => ("no-break space", SPACE),
        '\u{ad}' => ("soft hyphen", DELETE),
        '\u{85}' => ("next line", "write an ordinary line break"),
        '\u{61c}' => ("Arabic letter mark", DELETE),
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' => ("Hangul filler", DELETE),
        '\u{180e}' => ("Mongolian vowel separator", DELETE),
        '\u{1680}' => ("Ogham space mark", SPACE),
        '\u{2000}'..='\u{200a}' => ("a space of typesetting", SPACE),
        '\u{200b}' => ("zero width space", DELETE),
        '\u{200c}' => ("zero width non-joiner", DELETE),
        '\u{200d}' => ("zero width joiner", DELETE),
        '\u{200e}' => ("left-to-right mark", DELETE),
        '\u{200f}' => ("right-to-left mark", DELETE),
        '\u{2028}' => ("line separator", "write an ordinary line break"),
        '\u{2029}' => ("paragraph separator", "write an ordinary line break"),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ("a mark of writing direction", DELETE),
        '\u{202f}' => ("narrow no-break space", SPACE),
        '\u{205f}' => ("medium mathematical space", SPACE),
        '\u{2060}' => ("word joiner", DELETE),
        '\u{2061}'..='\u{2064}' => ("an invisible operator", DELETE),
        '\u{3000}' => ("ideographic space", SPACE),
        '\u{fe00}'..='\u{fe0f}' => ("variation selector", DELETE),
        '\u{feff}' => ("byte order mark", DELETE),
        '\u{2010}' => ("hyphen", MINUS),
        '\u{2011}' => ("non-breaking hyphen", MINUS),
        '\u{2012}' => ("figure dash", MINUS),
        '\u{2013}' => ("en dash", MINUS),
        '\u{2014}' => ("em dash", MINUS),
        '\u{2015}' => ("horizontal bar", MINUS),
        '\u{2212}' => ("minus sign", MINUS),
        '\u{fe63}' | '\u{ff0d}' => ("a wide minus", MINUS),
        '\u{2018}' => ("left single quotation mark", SINGLE),
        '\u{2019}' => ("right single quotation mark", SINGLE),
        '\u{201a}' => ("low single quotation mark", SINGLE),
        '\u{201b}' => ("reversed single quotation mark", SINGLE),
        '\u{201c}' => ("left double quotation mark", DOUBLE),
        '\u{201d}' => ("right double quotation mark", DOUBLE),
        '\u{201e}' => ("low double quotation mark", DOUBLE),
        '\u{201f}' => ("reversed double quotation mark", DOUBLE),
        '\u{2032}' => ("prime", SINGLE),
        '\u{2033}' => ("double prime", DOUBLE),
        '\u{ab}' | '\u{bb}' => ("angle quotation mark", DOUBLE),
        '\u{ff02}' => ("wide quotation mark", DOUBLE),
        '\u{ff07}' => ("wide apostrophe", SINGLE),
        '\u{ff1d}' => ("wide equals sign", "write ="),
        '\u{ff0c}' | '\u{3001}' => ("a wide comma", "write ,"),
        '\u{ff0e}' => ("wide full stop", "write ."),
        '\u{ff3b}' | '\u{ff3d}' => ("a wide bracket", "write [ and ]"),
        '\u{ff10}'..='\u{ff19}' => ("a wide digit", "write the digits of the keyboard"),
        '\u{ff03}' => ("wide number sign", "write #"),
        _ => return None,
    };
    Some(Odd { c, name, instead })
}

/// The first of them in a text that is no comment, and the byte where it stands.
pub(in crate::config) fn first_in(text: &str) -> Option<(usize, Odd)> {
    text.char_indices().find_map(|(at, c)| Some((at, odd(c)?)))
}

/// The first of them on a line of TOML, outside of strings and comments.
pub(in crate::config) fn first_on_line(line: &str) -> Option<(usize, Odd)> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), c) if open == c && !escaped => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => return None,
            (None, c) => {
                if let Some(odd) = odd(c) {
                    return Some((at, odd));
                }
            }
        }
        escaped = false;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_strings_and_comments_is_the_persons_own() {
        for line in ["a = \"\u{a0}\"", "a = 1 # \u{2212}", "a = '\u{201c}'", "a = \"\\\"\u{a0}\" # x"] {
            assert!(first_on_line(line).is_none(), "{line}");
        }
        let (at, found) = first_on_line("a = \"x\"\u{a0}").expect("a space");
        assert_eq!((at, found.named().as_str()), (7, "U+00A0 (no-break space)"));
    }

    #[test]
    fn all_white_space_of_unicode_but_that_of_the_keyboard_has_a_name() {
        let white = (0x80..0x1_0000).filter_map(char::from_u32).filter(|c| c.is_whitespace());
        for c in white {
            assert!(odd(c).is_some(), "{:04X}", u32::from(c));
        }
        assert!("abc \t\n=-\"'#[]éß漢字".chars().all(|c| odd(c).is_none()));
    }
}
