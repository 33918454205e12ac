//! The kinds of finding and their severities: each defined once, here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How bad a finding is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Contents are gone, and no way is known to get them back.
    Loss,
    /// Something is missing or damaged and can be brought back.
    Recoverable,
    /// Space is taken by what nothing needs.
    Waste,
    /// Worth knowing.
    Notice,
}

impl Severity {
    /// All severities, the worst first.
    pub const ALL: [Severity; 4] = [
        Severity::Loss,
        Severity::Recoverable,
        Severity::Waste,
        Severity::Notice,
    ];

    /// The name that reports and `--fail-on` use.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Loss => "loss",
            Severity::Recoverable => "recoverable",
            Severity::Waste => "waste",
            Severity::Notice => "notice",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal {
        severity: $severity:literal,
        meaning: $meaning:literal,
        mend: $mend:literal,
    })+) => {
        /// What is wrong with a file, a row or an upload. The names are a stable interface.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Kind {
            /// All kinds, in the order in which reports list those of one severity.
            pub const ALL: &[Kind] = &[$(Kind::$variant,)+];

            /// The name that reports and `--fail-on` use.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$variant => $name,)+ }
            }

            /// How severe findings of the kind are, for a person: the check decides in each case.
            pub fn severity_rule(self) -> &'static str {
                match self { $(Kind::$variant => $severity,)+ }
            }

            /// What the kind means and how it comes about, for a person.
            pub fn meaning(self) -> &'static str {
                match self { $(Kind::$variant => $meaning,)+ }
            }

            /// What to type or do about it.
            pub fn mend(self) -> &'static str {
                match self { $(Kind::$variant => $mend,)+ }
            }
        }
    };
}

