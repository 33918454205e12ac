//! Threads that read large files, and compute the md5 of these for one another.
//!
//! The md5 of one file is a chain of steps that no processor does faster than 0.8 GB/s, a third of
//! what it makes of sha1; but it makes eight such chains side by side in its lanes in hardly more
//! time than one. So whoever reads a large file hands its pieces in here, and goes on with the next
//! one; and the md5 of all that was handed in is computed by who has nothing else to do: a thread
//! whose own pieces are all handed in, one that has run out of work, or, when there are enough pieces
//! to fill the lanes, the one that hands in the last.
//!
//! Lanes want many files in flight, but no more threads may be busy than the caller allowed. So there
//! are more threads than *turns*, and a thread works only while it has a turn. The spare ones begin
//! only beside files that stand in the page cache already: from a disk, more readers than were asked
//! for would only disturb one another.
//!
//! A file's pieces are hashed one after the other, for its md5 is either in its lane or with the one
//! thread that computes it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use md5_many::{Md5Many, Md5State};

/// Large files are read in pieces of this size: a multiple of what md5 takes at a time, so that the
/// lanes stay in step.
pub(super) const PIECE: usize = 256 * 1024;
/// A file has so many pieces at most: one being read, one being hashed, one waiting between.
const PIECES: usize = 3;
/// Bytes of a large file that are in memory at a time.
pub(super) const MOST_OF_A_FILE: u64 = (PIECES * PIECE) as u64;
/// So many files fill the lanes well.
const WIDE: usize = 8;
/// No more files are hashed side by side.
const WIDEST: usize = 16;
/// With fewer than so many threads the lanes stay empty.
const THREADS: usize = 10;

/// Threads that compute md5 for one another.
#[derive(Debug)]
pub struct Crew {
    turns: usize,
    threads: usize,
    lanes: Md5Many,
    state: Mutex<State>,
    /// For who has begun and waits.
    changed: Condvar,
    /// For who waits to begin. There are many of them, and hardly ever may more than one go on:
    /// woken by every change, they would do nothing but disturb the others.
    may_begin: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Turns that nobody has.
    free: usize,
    /// Threads that could go on and wait for a turn.
    ready: usize,
    /// Threads that wait to begin.
    spare: usize,
    /// Threads that have begun and not ended.
    active: usize,
    /// There is nothing left to begin with.
    over: bool,
    files: Vec<File>,
    next_file: u64,
    /// Pieces and groups to be used again.
    blank: Vec<Piece>,
    groups: Vec<Group>,
    /// Who computed a group died over it.
    broken: bool,
}

/// A large file that is being read.
#[derive(Debug)]
struct File {
    id: u64,
    /// It stands in the page cache.
    cached: bool,
    /// `None` while somebody goes on with it.
    md5: Option<Md5State>,
    waiting: VecDeque<Piece>,
    blank: Vec<Piece>,
    pieces: usize,
}

impl File {
    fn can_go_on(&self) -> bool {
        self.md5.is_some() && !self.waiting.is_empty()
    }

    fn is_hashed(&self) -> bool {
        self.md5.is_some() && self.waiting.is_empty()
    }
}

/// A piece of a file.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Box<[u8]>,
    length: usize,
}

impl Piece {
    fn new() -> Piece {
        Piece {
            bytes: vec![0; PIECE].into_boxed_slice(),
            length: 0,
        }
    }
}

/// Pieces of several files that are hashed side by side.
#[derive(Debug, Default)]
struct Group {
    files: Vec<u64>,
    md5s: Vec<Md5State>,
    pieces: Vec<Piece>,
}

impl State {
    /// Whether a thread that waits to begin may do so, once a turn is free.
    fn lets_begin(&self, turns: usize) -> bool {
        let waiting = self.files.iter().filter(|file| file.cached).count();
        self.spare > 0 && !self.over && self.active < turns + waiting
    }

    /// Whether a thread that waits to begin may do so now.
    fn has_turn_to_begin(&self, turns: usize) -> bool {
        self.free > 0 && self.lets_begin(turns)
    }

    fn file(&mut self, id: u64) -> Option<&mut File> {
        self.files.iter_mut().find(|file| file.id == id)
    }

    fn able(&self) -> usize {
        self.files.iter().filter(|file| file.can_go_on()).count()
    }

    /// Whether to go on with what can: half-empty lanes are worth it only when no thread is at work
    /// that will soon hand in more.
    fn is_worth_it(&self, others_work: bool) -> bool {
        let cached = self.files.iter().filter(|file| file.cached).count();
        let enough = if others_work { cached.min(WIDE / 2) } else { 0 };
        self.able() >= enough.max(1)
    }

