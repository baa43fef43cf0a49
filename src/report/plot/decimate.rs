/// Fewer points that look the same: of all points in one of `buckets` equal stretches of x, the first, the lowest, the
/// highest and the last are kept, in their order. Spikes survive, as they would not with every n-th point.
/// `points` are in order of x.
pub fn decimate(points: &[(f64, f64)], buckets: usize) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let span = last.0 - first.0;
    if points.len() <= 4 * buckets || span <= 0.0 {
        return points.to_vec();
    }
    let bucket_of = |x: f64| (((x - first.0) / span * buckets as f64) as usize).min(buckets - 1);
    let mut kept = Vec::with_capacity(4 * buckets);
    for bucket in points.chunk_by(|a, b| bucket_of(a.0) == bucket_of(b.0)) {
        let (mut low, mut high) = (0, 0);
        for (index, point) in bucket.iter().enumerate() {
            if point.1 < bucket[low].1 {
                low = index;
            }
            if point.1 > bucket[high].1 {
                high = index;
            }
        }
        let mut indices = [0, low.min(high), low.max(high), bucket.len() - 1].to_vec();
        indices.dedup();
        kept.extend(indices.into_iter().map(|index| bucket[index]));
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn extremes_and_ends_survive(values in prop::collection::vec(-1e3..1e3_f64, 1..400), buckets in 1_usize..20) {
            let points: Vec<_> = values.iter().enumerate().map(|(x, &y)| (x as f64, y)).collect();
            let kept = decimate(&points, buckets);
            prop_assert!(kept.len() <= points.len().max(4 * buckets));
            prop_assert!(kept.len() <= 4 * buckets.max(points.len() / 4 + 1));
            prop_assert!(kept.is_sorted_by(|a, b| a.0 < b.0));
            prop_assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
            let extremes = |points: &[(f64, f64)]| {
                points.iter().fold((f64::MAX, f64::MIN), |(l, h), p| (l.min(p.1), h.max(p.1)))
            };
            prop_assert_eq!(extremes(&kept), extremes(&points));
        }
    }

    #[test]
    fn a_spike_among_a_hundred_thousand_points_is_kept() {
        let mut points: Vec<_> = (0..100_000).map(|x| (f64::from(x), 1.0)).collect();
        points[54_321].1 = 9.0;
        let kept = decimate(&points, 800);
        assert!(kept.len() <= 3200);
        assert!(kept.contains(&(54_321.0, 9.0)));
    }
}
