//! Where the prompt comes from.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};

use crate::error::Error;

/// Longest prompt from standard input. No model sees more than the end of it.
const LONGEST_BYTES: u64 = 64 << 20;

/// The argument, or else standard input to its end. At a terminal nobody would know that it is waited for: there it is empty.
pub fn of(argument: Option<OsString>) -> Result<String, Error> {
    match argument {
        Some(prompt) => text(prompt.into_encoded_bytes(), "in the argument"),
        None if io::stdin().is_terminal() => Ok(String::new()),
        None => read(io::stdin().lock()),
    }
}

fn read(input: impl Read) -> Result<String, Error> {
    let mut bytes = Vec::new();
    input
        .take(LONGEST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::Usage(format!("the prompt cannot be read from standard input: {error}")))?;
    if bytes.len() as u64 > LONGEST_BYTES {
        return Err(Error::Usage(format!(
            "the prompt on standard input is longer than {LONGEST_BYTES} bytes; give its end, which is what the model sees"
        )));
    }
    text(bytes, "on standard input")
}

fn text(bytes: Vec<u8>, place: &str) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::Usage(format!(
            "the prompt {place} is not UTF-8: byte {at} begins no character; convert it first (iconv -t UTF-8)"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_read_as_it_is() {
        assert_eq!(read("Maud:\n\n".as_bytes()).unwrap(), "Maud:\n\n");
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_place() {
        let error = read(&b"ab\xff"[..]).unwrap_err().to_string();
        assert!(error.contains("byte 2"), "{error}");
        let error = read(io::repeat(b'a')).unwrap_err().to_string();
        assert!(error.contains("longer than"), "{error}");
    }
}
