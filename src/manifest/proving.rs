//! Proving contents while they pass by: all digests in one pass.

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use crate::repository::{Proof, RepositoryName};

/// Takes in contents piece by piece.
#[derive(Default)]
pub(super) struct Proving {
    sha1: Sha1,
    md5: Md5,
    sha256: Sha256,
    blake3: blake3::Hasher,
    bytes: u64,
}

/// What contents are.
pub(super) struct Proven {
    /// Whether they are what a name promises.
    pub(super) proof: Proof,
    pub(super) sha256: [u8; 32],
    pub(super) blake3: [u8; 32],
}

impl Proving {
    pub(super) fn new() -> Proving {
        Proving::default()
    }

    pub(super) fn take(&mut self, piece: &[u8]) {
        self.sha1.update(piece);
        self.md5.update(piece);
        self.sha256.update(piece);
        self.blake3.update(piece);
        self.bytes += piece.len() as u64;
    }

    /// Bytes taken so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn finish(self, name: &RepositoryName) -> Proven {
        let sha256 = self.sha256.finalize().into();
        Proven {
            proof: Proof {
                sha1: self.sha1.finalize()[..] == name.sha1,
                md5: self.md5.finalize()[..] == name.md5,
                size: self.bytes == name.size,
                sha256: Some(sha256),
                bytes: self.bytes,
            },
            sha256,
            blake3: *self.blake3.finalize().as_bytes(),
        }
    }
}
