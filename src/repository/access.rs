//! Whether FOSSology can read a file and use a directory.
//!
//! Its agents run as `PROJECTUSER`, its web server as a member of `PROJECTGROUP`; both must get at
//! everything. Where these exist on this machine, access is judged as the kernel would judge it,
//! through owner, group or other bits; elsewhere (a copy of a tree on another host) the owner's and
//! the group's bits alone are looked at. A foreign owner or a further bit is no fault.

use super::meta::Meta;

/// The user and group that FOSSology runs as, as far as this machine knows them.
#[derive(Clone, Debug, Default)]
pub struct Access {
    user: Option<User>,
    group: Option<u32>,
}

#[derive(Clone, Debug)]
struct User {
    uid: u32,
    groups: Vec<u32>,
}

/// Who is shut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// FOSSology's user.
    pub user: bool,
    /// FOSSology's group.
    pub group: bool,
}

impl Fault {
    /// `the user`, `the group`, or both, for a message.
    pub fn who(self) -> &'static str {
        match (self.user, self.group) {
            (true, true) => "FOSSology's user and group",
            (true, false) => "FOSSology's user",
            (false, _) => "FOSSology's group",
        }
    }
}

const READ: u32 = 4;
const ALL: u32 = 7;

impl Access {
    /// Looks the user and the group up on this machine.
    pub fn of(user: &str, group: &str) -> Access {
        let user = nix::unistd::User::from_name(user).ok().flatten();
        let group = nix::unistd::Group::from_name(group).ok().flatten();
        Access {
            user: user.map(|user| User {
                uid: user.uid.as_raw(),
                groups: groups_of(&user),
            }),
            group: group.map(|group| group.gid.as_raw()),
        }
    }

    /// The ids of FOSSology's user and group, as far as this machine knows them: whose the files
    /// and directories are to be that are put into the tree.
    pub fn owner(&self) -> (Option<u32>, Option<u32>) {
        (self.user.as_ref().map(|user| user.uid), self.group)
    }

    /// Who cannot read a file.
    pub fn to_file(&self, meta: &Meta) -> Option<Fault> {
        self.fault(meta, READ)
    }

    /// Who cannot list a directory and write into it.
    pub fn to_directory(&self, meta: &Meta) -> Option<Fault> {
        self.fault(meta, ALL)
    }

    fn fault(&self, meta: &Meta, want: u32) -> Option<Fault> {
        let (owner, group, other) = (meta.mode >> 6, meta.mode >> 3, meta.mode);
        let for_user = match &self.user {
            Some(user) if user.uid == 0 => ALL,
            Some(user) if user.uid == meta.uid => owner,
            Some(user) if user.groups.contains(&meta.gid) => group,
            Some(_) => other,
            None => owner,
        };
        let for_group = match self.group {
            Some(gid) if gid != meta.gid => other,
            _ => group,
        };
        let fault = Fault {
            user: for_user & want != want,
            group: for_group & want != want,
        };
        (fault.user || fault.group).then_some(fault)
    }
}

fn groups_of(user: &nix::unistd::User) -> Vec<u32> {
    let name = std::ffi::CString::new(user.name.as_str()).unwrap_or_default();
    nix::unistd::getgrouplist(&name, user.gid)
        .unwrap_or_else(|_| vec![user.gid])
        .into_iter()
        .map(nix::unistd::Gid::as_raw)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(mode: u32, uid: u32, gid: u32) -> Meta {
        Meta {
            mode,
            uid,
            gid,
            ..Meta::default()
        }
    }

    #[test]
    fn without_the_user_the_bits_decide() {
        let nobody = Access::default();
        assert_eq!(nobody.to_file(&meta(0o2664, 1, 1)), None);
        assert_eq!(nobody.to_file(&meta(0o2660, 1, 1)), None);
        assert_eq!(
            nobody.to_file(&meta(0o600, 1, 1)),
            Some(Fault {
                user: false,
                group: true
            })
        );
        assert_eq!(nobody.to_directory(&meta(0o2770, 1, 1)), None);
        assert!(nobody.to_directory(&meta(0o2755, 1, 1)).is_some());
    }

    #[test]
    fn with_the_user_access_decides() {
        let fossy = Access {
            user: Some(User {
                uid: 500,
                groups: vec![500, 7],
            }),
            group: Some(500),
        };
        assert_eq!(fossy.to_file(&meta(0o660, 500, 500)), None);
        // A foreign owner with the right group is as good.
        assert_eq!(fossy.to_file(&meta(0o660, 0, 500)), None);
        assert_eq!(fossy.to_file(&meta(0o664, 0, 0)), None);
        assert_eq!(
            fossy.to_file(&meta(0o660, 0, 7)),
            Some(Fault {
                user: false,
                group: true
            })
        );
        // The owner's bits count for the owner even where the group's would do.
        assert_eq!(
            fossy.to_file(&meta(0o060, 500, 500)),
            Some(Fault {
                user: true,
                group: false
            })
        );
    }
}
