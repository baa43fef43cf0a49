//! The thread that computes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::queue::{Delivery, Order};
use super::waiting::Lost;
use super::{App, GRACE};
use crate::generate::{Batch, GenerateError, JobId, News, What};

/// An order under way.
struct Active {
    order: Order,
    started: bool,
    left: usize,
    submitted: Instant,
}

/// Works on orders until the queue is closed and nothing is left to do.
pub fn work(app: &App) {
    let mut worker = Worker {
        app,
        batches: app
            .served
            .iter()
            .map(|served| Batch::of(&served.model).keeping(app.limits.kept_bytes as u64))
            .collect(),
        spent: vec![Duration::ZERO; app.served.len()],
        active: HashMap::new(),
        next: 0,
    };
    while worker.turn() {}
}

struct Worker<'a> {
    app: &'a App,
    /// One for each model.
    batches: Vec<Batch<'a>>,
    /// What each model took of the worker's time. Models that work at the same time get the same share.
    spent: Vec<Duration>,
    active: HashMap<JobId, Active>,
    next: JobId,
}

impl Worker<'_> {
    /// Takes orders up and goes on with the texts of one model by a token. `false` when there will be nothing more to do.
    fn turn(&mut self) -> bool {
        let app = self.app;
        let busy: usize = self.batches.iter().map(Batch::texts).sum();
        app.metrics.active_texts.set(busy as i64);
        let room = app.limits.texts.saturating_sub(busy);
        let Some(orders) = app.queue.take(room, self.active.is_empty()) else { return false };
        for order in orders {
            self.begin(order);
        }
        self.drop_lost();
        if let Some(model) = self.next_model() {
            let started = Instant::now();
            self.step(model);
            self.spent[model] += started.elapsed();
        }
        true
    }

    /// The model with work to do that had the least time so far.
    fn next_model(&self) -> Option<usize> {
        let working = (0..self.batches.len()).filter(|&model| !self.batches[model].is_empty());
        working.min_by_key(|&model| self.spent[model])
    }

    /// Goes on with all texts of a model by a token.
    fn step(&mut self, model: usize) {
        match self.batches[model].step() {
            Ok(news) => news.into_iter().for_each(|news| self.deliver(model, news)),
            Err(error) => {
                // Nothing of this batch can be gone on with.
                let reason = error.to_string();
                for (id, active) in self.active.extract_if(|_, active| active.order.model == model) {
                    self.batches[model].cancel(id);
                    let error = GenerateError::Logits { reason: reason.clone() };
                    let _ = active.order.to.end(Delivery::Failed(error));
                }
            }
        }
    }

    fn begin(&mut self, order: Order) {
        if order.to.is_closed() {
            return;
        }
        let id = self.next;
        self.next += 1;
        if self.batches[order.model].is_empty() {
            // Who comes back from a rest does not get what others had meanwhile.
            let working = self.next_model().map(|model| self.spent[model]);
            self.spent[order.model] = self.spent[order.model].max(working.unwrap_or_default());
        }
        let Order { model, ref prompt, ref settings, samples, .. } = order;
        match self.batches[model].add(id, prompt, settings.clone(), samples) {
            Ok(()) => {
                self.app.metrics.prompt_tokens.inc_by(prompt.len() as u64);
                let submitted = order.deadline - self.app.limits.time;
                self.active.insert(id, Active { order, started: false, left: samples, submitted });
            }
            Err(error) => {
                let _ = order.to.end(Delivery::Failed(error));
            }
        }
    }

    /// Lets go of clients that are gone and of orders whose time is over.
    fn drop_lost(&mut self) {
        let now = Instant::now();
        let closing = self.app.queue.closing_since().is_some_and(|since| now > since + GRACE);
        let is_lost = |active: &Active| active.order.to.is_closed() || now > active.order.deadline || closing;
        for (id, active) in self.active.extract_if(|_, active| is_lost(active)) {
            self.batches[active.order.model].cancel(id);
            let last = if closing { Delivery::Closing } else { Delivery::TimedOut };
            if active.order.to.end(last).is_err() {
                self.app.metrics.abandoned.inc();
            }
        }
    }

    fn deliver(&mut self, model: usize, news: News) {
        let Some(active) = self.active.get_mut(&news.job) else { return };
        if matches!(news.what, What::Piece(_)) {
            self.app.metrics.new_tokens.inc();
            if !std::mem::replace(&mut active.started, true) {
                self.app.metrics.first_token.observe(active.submitted.elapsed().as_secs_f64());
            }
        }
        let (is_end, is_failure) = (matches!(news.what, What::End(_)), matches!(news.what, What::Failed(_)));
        active.left -= usize::from(is_end);
        let sample = active.order.first + news.sample;
        let lost = active.order.to.send(Delivery::News { sample, what: news.what }).err();
        let is_gone = lost.is_some();
        if lost == Some(Lost::Slow) {
            self.app.metrics.cut_off.inc();
            let _ = active.order.to.end(Delivery::Slow);
        }
        if is_gone || is_failure || active.left == 0 {
            if lost == Some(Lost::Gone) && active.left > 0 {
                self.app.metrics.abandoned.inc();
            }
            self.active.remove(&news.job);
            self.batches[model].cancel(news.job);
        }
    }
}
