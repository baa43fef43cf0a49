//! What waits in memory for clients: bodies that arrive, prompts that wait for their turn, answers that nobody takes. All of it is
//! counted against one bound, so that clients that do not read, however many there are, cost no more than that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::queue::Delivery;
use crate::generate::{Scored, What};

/// What every answer may have waiting, also when others have taken all that there is: a client that reads needs little. Less where
/// all of it is less than sixteen times as much.
const SHARE: usize = 64 << 10;
/// What an alternative of a token takes as JSON, in memory.
const ALTERNATIVE: usize = 160;

/// The bytes that may wait for all clients together.
#[derive(Debug)]
pub struct Budget {
    most: usize,
    /// Of one answer.
    most_of_one: usize,
    share: usize,
    used: AtomicUsize,
}

impl Budget {
    /// So many bytes, and half of them for one answer.
    pub fn new(most: usize) -> Self {
        Self { most, most_of_one: most / 2, share: SHARE.min(most / 16), used: AtomicUsize::new(0) }
    }

    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A place for so many bytes, or `None` when there is none at the moment.
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Option<Hold> {
        self.take(bytes).then(|| Hold { budget: self.clone(), bytes })
    }

    fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.most);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A place in the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Hold {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// What one answer has of the budget, given back when both of its ends are dropped.
#[derive(Debug)]
struct Account {
    budget: Arc<Budget>,
    bytes: AtomicUsize,
}

impl Account {
    fn take(&self, bytes: usize) -> bool {
        let own = self.bytes.load(Ordering::Relaxed).saturating_add(bytes);
        if own > self.budget.most_of_one {
            return false;
        }
        if !self.budget.take(bytes) {
            if own > self.budget.share {
                return false;
            }
            self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.give_back(bytes);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.give_back(*self.bytes.get_mut());
    }
}

/// Where the worker's news for an answer go in, and where they come out.
pub fn channel(budget: &Arc<Budget>) -> (Outbox, Inbox) {
    let (to, news) = mpsc::unbounded_channel();
    let account = Arc::new(Account { budget: budget.clone(), bytes: AtomicUsize::new(0) });
    (Outbox { to, account: account.clone() }, Inbox { news, account })
}

/// The worker's end. It never waits: others would wait with it.
#[derive(Clone, Debug)]
pub struct Outbox {
    to: mpsc::UnboundedSender<Delivery>,
    account: Arc<Account>,
}

/// Why the worker need not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The client is not there any more.
    Gone,
    /// Too much waits for it.
    Slow,
}

impl Outbox {
    pub fn send(&self, delivery: Delivery) -> Result<(), Lost> {
        if !self.account.take(cost(&delivery)) {
            return Err(Lost::Slow);
        }
        self.to.send(delivery).map_err(|_| Lost::Gone)
    }

    /// What ends an answer, for which there is always room.
    pub fn end(&self, last: Delivery) -> Result<(), Lost> {
        let bytes = cost(&last);
        self.account.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.account.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.to.send(last).map_err(|_| Lost::Gone)
    }

    /// Whether the client is gone.
    pub fn is_closed(&self) -> bool {
        self.to.is_closed()
    }
}

/// The client's end.
#[derive(Debug)]
pub struct Inbox {
    news: mpsc::UnboundedReceiver<Delivery>,
    account: Arc<Account>,
}

impl Inbox {
    pub async fn recv(&mut self) -> Option<Delivery> {
        let delivery = self.news.recv().await?;
        self.account.give_back(cost(&delivery));
        Some(delivery)
    }

    /// Takes no more news. What was sent and not received still counts.
    pub fn close(&mut self) {
        self.news.close();
    }

    /// Counts so many bytes that are kept until the answer has been taken. `false` when there is no place for them.
    pub fn keep(&self, bytes: usize) -> bool {
        self.account.take(bytes)
    }
}

/// Bytes that a token takes while it waits, and in an answer as a whole.
pub fn piece_cost(text_bytes: usize, alternatives: usize) -> usize {
    size_of::<Delivery>() + text_bytes + alternatives * ALTERNATIVE
}

/// As [`piece_cost`], of tokens of a prompt. Their texts are short, and shorter than what else an entry takes.
pub fn prompt_cost(scored: &[Scored]) -> usize {
    let alternatives = |scored: &Scored| scored.chance.as_ref().map_or(0, |chance| chance.alternatives.len());
    scored.iter().map(|scored| piece_cost(1, alternatives(scored))).sum()
}

fn cost(delivery: &Delivery) -> usize {
    match delivery {
        Delivery::News { what: What::Prompt(scored), .. } => prompt_cost(scored),
        Delivery::News { what: What::Piece(piece), .. } => {
            piece_cost(piece.text.len(), piece.chance.as_ref().map_or(0, |chance| chance.alternatives.len()))
        }
        _ => size_of::<Delivery>(),
    }
}

/// The bytes of an answer, counted for as long as they exist.
pub struct Counted {
    pub bytes: Vec<u8>,
    pub _inbox: Inbox,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(bytes: usize) -> Delivery {
        let text = "x".repeat(bytes);
        Delivery::News {
            sample: 0,
            what: What::Piece(crate::generate::Piece { token: 0, text, chance: None }),
        }
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let budget = Arc::new(Budget::new(100));
        let hold = budget.hold(60).unwrap();
        assert!(budget.hold(60).is_none());
        drop(hold);
        assert!(budget.hold(100).is_some());
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn an_answer_has_half_of_all_and_its_share_when_others_have_taken_the_rest() {
        let budget = Arc::new(Budget::new(16 * SHARE));
        let (slow, _unread) = channel(&budget);
        while slow.send(piece(1000)).is_ok() {}
        assert_eq!(slow.send(piece(1000)), Err(Lost::Slow));
        assert!((7 * SHARE..=8 * SHARE).contains(&budget.used()), "{}", budget.used());
        let _all = budget.hold(16 * SHARE - budget.used()).unwrap();
        let (other, mut news) = channel(&budget);
        let mut sent = 0;
        while other.send(piece(1000)).is_ok() {
            sent += 1;
        }
        assert!((40..=64).contains(&sent), "{sent}");
        assert!(budget.used() <= 17 * SHARE);
        // Who reads goes on.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for _ in 0..1000 {
                news.recv().await.unwrap();
                other.send(piece(1000)).unwrap();
            }
        });
    }

    #[test]
    fn nothing_is_left_when_both_ends_are_gone() {
        let budget = Arc::new(Budget::new(10 * SHARE));
        let (to, news) = channel(&budget);
        to.send(piece(10)).unwrap();
        assert!(news.keep(1000));
        drop(news);
        assert_eq!(to.send(piece(10)), Err(Lost::Gone));
        to.end(Delivery::Closing).unwrap_err();
        drop(to);
        assert_eq!(budget.used(), 0);
    }
}
