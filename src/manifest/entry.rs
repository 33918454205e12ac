//! One file of a set.

use crate::repository::RepositoryName;
use crate::sysconf::RepositoryType;

/// The types whose files can be in a set, in the order in which manifests name them.
const TYPES: [RepositoryType; 3] = [
    RepositoryType::Gold,
    RepositoryType::Files,
    RepositoryType::License,
];

/// Any of gold, files and license.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Types(u8);

impl Types {
    /// No type.
    pub const NONE: Types = Types(0);
    /// gold/
    pub const GOLD: Types = Types(1);
    /// files/
    pub const FILES: Types = Types(2);
    /// license/
    pub const LICENSE: Types = Types(4);

    /// A type by itself; none for one whose files are never in a set.
    pub fn of(ty: RepositoryType) -> Types {
        match ty {
            RepositoryType::Gold => Types::GOLD,
            RepositoryType::Files => Types::FILES,
            RepositoryType::License => Types::LICENSE,
            _ => Types::NONE,
        }
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    /// Whether any type of `other` is among them.
    pub fn has(self, other: Types) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The types in order.
    pub fn iter(self) -> impl Iterator<Item = RepositoryType> {
        TYPES.into_iter().filter(move |ty| self.has(Types::of(*ty)))
    }
}

/// Where the contents of an entry are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the set: in a store, `pool/<aa>/<bb>/<name>`.
    Pool,
    /// Left out: to be fetched again from one of its URLs.
    Urls,
}

/// One file of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: RepositoryName,
    /// The types under which the set brings it back; at least one.
    pub types: Types,
    /// BLAKE3 of the contents, where they were read.
    pub blake3: Option<[u8; 32]>,
    /// Where the contents are.
    pub place: Place,
    /// Every URL that a person may see from which it can be fetched again, for gold.
    pub urls: Vec<String>,
    /// An upload of it has a URL that is a secret.
    pub url_withheld: bool,
}
