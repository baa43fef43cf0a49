//! Events for the process that started this one: JSON lines on standard output.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{Sink, SinkError};
use crate::event::Event;

/// Steps are for a person to look at: more often than this nobody can.
const STEP_INTERVAL: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug, Default)]
pub struct EventsSink {
    last_step: Option<Instant>,
}

impl EventsSink {
    /// Whether the event is worth telling: all are, but of many steps in a short time only some.
    fn tells(&mut self, event: &Event) -> bool {
        let Event::Step(row) = event else { return true };
        if row.val_loss.is_none() && self.last_step.is_some_and(|at| at.elapsed() < STEP_INTERVAL) {
            return false;
        }
        self.last_step = Some(Instant::now());
        true
    }
}

impl Sink for EventsSink {
    fn on_event(&mut self, event: &Event) -> Result<(), SinkError> {
        if self.tells(event)
            && let Ok(mut line) = serde_json::to_vec(event)
        {
            line.push(b'\n');
            // Whoever listened may be gone, which is no reason to stop; what else tells the run so.
            let mut stdout = std::io::stdout().lock();
            let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricsRow;

    #[test]
    fn of_many_steps_some_are_told_and_all_evaluations() {
        let mut sink = EventsSink::default();
        let step = |val_loss| Event::Step(Box::new(MetricsRow { val_loss, ..MetricsRow::default() }));
        assert!(sink.tells(&step(None)));
        assert!(!sink.tells(&step(None)));
        assert!(sink.tells(&step(Some(2.0))));
        assert!(sink.tells(&Event::Warning { step: 1, message: String::new() }));
    }
}
