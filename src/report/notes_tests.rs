use std::fs;

use proptest::prelude::*;

use super::*;

fn shown(bytes: impl AsRef<[u8]>, asked: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.md");
    fs::write(&path, bytes).unwrap();
    section(&path, asked)
}

#[test]
fn notes_are_shown_as_they_were_written_below_the_page_s_headings() {
    let text = "# What I saw\r\n\r\n- *fast* at first, see ![it](plots/loss.svg)\n\nThen\n====\nslow\n\n```sh\n# no heading\n```\n###### deep";
    assert_eq!(
        shown(text, None),
        "## Notes\n\n### What I saw\n\n- *fast* at first, see ![it](plots/loss.svg)\n\n### Then\nslow\n\n```sh\n# no heading\n```\n###### deep\n"
    );
}

#[test]
fn a_hypothesis_without_a_conclusion_is_pointed_out_until_there_is_one() {
    let missing = |text: &str| shown(text, Some("runner report a/b")).contains("has no conclusion yet");
    for without in [
        "",
        "# Notes\nIn conclusion nothing.",
        "# Conclusion\n\n# Next",
        "Conclusion:",
        "```\n# Conclusion\nx\n```",
    ] {
        assert!(missing(without), "{without:?}");
    }
    for with in [
        "# Conclusion\nIt held.",
        "## Conclusions #\n\n### Of all\n\nIt did not.",
        "Conclusion\n---\nIt held",
        "**Conclusion:** it held",
        "Notes\n\nConclusion: no",
    ] {
        assert!(!missing(with), "{with:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let text = section(&folder.path().join("rates.notes.md"), Some("runner compare rates"));
    assert!(text.starts_with("## Conclusion\n\nThe hypothesis has no conclusion yet: write"), "{text}");
    assert!(text.contains("`rates.notes.md`") && text.contains("`runner compare rates`"), "{text}");
    assert_eq!(section(&folder.path().join("notes.md"), None), "");
    assert_eq!(shown(" \n\n", None), "");
}

#[test]
fn what_was_opened_is_closed() {
    for (text, end) in [
        ("```\nnever closed", "never closed\n```\n"),
        ("~~~~ md\n```\n~~~\nx", "x\n~~~~\n"),
        ("a <!-- and <details> on", "on\n-->\n"),
        ("<details><summary>x</summary>\n<DIV class='a'>", "<DIV class='a'>\n</details>\n</div>\n"),
        ("<details>a</details> <detailsx>", "<detailsx>\n"),
        ("</details></details>\n<details>", "<details>\n</details>\n"),
    ] {
        assert!(shown(text, None).ends_with(end), "{text:?}: {:?}", shown(text, None));
    }
}

#[test]
fn what_is_too_long_or_no_text_is_shown_as_far_as_it_goes_and_said() {
    let long = "a line of notes\n".repeat(10_000);
    let text = shown(&long, None);
    let end = &text[text.len() - 200..];
    assert!(
        text.len() < 70_000
            && end.contains("a line of notes\n\n(the file has 156.2 KiB, and the rest is not shown.)"),
        "{end}"
    );
    let one_line = "\u{e4}".repeat(100_000);
    assert!(
        shown(&one_line, None).contains("and the rest is not shown")
            && !shown(&one_line, None).contains('\u{fffd}')
    );
    let text = shown(b"caf\xe9 \x00\x1b[31m", None);
    assert!(text.contains("caf\u{fffd} [31m") && text.contains("not UTF-8"), "{text:?}");
}

#[cfg(unix)]
#[test]
fn links_and_folders_are_not_followed_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (path, secret) = (folder.path().join("notes.md"), folder.path().join("secret"));
    fs::write(&secret, "secret words").unwrap();
    std::os::unix::fs::symlink(&secret, &path).unwrap();
    let text = section(&path, Some("runner report a/b"));
    assert!(text.contains("is not shown: it is a symbolic link") && !text.contains("secret words"), "{text}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(section(&path, None).contains("is not shown"));
}

proptest! {
    #[test]
    fn no_text_leaves_a_block_of_code_open_or_makes_a_heading_of_the_page(text in "[#`~ a\n=<>!-]{0,80}") {
        let fitted = fitted(&text);
        let code = lines(&fitted);
        // Whatever follows is a paragraph of its own.
        let after = lines(&format!("{fitted}\n\nafter"));
        prop_assert!(fitted.is_empty() || after.len() == code.len() + 2, "{:?}", fitted);
        prop_assert!(!after.last().unwrap().1, "{:?}", fitted);
        for (line, in_code) in &code {
            prop_assert!(*in_code || heading_of(line).is_none_or(|(level, _)| level > LEVELS_ABOVE), "{:?}", fitted);
        }
    }
}
