//! The watch on its thread, and the system's own events, in real time.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use database::DatabaseConfig;
use notify::event::{AccessKind, AccessMode, CreateKind, DataChange, EventKind, ModifyKind, RemoveKind};
use tempfile::TempDir;

use super::super::changes::Pace;
use super::super::wakeups::{Connect, Handler, Wakeups, of_the_system};
use super::super::worker::Order;
use super::super::{Outcome, Watch};
use super::{deaf, out_of_order, text};
use crate::load::Layers;

fn layers(folder: &Path) -> Layers {
    Layers { files: vec![folder.join("bot.toml")], ..Layers::default() }
}

fn start(folder: &Path, connect: Connect, pace: Pace) -> (Watch, Receiver<DatabaseConfig>) {
    let layers = layers(folder);
    let current = layers.load().unwrap();
    let (applied, received) = mpsc::channel();
    let apply = move |config: &crate::Config| applied.send(config.database.clone()).map_err(|error| error.to_string());
    (Watch::start_with(layers, current, pace, connect, Box::new(apply)).unwrap(), received)
}

#[test]
fn without_the_systems_help_a_change_is_in_force_within_three_seconds_and_once() {
    let both = [out_of_order as Connect, deaf].map(|connect| {
        std::thread::spawn(move || {
            let folder = TempDir::new().unwrap();
            let file = folder.path().join("bot.toml");
            fs::write(&file, text("")).unwrap();
            let (watch, applied) = start(folder.path(), connect, Pace::STEADY);
            for chat in ["-1002", "-1003"] {
                // The poll is anywhere in its second.
                assert!(applied.recv_timeout(Duration::from_millis(700)).is_err());
                fs::write(&file, text(&format!("{chat} = \"archive\""))).unwrap();
                let found = applied.recv_timeout(Duration::from_secs(3)).unwrap();
                assert_eq!(found, layers(folder.path()).load().unwrap().database);
            }
            assert!(applied.recv_timeout(Duration::from_secs(2)).is_err());
            assert_eq!(watch.last().unwrap().outcome, Outcome::Applied);
        })
    });
    for one in both {
        one.join().unwrap();
    }
}

#[test]
fn a_watch_that_is_dropped_ends_at_once_and_applies_nothing_more() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("bot.toml"), text("")).unwrap();
    let (watch, applied) =
        start(folder.path(), of_the_system, Pace { poll: Duration::from_secs(3600), ..Pace::STEADY });
    assert_eq!(watch.reload_now().outcome, Outcome::Unchanged);
    fs::write(folder.path().join("bot.toml"), text("-1002 = \"archive\"")).unwrap();
    let before = Instant::now();
    watch.stop();
    assert!(before.elapsed() < Duration::from_secs(1));
    assert!(applied.recv().is_err(), "what applied it is gone as well");
}

#[test]
fn a_watch_can_be_dropped_by_what_it_calls() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("bot.toml"), text("")).unwrap();
    let layers = layers(folder.path());
    let held: Arc<Mutex<Option<Watch>>> = Arc::default();
    let (holder, (done, finished)) = (Arc::clone(&held), mpsc::channel());
    let apply = move |_: &crate::Config| {
        drop(holder.lock().unwrap().take());
        done.send(()).map_err(|error| error.to_string())
    };
    let watch = Watch::start(layers.clone(), layers.load().unwrap(), apply).unwrap();
    *held.lock().unwrap() = Some(watch);
    fs::write(folder.path().join("bot.toml"), text("-1002 = \"archive\"")).unwrap();
    finished.recv_timeout(Duration::from_secs(3)).unwrap();
    assert!(finished.recv_timeout(Duration::from_secs(3)).is_err(), "its thread has ended");
}

/// Hands the handler out, so that a test can play the system.
fn handler_of(files: &[std::path::PathBuf]) -> (Wakeups, Handler, Receiver<Order>) {
    static HANDLER: Mutex<Option<Handler>> = Mutex::new(None);
    fn keep(handler: Handler) -> notify::Result<Box<dyn notify::Watcher + Send>> {
        *HANDLER.lock().unwrap() = Some(handler);
        deaf(Box::new(|_| {}))
    }
    let (orders, received) = mpsc::channel();
    let wakeups = Wakeups::new(files, orders, keep);
    let handler = HANDLER.lock().unwrap().take().unwrap();
    (wakeups, handler, received)
}

