//! The cheapest set of unpacks that brings everything back: a weighted set cover.
//!
//! Greedy: the unpack that brings back most for its time comes first, until nothing is left; picks
//! that turned out to be needless are dropped again. That is within a logarithm of the best, which
//! nobody can compute in reasonable time.
//!
//! Files are not held one by one, but counted by their *candidates*: the set of unpacks any one of
//! which brings them back. Files with one candidate need no entry at all: it is picked. The lists of
//! candidates are bounded by [`MOST_LISTED`]; when they would grow over it, the cheapest candidate of
//! what comes after is picked at once, so that the plan stays complete, if not the cheapest.

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

/// So much room the lists of candidates take at most, in candidates (of 4 bytes): 32 MiB. While the
/// set is found, what is made of them takes as much again.
const MOST_LISTED: usize = 8 << 20;
/// What a list takes besides its candidates, in the same measure.
const LIST: usize = 14;

/// Collects what has to be covered.
#[derive(Debug)]
pub(super) struct Cover<'a> {
    /// The weight of each unpack, in seconds.
    weights: &'a [f64],
    /// What is picked in any case.
    picked: HashSet<u32>,
    /// How many files have the same candidates.
    lists: HashMap<Box<[u32]>, u64>,
    listed: usize,
    most_listed: usize,
}

/// What is left to gain by an unpack, in a heap; may be out of date, then it is too high.
struct Gain {
    rate: f64,
    unpack: u32,
}

