//! md5 and sha1 of sixteen messages at a time.
//!
//! A register of AVX-512 holds a word of each of sixteen messages. A block of each message is loaded,
//! the sixteen rows are turned into sixteen columns, and the columns go through the steps of both
//! digests as single words do in the plain one (RFC 1321, RFC 3174): rotations and functions of three
//! words are one instruction each. A lane whose message has ended takes up the next message at once, so
//! that none waits for its neighbours.

use super::{Digests, Padded};

/// Proof that the processor has such lanes.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) struct Lanes(());

impl Lanes {
    /// `None` where the processor or the system has none.
    pub(super) fn detect() -> Option<Lanes> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            return Some(Lanes(()));
        }
        None
    }

    /// Digests messages, the longest first, and gives each with its place among them.
    pub(super) fn digest_all<'a>(
        self,
        messages: impl Iterator<Item = Padded<'a>>,
        give: impl FnMut(usize, Digests),
    ) {
        #[cfg(target_arch = "x86_64")]
        x86::digest_all(self, messages, give);
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (messages, give);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::{BLOCK, FIRST};
    use super::{Digests, Lanes, Padded};

    /// Messages at a time.
    const WIDTH: usize = 16;
    /// Words in a block.
    const WORDS: usize = 16;

    /// A word of each message.
    #[derive(Clone, Copy)]
    #[repr(align(64))]
    struct Row([u32; WIDTH]);

    /// How far the digests of the messages in the lanes are.
    struct States {
        md5: [Row; 4],
        sha1: [Row; 5],
    }

    impl States {
        fn first() -> States {
            let [md5 @ .., _] = FIRST;
            States {
                md5: md5.map(|word| Row([word; WIDTH])),
                sha1: FIRST.map(|word| Row([word; WIDTH])),
            }
        }

        /// What a lane has come to, which then is as at the beginning.
        fn take(&mut self, lane: usize) -> Digests {
            let mut digests = Digests::default();
            let words = self.md5.iter_mut().zip(FIRST);
            for (bytes, (row, first)) in digests.md5.as_chunks_mut().0.iter_mut().zip(words) {
                *bytes = std::mem::replace(&mut row.0[lane], first).to_le_bytes();
            }
            let words = self.sha1.iter_mut().zip(FIRST);
            for (bytes, (row, first)) in digests.sha1.as_chunks_mut().0.iter_mut().zip(words) {
                *bytes = std::mem::replace(&mut row.0[lane], first).to_be_bytes();
            }
            digests
        }
    }

    pub(super) fn digest_all<'a>(
        here: Lanes,
        messages: impl Iterator<Item = Padded<'a>>,
        mut give: impl FnMut(usize, Digests),
    ) {
        let mut waiting = messages.enumerate();
        let mut lanes: [Option<(usize, Padded<'a>)>; WIDTH] = Default::default();
        for lane in &mut lanes {
            *lane = waiting.next();
        }
        let mut states = States::first();
        loop {
            let busy = lanes.iter().flatten().map(|(_, message)| message.blocks);
            let Some(shortest) = busy.min_by_key(|blocks| blocks.len()) else {
                return;
            };
            // Lanes with nothing to do go along with one that has.
            let mut blocks = [shortest; WIDTH];
            let mut ends = Row([0; WIDTH]);
            for (number, lane) in lanes.iter_mut().enumerate() {
                if let Some((_, message)) = lane {
                    (blocks[number], message.blocks) = message.blocks.split_at(shortest.len());
                    if message.blocks.is_empty() {
                        ends.0[number] = message.bits;
                    }
                }
            }
            go_on(here, &mut states, &blocks, shortest.len(), &ends);
            for (number, lane) in lanes.iter_mut().enumerate() {
                match lane {
                    Some((place, message)) if message.blocks.is_empty() => {
                        give(*place, states.take(number));
                        *lane = waiting.next();
                    }
                    _ => {}
                }
            }
        }
    }

    #[allow(unsafe_code)]
    fn go_on(
        _: Lanes,
        states: &mut States,
        blocks: &[&[[u8; BLOCK]]; WIDTH],
        count: usize,
        ends: &Row,
    ) {
        // SAFETY: the only thing that `advance` asks for is a processor with the instructions that
        // it is compiled for, and there are no `Lanes` but where it was found to have them. It
        // touches no raw memory.
        unsafe { advance(states, blocks, count, ends) }
    }

    /// Takes `count` blocks of each message into its states. `ends` has the lengths, in bits, of those
    /// that end with the last of these blocks, and nothing for the others.
    // What is called in here with a closure is compiled without these instructions: hence the loops.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn advance(states: &mut States, blocks: &[&[[u8; BLOCK]]; WIDTH], count: usize, ends: &Row) {
        let big_endian = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
        let mut for_md5 = [_mm512_setzero_si512(); 4];
        for (register, row) in for_md5.iter_mut().zip(&states.md5) {
            *register = load_row(row);
        }
        let mut for_sha1 = [_mm512_setzero_si512(); 5];
        for (register, row) in for_sha1.iter_mut().zip(&states.sha1) {
            *register = load_row(row);
        }
        for at in 0..count {
            let mut words = [_mm512_setzero_si512(); WORDS];
            for (row, blocks) in words.iter_mut().zip(blocks) {
                *row = load(&blocks[at]);
            }
            turn(&mut words);
            let mut swapped = words;
            for row in &mut swapped {
                *row = _mm512_shuffle_epi8(*row, big_endian);
            }
            if at + 1 == count {
                // md5 has the lower half of the length first, sha1 the upper one, which is zero.
                let ends = load_row(ends);
                words[14] = _mm512_or_si512(words[14], ends);
                swapped[15] = _mm512_or_si512(swapped[15], ends);
            }
            md5(&mut for_md5, &words);
            sha1(&mut for_sha1, &mut swapped);
        }
        for (row, register) in states.md5.iter_mut().zip(for_md5) {
            store_row(row, register);
        }
        for (row, register) in states.sha1.iter_mut().zip(for_sha1) {
            store_row(row, register);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(block: &[u8; BLOCK]) -> __m512i {
        let halves = block.as_chunks::<8>().0;
        _mm512_setr_epi64(
            i64::from_le_bytes(halves[0]),
            i64::from_le_bytes(halves[1]),
            i64::from_le_bytes(halves[2]),
            i64::from_le_bytes(halves[3]),
            i64::from_le_bytes(halves[4]),
            i64::from_le_bytes(halves[5]),
            i64::from_le_bytes(halves[6]),
            i64::from_le_bytes(halves[7]),
        )
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load_row(row: &Row) -> __m512i {
        let mut bytes = [0; BLOCK];
        for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(row.0) {
            *bytes = word.to_le_bytes();
        }
        load(&bytes)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store_row(row: &mut Row, register: __m512i) {
        macro_rules! quarter {
            ($quarter:literal) => {
                let quarter = _mm512_extracti32x4_epi32::<$quarter>(register);
                row.0[4 * $quarter] = _mm_extract_epi32::<0>(quarter) as u32;
                row.0[4 * $quarter + 1] = _mm_extract_epi32::<1>(quarter) as u32;
                row.0[4 * $quarter + 2] = _mm_extract_epi32::<2>(quarter) as u32;
                row.0[4 * $quarter + 3] = _mm_extract_epi32::<3>(quarter) as u32;
            };
        }
        quarter!(0);
        quarter!(1);
        quarter!(2);
        quarter!(3);
    }

    /// From a row a message, with its words in their order, to a row a word, with the messages in
    /// theirs.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn turn(rows: &mut [__m512i; WORDS]) {
        // Within quarters of 128 bits: words of two messages side by side, then of four.
        let mut pairs = *rows;
        for at in (0..WORDS).step_by(2) {
            pairs[at] = _mm512_unpacklo_epi32(rows[at], rows[at + 1]);
            pairs[at + 1] = _mm512_unpackhi_epi32(rows[at], rows[at + 1]);
        }
        let mut fours = pairs;
        for at in (0..WORDS).step_by(4) {
            fours[at] = _mm512_unpacklo_epi64(pairs[at], pairs[at + 2]);
            fours[at + 1] = _mm512_unpackhi_epi64(pairs[at], pairs[at + 2]);
            fours[at + 2] = _mm512_unpacklo_epi64(pairs[at + 1], pairs[at + 3]);
            fours[at + 3] = _mm512_unpackhi_epi64(pairs[at + 1], pairs[at + 3]);
        }
        // Quarter q of row 4g + c now is word 4q + c of the messages 4g to 4g + 3.
        for at in 0..4 {
            let [a, b, c, d] = [fours[at], fours[4 + at], fours[8 + at], fours[12 + at]];
            let lower = [
                _mm512_shuffle_i32x4::<0x44>(a, b),
                _mm512_shuffle_i32x4::<0x44>(c, d),
            ];
            let upper = [
                _mm512_shuffle_i32x4::<0xee>(a, b),
                _mm512_shuffle_i32x4::<0xee>(c, d),
            ];
            rows[at] = _mm512_shuffle_i32x4::<0x88>(lower[0], lower[1]);
            rows[4 + at] = _mm512_shuffle_i32x4::<0xdd>(lower[0], lower[1]);
            rows[8 + at] = _mm512_shuffle_i32x4::<0x88>(upper[0], upper[1]);
            rows[12 + at] = _mm512_shuffle_i32x4::<0xdd>(upper[0], upper[1]);
        }
    }

    /// Functions of three words x, y and z, as `vpternlog` wants them: bit 4x + 2y + z.
    const CHOOSE_BY_X: i32 = 0xca;
    const CHOOSE_BY_Z: i32 = 0xe4;
    const PARITY: i32 = 0x96;
    const MAJORITY: i32 = 0xe8;
    /// y ^ (x | !z)
    const MD5_LAST: i32 = 0x39;

    /// RFC 1321, 3.4: the integer part of 4294967296 times abs(sin(i)), for i from 1 to 64.
    const SINES: [u32; 64] = [
        0xd76a_a478,
        0xe8c7_b756,
        0x2420_70db,
        0xc1bd_ceee,
        0xf57c_0faf,
        0x4787_c62a,
        0xa830_4613,
        0xfd46_9501,
        0x6980_98d8,
        0x8b44_f7af,
        0xffff_5bb1,
        0x895c_d7be,
        0x6b90_1122,
        0xfd98_7193,
        0xa679_438e,
        0x49b4_0821,
        0xf61e_2562,
        0xc040_b340,
        0x265e_5a51,
        0xe9b6_c7aa,
        0xd62f_105d,
        0x0244_1453,
        0xd8a1_e681,
        0xe7d3_fbc8,
        0x21e1_cde6,
        0xc337_07d6,
        0xf4d5_0d87,
        0x455a_14ed,
        0xa9e3_e905,
        0xfcef_a3f8,
        0x676f_02d9,
        0x8d2a_4c8a,
        0xfffa_3942,
        0x8771_f681,
        0x6d9d_6122,
        0xfde5_380c,
        0xa4be_ea44,
        0x4bde_cfa9,
        0xf6bb_4b60,
        0xbebf_bc70,
        0x289b_7ec6,
        0xeaa1_27fa,
        0xd4ef_3085,
        0x0488_1d05,
        0xd9d4_d039,
        0xe6db_99e5,
        0x1fa2_7cf8,
        0xc4ac_5665,
        0xf429_2244,
        0x432a_ff97,
        0xab94_23a7,
        0xfc93_a039,
        0x655b_59c3,
        0x8f0c_cc92,
        0xffef_f47d,
        0x8584_5dd1,
        0x6fa8_7e4f,
        0xfe2c_e6e0,
        0xa301_4314,
        0x4e08_11a1,
        0xf753_7e82,
        0xbd3a_f235,
        0x2ad7_d2bb,
        0xeb86_d391,
    ];

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn md5(state: &mut [__m512i; 4], words: &[__m512i; WORDS]) {
        let [mut a, mut b, mut c, mut d] = *state;
        macro_rules! step {
            ($function:ident, $a:ident $b:ident $c:ident $d:ident, $word:expr, $turn:literal, $step:expr) => {
                let sine = _mm512_set1_epi32(SINES[$step] as i32);
                let word = _mm512_add_epi32(words[$word % WORDS], sine);
                let mixed = _mm512_ternarylogic_epi32::<$function>($b, $c, $d);
                $a = _mm512_add_epi32(_mm512_add_epi32($a, word), mixed);
                $a = _mm512_add_epi32(_mm512_rol_epi32::<$turn>($a), $b);
            };
        }
        macro_rules! four_steps {
            ($function:ident, $first:expr, $word:expr, $apart:literal, $($turn:literal)*) => {
                four_steps!(@ $function, $first, $word, $apart, $($turn),*)
            };
            (@ $function:ident, $first:expr, $word:expr, $apart:literal, $s0:literal, $s1:literal, $s2:literal, $s3:literal) => {
                step!($function, a b c d, ($word), $s0, $first);
                step!($function, d a b c, ($word + $apart), $s1, $first + 1);
                step!($function, c d a b, ($word + 2 * $apart), $s2, $first + 2);
                step!($function, b c d a, ($word + 3 * $apart), $s3, $first + 3);
            };
        }
        macro_rules! round {
            ($function:ident, $first:literal, $word:literal, $apart:literal, $($turn:literal)*) => {
                four_steps!($function, $first, $word, $apart, $($turn)*);
                four_steps!($function, $first + 4, $word + 4 * $apart, $apart, $($turn)*);
                four_steps!($function, $first + 8, $word + 8 * $apart, $apart, $($turn)*);
                four_steps!($function, $first + 12, $word + 12 * $apart, $apart, $($turn)*);
            };
        }
        round!(CHOOSE_BY_X, 0, 0, 1, 7 12 17 22);
        round!(CHOOSE_BY_Z, 16, 1, 5, 5 9 14 20);
        round!(PARITY, 32, 5, 3, 4 11 16 23);
        round!(MD5_LAST, 48, 0, 7, 6 10 15 21);
        for (before, now) in state.iter_mut().zip([a, b, c, d]) {
            *before = _mm512_add_epi32(*before, now);
        }
    }

    /// Uses up the words.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn sha1(state: &mut [__m512i; 5], words: &mut [__m512i; WORDS]) {
        let [mut a, mut b, mut c, mut d, mut e] = *state;
        macro_rules! step {
            ($function:ident, $constant:ident, $a:ident $b:ident $c:ident $d:ident $e:ident, $step:expr) => {
                if $step >= WORDS {
                    let mixed = _mm512_ternarylogic_epi32::<PARITY>(
                        words[($step + 13) % WORDS],
                        words[($step + 8) % WORDS],
                        words[($step + 2) % WORDS],
                    );
                    let mixed = _mm512_xor_si512(mixed, words[$step % WORDS]);
                    words[$step % WORDS] = _mm512_rol_epi32::<1>(mixed);
                }
                let word = _mm512_add_epi32(words[$step % WORDS], $constant);
                let mixed = _mm512_ternarylogic_epi32::<$function>($b, $c, $d);
                let sum = _mm512_add_epi32(_mm512_add_epi32($e, word), mixed);
                $e = _mm512_add_epi32(sum, _mm512_rol_epi32::<5>($a));
                $b = _mm512_rol_epi32::<30>($b);
            };
        }
        macro_rules! five_steps {
            ($function:ident, $constant:ident, $first:expr) => {
                step!($function, $constant, a b c d e, $first);
                step!($function, $constant, e a b c d, $first + 1);
                step!($function, $constant, d e a b c, $first + 2);
                step!($function, $constant, c d e a b, $first + 3);
                step!($function, $constant, b c d e a, $first + 4);
            };
        }
        macro_rules! round {
            ($function:ident, $constant:expr, $first:literal) => {
                let constant = _mm512_set1_epi32($constant);
                five_steps!($function, constant, $first);
                five_steps!($function, constant, $first + 5);
                five_steps!($function, constant, $first + 10);
                five_steps!($function, constant, $first + 15);
            };
        }
        round!(CHOOSE_BY_X, 0x5a82_7999, 0);
        round!(PARITY, 0x6ed9_eba1, 20);
        round!(MAJORITY, 0x8f1b_bcdc_u32 as i32, 40);
        round!(PARITY, 0xca62_c1d6_u32 as i32, 60);
        for (before, now) in state.iter_mut().zip([a, b, c, d, e]) {
            *before = _mm512_add_epi32(*before, now);
        }
    }
}
