//! `runner doctor`: looks at this binary and this machine before a run does, and says for each problem what to do about it.

mod child;
mod gpu;
mod look;
mod machine;

use serde::{Deserialize, Serialize};

pub use look::{Gpus, Question, answer, ask};
pub use machine::Places;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// Worth knowing; runs work.
    Note,
    /// Some runs cannot work.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub mark: Mark,
    pub text: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    fn ok(text: impl Into<String>) -> Self {
        Self { mark: Mark::Ok, text: text.into(), mend: None }
    }

    fn note(text: impl Into<String>) -> Self {
        Self { mark: Mark::Note, text: text.into(), mend: None }
    }

    fn problem(text: impl Into<String>) -> Self {
        Self { mark: Mark::Problem, text: text.into(), mend: None }
    }

    fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: Some(mend.into()), ..self }
    }
}

/// Findings about one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    pub title: String,
    pub findings: Vec<Finding>,
}

impl Section {
    fn new(title: &str, findings: Vec<Finding>) -> Self {
        Self { title: title.to_owned(), findings }
    }
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    pub runner_version: String,
    pub problems: usize,
    pub notes: usize,
    pub sections: Vec<Section>,
    /// What the GPUs' sections were made from.
    pub gpus: Gpus,
}

impl Diagnosis {
    /// Looks at this machine; `gpus` says what child processes found of its GPUs.
    pub fn new(places: &Places, gpus: Gpus) -> Self {
        let mut sections = machine::sections(places);
        sections.extend(gpu::sections(&gpus));
        let count = |mark| {
            sections.iter().flat_map(|section| &section.findings).filter(|one| one.mark == mark).count()
        };
        Self {
            runner_version: env!("CARGO_PKG_VERSION").to_owned(),
            problems: count(Mark::Problem),
            notes: count(Mark::Note),
            sections,
            gpus,
        }
    }

    /// For a screen, with colours if it has them.
    pub fn render(&self, colours: bool) -> String {
        let mut text = format!("runner {}\n", self.runner_version);
        for section in self.sections.iter().filter(|section| !section.findings.is_empty()) {
            text.push_str(&format!("\n{}\n", section.title));
            for Finding { mark, text: found, mend } in &section.findings {
                text.push_str(&format!("  {} {found}\n", mark.render(colours)));
                if let Some(mend) = mend {
                    text.push_str(&format!("  {:8} -> {mend}\n", ""));
                }
            }
        }
        text.push_str(&format!("\n{}\n", self.summary()));
        text
    }

    fn summary(&self) -> String {
        let count = |number: usize, one: &str| match number {
            0 => format!("no {one}s"),
            1 => format!("1 {one}"),
            more => format!("{more} {one}s"),
        };
        format!("{}, {}", count(self.problems, "problem"), count(self.notes, "note"))
    }
}

impl Mark {
    fn render(self, colours: bool) -> String {
        let (word, colour) = match self {
            Self::Ok => ("ok", "32"),
            Self::Note => ("note", "33"),
            Self::Problem => ("problem", "31"),
        };
        let padded = format!("{word:8}");
        if colours { format!("\x1b[{colour}m{padded}\x1b[0m") } else { padded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis() -> Diagnosis {
        let findings = vec![
            Finding::ok("all is well"),
            Finding::problem("nothing is well").mend("do something"),
            Finding::note("it rains"),
        ];
        let sections = vec![Section::new("Weather", findings), Section::new("Nothing", Vec::new())];
        let gpus = Gpus::default();
        Diagnosis { runner_version: "1.2.3".to_owned(), problems: 1, notes: 1, sections, gpus }
    }

    #[test]
    fn a_problem_is_followed_by_its_mend_and_empty_sections_are_left_out() {
        assert_eq!(
            diagnosis().render(false),
            "runner 1.2.3\n\nWeather\n  ok       all is well\n  problem  nothing is well\n           -> do something\n  \
             note     it rains\n\n1 problem, 1 note\n"
        );
    }

    #[test]
    fn colours_change_no_words() {
        let coloured = diagnosis().render(true);
        assert!(coloured.contains("\x1b[31mproblem"));
        let codes = ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"];
        assert_eq!(
            codes.iter().fold(coloured, |text, code| text.replace(code, "")),
            diagnosis().render(false)
        );
    }

    #[test]
    fn machines_read_what_people_read() {
        let text = serde_json::to_string(&diagnosis()).expect("plain data");
        assert_eq!(serde_json::from_str::<Diagnosis>(&text).expect("the same data"), diagnosis());
    }
}
