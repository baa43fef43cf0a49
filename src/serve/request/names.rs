//! What models are called.

use axum::http::StatusCode;

use super::Problem;
use crate::serve::Served;

/// The model that `name` means: its name, or a part of it at its beginning that no other has: `quickstart` for
/// `quickstart/seed=1337`, and that for `quickstart/seed=1337@500`.
///
/// # Errors
/// When there is none, or more than one.
pub fn find(served: &[Served], name: &str) -> Result<usize, Problem> {
    if let Some(exact) = served.iter().position(|served| served.name == name) {
        return Ok(exact);
    }
    let is_part = |served: &Served| {
        let rest = served.name.strip_prefix(name);
        !name.is_empty() && rest.is_some_and(|rest| rest.starts_with(['/', '@']))
    };
    let meant: Vec<usize> = (0..served.len()).filter(|&i| is_part(&served[i])).collect();
    let message = match meant.as_slice() {
        [one] => return Ok(*one),
        [] => {
            let shown: String = name.chars().take(200).collect();
            format!("there is no model {shown:?} here: {} can be had", list(served.iter()))
        }
        several => {
            let several = several.iter().map(|&i| &served[i]);
            format!("{name:?} is more than one model here: {}", list(several))
        }
    };
    Err(Problem { status: StatusCode::NOT_FOUND, code: "model_not_found", ..Problem::of("model", message) })
}

/// Their names, in words.
pub fn list<'a>(served: impl Iterator<Item = &'a Served>) -> String {
    served.map(|served| served.name.as_str()).collect::<Vec<_>>().join(", ")
}
