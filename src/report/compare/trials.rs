//! What to try next, and what did not work at all.

use crate::metric::Unit;
use crate::report::ending::Ending;
use crate::units;

use super::certainty::more_seeds;
use super::decision::{Certainty, Decision};
use super::effects::Kind;
use super::groups::Group;
use super::next::{self, At, Place};
use super::ranking::Ranking;
use super::style::{Style, listed};
use super::view::View;

/// The least share of the spread that a key explains by more than chance.
const COUNTS: f64 = 0.03;

/// Values at the edge first: beyond it may lie something better.
pub fn sentences(view: &View, ranking: &Ranking, decision: &Decision, style: Style) -> Vec<String> {
    let mut sentences = Vec::new();
    if Decision::all_tied(ranking) {
        return vec!["Other keys, or values further apart.".to_owned()];
    }
    if decision.all_alike.is_some_and(|all| all.nothing_matters()) {
        sentences.push("Other keys, or values further apart.".to_owned());
        sentences.extend(more_seeds(ranking, decision));
        return sentences;
    }
    // In a random search every key has a best value; those that explain nothing have it by chance.
    let counts = |place: &Place| {
        view.effects.as_ref().filter(|effects| effects.kind == Kind::Alone).is_none_or(|effects| {
            let index = view.varied.iter().position(|key| key.key == place.key.key);
            index.and_then(|index| effects.keys.get(index)).is_none_or(|share| *share >= COUNTS)
        })
    };
    // Where settings with other values are exactly as good, no value of the key is the best.
    let tied = &view.places[..Decision::tied(ranking).min(view.places.len())];
    let one = |place: &Place| tied.windows(2).all(|pair| place.key.at[pair[0]] == place.key.at[pair[1]]);
    // What only sets experiments apart was not varied: much else may differ between them.
    let was_varied = |place: &Place| !view.tells_experiments(place.key);
    let places: Vec<Place> =
        next::places(view).into_iter().filter(counts).filter(one).filter(was_varied).collect();
    for place in &places {
        sentences.extend(edge(place, style));
    }
    let sure = matches!(decision.certainty, Certainty::Apart(_));
    let inside: Vec<&Place> = places.iter().filter(|place| place.at == At::Inside).collect();
    if let [place] = inside.as_slice() {
        let name = style.code(&place.key.name);
        let next: Vec<String> = place.next.iter().map(|value| style.code(value)).collect();
        // Finer values are worth their runs only where these seeds can see as much as that.
        if sure && !next.is_empty() && sentences.is_empty() {
            sentences.push(format!(
                "The best {name}, {}, lies between others that were tried; {} would look closer.",
                style.code(&place.value),
                listed(&next)
            ));
        } else {
            sentences.push(format!(
                "The best {name}, {}, lies between others that were tried.",
                style.code(&place.value)
            ));
        }
    }
    if inside.len() > 1 {
        let names: Vec<String> = inside
            .iter()
            .map(|place| format!("{} ({})", style.code(&place.key.name), style.code(&place.value)))
            .collect();
        sentences.push(format!("The best values of {} lie between others that were tried.", listed(&names)));
    }
    sentences.extend(more_seeds(ranking, decision));
    if decision.certainty == Certainty::SingleRuns {
        sentences.push("The best settings again with more seeds.".to_owned());
    }
    sentences
}

fn edge(place: &Place, style: Style) -> Option<String> {
    let name = style.code(&place.key.name);
    let value = style.code(&place.value);
    let next: Vec<String> = place.next.iter().map(|value| style.code(value)).collect();
    let (end, side) = match place.at {
        At::Inside => return None,
        At::Lowest | At::LowestSound => ("lowest", "lower"),
        At::Highest | At::HighestSound => ("highest", "higher"),
    };
    if matches!(place.at, At::LowestSound | At::HighestSound) {
        let between =
            if next.is_empty() { String::new() } else { format!("; {} lies between", listed(&next)) };
        return Some(format!(
            "The best {name}, {value}, is the {end} that came to its end: nothing {side} did{between}."
        ));
    }
    let tried = if place.key.levels.len() == 2 { "of the two that were tried" } else { "that was tried" };
    Some(if next.is_empty() {
        format!("The best {name}, {value}, is the {end} {tried}.")
    } else {
        let also = place.key.with.iter().map(|name| style.code(name)).collect::<Vec<_>>();
        let also = if also.is_empty() { String::new() } else { format!(" with {} to fit", listed(&also)) };
        format!(
            "The best {name}, {value}, is the {end} {tried}, so the best may lie beyond: try {}{also}.",
            listed(&next)
        )
    })
}

/// Names of settings that a sentence holds.
const NAMED: usize = 4;

/// Settings that diverged throughout, or that know no more than how many tokens there are.
pub fn learnt_nothing(view: &View, style: Style) -> Vec<String> {
    let groups = &view.comparison.groups;
    let mut sentences = Vec::new();
    if groups.len() < 2 {
        return sentences;
    }
    let diverged = |group: &&Group| {
        !group.runs.is_empty() && group.runs.iter().all(|run| run.ending == Ending::Diverged)
    };
    let diverged: Vec<&Group> = groups.iter().filter(diverged).collect();
    if !diverged.is_empty() {
        let seeds = match (diverged.len(), diverged.iter().any(|group| group.runs.len() > 1)) {
            (_, false) => "",
            (1, true) => " with every seed",
            (_, true) => ", with every seed",
        };
        sentences.push(format!("{} diverged{seeds}.", labels(&diverged, style)));
    }
    let Some(ranking) = view.ranking.as_ref().filter(|ranking| ranking.outcome.unit == Unit::Nats) else {
        return sentences;
    };
    let guess = |group: &Group| {
        let vocabularies = group.counted().map(|run| Some(run.record.manifest.model.as_ref()?.vocab_size));
        vocabularies.flatten().min().filter(|size| *size > 1).map(|size| (size as f64).ln())
    };
    let bad = ranking
        .ranked
        .iter()
        .filter(|(group, spread)| guess(group).is_some_and(|guess| spread.mean >= 0.98 * guess));
    let bad: Vec<&Group> = bad.map(|(group, _)| *group).collect();
    let all = bad.len() == ranking.ranked.len();
    if let Some(guess) = bad.first().and_then(|group| guess(group)) {
        let verb = if bad.len() == 1 { "ends" } else { "end" };
        let who = if all { "All settings".to_owned() } else { labels(&bad, style) };
        sentences.push(format!(
            "{who} {verb} no better than guessing among all tokens, which has a loss of {}.",
            units::loss(guess)
        ));
    }
    sentences
}

fn labels(groups: &[&Group], style: Style) -> String {
    let mut names: Vec<String> = groups.iter().take(NAMED).map(|group| style.setting(&group.label)).collect();
    if groups.len() > NAMED {
        let more = groups.len() - NAMED;
        names.push(if more == 1 { "one more setting".to_owned() } else { format!("{more} more settings") });
    }
    listed(&names)
}