kinds! {
    /// An upload's original is not in gold.
    MissingGold = "missing-gold" {
        severity: "loss; recoverable when a good copy stands in the repository, a store given by \
             --store has it, or the upload came from a URL that can be fetched again",
        meaning: "The original of an upload, as it was sent to FOSSology, is not in gold. What was \
             unpacked from it can still be read, but can never be unpacked again. 'maintagent \
             -o' removes old golds on purpose; the agent that deletes an upload takes along \
             the gold of another, not yet unpacked upload of the same contents; a removal by \
             hand, a restore that was cut, or the storage do the rest.",
        mend: "Recovery 'copy' or 'url': fogold repair --apply puts the good copy in its place, or \
             fetches the URL and proves what comes. Recovery 'backup': fogold repair --from \
             STORE --apply, or fogold restore STORE --only gold, which leaves good files alone. \
             Recovery 'none': run the check with --store for every store of backups there is; \
             without one, keep the upload for its results and accept the finding (--accept), or \
              delete it in FOSSology.",
    }
    /// A file of an upload is not in files.
    MissingDerived = "missing-derived" {
        severity: "recoverable; loss when every upload that holds it has lost its gold and no \
             store given by --store has it",
        meaning: "A file that an upload holds is not in files, where everything unpacked lies and \
             each upload's original once more. The deletion of another upload that shared it, \
             a restore that was cut, a gold-only backup or the storage leave such holes. \
             FOSSology shows the file in its tree and cannot open it, and agents that are run \
             later fail on it or pass it over.",
        mend: "Recovery 'unpack': fogold requeue --wait has FOSSology unpack the cheapest set \
             of uploads that brings all such files back, proves their originals before, and \
             checks again afterwards, for that a job says 'Completed' proves nothing. \
             Recovery 'copy' or 'url': fogold repair --apply. Recovery 'backup': fogold repair \
             --from STORE --apply, or fogold restore STORE --only files.",
    }
    /// As missing-derived, for the listing of an archive.
    MissingListing = "missing-listing" {
        severity: "notice",
        meaning: "The listing of an archive (a tree row named artifact.meta) is not in files. It is \
             what the archive program printed when FOSSology unpacked a zip, jar or the like; \
             FOSSology shows it, and nothing else needs it. It is lost in the same ways as any \
             derived file. Unpacking again does not bring it back: that writes a new listing \
             under another name.",
        mend: "Nothing needs to be done. fogold repair --apply puts back what has the recovery \
             'copy', and with --from STORE what a backup has.",
    }
    /// Contents differ from the name.
    Corrupt = "corrupt" {
        severity: "as the missing file's would be; waste for a file that nothing needs",
        meaning: "The contents of a file are not what its name promises: the detail says which of \
             sha1, md5 and size differ. The storage changed them, or something wrote into the \
             file; where gold and files are one file with two names (hard links), both are \
             hit. Only a check with --verify sees it.",
        mend: "Look after the storage first. fogold repair --verify --apply moves it to the \
             quarantine and puts a good copy in its place: from the repository, from a URL, and \
             with --from STORE from a backup. Of a derived file that has no copy: fogold requeue \
             --verify --wait has it written again. Never unpack by hand while the corrupt file \
             of an upload's original lies in files: FOSSology takes it before the good one in \
             gold.",
    }
    /// Length differs from the name.
    WrongSize = "wrong-size" {
        severity: "as the missing file's would be; waste for a file that nothing needs",
        meaning: "The length of a file is not what its name promises. A disk that was full during \
             an import leaves a short file under a right name, for FOSSology does not look at \
             the error; a copy or restore that was cut does the same.",
        mend: "See that the disk has room. fogold repair --apply moves it to the quarantine and puts \
             a good copy in its place: from the repository, from a URL, and with --from STORE \
             from a backup. Of a derived file that has no copy: fogold requeue --wait has it \
             written again.",
    }
    /// I/O or permission error.
    Unreadable = "unreadable" {
        severity: "as the missing file's would be; recoverable for a directory",
        meaning: "A file or a directory cannot be read: an input/output error of the storage, or \
             the user that runs fogold may not. What lies below an unreadable directory is \
             unknown, not missing: nothing is said of it, and the run counts as incomplete \
             (exit status 3).",
        mend: "The detail has the system's error. 'Permission denied': run fogold as FOSSology's \
             user, as root, or as a member of FOSSology's group. 'Input/output error': look at \
             dmesg and at the storage before anything else, and copy away what can be read; \
             then fogold repair --verify --apply treats the file as a corrupt one.",
    }
    /// Right name in a wrong place.
    Misplaced = "misplaced" {
        severity: "recoverable; waste when a good copy stands in the right place",
        meaning: "A file with a right name lies where FOSSology does not look for it: in a wrong \
             directory, in upper case, on a host none of whose lines in [REPOSITORY] matches \
             the name, or a second time on another host. A changed depth or changed host \
             ranges do this to a whole repository, for FOSSology moves nothing when they \
             change; so does a restore to the wrong directory.",
        mend: "If there are very many, mend depth or the lines of [REPOSITORY] in fossology.conf \
             instead of the files. Else fogold repair --apply proves the file and moves it where \
             the detail says. Where the finding is waste, a good copy stands in the right place, \
             and this one goes to the quarantine.",
    }
    /// No pfile row knows the file.
    Orphan = "orphan" {
        severity: "waste",
        meaning: "A well-named file that no row of the table pfile knows. A deletion that was \
             interrupted, rows that were deleted by hand, or a database restored from an \
             earlier day than the files leave such files.",
        mend: "It takes space and nothing else, unless the database is older than the files: \
             then restore the right database first. fogold repair --apply moves it to the \
             quarantine, against the live database alone, and only when it is a day old \
             (--min-age): a file that is just being imported is no orphan.",
    }
    /// A row knows the file, but nothing uses it.
    Unreferenced = "unreferenced" {
        severity: "waste",
        meaning: "A row of pfile knows the file, but nothing uses it there: no upload for a file in \
             gold, no tree row and no upload for one in files. A deletion that was interrupted \
             leaves such files, and so does an unpack that was killed. Uploads unpacked with \
             -I leave them by right: their version control contents are imported and kept out \
             of the tree.",
        mend: "It takes space and nothing else. fogold repair --apply moves it to the quarantine, \
             but leaves alone what may belong to an upload that was unpacked with -I, or that a \
             partial-tree finding is about. Accept those (--accept).",
    }
    /// A left-over of an interrupted import.
    PartialImport = "partial-import" {
        severity: "waste",
        meaning: "A left-over of an import that did not end: <name>.I is a file that was being \
             copied into the repository, <name>.meta the listing of an archive that was not \
             imported. An agent that was killed, a full disk or a directory that FOSSology \
             cannot write leave them.",
        mend: "It takes space and nothing else: fogold repair --apply moves it to the quarantine \
             when it is a day old. If new ones appear, look for wrong-mode findings and for a \
             full disk.",
    }
    /// A temporary tree that no open job can own.
    Abandoned = "abandoned" {
        severity: "waste",
        meaning: "A temporary tree of the unpack or fetch agent, <host>/ununpack or <host>/wget, \
             with something in it that no open job can be using. An agent that was killed \
             leaves its tree behind; and as the directory is named after the machine, each \
             container that is made anew leaves one behind for ever.",
        mend: "It takes space and nothing else: fogold repair --apply moves what is in it to the \
             quarantine; what is younger than a day, or than an open job, stays. Room is won when \
             that is emptied: fogold repair --empty-quarantine.",
    }
    /// Not a repository name, or not a regular file.
    Foreign = "foreign" {
        severity: "notice",
        meaning: "Something that is no repository file: a file with another kind of name, a \
             directory that is no part of the layout (one finding stands for all that is in \
             it, though well-named files there are still judged), a symbolic link, a fifo or a \
             device. FOSSology ignores it; fogold follows no symbolic link. lost+found and \
             snapshots at the top of the repository are reported here too, and do no harm. \
             fogold cannot mend it.",
        mend: "Find out who put it there, and let them take it away, or accept it (--accept). \
             Nothing needs to be done.",
    }
    /// FOSSology cannot get at a file or directory.
    WrongMode = "wrong-mode" {
        severity: "recoverable",
        meaning: "FOSSology's user or group (PROJECTUSER and PROJECTGROUP) cannot read the file, or \
             cannot list the directory and write into it. The agents run as the user and the \
             web server as a member of the group. A restore or a copy made as root does this; \
             one finding with the path '.' stands for more than half of all directories.",
        mend: "As root: fogold repair --only mode --apply, which adds the bits that are missing, at a \
             directory also to all that is in it, and gives to FOSSology's user and group what \
             bits alone do not open.",
    }
    /// A row that names no file.
    UnusablePfile = "unusable-pfile" {
        severity: "recoverable; waste when nothing refers to the row",
        meaning: "A row of pfile whose sha1 or md5 is no digest, or whose size is negative, can \
             name no file: the detail says which. Damage to the database, or a program that \
             wrote rows by itself. fogold cannot mend it.",
        mend: "Look at the row: psql -d fossology -c 'SELECT * FROM pfile WHERE pfile_pk = N'. \
             If uploads are named, delete them in FOSSology and upload them again, or restore \
             the row from a dump of a better day. If nothing refers to it, it does no harm: \
             accept it (--accept).",
    }
    /// Several rows for one name.
    DuplicatePfile = "duplicate-pfile" {
        severity: "notice",
        meaning: "Several rows of pfile have the same sha1, md5 and size; the detail has their \
             keys. Releases before 3.10, and rows with and without a sha256, made them. They \
             share one file and do no harm, but FOSSology may scan the same contents twice. \
             fogold cannot mend it.",
        mend: "Nothing needs to be done; once you know of it, accept it (--accept).",
    }
    /// A row that nothing refers to and that has no file.
    PfileWithoutUse = "pfile-without-use" {
        severity: "waste",
        meaning: "A row of pfile that no upload and no tree row refers to and whose file is neither \
             in gold nor in files: what a deletion that was interrupted between files and rows \
             leaves. fogold cannot mend it.",
        mend: "Nothing needs to be done. Findings of FOSSology's agents may still hang on the \
             row; delete it by hand only after a look at what refers to it, or accept it \
             (--accept).",
    }
    /// An upload or tree row points at a pfile row that does not exist.
    DanglingReference = "dangling-reference" {
        severity: "loss for an upload; recoverable for a tree row",
        meaning: "An upload or rows of its tree point at a row of pfile that does not exist; pfile \
             is the key that is missing. No foreign key of FOSSology prevents this: a deletion \
             that was interrupted or a database restored with errors leaves it. What the row \
             said is gone, so nobody can tell which file it was. fogold cannot mend it.",
        mend: "For an upload, restore the database from a backup that has the row. For tree \
             rows, delete the upload in FOSSology and upload it again: its original is in \
             gold. Where neither can be done, accept it (--accept).",
    }
    /// A row's sha256 differs from the contents.
    WrongSha256 = "wrong-sha256" {
        severity: "recoverable",
        meaning: "The sha256 in a row of pfile is not that of the contents, though sha1, md5 and \
             size are; or it is no digest at all. A migration that was interrupted, or an edit \
             by hand. FOSSology passes it on in its reports. Only a check with --verify \
             --sha256 sees it; a row without a sha256 is no finding. fogold cannot mend it.",
        mend: "Take the value from sha256sum of the file, in upper case: psql -d fossology -c \
             \"UPDATE pfile SET pfile_sha256 = 'DIGEST' WHERE pfile_pk = N\", or set it to \
             NULL, or accept it (--accept).",
    }
    /// An upload that points at no pfile.
    UploadWithoutPfile = "upload-without-pfile" {
        severity: "recoverable when it was unpacked or has a tree; else notice",
        meaning: "An upload that is neither deleted nor running points at no file. Without a tree \
             it is an upload that failed: an empty file, a fetch that found nothing. With a \
             tree, or marked as unpacked, its original was forgotten, by a deletion that was \
             interrupted or by hand. fogold cannot mend it.",
        mend: "Delete the upload in FOSSology, and upload it again if it is wanted; or accept it \
             (--accept), and it no longer counts.",
    }
    /// Fewer tree rows than the unpack processed.
    PartialTree = "partial-tree" {
        severity: "recoverable when something else too says that the unpack was cut; else notice",
        meaning: "The tree of an upload has fewer rows than its unpack says it processed. The agent \
             was killed in the midst of a first unpack (a power cut, a container that was \
             stopped); run again it found rows, left the tree as it was and said 'Completed'. \
             FOSSology shows a part of the upload as if it were all of it. The finding is only \
             a notice when neither a killed run of the agent nor unused rows of pfile bear it \
             out.",
        mend: "fogold requeue --rebuild-trees --wait has the upload unpacked from scratch, \
             unless decisions or findings hang on its tree, which it says. Then delete the \
             upload in FOSSology and upload it again; decisions made on it go with it, so \
             export a report first.",
    }
    /// The upload's first unpack has not completed.
    UnfinishedUpload = "unfinished-upload" {
        severity: "notice",
        meaning: "The first unpack of an upload has not completed, and a job that fetches, unpacks \
             or numbers it is still open. While FOSSology works this is normal, and what the \
             upload will hold is not yet expected.",
        mend: "Wait. If it stays for days, look at the upload's jobs in FOSSology: a scheduler \
             that was started without --reset never takes up again what it was doing when it \
             was stopped.",
    }
    /// In the catalog, and gone from live rows and tree since.
    DeletedMeanwhile = "deleted-meanwhile" {
        severity: "notice",
        meaning: "The file was known when the rows were read and is gone from the live database and \
             from the tree by now: somebody deleted an upload while fogold worked.",
        mend: "Nothing needs to be done.",
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// From which findings on a run has failed (`--fail-on`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailOn {
    /// Any finding of this severity or a worse one.
    Severity(Severity),
    /// Any finding of this kind.
    Kind(Kind),
    /// None.
    Never,
}

impl Default for FailOn {
    fn default() -> Self {
        FailOn::Severity(Severity::Recoverable)
    }
}

impl FailOn {
    /// Whether a finding of this kind and severity makes the run fail.
    pub fn is_met_by(self, kind: Kind, severity: Severity) -> bool {
        match self {
            FailOn::Severity(worst) => severity <= worst,
            FailOn::Kind(wanted) => kind == wanted,
            FailOn::Never => false,
        }
    }
}

/// The text is neither a kind, nor a severity, nor `never`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a severity (loss, recoverable, waste, notice), nor a kind of finding, nor 'never'"
)]
pub struct UnknownFailOn(pub String);

