//! What a source's own file remembers of chats that were moved into it, so that a default source which was restored from
//! before such a move is found out.
//!
//! Where a chat was moved is one row in the default source. A copy of that source from before the move has no such row,
//! and has the chat's old rows: they would be served as if nothing had been written since. So each move of a chat has a
//! number, counted in the default source (`moves:CHAT` in `switchyard_meta`, in the transaction that decides the move),
//! and the file that the chat went to keeps it beside what the configuration said then (`here:CHAT`). A mark with a
//! greater number than the default source has counted is of a move that it knows nothing of. If the configuration still
//! says what it said then (or at a move before), and the routes lead elsewhere, nobody can say where the chat is to go on,
//! and its calls fail until an operator has said it.
//!
//! The data directory remembers how many moves there were. Where the default source counts fewer, all sources are opened
//! before the first call, so that their marks are known.

mod marks;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::control::Control;
use super::datasource_router::{DataSourceRouter, Plan};
use super::said::Said;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::ChatId;
use crate::route::SourceName;
use crate::source::{Database, Source, SourceConfig, WriteTx};

pub(super) use marks::{count, read_arrivals, read_counted};

use marks::write;

/// A move that brought a chat into a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// Counts the chat's moves.
    pub(super) number: u64,
    /// What the configuration said of the chat then, and at moves before.
    pub(super) file_said: Said,
}

/// The marks of a file.
pub(super) type Arrivals = BTreeMap<ChatId, Arrival>;

/// A chat that a file says was moved into it, of which the default source knows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dispute {
    /// Where the routes lead.
    pub(super) home: SourceName,
    /// Where the file says that the chat is.
    pub(super) place: SourceName,
    pub(super) number: u64,
}

/// What the files of sources say of chats that have come.
#[derive(Default)]
pub(super) struct Arrived {
    known: Mutex<Known>,
    /// Whether any chat is disputed.
    is_disputed: AtomicBool,
    /// Whether the default source counts fewer moves than there were.
    is_behind: AtomicBool,
}

#[derive(Default)]
struct Known {
    /// The numbers of the default source; `None` while it was never read.
    counted: Option<BTreeMap<ChatId, u64>>,
    /// What the files say that were opened.
    arrivals: HashMap<SourceName, Arrivals>,
    disputes: BTreeMap<ChatId, Dispute>,
}

impl Known {
    /// How many moves the default source has counted in all, where it has counted each that files tell of.
    fn all_counted(&self) -> Option<u64> {
        let counted = self.counted.as_ref()?;
        let is_counted =
            |(chat, arrival): (&ChatId, &Arrival)| counted.get(chat).is_some_and(|all| *all >= arrival.number);
        self.arrivals.values().flatten().all(is_counted).then(|| counted.values().sum())
    }
}

impl Dispute {
    /// What stands against serving the chat, and what to do.
    pub(super) fn reason(&self, chat: ChatId) -> String {
        let Self { home, place, .. } = self;
        format!(
            "the chat {chat} was moved to `{place}`, and the default source knows nothing of that, as if it were restored \
             from before; go on with what is in `{place}` by `bot db move {chat} --to {place}`, or with what is in `{home}` \
             by `bot db move {chat} --to {home}`"
        )
    }
}

impl Arrived {
    /// Whether a chat that is led to this source can be served there.
    pub(super) fn check(&self, op: &'static str, chat: ChatId, home: &SourceName) -> Result<()> {
        if !self.is_disputed.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.dispute(chat) {
            Some(dispute) if dispute.place != *home => {
                Err(Error::new(op, home, ErrorKind::SourceUnavailable { reason: dispute.reason(chat) }))
            }
            _ => Ok(()),
        }
    }

    /// What is disputed of a chat.
    pub(super) fn dispute(&self, chat: ChatId) -> Option<Dispute> {
        self.known.lock().disputes.get(&chat).cloned()
    }

    /// All disputed chats.
    pub(super) fn disputes(&self) -> BTreeMap<ChatId, Dispute> {
        self.known.lock().disputes.clone()
    }

    /// The default source has counted these moves. Answers how many there were in all.
    pub(super) fn learned(&self, counted: BTreeMap<ChatId, u64>) -> u64 {
        let all = counted.values().sum();
        self.known.lock().counted = Some(counted);
        all
    }

    /// The default source counts fewer moves than there were.
    pub(super) fn has_fallen_behind(&self) {
        self.is_behind.store(true, Ordering::Release);
    }

    /// Whether that is so, asked once.
    pub(super) fn take_behind(&self) -> bool {
        self.is_behind.swap(false, Ordering::AcqRel)
    }

    /// The number of a chat's next move.
    pub(super) fn next(&self, chat: ChatId) -> u64 {
        let known = self.known.lock();
        let counted = known.counted.as_ref().and_then(|counted| counted.get(&chat)).copied();
        let marked = known.arrivals.values().filter_map(|arrivals| arrivals.get(&chat)).map(|arrival| arrival.number);
        marked.chain(counted).max().unwrap_or_default() + 1
    }

