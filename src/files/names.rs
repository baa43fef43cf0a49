//! Names that are safe as folders on every common file system and cannot lead out of their parent.

/// What names may hold beside letters and digits, and how long an experiment's may be.
pub const FOLDER_SIGNS: &str = "._-";
pub const RUN_SIGNS: &str = "._-=,+";
pub const FOLDER_LONGEST: usize = 100;

/// An experiment's or a comparison's: up to 100 ASCII letters, digits, `.`, `_` and `-`, neither `.` nor `-` first, no `.`
/// last, and not a [device's](is_device_name).
pub fn is_folder_name(text: &str) -> bool {
    is_safe_name(text, FOLDER_SIGNS, FOLDER_LONGEST)
}

/// A run's, which is named after its sweep point (`learning_rate=0.1,seed=7`): `=`, `,` and `+` too, up to
/// `longest` characters.
pub fn is_run_name(text: &str, longest: usize) -> bool {
    is_safe_name(text, RUN_SIGNS, longest)
}

/// What of the rules above a name breaks, in words.
pub fn why_no_folder_name(text: &str, signs: &str, longest: usize) -> String {
    let length = text.chars().count();
    let why = if text.is_empty() {
        "and is empty".to_owned()
    } else if is_device_name(text) {
        "and to Windows this one is a device".to_owned()
    } else if let Some(other) = text.chars().find(|&c| !(c.is_ascii_alphanumeric() || signs.contains(c))) {
        let signs: Vec<String> = signs.chars().map(|sign| format!("`{sign}`")).collect();
        format!("of letters from a to z, digits, {}, and {other:?} is none of these", signs.join(" "))
    } else if text.starts_with(['.', '-']) || text.ends_with('.') {
        "which begins with a letter, a digit or `_`, and does not end with `.`".to_owned()
    } else {
        format!("of up to {longest} characters, and this one has {length}")
    };
    format!("it becomes the name of a folder, {why}")
}

/// Any file's in a run's folder: people put files of their own there. Nothing that means something else than a file on one system
/// or another.
pub fn is_file_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && !text.chars().any(|c| c.is_control() || "/\\:*?\"<>|".contains(c))
        && !text.ends_with(['.', ' '])
        && !is_device_name(text)
}

fn is_safe_name(text: &str, signs: &str, longest: usize) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text.chars().all(|c| c.is_ascii_alphanumeric() || signs.contains(c))
        && !text.starts_with(['.', '-'])
        && !text.ends_with('.')
        && !is_device_name(text)
}

/// Whether Windows means a device by it, in any folder and with any ending: `CON`, `nul.txt`, `COM1`.
pub fn is_device_name(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or(text).to_ascii_uppercase();
    match stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT")) {
        Some(number) => matches!(number.as_bytes(), [b'1'..=b'9']),
        None => ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_of_any_language_and_mean_files() {
        for text in ["step-000500", "notes (1).txt", "\u{dc}berblick.md", ".gitignore"] {
            assert!(is_file_name(text), "{text}");
        }
        for text in ["", ".", "..", "a/b", "a\\b", "c:", "nul", "COM1.txt", "a\nb", "dot.", "blank "] {
            assert!(!is_file_name(text), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_name_is_said() {
        let long = "n".repeat(150);
        for (name, why) in [
            ("CON", "a device"),
            ("a b", "' ' is none of these"),
            ("-a", "begins with a letter"),
            (&*long, "this one has 150"),
            ("", "is empty"),
        ] {
            let text = why_no_folder_name(name, FOLDER_SIGNS, FOLDER_LONGEST);
            assert!(!is_folder_name(name) && text.contains(why), "{name}: {text}");
        }
    }

    #[test]
    fn folder_names_cannot_leave_their_parent() {
        for text in ["a", "shakespeare-124m", "lr_1e-3.v2"] {
            assert!(is_folder_name(text) && is_run_name(text, 120), "{text}");
        }
        for text in ["con", "console", "COM10", "com", "a.con"] {
            assert_eq!(is_folder_name(text), text != "con", "{text}");
        }
        for text in [
            "CON",
            "nul.txt",
            "COM1",
            "lpt9.v2",
            "",
            ".",
            "..",
            "a/b",
            r"a\b",
            ".hidden",
            "-q",
            "a b",
            "ä",
            "dot.",
            &"x".repeat(121),
        ] {
            assert!(!is_folder_name(text) && !is_run_name(text, 120), "{text}");
        }
        assert!(is_run_name("learning_rate=0.1,seed=7", 120) && !is_folder_name("learning_rate=0.1,seed=7"));
    }
}