impl<'a> Cover<'a> {
    /// Nothing to cover yet. `picked` are done in any case.
    pub(super) fn new(weights: &'a [f64], picked: HashSet<u32>) -> Cover<'a> {
        Cover {
            weights,
            picked,
            lists: HashMap::new(),
            listed: 0,
            most_listed: MOST_LISTED,
        }
    }

    /// One more file, and the unpacks that bring it back: ascending, each once, at least one.
    pub(super) fn add(&mut self, candidates: &[u32]) {
        if candidates.iter().any(|unpack| self.picked.contains(unpack)) {
            return;
        }
        if let Some(files) = self.lists.get_mut(candidates) {
            *files += 1;
        } else if candidates.len() > 1 && self.listed + candidates.len() + LIST <= self.most_listed
        {
            self.listed += candidates.len() + LIST;
            self.lists.insert(candidates.into(), 1);
        } else {
            let cheapest = candidates.iter().copied().min_by(|a, b| {
                let by_weight = self.weight(*a).total_cmp(&self.weight(*b));
                by_weight.then(a.cmp(b))
            });
            self.picked.extend(cheapest);
        }
    }

    fn weight(&self, unpack: u32) -> f64 {
        self.weights[unpack as usize].max(0.001)
    }

    /// The picks, the given ones included.
    pub(super) fn solve(mut self) -> BTreeSet<u32> {
        let picked = std::mem::take(&mut self.picked);
        let mut lists: Vec<(Box<[u32]>, u64)> = std::mem::take(&mut self.lists)
            .into_iter()
            .filter(|(candidates, _)| !candidates.iter().any(|unpack| picked.contains(unpack)))
            .collect();
        // The order of a hash map must not show in the plan.
        lists.sort_unstable();
        let mut members: HashMap<u32, Vec<u32>> = HashMap::new();
        for (at, (candidates, _)) in (0u32..).zip(&lists) {
            for unpack in candidates {
                members.entry(*unpack).or_default().push(at);
            }
        }
        let chosen = self.greedy(&lists, &members);
        let mut result: BTreeSet<u32> = self.needed(chosen, &lists, &members).collect();
        result.extend(picked);
        result
    }

    fn greedy(&self, lists: &[(Box<[u32]>, u64)], members: &HashMap<u32, Vec<u32>>) -> Vec<u32> {
        let mut covered = vec![false; lists.len()];
        let mut left = lists.len();
        let rate = |unpack: u32, covered: &[bool]| {
            let files: u64 = members[&unpack]
                .iter()
                .map(|at| *at as usize)
                .filter(|at| !covered[*at])
                .map(|at| lists[at].1)
                .sum();
            files as f64 / self.weight(unpack)
        };
        let mut heap: BinaryHeap<Gain> = members
            .keys()
            .map(|unpack| Gain {
                rate: rate(*unpack, &covered),
                unpack: *unpack,
            })
            .collect();
        let mut chosen = Vec::new();
        while let (true, Some(best)) = (left > 0, heap.pop()) {
            let now = Gain {
                rate: rate(best.unpack, &covered),
                ..best
            };
            // Gains only shrink: what is still the best after a fresh look is the best.
            if heap.peek().is_some_and(|next| now < *next) {
                heap.push(now);
                continue;
            }
            for at in &members[&now.unpack] {
                left -= usize::from(!std::mem::replace(&mut covered[*at as usize], true));
            }
            chosen.push(now.unpack);
        }
        chosen
    }

    /// What is needed of the chosen ones; of needless ones the dearest goes first.
    fn needed(
        &self,
        mut chosen: Vec<u32>,
        lists: &[(Box<[u32]>, u64)],
        members: &HashMap<u32, Vec<u32>>,
    ) -> impl Iterator<Item = u32> + use<> {
        let mut times = vec![0u32; lists.len()];
        for unpack in &chosen {
            for at in &members[unpack] {
                times[*at as usize] += 1;
            }
        }
        chosen.sort_unstable_by(|a, b| {
            let by_weight = self.weight(*b).total_cmp(&self.weight(*a));
            by_weight.then(b.cmp(a))
        });
        let mut needed = Vec::new();
        for unpack in chosen {
            let own = &members[&unpack];
            if own.iter().all(|at| times[*at as usize] > 1) {
                for at in own {
                    times[*at as usize] -= 1;
                }
            } else {
                needed.push(unpack);
            }
        }
        needed.into_iter()
    }
}

impl Ord for Gain {
    fn cmp(&self, other: &Gain) -> Ordering {
        let by_rate = self.rate.total_cmp(&other.rate);
        by_rate.then_with(|| other.unpack.cmp(&self.unpack))
    }
}

impl PartialOrd for Gain {
    fn partial_cmp(&self, other: &Gain) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Gain {
    fn eq(&self, other: &Gain) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Gain {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn solve(weights: &[f64], files: &[&[u32]]) -> Vec<u32> {
        let mut cover = Cover::new(weights, HashSet::new());
        for candidates in files {
            cover.add(candidates);
        }
        cover.solve().into_iter().collect()
    }

    #[test]
    fn nothing_is_covered_by_nothing() {
        assert_eq!(solve(&[1.0], &[]), Vec::<u32>::new());
    }

    #[test]
    fn a_file_of_one_upload_decides() {
        assert_eq!(solve(&[9.0, 1.0], &[&[0], &[0, 1]]), [0]);
        assert_eq!(solve(&[9.0, 1.0], &[&[0, 1], &[0]]), [0]);
    }

    #[test]
    fn one_long_unpack_or_two_short_ones() {
        let files: &[&[u32]] = &[&[0, 2], &[1, 2]];
        assert_eq!(solve(&[1.0, 1.0, 10.0], files), [0, 1]);
        assert_eq!(solve(&[6.0, 6.0, 10.0], files), [2]);
    }

    #[test]
    fn a_needless_pick_is_dropped() {
        // Greed takes 2 first (four files); then 0 and 1 are needed all the same and cover it.
        let files: &[&[u32]] = &[&[0, 2], &[0, 2], &[1, 2], &[1, 2], &[0, 3], &[1, 3]];
        let weights = [1.5, 1.5, 1.0, 10.0];
        assert_eq!(solve(&weights, files), [0, 1]);
    }

    #[test]
    fn of_equals_the_first_is_taken() {
        assert_eq!(solve(&[2.0, 2.0], &[&[0, 1]]), [0]);
    }

    #[test]
    fn what_is_done_in_any_case_is_counted_in() {
        let mut cover = Cover::new(&[1.0, 1.0], HashSet::from([1]));
        cover.add(&[0, 1]);
        assert_eq!(cover.solve(), BTreeSet::from([1]));
    }

    /// The best weight, by trying all sets.
    fn best(weights: &[f64], files: &[Vec<u32>]) -> f64 {
        (0u32..1 << weights.len())
            .filter(|set| {
                let has = |unpack: &u32| set & (1 << unpack) != 0;
                files.iter().all(|candidates| candidates.iter().any(has))
            })
            .map(|set| {
                let in_it = |at: &usize| set & (1 << at) != 0;
                (0..weights.len()).filter(in_it).map(|at| weights[at]).sum()
            })
            .fold(f64::INFINITY, f64::min)
    }

    proptest! {
        #[test]
        fn everything_is_covered_at_a_fair_price(
            weights in prop::collection::vec(1.0f64..100.0, 6),
            files in prop::collection::vec(prop::collection::btree_set(0u32..6, 1..4), 0..20),
            room in 0usize..200,
        ) {
            let files: Vec<Vec<u32>> = files
                .into_iter()
                .map(|candidates| candidates.into_iter().collect())
                .collect();
            for most_listed in [MOST_LISTED, room] {
                let mut cover = Cover::new(&weights, HashSet::new());
                cover.most_listed = most_listed;
                for candidates in &files {
                    cover.add(candidates);
                }
                let picks = cover.solve();
                for candidates in &files {
                    prop_assert!(candidates.iter().any(|unpack| picks.contains(unpack)));
                }
                let price: f64 = picks.iter().map(|unpack| weights[*unpack as usize]).sum();
                if most_listed == MOST_LISTED {
                    // The harmonic number of the number of files is greed's bound.
                    let bound: f64 = (1..=files.len()).map(|n| 1.0 / n as f64).sum();
                    prop_assert!(price <= best(&weights, &files) * bound.max(1.0) + 1e-6);
                }
            }
        }
    }
}