    /// Takes a piece of each file that can go on, as many as the lanes take well.
    fn take_group(&mut self) -> Option<Group> {
        let most = match self.able() {
            0 => return None,
            able if able < WIDEST => WIDE,
            _ => WIDEST,
        };
        let mut group = self.groups.pop().unwrap_or_default();
        let able = self.files.iter_mut().filter(|file| file.can_go_on());
        for file in able.take(most) {
            if let (Some(piece), Some(md5)) = (file.waiting.pop_front(), file.md5.take()) {
                group.files.push(file.id);
                group.md5s.push(md5);
                group.pieces.push(piece);
            }
        }
        Some(group)
    }

    fn give_back(&mut self, mut group: Group) {
        let Group {
            files,
            md5s,
            pieces,
        } = &mut group;
        for ((id, md5), piece) in files.drain(..).zip(md5s.drain(..)).zip(pieces.drain(..)) {
            match self.file(id) {
                Some(file) => {
                    file.md5 = Some(md5);
                    file.blank.push(piece);
                }
                // Whoever read it gave up.
                None => self.blank.push(piece),
            }
        }
        self.groups.push(group);
    }
}

impl Group {
    /// Hashes the pieces, side by side as far as all go, and the rest one by one.
    fn hash(&mut self, lanes: Md5Many) {
        let count = self.pieces.len();
        let mut together = 0;
        if count > 1 {
            let shortest = self.pieces.iter().map(|piece| piece.length).min();
            together = shortest.unwrap_or(0) / 64 * 64;
            // Lanes that are not all taken are slower than lanes with something to do.
            let width = match count {
                ..=4 if lanes.lanes() <= 4 => 4,
                ..=WIDE => WIDE,
                _ => WIDEST,
            };
            let idle = &self.pieces[0].bytes[..together];
            let mut inputs = [idle; WIDEST];
            for (input, piece) in inputs.iter_mut().zip(&self.pieces) {
                *input = &piece.bytes[..together];
            }
            self.md5s.resize(width, Md5State::new());
            lanes.update_many(&mut self.md5s, &inputs[..width]);
            self.md5s.truncate(count);
        }
        for (md5, piece) in self.md5s.iter_mut().zip(&self.pieces) {
            md5.update(&piece.bytes[together..piece.length]);
        }
    }
}

impl Crew {
    /// A thread by itself, that need not begin nor end.
    pub fn alone() -> Arc<Crew> {
        let crew = Crew::of(1, 0);
        let mut state = crew.state();
        (state.free, state.active) = (0, 1);
        drop(state);
        Arc::new(crew)
    }

    /// A crew of which no more than `turns` work at a time. It may have up to `spares` more threads.
    pub fn of(turns: usize, spares: usize) -> Crew {
        let turns = turns.max(1);
        Crew {
            turns,
            threads: turns + spares.min(THREADS.saturating_sub(turns)),
            lanes: Md5Many::new(),
            state: Mutex::new(State {
                free: turns,
                ..State::default()
            }),
            changed: Condvar::new(),
            may_begin: Condvar::new(),
        }
    }

    /// Number of threads that should begin.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Begins to work, as soon as it is this thread's turn; `None` when nothing is left to do.
    pub fn begin(&self) -> Option<Seat<'_>> {
        let mut state = self.state();
        state.spare += 1;
        loop {
            if state.over {
                state.spare -= 1;
                return None;
            }
            if state.has_turn_to_begin(self.turns) {
                break;
            }
            let woken = self.may_begin.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.spare -= 1;
        state.free -= 1;
        state.active += 1;
        if state.free > 0 {
            self.wake(&state);
        }
        let is_spare = state.active > self.turns;
        Some(Seat {
            crew: self,
            is_spare,
        })
    }

