//! A known corpus that is fetched once, checked, and kept in the data folder.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use ureq::Agent;

use super::DataError;
use super::error::WantedFile;
use crate::files::plain;
use crate::files::sha256;
use crate::units;

/// A file at a public address.
pub(super) struct Remote<'a> {
    /// The corpus's name.
    pub name: &'a str,
    pub url: &'a str,
    /// Where the file lies in the data folder.
    pub file: &'a str,
    pub bytes: u64,
    /// Hexadecimal, lower case.
    pub sha256: &'a str,
}

/// Fetches over HTTPS only, also after redirects, and gives up rather than wait for ever.
pub(super) fn agent() -> Agent {
    Agent::config_builder()
        .https_only(true)
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_global(Some(Duration::from_secs(300)))
        .build()
        .new_agent()
}

/// The text from `folder`, or else from the network, whence it goes into `folder` for the next time. Either way size
/// and checksum are right. Notices say what a person should know about it.
pub(super) fn obtain(
    remote: &Remote<'_>,
    folder: &Path,
    agent: &Agent,
) -> Result<(String, Vec<String>), DataError> {
    let path = folder.join(remote.file);
    let mut notices = Vec::new();
    match plain::read(&path) {
        Ok(bytes) => match check(remote, &bytes) {
            Ok(()) => return into_text(bytes, &path).map(|text| (text, notices)),
            Err(problem) => notices.push(format!("{} {problem}: downloading it again", path.display())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(DataError::Read { path, source }),
    }
    let bytes = fetch(remote, agent).map_err(|problem| {
        let reason = notices.iter().cloned().chain([problem]).collect::<Vec<_>>().join(": ");
        let wanted = WantedFile {
            name: remote.name.to_owned(),
            url: remote.url.to_owned(),
            put_at: path.clone(),
            relative: remote.file.to_owned(),
            bytes: remote.bytes,
            sha256: remote.sha256.to_owned(),
        };
        DataError::Download { reason, wanted: Box::new(wanted) }
    })?;
    // The text is here and right: that it cannot be kept costs the next run a download, and should not cost this one.
    if let Err(error) = keep(&path, &bytes) {
        notices.push(format!(
            "{} could not be written ({error}), so {} will be downloaded again next time; set RUNNER_DATA_DIR to a \
             folder that can be written to",
            path.display(),
            remote.name
        ));
    }
    into_text(bytes, &path).map(|text| (text, notices))
}

fn fetch(remote: &Remote<'_>, agent: &Agent) -> Result<Vec<u8>, String> {
    let mut response = agent.get(remote.url).call().map_err(|error| error.to_string())?;
    // One byte more than expected, so that a longer file is told from the right one without reading all of it.
    let body = response.body_mut().with_config().limit(remote.bytes + 1);
    let bytes = body.read_to_vec().map_err(|error| format!("the connection broke off ({error})"))?;
    check(remote, &bytes).map_err(|problem| format!("what came {problem}"))?;
    Ok(bytes)
}

/// What is wrong with `bytes`, in words that follow the name of the file.
fn check(remote: &Remote<'_>, bytes: &[u8]) -> Result<(), String> {
    let (size, expected) = (bytes.len() as u64, remote.bytes);
    if size != expected {
        return Err(format!("has {} instead of {expected}", units::counted(size, "byte")));
    }
    let found = sha256(bytes);
    if found != remote.sha256 {
        return Err(format!("has the SHA-256 {found} instead of {}", remote.sha256));
    }
    Ok(())
}

/// Writes a whole file or none, also when two runs do it at once.
fn keep(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn into_text(bytes: Vec<u8>, path: &Path) -> Result<String, DataError> {
    String::from_utf8(bytes).map_err(|error| DataError::NotUtf8 {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })
}

#[cfg(test)]
mod tests;