impl FromStr for FailOn {
    type Err = UnknownFailOn;

    fn from_str(text: &str) -> Result<Self, UnknownFailOn> {
        if text == "never" {
            return Ok(FailOn::Never);
        }
        let severity = Severity::ALL.into_iter().find(|each| each.as_str() == text);
        let kind = Kind::ALL.iter().find(|each| each.as_str() == text);
        severity
            .map(FailOn::Severity)
            .or(kind.map(|kind| FailOn::Kind(*kind)))
            .ok_or_else(|| UnknownFailOn(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_serialised_form() {
        for kind in Kind::ALL {
            assert_eq!(
                serde_json::to_string(kind).unwrap(),
                format!("\"{}\"", kind.as_str())
            );
            assert_eq!(kind.as_str().parse(), Ok(FailOn::Kind(*kind)));
        }
        for severity in Severity::ALL {
            assert_eq!(
                serde_json::to_string(&severity).unwrap(),
                format!("\"{}\"", severity.as_str())
            );
        }
    }

    #[test]
    fn each_kind_says_what_it_is_and_what_to_do() {
        for kind in Kind::ALL {
            assert!(kind.meaning().len() > 100, "{kind}");
            for text in [kind.meaning(), kind.mend()] {
                assert!(!text.contains("  "), "{kind}: {text}");
            }
        }
    }

    #[test]
    fn kinds_that_only_a_person_can_mend_say_so() {
        for kind in [
            Kind::UnusablePfile,
            Kind::DuplicatePfile,
            Kind::PfileWithoutUse,
            Kind::DanglingReference,
            Kind::UploadWithoutPfile,
            Kind::WrongSha256,
            Kind::Foreign,
        ] {
            assert!(kind.meaning().contains("fogold cannot mend it"), "{kind}");
            assert!(kind.mend().contains("--accept"), "{kind}");
        }
    }

    #[test]
    fn a_severity_includes_the_worse_ones() {
        let fail_on = FailOn::default();
        assert!(fail_on.is_met_by(Kind::MissingGold, Severity::Loss));
        assert!(fail_on.is_met_by(Kind::MissingGold, Severity::Recoverable));
        assert!(!fail_on.is_met_by(Kind::Orphan, Severity::Waste));
        assert!("nonsense".parse::<FailOn>().is_err());
    }
}