    /// Wakes all who may go on after a change, with the state still locked, so that nobody goes to
    /// sleep over it. One who may begin is enough: it wakes the next.
    fn wake(&self, state: &State) {
        self.changed.notify_all();
        if state.over {
            self.may_begin.notify_all();
        } else if state.has_turn_to_begin(self.turns) {
            self.may_begin.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let state = self.changed.wait(state);
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to read a large file.
    pub(super) fn enrol(&self) -> Lane<'_> {
        let mut state = self.state();
        let id = state.next_file;
        state.next_file += 1;
        state.files.push(File {
            id,
            cached: false,
            md5: Some(Md5State::new()),
            waiting: VecDeque::with_capacity(PIECES),
            blank: Vec::with_capacity(PIECES),
            pieces: 0,
        });
        Lane { crew: self, id }
    }

    /// Hashes a group that was taken, without holding the lock.
    fn hash<'a>(&'a self, state: MutexGuard<'a, State>, group: Group) -> MutexGuard<'a, State> {
        drop(state);
        let mut hashing = Hashing {
            crew: self,
            group: Some(group),
        };
        if let Some(group) = &mut hashing.group {
            group.hash(self.lanes);
        }
        let mut state = self.state();
        if let Some(group) = hashing.group.take() {
            state.give_back(group);
        }
        self.wake(&state);
        state
    }

    /// Helps the others, or lets them have this thread's turn, until `done`; then this thread has
    /// its turn again.
    fn help_until<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        done: impl Fn(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        loop {
            if done(&mut state) {
                return state;
            }
            assert!(!state.broken, "another thread died over an md5");
            let wanted = state.ready > 0 || state.lets_begin(self.turns);
            if (state.free > 0 || !wanted)
                && state.is_worth_it(state.free + 1 < self.turns)
                && let Some(group) = state.take_group()
            {
                state = self.hash(state, group);
                continue;
            }
            state.free += 1;
            self.wake(&state);
            state = self.sleep_until(state, &done);
        }
    }

    /// Sleeps without a turn until `done`, or until there is an md5 to go on with, and nobody who
    /// wants the turn for anything else. Comes back with a turn.
    fn sleep_until<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        done: impl Fn(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        let mut counted = false;
        loop {
            state = self.wait(state);
            let is_done = state.broken || done(&mut state);
            if is_done && !counted {
                counted = true;
                state.ready += 1;
            }
            let others = state.ready > 0 || state.lets_begin(self.turns);
            if state.free > 0
                && (is_done || (!others && state.is_worth_it(state.free < self.turns)))
            {
                state.ready -= usize::from(counted);
                state.free -= 1;
                return state;
            }
        }
    }
}

/// Tells the others when a thread dies over a group, for they would wait for ever.
struct Hashing<'a> {
    crew: &'a Crew,
    group: Option<Group>,
}

impl Drop for Hashing<'_> {
    fn drop(&mut self) {
        if self.group.is_some() {
            let mut state = self.crew.state();
            state.broken = true;
            self.crew.wake(&state);
        }
    }
}

/// A thread's place in a crew. When it is given up, the thread helps the others to their end.
#[derive(Debug)]
pub struct Seat<'a> {
    crew: &'a Crew,
    is_spare: bool,
}

impl Seat<'_> {
    /// Whether as many others as may work at a time had begun before.
    pub fn is_spare(&self) -> bool {
        self.is_spare
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.crew.state();
        state.over = true;
        state.active -= 1;
        self.crew.wake(&state);
        if !std::thread::panicking() && !state.broken {
            state = self
                .crew
                .help_until(state, |state| state.active == 0 || state.broken);
        }
        state.free += 1;
        self.crew.wake(&state);
    }
}

/// A large file while it is read.
pub(super) struct Lane<'a> {
    crew: &'a Crew,
    id: u64,
}

impl Lane<'_> {
    /// The file stands in the page cache.
    pub(super) fn is_cached(&self) {
        let mut state = self.crew.state();
        if let Some(file) = state.file(self.id) {
            file.cached = true;
        }
        if state.free > 0 {
            self.crew.wake(&state);
        }
    }

    /// A piece to read into.
    pub(super) fn blank(&self) -> Piece {
        let id = self.id;
        let can_read = |state: &mut State| {
            let file = state.file(id);
            file.is_none_or(|file| file.pieces < PIECES || !file.blank.is_empty())
        };
        let state = self.crew.state();
        let mut state = self.crew.help_until(state, can_read);
        if let Some(piece) = state.file(id).and_then(|file| file.blank.pop()) {
            return piece;
        }
        if let Some(file) = state.file(id) {
            file.pieces += 1;
        }
        let again = state.blank.pop();
        drop(state);
        again.unwrap_or_else(Piece::new)
    }

    /// Hands in a piece of which the first `length` bytes were read.
    pub(super) fn hand_in(&self, mut piece: Piece, length: usize) {
        piece.length = length;
        let mut state = self.crew.state();
        if let Some(file) = state.file(self.id) {
            file.waiting.push_back(piece);
        }
        if state.free > 0 {
            self.crew.wake(&state);
        } else if state.able() >= state.files.len().min(WIDE)
            && let Some(group) = state.take_group()
        {
            drop(self.crew.hash(state, group));
        }
    }

    /// The md5 of all that was handed in.
    pub(super) fn md5(&self) -> [u8; 16] {
        let id = self.id;
        let is_hashed = |state: &mut State| state.file(id).is_none_or(|file| file.is_hashed());
        let state = self.crew.state();
        let mut state = self.crew.help_until(state, is_hashed);
        let md5 = state.file(id).and_then(|file| file.md5);
        md5.unwrap_or_default().finalize()
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        let mut state = self.crew.state();
        if let Some(at) = state.files.iter().position(|file| file.id == self.id) {
            let mut file = state.files.swap_remove(at);
            state.blank.append(&mut file.blank);
            state.blank.extend(file.waiting);
        }
        self.crew.wake(&state);
    }
}
