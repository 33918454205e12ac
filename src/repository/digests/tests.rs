//! Each digest against the plain one, whatever the lengths and the company.

use md5::{Digest, Md5};
use proptest::prelude::*;
use sha1::Sha1;

use super::*;

fn plain(message: &[u8]) -> Digests {
    Digests {
        md5: Md5::digest(message).into(),
        sha1: Sha1::digest(message).into(),
    }
}

/// Puts messages into contents that have been used before.
fn put(contents: &mut Contents, messages: &[impl AsRef<[u8]>]) {
    contents.clear();
    for message in messages {
        let message = message.as_ref();
        // As a reader does: with room for a byte more.
        let room = contents.room(message.len() + 1);
        room.fill(0xaa);
        room[..message.len()].copy_from_slice(message);
        contents.push(message.len());
    }
}

/// Both ways that there are.
fn hold(contents: &Contents, messages: &[impl AsRef<[u8]>]) {
    let expected: Vec<Digests> = messages
        .iter()
        .map(|message| plain(message.as_ref()))
        .collect();
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(contents.get(number), message.as_ref());
    }
    assert_eq!(contents.digests(), expected);
    let order: Vec<usize> = (0..messages.len()).collect();
    let mut apart = vec![Digests::default(); messages.len()];
    contents.digest_apart(&order, &mut apart);
    assert_eq!(apart, expected);
    let mut together = vec![Digests::default(); messages.len()];
    if let Some(lanes) = Lanes::detect() {
        contents.digest_together(lanes, &order, &mut together);
        assert_eq!(together, expected);
    }
}

#[test]
fn lanes_of_very_unequal_length() {
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n * 7 + n / 256) as u8).collect();
    let mut messages = vec![&bytes[..]];
    messages.extend((0..100).map(|n| &bytes[n..][..n * n % 97]));
    messages.push(&bytes[5..200_000]);
    let mut contents = Contents::default();
    put(&mut contents, &messages);
    hold(&contents, &messages);
}

#[test]
fn what_was_read_beyond_a_file_is_no_part_of_it() {
    let mut contents = Contents::default();
    let messages = [&[1; 10][..], &[], &[2; 64], &[3; 55]];
    for message in messages {
        let room = contents.room(1000);
        room.fill(0xaa);
        room[..message.len()].copy_from_slice(message);
        contents.push(message.len());
    }
    hold(&contents, &messages);
}

#[test]
#[allow(clippy::print_stderr)]
fn every_length_around_the_ends_of_blocks() {
    if Lanes::detect().is_none() {
        eprintln!("the wide lanes are skipped: this processor has none");
    }
    let bytes: Vec<u8> = (0..400u32).map(|n| (n * 7 + n / 256) as u8).collect();
    let mut contents = Contents::default();
    for company in [0, 1, 3, 15, 16, 20] {
        for length in 0..bytes.len() {
            let mut messages = vec![&bytes[..length]];
            messages.extend((0..company).map(|n| &bytes[n..][..(length + n * n) % 300]));
            put(&mut contents, &messages);
            hold(&contents, &messages);
        }
    }
    put(&mut contents, &[] as &[&[u8]]);
    hold(&contents, &[] as &[&[u8]]);
}

proptest! {
    #[test]
    fn messages_of_any_number_and_length(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..60),
    ) {
        let mut contents = Contents::default();
        put(&mut contents, &messages);
        hold(&contents, &messages);
    }
}
