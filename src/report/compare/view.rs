//! All that the page, its pictures and its tables say of a comparison, worked out once.

use super::decision::Decision;
use super::effects::Effects;
use super::groups::{Comparison, Group};
use super::ranking::{Ranking, ranking};
use super::share::{self, Times};
use super::varied::{Varied, varied};

pub struct View<'a> {
    pub comparison: &'a Comparison<'a>,
    pub ranking: Option<Ranking<'a>>,
    /// For each place in the ranking its group's index in the comparison.
    pub places: Vec<usize>,
    pub varied: Vec<Varied>,
    pub decision: Option<Decision>,
    pub effects: Option<Effects>,
    pub times: Times,
}

impl<'a> View<'a> {
    pub fn of(comparison: &'a Comparison<'a>) -> View<'a> {
        // Runs that should all have the same losses have no winner.
        let mut runs = comparison.groups.iter().flat_map(|group| &group.runs);
        let promised = runs.clone().next().is_some()
            && runs.all(|run| run.record.manifest.run.same_losses_within.is_some());
        let ranking = if promised { None } else { ranking(comparison) };
        let index = |group: &Group| comparison.groups.iter().position(|other| std::ptr::eq(other, group));
        let places: Vec<usize> = ranking
            .iter()
            .flat_map(|ranking| &ranking.ranked)
            .filter_map(|(group, _)| index(group))
            .collect();
        let varied = varied(comparison);
        let decision = ranking.as_ref().and_then(Decision::of);
        let effects = ranking.as_ref().and_then(|ranking| Effects::of(ranking, &places, &varied));
        View { comparison, ranking, places, varied, decision, effects, times: share::times(comparison) }
    }

    /// Whether a key has one value in each of several experiments, so that it is they that differ.
    pub fn tells_experiments(&self, key: &Varied) -> bool {
        let groups = &self.comparison.groups;
        // Groups are in order of their experiments.
        let mut inside = groups.windows(2).zip(key.at.windows(2));
        self.comparison.several_experiments()
            && inside.all(|(pair, at)| pair[0].experiment != pair[1].experiment || at[0] == at[1])
            && groups.windows(2).any(|pair| pair[0].experiment == pair[1].experiment)
    }

    /// Indices of the groups from the best to the worst, and then of those that have no place, in the order of the grid.
    pub fn order(&self) -> impl Iterator<Item = usize> {
        let unplaced = (0..self.comparison.groups.len()).filter(|index| !self.places.contains(index));
        self.places.iter().copied().chain(unplaced)
    }

    /// The groups in the same order.
    pub fn sorted(&self) -> Vec<&'a Group<'a>> {
        self.order().map(|index| &self.comparison.groups[index]).collect()
    }
}
