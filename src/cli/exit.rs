//! The exit statuses: each defined once, here. Any other number is a failure.

/// Done; nothing at or over `--fail-on`.
pub const DONE: u8 = 0;
/// Done; there are findings at or over `--fail-on`.
pub const FINDINGS: u8 = 1;
/// Nothing was tried, for what was asked cannot be meant.
pub const MISUSE: u8 = 2;
/// The world was in the way, or only part was done.
pub const WORLD: u8 = 3;

/// Every status with its meaning, for the manual.
pub const MEANINGS: [(u8, &str); 4] = [
    (DONE, "Done; nothing at or over --fail-on."),
    (
        FINDINGS,
        "Done; there are findings at or over --fail-on (by default: severity recoverable): also damage found by \
         verify, a drill that failed, unpack jobs that failed or cannot help, a backup that finished its set with findings.",
    ),
    (
        MISUSE,
        "Nothing was tried, for what was asked cannot be meant: a wrong flag or value, no or a bad configuration, \
         not a FOSSology database, a depth at which no file stands, a store inside the repository or of a newer format, \
         a database to restore into that is not empty, client programs older than the server.",
    ),
    (
        WORLD,
        "The world was in the way, or only part was done: cannot connect, no such database, wrong password, a cut dump, \
         a damaged catalog or manifest, no such or unmounted repository or store, a lock that is held, a directory that cannot be read, disk full, a signal. \
         After a partial run the report has \"complete\": false and names the shards that are complete.",
    ),
];
