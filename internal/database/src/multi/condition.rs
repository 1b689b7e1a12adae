//! How sources are that failed, as a state machine: healthy, unavailable, returning.
//!
//! It has no thread and no clock of its own: every event comes with its moment, and with the chance that spreads pauses.
//!
//! - *healthy* becomes *unavailable* by a failure: it is looked at at once, or, where it comes and goes, after the pause
//!   that it had come to;
//! - *unavailable* is looked at by one look at a time. A look in vain makes the pause longer; one that finds the source
//!   well makes it *returning*;
//! - *returning* becomes *healthy* when its chats are home, and *unavailable* when they cannot come.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use crate::error::Result;
use crate::route::SourceName;

/// How many sources are looked at at once.
const MOST_LOOKS: usize = 8;
/// A look that takes so long, as at a disk that does not answer, keeps no other from being begun.
const HANGS: Duration = Duration::from_secs(10);

/// Where whoever asked for a look waits.
pub(super) type Asker = SyncSender<Result<()>>;

/// All sources that failed since the start.
#[derive(Default)]
pub(super) struct Conditions(HashMap<SourceName, Patient>);

/// A source that failed.
#[derive(Default)]
struct Patient {
    backoff: Backoff,
    state: State,
    /// It failed while it was looked at, perhaps after it was found well.
    failed_since: bool,
    /// Who waits for the look that is under way, or for the next where none is.
    asked: Vec<Asker>,
    /// Who asked while a look was under way: that may have begun too early.
    asked_since: Vec<Asker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Healthy,
    /// Unavailable, until the next look.
    Waits(Instant),
    /// Unavailable, and looked at since then.
    Looked(Instant),
    /// Found well by the look that began then; its chats are on their way home.
    Returning(Instant),
}

impl Conditions {
    /// A source failed.
    pub(super) fn failed(&mut self, name: SourceName, now: Instant, chance: f64) {
        self.0.entry(name).or_default().failed(now, chance);
    }

    /// Somebody wants it to be looked at now.
    pub(super) fn asked(&mut self, name: SourceName, asker: Asker, now: Instant) {
        self.0.entry(name).or_default().asked(asker, now);
    }

    /// The look that is under way has found it well.
    pub(super) fn found_well(&mut self, name: &SourceName) {
        if let Some(patient) = self.0.get_mut(name)
            && let State::Looked(since) = patient.state
        {
            patient.state = State::Returning(since);
        }
    }

    /// A look has ended. Tells those who asked for it.
    pub(super) fn looked(&mut self, name: &SourceName, found: &Result<()>, now: Instant, chance: f64) {
        if let Some(patient) = self.0.get_mut(name) {
            patient.looked(found, now, chance);
        }
    }

    /// The looks that are to be begun now, and are taken for begun.
    pub(super) fn begin(&mut self, now: Instant) -> Vec<SourceName> {
        let free = MOST_LOOKS.saturating_sub(self.counted(now).count());
        let is_due = |(_, patient): &(&SourceName, &mut Patient)| patient.next().is_some_and(|next| next <= now);
        let mut due: Vec<_> = self.0.iter_mut().filter(is_due).collect();
        // Who was asked for first, then who waits longest: each has its turn.
        due.sort_by_key(|(name, patient)| (patient.asked.is_empty(), patient.next(), (*name).clone()));
        due.into_iter()
            .take(free)
            .map(|(name, patient)| {
                patient.state = State::Looked(now);
                name.clone()
            })
            .collect()
    }

    /// When there may be a look to be begun; `None` where only an event can make one.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let next = self.0.values().filter_map(Patient::next).min()?;
        // Where all places are taken, one is free when the oldest of those looks hangs.
        let is_full = self.counted(now).count() >= MOST_LOOKS;
        let free = self.counted(now).min().filter(|_| is_full).map(|oldest| oldest + HANGS);
        Some(free.map_or(next, |free| next.max(free)))
    }

    /// How many looks are under way, those that hang included.
    pub(super) fn under_way(&self) -> usize {
        self.0.values().filter(|patient| patient.looked_at_since().is_some()).count()
    }

    /// Since when each of the looks is under way that count.
    fn counted(&self, now: Instant) -> impl Iterator<Item = Instant> {
        let since = self.0.values().filter_map(Patient::looked_at_since);
        since.filter(move |since| now.saturating_duration_since(*since) < HANGS)
    }
}