    /// The default source has counted a move. Answers how many there were in all.
    pub(super) fn counted(&self, chat: ChatId, number: u64) -> u64 {
        let known = &mut *self.known.lock();
        let counted = known.counted.get_or_insert_default();
        counted.insert(chat, number);
        counted.values().sum()
    }

    /// Finds out what is disputed, after routes or files have changed.
    pub(super) fn settle(&self, plan: &Plan, aliases: &HashMap<ChatId, ChatId>) {
        let known = &mut *self.known.lock();
        if known.arrivals.values().all(BTreeMap::is_empty) && known.disputes.is_empty() {
            return;
        }
        let Known { counted, arrivals, disputes } = known;
        let before = std::mem::take(disputes);
        // Until the default source was read, its routes are not known either.
        if let Some(counted) = counted {
            *disputes = disputed(plan, aliases, counted, arrivals);
        }
        for (chat, dispute) in disputes.iter().filter(|(chat, _)| !before.contains_key(chat)) {
            let Dispute { home, place, .. } = dispute;
            tracing::error!(target: "database::audit", %chat, %home, %place, "a chat was moved, of which the default source knows nothing; its calls fail until `bot db move` settles it");
        }
        self.is_disputed.store(!disputes.is_empty(), Ordering::Release);
    }

    /// The marks of a file that are of no use any more: the chat has left since.
    fn outdated(
        &self,
        plan: &Plan,
        aliases: &HashMap<ChatId, ChatId>,
        place: &SourceName,
        marks: &Arrivals,
    ) -> Vec<ChatId> {
        let known = self.known.lock();
        let Some(counted) = &known.counted else { return Vec::new() };
        let is_over = |(chat, arrival): &(&ChatId, &Arrival)| {
            home(plan, aliases, **chat) != place && counted.get(*chat).is_some_and(|known| *known >= arrival.number)
        };
        marks.iter().filter(is_over).map(|(chat, _)| *chat).collect()
    }
}

/// Where the routes lead a chat.
fn home<'a>(plan: &'a Plan, aliases: &HashMap<ChatId, ChatId>, chat: ChatId) -> &'a SourceName {
    plan.route(chat, aliases).map_or(&plan.config.default_source, |(name, _)| name)
}

/// The chats that files say were moved into them, while the routes lead elsewhere and nothing else explains that.
pub(super) fn disputed(
    plan: &Plan,
    aliases: &HashMap<ChatId, ChatId>,
    counted: &BTreeMap<ChatId, u64>,
    arrivals: &HashMap<SourceName, Arrivals>,
) -> BTreeMap<ChatId, Dispute> {
    let mut latest: BTreeMap<ChatId, (&SourceName, &Arrival)> = BTreeMap::new();
    for (place, marks) in arrivals.iter().filter(|(place, _)| plan.config.sources.contains_key(*place)) {
        for (chat, arrival) in marks {
            let one = latest.entry(*chat).or_insert((place, arrival));
            if arrival.number > one.1.number {
                *one = (place, arrival);
            }
        }
    }
    let dispute = |(chat, (place, arrival)): (ChatId, (&SourceName, &Arrival))| {
        let home = home(plan, aliases, chat);
        let is_known = counted.get(&chat).is_some_and(|known| *known >= arrival.number);
        let says_the_same = arrival.file_said.includes(plan.config.chat_mapping.get(&chat));
        (home != place && !is_known && says_the_same).then(|| {
            let (home, place) = (home.clone(), place.clone());
            (chat, Dispute { home, place, number: arrival.number })
        })
    };
    latest.into_iter().filter_map(dispute).collect()
}

impl DataSourceRouter {
    /// Takes notice of what a source's file says of chats that have come, before the first call uses it, and takes marks
    /// away that are over.
    pub(super) fn heed_arrivals(&self, config: &SourceConfig, database: &Database, deadline: Instant) -> Result<()> {
        const OP: &str = "arrived.heed_arrivals";
        let place = &config.name;
        let mut marks = database.read(OP, deadline, read_arrivals)?;
        if marks.is_empty() {
            return Ok(());
        }
        let aliases = self.aliases.all();
        let outdated = self.with_plan(|plan| self.arrived.outdated(plan, &aliases, place, &marks));
        if !outdated.is_empty() && !config.readonly {
            let take_away = |tx: &mut WriteTx<'_>| outdated.iter().try_for_each(|chat| write(tx, *chat, None));
            match database.write(OP, deadline, None, take_away) {
                Ok(()) => outdated.iter().for_each(|chat| drop(marks.remove(chat))),
                Err(error) => tracing::warn!(source = %place, %error, "marks of chats that have left again stay"),
            }
        }
        self.with_plan(|plan| {
            self.arrived.known.lock().arrivals.insert(place.clone(), marks);
            self.arrived.settle(plan, &aliases);
        });
        Ok(())
    }

