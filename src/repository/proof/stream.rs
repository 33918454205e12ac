//! Proving a large file, piece by piece.
//!
//! This thread reads, and computes sha1 and sha256; the md5 is the crew's.

use std::io;
use std::os::fd::OwnedFd;

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use super::{Proof, Prover, Witness};
use crate::monitor::Monitor;
use crate::repository::name::RepositoryName;
use crate::repository::page_cache::Pages;

impl Prover {
    /// Hashes a large file piece by piece; `None` when the monitor asked to stop.
    pub(super) fn stream(
        &self,
        name: &RepositoryName,
        file: &OwnedFd,
        witness: &mut dyn Witness,
        monitor: &dyn Monitor,
    ) -> io::Result<Option<Proof>> {
        let instead = witness.begin(name, file);
        let file = instead.as_ref().unwrap_or(file);
        let lane = self.crew.enrol();
        let mut pages = Pages::of_large(self.low_impact.page_cache);
        let (mut sha1, mut sha256) = (Sha1::new(), self.with_sha256.then(Sha256::new));
        let mut bytes = 0u64;
        loop {
            if monitor.stopped() {
                return Ok(None);
            }
            let mut piece = lane.blank();
            let count = pages.fill(file, &mut piece.bytes)?;
            if bytes == 0 && pages.were_there() {
                lane.is_cached();
            }
            let contents = &piece.bytes[..count];
            sha1.update(contents);
            if let Some(sha256) = &mut sha256 {
                sha256.update(contents);
            }
            if count > 0 {
                witness.piece(contents);
            }
            bytes += count as u64;
            monitor.advance(0, count as u64);
            self.low_impact.throttle.pass(count as u64);
            let is_last = count < piece.bytes.len();
            lane.hand_in(piece, count);
            if is_last {
                break;
            }
        }
        let md5 = lane.md5();
        drop(lane);
        pages.end(file);
        let md5 = match md5 == name.md5 {
            true => Some(true),
            false => self.md5_again(name, file, monitor)?,
        };
        let Some(md5) = md5 else {
            return Ok(None);
        };
        let proof = Proof {
            sha1: sha1.finalize()[..] == name.sha1,
            md5,
            size: bytes == name.size,
            sha256: sha256.map(|sha256| sha256.finalize().into()),
            bytes,
        };
        witness.end(name, &proof);
        Ok(Some(proof))
    }

    /// Whether a file has the md5 of its name after all; `None` when the monitor asked to stop.
    fn md5_again(
        &self,
        name: &RepositoryName,
        file: &OwnedFd,
        monitor: &dyn Monitor,
    ) -> io::Result<Option<bool>> {
        let lane = self.crew.enrol();
        let mut piece = lane.blank();
        let mut pages = Pages::of_large(self.low_impact.page_cache);
        let mut md5 = Md5::new();
        loop {
            if monitor.stopped() {
                return Ok(None);
            }
            let count = pages.fill(file, &mut piece.bytes)?;
            md5.update(&piece.bytes[..count]);
            self.low_impact.throttle.pass(count as u64);
            if count < piece.bytes.len() {
                break;
            }
        }
        pages.end(file);
        Ok(Some(md5.finalize()[..] == name.md5))
    }
}