#[test]
fn only_what_happens_to_the_files_themselves_orders_a_look_and_one_look_is_enough() {
    let folder = TempDir::new().unwrap();
    let (mut wakeups, mut handler, orders) = handler_of(&[folder.path().join("bot.toml")]);
    let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    let mut event = |kind, name| handler(Ok(notify::Event::new(kind).add_path(folder.path().join(name))));
    for name in ["bot.db", "bot.db-wal", "bot.toml.swp", ".bot.toml"] {
        event(written, name);
        event(EventKind::Create(CreateKind::File), name);
        event(EventKind::Remove(RemoveKind::File), name);
    }
    event(EventKind::Access(AccessKind::Open(AccessMode::Any)), "bot.toml");
    event(EventKind::Access(AccessKind::Close(AccessMode::Read)), "bot.toml");
    assert!(orders.try_recv().is_err());
    for kind in [
        written,
        EventKind::Access(AccessKind::Close(AccessMode::Write)),
        EventKind::Create(CreateKind::File),
        EventKind::Remove(RemoveKind::File),
    ] {
        event(kind, "bot.toml");
        event(kind, "bot.toml");
        assert!(matches!(orders.try_recv(), Ok(Order::Look)), "{kind:?}");
        assert!(orders.try_recv().is_err());
        wakeups.renew();
    }
    event(EventKind::Remove(RemoveKind::Folder), "");
    assert!(orders.try_recv().is_ok());
    wakeups.renew();
    handler(Ok(notify::Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan)));
    assert!(orders.try_recv().is_ok(), "events were lost");
    wakeups.renew();
    handler(Err(notify::Error::generic("something")));
    assert!(orders.try_recv().is_ok());
}

#[test]
fn the_system_tells_of_changes_in_a_folder_that_was_replaced() {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("configs");
    let file = folder.join("bot.toml");
    let other = root.path().join("other");
    fs::create_dir(&folder).unwrap();
    let (orders, received): (Sender<Order>, _) = mpsc::channel();
    let mut wakeups = Wakeups::new(std::slice::from_ref(&file), orders, of_the_system);
    let look = || received.recv_timeout(Duration::from_secs(3)).unwrap();
    wakeups.renew();
    fs::write(&file, "1").unwrap();
    look();
    for _ in 0..10 {
        renewed(&mut wakeups, &received);
        // Deleted and made again, perhaps with the same inode.
        fs::remove_dir_all(&folder).unwrap();
        look();
        fs::create_dir(&folder).unwrap();
        renewed(&mut wakeups, &received);
        fs::write(&file, "2").unwrap();
        look();
        renewed(&mut wakeups, &received);
        // Renamed away, and another one put in its place.
        fs::create_dir(&other).unwrap();
        fs::rename(&folder, root.path().join("old")).unwrap();
        fs::rename(&other, &folder).unwrap();
        renewed(&mut wakeups, &received);
        fs::write(&file, "3").unwrap();
        look();
        fs::remove_dir_all(root.path().join("old")).unwrap();
    }
}

#[test]
fn the_system_tells_of_changes_behind_a_link_that_was_swapped() {
    let root = TempDir::new().unwrap();
    let linked = root.path().join("linked");
    let (orders, received): (Sender<Order>, _) = mpsc::channel();
    let mut wakeups = Wakeups::new(&[linked.join("bot.toml")], orders, of_the_system);
    for name in ["one", "other", "third"] {
        fs::create_dir(root.path().join(name)).unwrap();
        symlink(name, root.path().join("next")).unwrap();
        fs::rename(root.path().join("next"), &linked).unwrap();
        renewed(&mut wakeups, &received);
        fs::write(root.path().join(name).join("bot.toml"), name).unwrap();
        received.recv_timeout(Duration::from_secs(3)).unwrap();
    }
}

/// The folder is watched, and what happened before is told.
fn renewed(wakeups: &mut Wakeups, orders: &Receiver<Order>) {
    loop {
        wakeups.renew();
        if orders.recv_timeout(Duration::from_millis(100)).is_err() {
            return;
        }
    }
}