    /// The default source has counted these moves. Answers whether the data directory remembers more.
    pub(super) fn learned_moves(&self, counted: BTreeMap<ChatId, u64>) -> bool {
        let all = self.arrived.learned(counted);
        let aliases = self.aliases.all();
        self.with_plan(|plan| self.arrived.settle(plan, &aliases));
        self.lock.lock().as_ref().is_some_and(|lock| lock.moves() > all)
    }

    /// After the default source was found to count fewer moves than there were: whether all others were asked for what they
    /// say. Where none of them knows of a move that the default source does not, all of them are older.
    pub(super) fn asked_for_arrivals(&self, are_asked: bool) {
        let all = self.arrived.known.lock().all_counted().filter(|_| are_asked);
        if let (Some(all), Some(lock)) = (all, &mut *self.lock.lock()) {
            tracing::info!("all sources were asked, and none knows of a move that the default source does not");
            lock.remember_moves(all);
        }
    }

    /// A chat was moved to this source, and the default one has counted that. Its file remembers it, on disk, before
    /// anything is deleted elsewhere.
    pub(super) fn has_arrived(&self, chat: ChatId, number: u64, place: &Arc<Source>) -> Result<()> {
        let all = self.arrived.counted(chat, number);
        if let Some(lock) = &mut *self.lock.lock() {
            lock.remember_moves(all);
        }
        let is_default = self.with_plan(|plan| plan.config.default_source == *place.name());
        if !is_default {
            let file_said = self.with_plan(|plan| match plan.recorded.get(&chat) {
                Some(recorded) => recorded.file_said.clone(),
                None => Said::default().and(plan.config.chat_mapping.get(&chat)),
            });
            self.note_arrival(chat, place, Some(Arrival { number, file_said }))?;
        }
        Ok(())
    }

    /// Makes certain that the file of the source that a chat was moved to remembers it, before its old rows go: a crash
    /// may have come in between.
    pub(super) fn confirm_arrival(&self, chat: ChatId, place: &Arc<Source>) -> Result<()> {
        let number = {
            let known = self.arrived.known.lock();
            let counted = known.counted.as_ref().and_then(|counted| counted.get(&chat)).copied();
            let noted = known.arrivals.get(place.name()).and_then(|marks| marks.get(&chat)).map(|mark| mark.number);
            counted.filter(|counted| noted.is_none_or(|noted| noted < *counted))
        };
        number.map_or(Ok(()), |number| self.has_arrived(chat, number, place))
    }

    /// A chat has left a source again.
    pub(super) fn has_gone(&self, chat: ChatId, place: &Arc<Source>) {
        let is_marked = {
            let known = self.arrived.known.lock();
            known.arrivals.get(place.name()).is_some_and(|marks| marks.contains_key(&chat))
        };
        if is_marked
            && !place.config().readonly
            && let Err(error) = self.note_arrival(chat, place, None)
        {
            // It is outdated by its number, and goes with the next opening.
            tracing::warn!(source = %place.name(), %chat, %error, "the mark of a chat that has left stays");
        }
    }

    fn note_arrival(&self, chat: ChatId, place: &Arc<Source>, arrival: Option<Arrival>) -> Result<()> {
        let deadline = Instant::now() + place.config().timeout;
        place.write_alone("arrived.note", deadline, |tx| write(tx, chat, arrival.as_ref()))?;
        let aliases = self.aliases.all();
        self.with_plan(|plan| {
            let mut known = self.arrived.known.lock();
            let marks = known.arrivals.entry(place.name().clone()).or_default();
            match arrival {
                None => marks.remove(&chat),
                Some(arrival) => marks.insert(chat, arrival),
            };
            drop(known);
            self.arrived.settle(plan, &aliases);
        });
        Ok(())
    }
}

impl Control {
    /// Takes it for settled that these chats go on where they are led: what other files say of them is outdated.
    pub(super) fn go_on_here(&self, chats: &[ChatId], home: &SourceName) -> Result<()> {
        let disputes = self.router.arrived.disputes();
        let numbers: Vec<_> = chats
            .iter()
            .filter_map(|chat| Some((*chat, disputes.get(chat).filter(|dispute| dispute.home == *home)?.number)))
            .collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let shared = Arc::clone(&self.router.table().sources[0]);
        shared.write("arrived.go_on_here", None, |tx| {
            numbers.iter().try_for_each(|(chat, number)| count(tx, *chat, *number))
        })?;
        for (chat, number) in numbers {
            self.router.arrived.counted(chat, number);
        }
        let aliases = self.router.aliases.all();
        self.router.with_plan(|plan| self.router.arrived.settle(plan, &aliases));
        Ok(())
    }
}
