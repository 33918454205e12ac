//! SHA-1 of many messages, two at a time.
//!
//! The processor's SHA instructions take several cycles each, and each needs the result of the one
//! before it: one message keeps them half idle. Two messages in turn fill the gaps. Where the
//! processor has no such instructions, each message is digested by itself.

use sha1::{Digest, Sha1};

/// The SHA-1 of every message, in their order.
pub(super) fn digest_all(messages: &[&[u8]], digests: &mut Vec<[u8; 20]>) {
    digests.clear();
    #[cfg(target_arch = "x86_64")]
    if let Some(here) = x86::Instructions::detect() {
        digests.resize(messages.len(), [0; 20]);
        x86::digest_all(here, messages, digests);
        return;
    }
    digests.extend(
        messages
            .iter()
            .map(|message| <[u8; 20]>::from(Sha1::digest(message))),
    );
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::{BLOCK, FIRST};

    /// Proof that the processor has what [`advance`] is compiled for.
    #[derive(Clone, Copy)]
    pub(super) struct Instructions(());

    impl Instructions {
        pub(super) fn detect() -> Option<Instructions> {
            let here = is_x86_feature_detected!("sha")
                && is_x86_feature_detected!("ssse3")
                && is_x86_feature_detected!("sse4.1");
            here.then_some(Instructions(()))
        }
    }

    /// A message on its way: whole blocks of its own, then one or two that end in its length.
    struct Lane<'a> {
        number: usize,
        state: [u32; 5],
        blocks: &'a [[u8; BLOCK]],
        last: [[u8; BLOCK]; 2],
        /// How many of the last blocks there are, and how many of them are done.
        last_blocks: usize,
        done: usize,
    }

    impl<'a> Lane<'a> {
        fn new(number: usize, message: &'a [u8]) -> Lane<'a> {
            let (blocks, rest) = message.as_chunks::<BLOCK>();
            let mut last = [0; 2 * BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            last[rest.len()] = 0x80;
            let last_blocks = 1 + usize::from(rest.len() + 9 > BLOCK);
            let bits = (message.len() as u64) * 8;
            last[last_blocks * BLOCK - 8..][..8].copy_from_slice(&bits.to_be_bytes());
            let mut lane = Lane {
                number,
                state: FIRST,
                blocks,
                last: [[0; BLOCK]; 2],
                last_blocks,
                done: 0,
            };
            lane.last.as_flattened_mut().copy_from_slice(&last);
            lane
        }

        /// The blocks that come next and lie together.
        fn run(&self) -> &[[u8; BLOCK]] {
            if self.blocks.is_empty() {
                &self.last[self.done..self.last_blocks]
            } else {
                self.blocks
            }
        }

        fn pass(&mut self, blocks: usize) {
            if self.blocks.is_empty() {
                self.done += blocks;
            } else {
                self.blocks = &self.blocks[blocks..];
            }
        }

        fn is_done(&self) -> bool {
            self.blocks.is_empty() && self.done == self.last_blocks
        }

        fn digest(&self) -> [u8; 20] {
            let mut digest = [0; 20];
            for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(self.state) {
                *bytes = word.to_be_bytes();
            }
            digest
        }
    }

    pub(super) fn digest_all(here: Instructions, messages: &[&[u8]], digests: &mut [[u8; 20]]) {
        let mut waiting = messages.iter().enumerate();
        let mut next = || {
            waiting
                .next()
                .map(|(number, message)| Lane::new(number, message))
        };
        let mut lanes = [next(), next()];
        while let [Some(a), Some(b)] = &mut lanes {
            let count = a.run().len().min(b.run().len());
            let mut states = [a.state, b.state];
            go_on(here, &mut states, [&a.run()[..count], &b.run()[..count]]);
            for (lane, state) in lanes.iter_mut().zip(states) {
                if let Some(busy) = lane {
                    busy.state = state;
                    busy.pass(count);
                    if busy.is_done() {
                        digests[busy.number] = busy.digest();
                        *lane = next();
                    }
                }
            }
        }
        for mut lane in lanes.into_iter().flatten() {
            while !lane.is_done() {
                let count = lane.run().len();
                let mut states = [lane.state];
                go_on(here, &mut states, [lane.run()]);
                [lane.state] = states;
                lane.pass(count);
            }
            digests[lane.number] = lane.digest();
        }
    }

    #[allow(unsafe_code)]
    fn go_on<const N: usize>(
        _: Instructions,
        states: &mut [[u32; 5]; N],
        blocks: [&[[u8; BLOCK]]; N],
    ) {
        // SAFETY: the only thing that `advance` asks for is a processor with the instructions that
        // it is compiled for, and there are no `Instructions` but where it was found to have them. It
        // touches no raw memory.
        unsafe { advance(states, blocks) }
    }

    /// Takes as many blocks of each message into its state as the shortest run has.
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn advance<const N: usize>(states: &mut [[u32; 5]; N], blocks: [&[[u8; BLOCK]]; N]) {
        let mut abcd =
            states.map(|[a, b, c, d, _]| _mm_set_epi32(a as i32, b as i32, c as i32, d as i32));
        let mut e = states.map(|state| _mm_set_epi32(state[4] as i32, 0, 0, 0));
        let count = blocks.map(<[_]>::len).into_iter().min().unwrap_or(0);
        for at in 0..count {
            let (abcd_before, e_before) = (abcd, e);
            // The last four groups of four words, the oldest first.
            let mut words = blocks.map(|blocks| words_of(&blocks[at]));
            macro_rules! four_rounds {
                ($group:expr, $function:literal) => {
                    for lane in 0..N {
                        let new = if $group < 4 {
                            words[lane][$group % 4]
                        } else {
                            let [w0, w1, w2, w3] = words[lane];
                            let new = _mm_sha1msg2_epu32(
                                _mm_xor_si128(_mm_sha1msg1_epu32(w0, w1), w2),
                                w3,
                            );
                            words[lane] = [w1, w2, w3, new];
                            new
                        };
                        let with_e = if $group == 0 {
                            _mm_add_epi32(e[lane], new)
                        } else {
                            _mm_sha1nexte_epu32(e[lane], new)
                        };
                        e[lane] = abcd[lane];
                        abcd[lane] = _mm_sha1rnds4_epu32::<$function>(abcd[lane], with_e);
                    }
                };
            }
            macro_rules! twenty_rounds {
                ($first:literal, $function:literal) => {
                    four_rounds!($first, $function);
                    four_rounds!($first + 1, $function);
                    four_rounds!($first + 2, $function);
                    four_rounds!($first + 3, $function);
                    four_rounds!($first + 4, $function);
                };
            }
            twenty_rounds!(0, 0);
            twenty_rounds!(5, 1);
            twenty_rounds!(10, 2);
            twenty_rounds!(15, 3);
            for lane in 0..N {
                e[lane] = _mm_sha1nexte_epu32(e[lane], e_before[lane]);
                abcd[lane] = _mm_add_epi32(abcd[lane], abcd_before[lane]);
            }
        }
        for lane in 0..N {
            states[lane] = [
                _mm_extract_epi32::<3>(abcd[lane]) as u32,
                _mm_extract_epi32::<2>(abcd[lane]) as u32,
                _mm_extract_epi32::<1>(abcd[lane]) as u32,
                _mm_extract_epi32::<0>(abcd[lane]) as u32,
                _mm_extract_epi32::<3>(e[lane]) as u32,
            ];
        }
    }

    /// The sixteen words of a block, in the order in which the instructions want them.
    #[target_feature(enable = "sse2,ssse3")]
    fn words_of(block: &[u8; BLOCK]) -> [__m128i; 4] {
        let reversed = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
        let half = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&block[at..at + 8]);
            i64::from_le_bytes(bytes)
        };
        [0, 16, 32, 48].map(|at| _mm_shuffle_epi8(_mm_set_epi64x(half(at + 8), half(at)), reversed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(message: &[u8]) -> [u8; 20] {
        Sha1::digest(message).into()
    }

    #[test]
    fn every_length_around_the_ends_of_blocks() {
        let bytes: Vec<u8> = (0..700u32).map(|n| (n * 7 + n / 256) as u8).collect();
        let mut digests = Vec::new();
        for partner in [0, 1, 55, 56, 63, 64, 65, 300] {
            for length in 0..=bytes.len() {
                digest_all(&[&bytes[..length], &bytes[..partner]], &mut digests);
                assert_eq!(digests, [plain(&bytes[..length]), plain(&bytes[..partner])]);
            }
        }
        for length in 0..=bytes.len() {
            digest_all(&[&bytes[..length]], &mut digests);
            assert_eq!(digests, [plain(&bytes[..length])]);
        }
        digest_all(&[], &mut digests);
        assert!(digests.is_empty());
    }

    proptest! {
        #[test]
        fn messages_of_any_number_and_length(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2000), 0..12),
        ) {
            let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let mut digests = Vec::new();
            digest_all(&slices, &mut digests);
            let expected: Vec<[u8; 20]> = slices.iter().map(|message| plain(message)).collect();
            prop_assert_eq!(digests, expected);
        }
    }
}
