//! What was configured otherwise: under way, to get a run through, or since an earlier run of its name.

use crate::facts::KeyChange;
use crate::markdown::{Align, Table, code, link, percent_encode};
use crate::store::manifest::Manifest;
use crate::units;

/// In Markdown, how the configuration was changed under way: `Memory ran out, so ... went from 8 to 4 ...: a step keeps its
/// 2,048 tokens.` `None` where it was not.
pub fn adaptation(manifest: &Manifest) -> Option<String> {
    let (first, rest) = manifest.adapted.split_first()?;
    let verb = |change: &KeyChange, verb: &str| {
        format!("{}{verb} from {} to {}", code(&change.key), code(&change.before), code(&change.now))
    };
    let mut parts = vec![verb(first, " went")];
    parts.extend(rest.iter().map(|change| verb(change, "")));
    let changes = units::listed(&parts, "and");
    if !keeps_tokens(&manifest.adapted) {
        return Some(format!("To get the run through, {changes}."));
    }
    let tokens = units::counted(manifest.run.tokens_per_step, "token");
    Some(format!("Memory ran out, so {changes}: a step keeps its {tokens}."))
}

/// Whether what a batch lost is made up for by accumulation.
fn keeps_tokens(adapted: &[KeyChange]) -> bool {
    let values = |key: &str| {
        let change = adapted.iter().find(|change| change.key == key)?;
        Some((change.before.parse::<u64>().ok()?, change.now.parse::<u64>().ok()?))
    };
    let Some((batch, batch_now)) = values("train.batch_size") else { return false };
    let Some((times, times_now)) = values("train.gradient_accumulation_steps") else { return false };
    batch.checked_mul(times).is_some_and(|all| Some(all) == batch_now.checked_mul(times_now))
}

/// The section about an earlier run of the same name that was configured otherwise; empty without one. Seen from a run's report.
pub fn since(manifest: &Manifest) -> String {
    let Some(changed) = manifest.changed_since.as_ref().filter(|changed| !changed.keys.is_empty()) else {
        return String::new();
    };
    let mut table = Table::new(&[("Key", Align::Left), ("Before", Align::Left), ("Now", Align::Left)]);
    for change in &changed.keys {
        table.row([&change.key, &change.before, &change.now].map(|text| code(text)));
    }
    let earlier = link(&code(&changed.run), &format!("../{}/report.md", percent_encode(&changed.run)));
    format!("## What changed\n\nChanged since {earlier}:\n\n{}", table.render())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::changes;
    use crate::store::fixture;
    use crate::store::manifest::ChangedSince;

    fn adapted(keys: &[(&str, &str, &str)]) -> Option<String> {
        let mut manifest = fixture::manifest("rates", "seed=1");
        manifest.adapted = changes(keys);
        adaptation(&manifest)
    }

    #[test]
    fn a_halved_batch_is_said_in_words() {
        let batch = ("train.batch_size", "8", "4");
        let text = adapted(&[batch, ("train.gradient_accumulation_steps", "1", "2")]).unwrap();
        assert_eq!(
            text,
            "Memory ran out, so `train.batch_size` went from `8` to `4` and `train.gradient_accumulation_steps` from `1` to \
             `2`: a step keeps its 2,048 tokens."
        );
    }

    #[test]
    fn tokens_are_kept_only_where_they_are() {
        for accumulation in [("train.gradient_accumulation_steps", "1", "3"), ("model.dropout", "0.0", "0.1")]
        {
            let text = adapted(&[("train.batch_size", "8", "4"), accumulation]).unwrap();
            assert!(text.starts_with("To get the run through, `train.batch_size` went"), "{text}");
            assert!(!text.contains("tokens"), "{text}");
        }
        assert_eq!(adapted(&[]), None);
    }

    #[test]
    fn what_changed_since_an_earlier_run_is_a_table_with_a_way_to_it() {
        let mut manifest = fixture::manifest("rates", "seed=1-2");
        assert_eq!(since(&manifest), "");
        let keys = [("optimizer.learning_rate", "0.0003", "0.001"), ("sample.prompts", "[\"|\"]", "[]")];
        manifest.changed_since = Some(ChangedSince { run: "seed=1".to_owned(), keys: changes(&keys) });
        let expected = "\
## What changed

Changed since [`seed=1`](../seed%3D1/report.md):

| Key                       | Before   | Now     |
| ------------------------- | -------- | ------- |
| `optimizer.learning_rate` | `0.0003` | `0.001` |
| `sample.prompts`          | `[\"\\|\"]` | `[]`    |
";
        assert_eq!(since(&manifest), expected);
    }
}