impl Patient {
    /// When it is to be looked at next.
    fn next(&self) -> Option<Instant> {
        if let State::Waits(next) = self.state { Some(next) } else { None }
    }

    fn looked_at_since(&self) -> Option<Instant> {
        match self.state {
            State::Looked(since) | State::Returning(since) => Some(since),
            State::Healthy | State::Waits(_) => None,
        }
    }

    fn failed(&mut self, now: Instant, chance: f64) {
        match self.state {
            State::Healthy => self.wait(now, chance),
            State::Looked(_) | State::Returning(_) => self.failed_since = true,
            State::Waits(_) => {}
        }
    }

    fn wait(&mut self, now: Instant, chance: f64) {
        self.backoff.failed(now);
        self.state = State::Waits(now + self.backoff.pause(chance));
    }

    fn asked(&mut self, asker: Asker, now: Instant) {
        if self.looked_at_since().is_some() {
            self.asked_since.push(asker);
        } else {
            self.asked.push(asker);
            self.state = State::Waits(now);
        }
    }

    fn looked(&mut self, found: &Result<()>, now: Instant, chance: f64) {
        let failed_since = std::mem::take(&mut self.failed_since);
        if found.is_ok() {
            self.backoff.returned(now);
            self.state = State::Healthy;
            if failed_since {
                self.wait(now, chance);
            }
        } else {
            self.wait(now, chance);
        }
        for asker in self.asked.drain(..) {
            // Whoever asked may not wait any more.
            let _ = asker.try_send(found.clone());
        }
        if !self.asked_since.is_empty() {
            self.asked = std::mem::take(&mut self.asked_since);
            self.state = State::Waits(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};

    use super::*;
    use crate::error::{Error, ErrorKind};

    const MIDDLE: f64 = 0.5;

    fn name(number: usize) -> SourceName {
        format!("source-{number}").parse().unwrap()
    }

    fn error() -> Result<()> {
        Err(Error::new("test.look", &name(0), ErrorKind::SourceUnavailable { reason: "gone".to_owned() }))
    }

    /// A source's condition on a made clock.
    struct Site {
        conditions: Conditions,
        now: Instant,
    }

    impl Site {
        fn new() -> Self {
            Self { conditions: Conditions::default(), now: Instant::now() }
        }

        fn state(&self) -> State {
            self.conditions.0.get(&name(0)).map_or(State::Healthy, |patient| patient.state)
        }

        fn pass(&mut self, seconds: f64) {
            self.now += Duration::from_secs_f64(seconds);
        }

        fn fail(&mut self) {
            self.conditions.failed(name(0), self.now, MIDDLE);
        }

        fn end_look(&mut self, found: &Result<()>, chance: f64) {
            self.conditions.looked(&name(0), found, self.now, chance);
        }

        /// How long it is until the next look.
        fn pause(&self) -> Duration {
            self.conditions.next(self.now).expect("a look is to come") - self.now
        }

        /// Waits for the next look and begins it: neither earlier, nor a second one.
        fn begin_look(&mut self) {
            let pause = self.pause();
            if let Some(earlier) = pause.checked_sub(Duration::from_millis(1)) {
                assert_eq!(self.conditions.begin(self.now + earlier), []);
            }
            self.now += pause;
            assert_eq!(self.conditions.begin(self.now), [name(0)]);
            assert_eq!((self.conditions.begin(self.now), self.conditions.under_way()), (Vec::new(), 1));
            assert!(matches!(self.state(), State::Looked(_)));
        }

        fn ask(&mut self) -> Receiver<Result<()>> {
            let (asker, found) = mpsc::sync_channel(1);
            self.conditions.asked(name(0), asker, self.now);
            found
        }
    }

    #[test]
    fn it_goes_from_healthy_to_unavailable_to_returning_to_healthy() {
        let mut site = Site::new();
        site.fail();
        assert!(matches!(site.state(), State::Waits(_)), "unavailable");
        assert_eq!(site.pause(), Duration::ZERO, "it is looked at at once");
        site.begin_look();
        site.end_look(&error(), MIDDLE);
        assert!(matches!(site.state(), State::Waits(_)), "unavailable still");
        site.begin_look();
        site.conditions.found_well(&name(0));
        assert!(matches!(site.state(), State::Returning(_)));
        // Its chats cannot come home: it is not.
        site.end_look(&error(), MIDDLE);
        assert!(matches!(site.state(), State::Waits(_)), "unavailable again");
        site.begin_look();
        site.conditions.found_well(&name(0));
        // It fails on the way, and is found well all the same: then it is looked at again.
        site.fail();
        site.end_look(&Ok(()), MIDDLE);
        assert!(matches!(site.state(), State::Waits(_)), "unavailable again");
        site.begin_look();
        site.conditions.found_well(&name(0));
        site.end_look(&Ok(()), MIDDLE);
        assert_eq!(site.state(), State::Healthy);
        assert_eq!((site.conditions.next(site.now), site.conditions.under_way()), (None, 0));
        // What comes late changes nothing.
        site.conditions.found_well(&name(0));
        assert_eq!(site.state(), State::Healthy);
    }

    #[test]
    fn pauses_grow_spread_and_begin_anew_only_after_a_minimum_stay() {
        let mut site = Site::new();
        site.fail();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            site.begin_look();
            // Whoever meets the failure meanwhile makes the pause no longer.
            (0..10).for_each(|_| site.conditions.failed(name(0), site.now, MIDDLE));
            site.end_look(&error(), MIDDLE);
            pauses.push(site.pause().as_millis());
        }
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        let spread = [0.0, 1.0].map(|chance| {
            site.begin_look();
            site.end_look(&error(), chance);
            site.pause()
        });
        assert_eq!(spread, [24, 36].map(Duration::from_secs), "a fifth each way");
        let come_and_stay = |site: &mut Site, seconds| {
            site.begin_look();
            site.end_look(&Ok(()), MIDDLE);
            site.pass(seconds);
            site.fail();
            site.pause()
        };
        assert_eq!(come_and_stay(&mut site, 59.0), Duration::from_secs(30), "it comes and goes");
        assert_eq!(come_and_stay(&mut site, 60.0), Duration::ZERO, "it stayed");
    }

    #[test]
    fn whoever_asks_is_answered_by_a_look_that_began_after_that() {
        let mut site = Site::new();
        site.fail();
        for _ in 0..5 {
            site.begin_look();
            site.end_look(&error(), MIDDLE);
        }
        let early = site.ask();
        assert_eq!(site.pause(), Duration::ZERO, "however short ago it was looked at");
        site.begin_look();
        let late = site.ask();
        site.end_look(&error(), MIDDLE);
        assert!(early.try_recv().unwrap().is_err());
        assert!(late.try_recv().is_err(), "the file may have been put back during the look");
        site.begin_look();
        site.end_look(&Ok(()), MIDDLE);
        assert!(late.try_recv().unwrap().is_ok());
    }

    #[test]
    fn looks_at_disks_that_do_not_answer_keep_no_other_source_waiting() {
        let mut site = Site::new();
        (0..MOST_LOOKS + 2).for_each(|number| site.conditions.failed(name(number), site.now, MIDDLE));
        let begun = site.conditions.begin(site.now);
        assert_eq!(begun.len(), MOST_LOOKS);
        assert_eq!(site.conditions.begin(site.now), [], "so many at once");
        assert_eq!(site.pause(), HANGS, "when a place is free at the latest");
        // None of them ends.
        site.now += HANGS;
        assert_eq!(site.conditions.begin(site.now).len(), 2);
        assert_eq!(site.conditions.under_way(), MOST_LOOKS + 2, "each holds one");
        // They are not begun a second time, however long they take.
        site.pass(3_600.0);
        assert_eq!(site.conditions.begin(site.now), []);
        site.conditions.looked(&begun[0], &error(), site.now, MIDDLE);
        site.pass(60.0);
        assert_eq!(site.conditions.begin(site.now), [begun[0].clone()], "once it ends it goes on");
    }
}
