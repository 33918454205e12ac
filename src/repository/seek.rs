//! Finding in a sorted list what is asked for nearly in order.

use std::cmp::Ordering;

/// So many places beyond the last one are looked at one by one.
const NEARBY: usize = 4;

/// Where something stands in a sorted list, or would stand. `order` says how an element compares
/// with it. The search begins at `near`, which is right when what was asked for last stood just
/// before, and it is quick then.
pub fn seek<T>(
    sorted: &[T],
    near: usize,
    mut order: impl FnMut(&T) -> Ordering,
) -> Result<usize, usize> {
    let nearby = sorted.iter().enumerate().skip(near).take(NEARBY);
    for (at, element) in nearby {
        match order(element) {
            Ordering::Less => {}
            Ordering::Equal => return Ok(at),
            Ordering::Greater if at > near => return Err(at),
            Ordering::Greater => break,
        }
    }
    sorted.binary_search_by(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_a_binary_search_finds(
            mut sorted in prop::collection::vec(0..200u32, 0..60),
            wanted in 0..210u32,
            near in 0..70usize,
        ) {
            sorted.sort_unstable();
            sorted.dedup();
            let found = seek(&sorted, near, |each| each.cmp(&wanted));
            prop_assert_eq!(found, sorted.binary_search(&wanted));
        }
    }
}
