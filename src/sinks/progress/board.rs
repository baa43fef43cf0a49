//! What a person sees while several runs train: a line for all of them, one for each that trains, and above them only what must be
//! read. Elsewhere than on a terminal the line for all, at intervals, and one for each run that came to its end.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{LINE_INTERVAL, Screen, eta};
use crate::event::Event;
use crate::metric::MetricsRow;
use crate::sinks::{Sink, SinkError};
use crate::terminal;
use crate::units;

/// A run that is to be trained.
#[derive(Clone, Debug)]
pub struct Task {
    /// Place among the runs, from 0.
    pub index: usize,
    /// As in the record, without the experiment where all are of one.
    pub name: String,
    /// How much there is to do, in any unit that is the same for all.
    pub work: f64,
}

/// What became of a run, as far as the line for all counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Done,
    Failed,
    /// It was stopped, or not started.
    Stopped,
}

/// Shows several runs. Clones show the same.
#[derive(Clone)]
pub struct Board {
    screen: Screen,
    state: Arc<Mutex<State>>,
}

struct State {
    began: Instant,
    /// Seconds that all of it was estimated to take; shown until something is known.
    expected_secs: Option<f64>,
    tasks: Vec<Progress>,
    /// Columns of the terminal.
    width: fn() -> usize,
    /// Runs of this call, those included that are not trained.
    count: usize,
    best: Option<Best>,
    head: Option<ProgressBar>,
    last_line: Instant,
    said: HashSet<String>,
}

struct Progress {
    task: Task,
    /// Shares of the run that are done: when this call began, and now.
    from: Option<f64>,
    at: f64,
    trains: bool,
    fate: Option<Fate>,
}

struct Best {
    loss: f64,
    is_val: bool,
    name: String,
}

impl Board {
    /// Shows these runs, of `count` that there are in all, on the screen. `expected_secs` is what all of them were estimated to take, if they were.
    pub fn open(screen: &Screen, tasks: Vec<Task>, count: usize, expected_secs: Option<f64>) -> Self {
        let head = match screen {
            Screen::Terminal(bars) => {
                let head = bars.add(ProgressBar::new_spinner());
                head.set_style(style("{wide_msg}"));
                Some(head)
            }
            Screen::Lines | Screen::Quiet => None,
        };
        let tasks =
            tasks.into_iter().map(|task| Progress { task, from: None, at: 0.0, trains: false, fate: None });
        let now = Instant::now();
        let state = State {
            began: now,
            expected_secs,
            tasks: tasks.collect(),
            width: columns,
            count,
            best: None,
            head,
            last_line: now,
            said: HashSet::new(),
        };
        let board = Self { screen: screen.clone(), state: Arc::new(Mutex::new(state)) };
        board.state().refresh();
        board
    }

    /// The sink that shows the run of this index here.
    pub fn sink(&self, index: usize) -> Option<Box<dyn Sink>> {
        let row = match &self.screen {
            Screen::Terminal(bars) => Some((bars.clone(), ProgressBar::hidden())),
            Screen::Lines => None,
            Screen::Quiet => return None,
        };
        Some(Box::new(RowSink { board: self.clone(), index, row, max_steps: 0 }))
    }

    /// A run came to its end; `sentence` says how, unless there is nothing to say.
    pub fn ended(&self, index: usize, fate: Fate, sentence: &str) {
        let mut state = self.state();
        let (place, count) = (index + 1, state.count);
        let Some(run) = state.run(index) else { return };
        (run.fate, run.trains) = (Some(fate), false);
        state.refresh();
        drop(state);
        let must_be_read = fate == Fate::Failed;
        if !sentence.is_empty() && (matches!(self.screen, Screen::Lines) || must_be_read) {
            self.screen.note(&format!("[{place}/{count}] {sentence}"));
        }
    }

