//! Tests of the permits for descriptors: who has to give way, and that nobody waits in vain or gets too much.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

/// Who has left, in order.
type Names = Arc<Mutex<Vec<u32>>>;

const LONG: Duration = Duration::from_secs(60);

/// Somebody with a permit, who notes when it is taken.
struct Guest {
    name: u32,
    was_used: AtomicBool,
    is_in_use: AtomicBool,
    permit: Mutex<Option<Permit>>,
    left: Names,
}

impl Tenant for Guest {
    fn was_used(&self) -> bool {
        self.was_used.swap(false, Ordering::Relaxed)
    }

    fn leave(self: Arc<Self>) -> Leaving {
        if self.is_in_use.load(Ordering::Relaxed) {
            return Leaving::InUse;
        }
        let Some(permit) = self.permit.lock().take() else { return Leaving::Gone };
        Leaving::Now(Box::new(move || {
            self.left.lock().push(self.name);
            drop(permit);
        }))
    }
}

/// So many guests who fill the house.
fn full(count: u32) -> (Arc<Budget>, Vec<Arc<Guest>>, Names) {
    let budget = Budget::of(u64::from(count) * WRITER);
    let left = Names::default();
    let guests: Vec<_> = (0..count)
        .map(|name| {
            let permit = budget.room(WRITER, Instant::now() + LONG).unwrap();
            let [was_used, is_in_use] = [false, false].map(AtomicBool::new);
            let permit = Mutex::new(Some(permit));
            Arc::new(Guest { name, was_used, is_in_use, permit, left: Arc::clone(&left) })
        })
        .collect();
    for guest in &guests {
        let weak = Arc::downgrade(guest);
        budget.enter(weak);
    }
    (budget, guests, left)
}

#[test]
fn who_was_used_has_a_second_chance_and_who_is_in_use_never_leaves() {
    let (budget, guests, left) = full(4);
    guests[0].was_used.store(true, Ordering::Relaxed);
    guests[1].is_in_use.store(true, Ordering::Relaxed);
    while let Some(close) = budget.next_to_leave() {
        close();
    }
    assert_eq!(*left.lock(), [2, 3, 0]);
    assert_eq!(budget.used(), WRITER);
    guests[1].is_in_use.store(false, Ordering::Relaxed);
    budget.next_to_leave().unwrap()();
    assert_eq!((left.lock().pop(), budget.used()), (Some(1), 0));
}

#[test]
fn room_is_made_for_whoever_waits_and_where_all_are_in_use_the_wait_ends() {
    let (budget, guests, left) = full(2);
    for guest in &guests {
        guest.is_in_use.store(true, Ordering::Relaxed);
    }
    assert!(budget.room(WRITER, Instant::now() + Duration::from_millis(30)).is_none());
    assert!(left.lock().is_empty());
    guests[1].is_in_use.store(false, Ordering::Relaxed);
    let _permit = budget.room(WRITER, Instant::now() + LONG).unwrap();
    assert_eq!(*left.lock(), [1]);
}

#[test]
fn further_readers_leave_a_quarter_for_others() {
    let budget = Budget::of(40);
    let readers: Vec<_> = std::iter::from_fn(|| budget.spare(READER)).collect();
    assert_eq!((readers.len() as u64 * READER, budget.used()), (30, 30));
    assert!(budget.earned(READER).is_none(), "not even who asks again and again has of that quarter");
    assert!(budget.room(WRITER, Instant::now()).is_some());
    drop(readers);
    assert_eq!(budget.used(), 0);
}

#[test]
fn who_asks_again_and_again_has_a_reader_from_who_was_not_used_for_longest() {
    let (budget, _guests, left) = full(4);
    assert!(budget.spare(READER).is_none());
    let until = Instant::now() + LONG;
    let earned =
        || std::iter::repeat_with(|| budget.earned(READER)).take_while(|_| Instant::now() < until).flatten().next();
    let readers: Vec<_> = (0..2).filter_map(|_| earned()).collect();
    assert_eq!((readers.len(), left.lock().first()), (2, Some(&0)));
    assert!(budget.earned(READER).is_none(), "those who asked again and again have a quarter");
    drop(readers);
    assert!(budget.earned(READER).is_some());
}

#[test]
fn who_asks_again_and_again_has_a_reader_whatever_others_took_while_there_was_enough() {
    let budget = Budget::of(48);
    // A quarter, and what is not kept for others is filled with sources.
    let spare: Vec<_> = (0..6).filter_map(|_| budget.spare(READER)).collect();
    let sources: Vec<_> = (0..6).filter_map(|_| budget.room(WRITER, Instant::now())).collect();
    assert_eq!((spare.len(), sources.len(), budget.used()), (6, 6, 36));
    assert!(budget.spare(READER).is_none());
    let earned: Vec<_> = std::iter::from_fn(|| budget.earned(READER)).collect();
    assert_eq!(earned.len() as u64 * READER, 12, "a quarter as well");
    drop((spare, sources, earned));
    assert_eq!(budget.used(), 0);
}

#[test]
fn many_at_once_never_have_more_than_there_is_and_each_gets_some() {
    const PERMITS: u64 = 5 * WRITER;
    let budget = Budget::of(PERMITS);
    let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let permit = budget.room(WRITER, Instant::now() + LONG).unwrap();
                    most.fetch_max(now.fetch_add(WRITER, Ordering::SeqCst) + WRITER, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(WRITER, Ordering::SeqCst);
                    drop(permit);
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= PERMITS);
    assert_eq!(budget.used(), 0);
}
