//! An open repository: its root, its layout, and who may get at its files.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::access::Access;
use super::directory;
use super::layout::Layout;
use super::meta::Meta;
use super::name::RepositoryName;
use super::path::TreePath;
use super::proof::{Claim, Nobody, Proof, Prover, Witness};
use crate::monitor::Monitor;
use crate::sysconf::RepositoryType;

/// Why a repository cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// The root is not there, is no directory, or may not be entered.
    #[error("cannot open the repository {}{}", path.display(), hint(source))]
    Open {
        /// The root.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// What to do about a root that cannot be opened, where that is plain.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (run fogold as FOSSology's user or as root)",
        io::ErrorKind::NotADirectory => "",
        _ => " (is it mounted?)",
    }
}

/// An open repository.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    path: PathBuf,
    layout: Layout,
    access: Access,
    judges_modes: bool,
    exhausted: Mutex<Option<Errno>>,
}

impl Tree {
    /// Opens a repository. The root itself may be a symbolic link.
    pub fn open(path: &Path, layout: Layout, access: Access) -> Result<Tree, RepositoryError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|source| {
            RepositoryError::Open {
                path: path.to_owned(),
                source: source.into(),
            }
        })?;
        Ok(Tree {
            root,
            path: path.to_owned(),
            layout,
            access,
            judges_modes: true,
            exhausted: Mutex::default(),
        })
    }

    /// Leaves the modes of directories alone: for who wants the files and no finding about what
    /// FOSSology can get at.
    #[must_use]
    pub fn without_modes(self) -> Tree {
        Tree {
            judges_modes: false,
            ..self
        }
    }

    pub(super) fn judges_modes(&self) -> bool {
        self.judges_modes
    }

    /// The root's path, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where names lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Who may get at files.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// What the kernel says of a path below the root, itself and not what it may point to.
    pub fn meta(&self, path: &TreePath) -> io::Result<Meta> {
        directory::meta_at(&self.root, path.as_path())
    }

    /// Whether a file of the length that its name promises stands at a path.
    pub fn has(&self, path: &TreePath, name: &RepositoryName) -> bool {
        self.meta(path)
            .is_ok_and(|meta| meta.is_file() && meta.size == name.size)
    }

    /// Whether a file of the right length stands where FOSSology looks for the name.
    pub fn has_in_place(&self, ty: RepositoryType, name: &RepositoryName) -> bool {
        let places = self.layout.places(ty, name);
        places.iter().any(|path| self.has(path, name))
    }

    /// Notes an error that is this process's own trouble and says nothing of the file or directory
    /// it came from: no more open files, no more memory.
    pub fn note_exhaustion(&self, error: &io::Error) {
        let errno = Errno::from_io_error(error);
        if let Some(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) = errno {
            let mut noted = self
                .exhausted
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            noted.get_or_insert(errno);
        }
    }

    /// The first such error.
    pub fn exhausted(&self) -> Option<io::Error> {
        let noted = self
            .exhausted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        noted.map(io::Error::from)
    }

    /// Reads every claimed file and hands back each one's number in `claims` and its result, in no
    /// particular order. An error is the system's answer to opening or reading. When the monitor
    /// asks to stop, the rest is left out.
    pub fn prove(
        &self,
        claims: &[Claim],
        prover: &mut Prover,
        monitor: &dyn Monitor,
    ) -> Vec<(usize, io::Result<Proof>)> {
        prover.prove(&self.root, claims, &mut Nobody, monitor)
    }

    /// As [`Tree::prove`], and shows the contents to `witness`.
    pub fn prove_before(
        &self,
        claims: &[Claim],
        prover: &mut Prover,
        witness: &mut dyn Witness,
        monitor: &dyn Monitor,
    ) -> Vec<(usize, io::Result<Proof>)> {
        prover.prove(&self.root, claims, witness, monitor)
    }
}