    /// Takes the lines away that move.
    pub fn close(&self) {
        if let Some(head) = self.state().head.take() {
            head.finish_and_clear();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a person must read, once if several runs say the same.
    fn say_once(&self, name: &str, message: &str) {
        if self.state().said.insert(message.to_owned()) {
            self.screen.note(&format!("{name}: warning: {message}"));
        }
    }
}

impl State {
    fn run(&mut self, index: usize) -> Option<&mut Progress> {
        self.tasks.iter_mut().find(|run| run.task.index == index)
    }

    fn refresh(&self) {
        if let Some(head) = &self.head {
            head.set_message(self.line(self.began.elapsed().as_secs_f64()));
        }
    }

    fn step(&mut self, index: usize, row: &MetricsRow, max_steps: u64) {
        let share = |step: u64| step as f64 / max_steps.max(1) as f64;
        let Some(run) = self.run(index) else { return };
        // The first step that is heard of is one that was trained.
        run.from.get_or_insert(share(row.step.saturating_sub(1)));
        run.at = share(row.step);
        let name = run.task.name.clone();
        let loss = row.val_loss.map(|loss| (loss, true)).or(row.train_loss_ema.map(|loss| (loss, false)));
        let Some((loss, is_val)) = loss.filter(|(loss, _)| loss.is_finite()) else { return };
        let better = match &self.best {
            None => true,
            // Losses of two kinds do not compare, and validation says more.
            Some(best) if best.is_val != is_val => is_val,
            Some(best) => loss < best.loss,
        };
        if better {
            self.best = Some(Best { loss, is_val, name });
        }
    }

    /// `7/24 done  1 failed  16 left  ETA 4 min 05 s  best val 1.234  learning_rate=0.001,seed=1`.
    fn line(&self, elapsed_secs: f64) -> String {
        let all = self.tasks.len();
        let count = |fate: Fate| self.tasks.iter().filter(|run| run.fate == Some(fate)).count();
        let (done, failed, stopped) = (count(Fate::Done), count(Fate::Failed), count(Fate::Stopped));
        let mut parts = vec![format!("{done}/{all} done")];
        parts.extend((failed > 0).then(|| format!("{failed} failed")));
        parts.extend((stopped > 0).then(|| format!("{stopped} stopped")));
        let left = all - done - failed - stopped;
        parts.extend((left > 0).then(|| format!("{left} left")));
        parts.extend(self.time_left(elapsed_secs).map(|secs| format!("ETA {}", units::duration(secs))));
        if let Some(Best { loss, is_val, name }) = &self.best {
            let what = if *is_val { "val" } else { "loss" };
            parts.push(format!("best {what} {}", units::loss(*loss)));
            return fitting(&parts.join("  "), name, (self.width)());
        }
        parts.join("  ")
    }

    /// Time to the end of all runs, if they go on as fast as those so far.
    fn time_left(&self, elapsed_secs: f64) -> Option<f64> {
        let open = || self.tasks.iter().filter(|run| run.fate.is_none());
        let worked: f64 =
            self.tasks.iter().map(|run| run.task.work * (run.at - run.from.unwrap_or(run.at)).max(0.0)).sum();
        let left: f64 = open().map(|run| run.task.work * (1.0 - run.at).max(0.0)).sum();
        if open().next().is_none() {
            None
        } else if worked > 0.0 {
            Some(elapsed_secs * left / worked)
        } else {
            self.expected_secs
        }
    }
}

fn columns() -> usize {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| usize::from(width.0))
}

/// The text and the run's name behind it; of a name that finds no room the values alone: `0.001,64,1337`.
fn fitting(text: &str, name: &str, room: usize) -> String {
    if text.chars().count() + 2 + name.chars().count() <= room {
        return format!("{text}  {name}");
    }
    let (experiment, run) = name
        .rsplit_once('/')
        .map_or((String::new(), name), |(experiment, run)| (format!("{experiment}/"), run));
    let values: Vec<&str> = run.split(',').map(|part| part.rsplit('=').next().unwrap_or(part)).collect();
    format!("{text}  {experiment}{}", values.join(","))
}

fn style(template: &str) -> ProgressStyle {
    // A test holds the templates valid.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}

/// The line of one run: its bar, and what stands behind it.
const ROW: &str = "{prefix} {bar:8.cyan} {wide_msg}";
/// Columns before the message.
const BEFORE: usize = 14;

struct RowSink {
    board: Board,
    index: usize,
    row: Option<(MultiProgress, ProgressBar)>,
    max_steps: u64,
}

impl RowSink {
    fn name(&self) -> String {
        self.board.state().run(self.index).map(|run| run.task.name.clone()).unwrap_or_default()
    }
}

impl Sink for RowSink {
    fn on_event(&mut self, event: &Event) -> Result<(), SinkError> {
        match event {
            Event::Started { max_steps, .. } => {
                self.max_steps = *max_steps;
                let name = self.name();
                if let Some((bars, bar)) = &mut self.row {
                    *bar = bars.add(ProgressBar::new(*max_steps));
                    bar.set_style(style(ROW));
                    bar.set_prefix(format!("{:>4}", format!("[{}]", self.index + 1)));
                    bar.set_message(name);
                }
                let mut state = self.board.state();
                if let Some(run) = state.run(self.index) {
                    run.trains = true;
                }
                state.refresh();
            }
            Event::Step(step) if step.step > 0 => {
                let mut state = self.board.state();
                state.step(self.index, step, self.max_steps);
                state.refresh();
                let due = self.row.is_none() && state.last_line.elapsed() >= LINE_INTERVAL;
                let line = due.then(|| {
                    state.last_line = Instant::now();
                    state.line(state.began.elapsed().as_secs_f64())
                });
                drop(state);
                line.into_iter().for_each(terminal::err);
                if let Some((_, bar)) = &self.row {
                    bar.set_position(step.step);
                    bar.set_message(row_text(step, self.max_steps, &self.name(), columns()));
                }
            }
            Event::Warning { message, .. } => self.board.say_once(&self.name(), message),
            Event::Finished { .. } => {
                if let Some((_, bar)) = &self.row {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Drop for RowSink {
    /// A process that was killed says nothing of its end.
    fn drop(&mut self) {
        if let Some((_, bar)) = &self.row {
            bar.finish_and_clear();
        }
    }
}

/// `120/300  loss 2.345  ETA 12 s  learning_rate=0.001,seed=1`, so that lines of several runs stand in columns.
fn row_text(row: &MetricsRow, max_steps: u64, name: &str, room: usize) -> String {
    let all = units::count(max_steps);
    let loss = row.train_loss_ema.or(row.train_loss).map_or(units::MISSING.to_owned(), units::loss);
    let text = format!(
        "{:>width$}/{all}  loss {loss:<6}  ETA {:<6}",
        units::count(row.step),
        eta(row, max_steps),
        width = all.len()
    );
    fitting(&text, name, room.saturating_sub(BEFORE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(tasks: usize, expected_secs: Option<f64>) -> Board {
        let task = |index| Task { index, name: format!("rate={index}"), work: 10.0 };
        let board = Board::open(&Screen::Quiet, (0..tasks).map(task).collect(), tasks, expected_secs);
        board.state().width = || 100;
        board
    }

    fn row(step: u64, val_loss: Option<f64>) -> MetricsRow {
        MetricsRow { step, train_loss_ema: Some(9.0), val_loss, ..MetricsRow::default() }
    }

    #[test]
    fn the_line_for_all_counts_what_became_of_the_runs_and_names_the_best() {
        let board = board(4, Some(90.0));
        assert_eq!(board.state().line(0.0), "0/4 done  4 left  ETA 1 min 30 s");
        board.state().step(0, &row(5, None), 10);
        board.state().step(1, &row(5, Some(2.5)), 10);
        board.state().step(2, &row(5, None), 10);
        board.state().step(3, &row(5, Some(3.0)), 10);
        board.ended(0, Fate::Failed, "");
        board.ended(1, Fate::Done, "");
        assert_eq!(board.state().line(0.0), "1/4 done  1 failed  2 left  ETA 0 s  best val 2.500  rate=1");
        board.ended(2, Fate::Stopped, "");
        board.ended(3, Fate::Done, "");
        assert_eq!(board.state().line(9.0), "2/4 done  1 failed  1 stopped  best val 2.500  rate=1");
    }

    #[test]
    fn the_time_left_follows_from_the_steps_of_this_call() {
        let board = board(2, None);
        // Resumed behind step 4: four of ten steps are behind it that this call did not train.
        board.state().step(0, &row(5, None), 10);
        board.state().step(0, &row(6, None), 10);
        // 2 of 16 steps took 10 s.
        let left = || board.state().time_left(10.0).map(f64::round);
        assert_eq!(left(), Some(70.0));
        board.ended(0, Fate::Failed, "");
        assert_eq!(left(), Some(50.0));
    }

    #[test]
    fn lines_of_runs_stand_in_columns_and_templates_are_valid() {
        let text = |step| row_text(&row(step, None), 1000, "x", 100);
        assert_eq!(text(7).len(), text(999).len());
        assert!(text(7).starts_with("    7/1,000  loss 9.000 "), "{}", text(7));
        let narrow = row_text(&row(7, None), 1000, "learning_rate=0.001,n_embd=64,seed=1337", 66);
        assert!(narrow.ends_with("  0.001,64,1337"), "{narrow}");
        for template in [ROW, "{wide_msg}"] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
