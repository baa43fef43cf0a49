//! Runs that another process holds at this moment.

use std::time::{Duration, Instant};

use crate::store::{FRESH, RunDir, Writer};
use crate::train::StopFlag;

/// How long a command waits in all for processes that do not say that they are stopping. One whose parent was just killed says so
/// within milliseconds.
const FOR_THE_OTHERS: Duration = Duration::from_secs(2);
/// How long it waits for each that does: a large model takes its time to finish a step and to save.
const FOR_THE_STOPPING: Duration = Duration::from_secs(600);

const TICK: Duration = Duration::from_millis(20);

/// The patience of one command.
#[derive(Debug, Default)]
pub struct Patience {
    spent: Duration,
}

impl Patience {
    /// Waits for the process that holds the run, if it is about to let go. Returns whoever holds it still. `note` hears once for whom
    /// the command waits. Asked to stop, it waits no longer.
    pub fn await_holder(&mut self, dir: &RunDir, stop: &StopFlag, note: &dyn Fn(&str)) -> Option<Writer> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            let writer = dir.writer()?;
            if stop.is_requested() {
                return Some(writer);
            }
            if !writer.stopping {
                // Whether one of another machine is gone shows when its lock grows old.
                if self.spent >= FOR_THE_OTHERS && !(writer.is_elsewhere() && begun.elapsed() < FRESH) {
                    return Some(writer);
                }
                self.spent += TICK;
            } else if begun.elapsed() >= FOR_THE_STOPPING {
                return Some(writer);
            } else if !told {
                told = true;
                note(&format!("{}: waiting for {writer}, which saves and stops", dir.name()));
            }
            std::thread::sleep(TICK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture;

    #[test]
    fn who_trains_is_named_soon_and_who_stops_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed=1");
        std::fs::create_dir(&path).unwrap();
        let dir = RunDir::open(&path);
        dir.write_manifest(&fixture::manifest("rates", "seed=1")).unwrap();
        let mut patience = Patience { spent: FOR_THE_OTHERS };
        let stop = StopFlag::default();
        assert_eq!(patience.await_holder(&dir, &stop, &|_| {}), None);

        let lock = dir.lock().unwrap();
        assert_eq!(patience.await_holder(&dir, &stop, &|_| {}).unwrap().pid, std::process::id());
        lock.announcer().stopping();
        let stopped = StopFlag::default();
        stopped.request();
        assert_eq!(patience.await_holder(&dir, &stopped, &|_| {}).unwrap().pid, std::process::id());
        let saving = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(lock);
        });
        let told = std::cell::RefCell::new(Vec::new());
        let note = |line: &str| told.borrow_mut().push(line.to_owned());
        assert_eq!(patience.await_holder(&dir, &stop, &note), None);
        saving.join().unwrap();
        let told = told.into_inner();
        assert!(told.len() == 1 && told[0].contains("which saves and stops"), "{told:?}");
    }
}
