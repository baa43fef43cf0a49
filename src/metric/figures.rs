//! The one table of the figures that a run comes down to: what a column's rows are summed up to, its row among a report's key numbers,
//! and the outcome by which runs are compared. Manifests, reports and comparisons are all read from it.

use serde::{Deserialize, Serialize};

use super::{Metric, columns};

/// What is taken of a column's finite values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    First,
    Last,
    /// The lowest or the highest, whichever is better.
    Best,
    /// None of its values: measured once over the whole training text, after the last step.
    Whole,
}

/// One figure.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Name in `manifest.toml`.
    pub key: &'static str,
    pub column: &'static Metric,
    pub statistic: Statistic,
    /// Name among the key numbers of a report.
    pub label: &'static str,
    pub get: fn(&Figures) -> Option<f64>,
    pub set: fn(&mut Figures, Option<f64>),
}

/// Calls a macro with the table. An entry: what it is, `name: Statistic column, "label in a report", outcome "label in a comparison"`.
macro_rules! with_figures {
    ($then:ident) => {
        $then! {
            "Train loss of the first step.",
            initial_train_loss: First train_loss, "Train loss, first step (nats per token)";
            "Train loss of the last step that had one.",
            final_train_loss: Last train_loss, "Train loss, last step", outcome "Train loss (last)";
            "Smoothed train loss at the end.",
            final_train_loss_ema: Last train_loss_ema, "Train loss, smoothed, at the end", outcome "Train loss (smoothed)";
            "Lowest train loss of a step.",
            best_train_loss: Best train_loss, "Train loss, best step", outcome "Train loss (best)";
            "Bits per byte of the last step's batch.",
            final_train_bits_per_byte: Last train_bits_per_byte, "Train bits per byte, last step";
            "Accuracy on the last step's batch.",
            final_train_accuracy: Last train_accuracy, "Train accuracy, last step";
            "Validation loss of the last evaluation.",
            final_val_loss: Last val_loss, "Validation loss, last", outcome "Val loss (last)";
            "Lowest validation loss.",
            best_val_loss: Best val_loss, "Validation loss, best", outcome "Val loss (best)";
            "Bits per byte of the last evaluation.",
            final_val_bits_per_byte: Last val_bits_per_byte, "Validation bits per byte, last";
            "Lowest bits per byte of an evaluation.",
            best_val_bits_per_byte: Best val_bits_per_byte, "Validation bits per byte, best", outcome "Val bits/byte (best)";
            "Accuracy of the last evaluation.",
            final_val_accuracy: Last val_accuracy, "Validation accuracy, last";
            "Highest accuracy of an evaluation.",
            best_val_accuracy: Best val_accuracy, "Validation accuracy, best", outcome "Val accuracy (best)";
            "Loss over the whole training split after the last step.",
            corpus_loss: Whole train_loss, "Loss over the whole training corpus", outcome "Corpus loss";
            "Bits per byte over the whole training split after the last step.",
            corpus_bits_per_byte: Whole train_bits_per_byte, "Bits per byte over the whole training corpus",
                outcome "Corpus bits/byte";
            "Accuracy over the whole training split after the last step.",
            corpus_accuracy: Whole train_accuracy, "Accuracy over the whole training corpus", outcome "Corpus accuracy";
        }
    };
}
pub(crate) use with_figures;

macro_rules! figures {
    ($( $help:literal, $field:ident: $statistic:ident $column:ident, $label:literal $(, outcome $outcome:literal)?; )*) => {
        /// The figures of a run. What was not measured is absent.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Figures {
            $(
                #[doc = $help]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<f64>,
            )*
        }

        /// All figures, in order.
        pub static FIGURES: &[Figure] = &[
            $(
                Figure {
                    key: stringify!($field), column: &columns::$column, statistic: Statistic::$statistic, label: $label,
                    get: |figures| figures.$field,
                    set: |figures, value| figures.$field = value,
                },
            )*
        ];
    };
}

with_figures!(figures);

impl Figures {
    /// These, as far as they are finite numbers, and the `others` where they are not.
    #[must_use]
    pub fn or(mut self, others: &Figures) -> Figures {
        for figure in FIGURES {
            let own = (figure.get)(&self).filter(|value| value.is_finite());
            (figure.set)(&mut self, own.or((figure.get)(others)));
        }
        self
    }
}

/// The figure that is this of a column.
pub fn figure(column: &str, statistic: Statistic) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.column.key == column && figure.statistic == statistic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_reads_back_what_was_set_and_its_name_says_what_it_is() {
        for figure in FIGURES {
            let mut figures = Figures::default();
            (figure.set)(&mut figures, Some(7.0));
            assert_eq!((figure.get)(&figures), Some(7.0), "{}", figure.key);
            assert_eq!(FIGURES.iter().filter(|other| (other.get)(&figures).is_some()).count(), 1);
            let beginning = match figure.statistic {
                Statistic::First => "initial_",
                Statistic::Last => "final_",
                Statistic::Best => "best_",
                Statistic::Whole => "corpus_",
            };
            assert!(figure.key.starts_with(beginning), "{}", figure.key);
        }
    }
}
