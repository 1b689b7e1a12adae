//! Being told by the system that something happened to the files. It makes the watching faster and is never relied on:
//! a network folder tells nothing, a limit may be reached, and a folder that is replaced takes its watch with it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{ErrorKind, Event, RecursiveMode, Watcher};

use super::worker::Order;

/// What is called with each event.
pub(super) type Handler = Box<dyn FnMut(notify::Result<Event>) + Send>;
type System = Box<dyn Watcher + Send>;
/// Connects to what tells of changes.
pub(super) type Connect = fn(Handler) -> notify::Result<System>;

/// What the system offers.
pub(super) fn of_the_system(handler: Handler) -> notify::Result<System> {
    Ok(Box::new(notify::recommended_watcher(handler)?))
}

/// The folders of the files, watched as far as the system does that.
pub(super) struct Wakeups {
    system: Option<System>,
    folders: Vec<Folder>,
    flags: Arc<Flags>,
    told: bool,
}

struct Folder {
    path: PathBuf,
    /// Its device and inode when its watch was set up, or found to be impossible.
    watched: Option<(u64, u64)>,
}

#[derive(Default)]
struct Flags {
    /// A look is ordered and was not made yet: however much happens, one is enough.
    ordered: AtomicBool,
    /// A folder was removed or moved, and its watch with it. A new folder may well get the inode of the old one.
    lost: AtomicBool,
}

impl Wakeups {
    pub(super) fn new(files: &[PathBuf], orders: Sender<Order>, connect: Connect) -> Self {
        let mut folders: Vec<Folder> = Vec::new();
        let mut names = HashSet::new();
        for file in files {
            // Events carry absolute paths.
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            let (Some(path), Some(name)) = (file.parent(), file.file_name()) else { continue };
            names.insert(name.to_owned());
            if folders.iter().all(|folder| folder.path != path) {
                folders.push(Folder { path: path.to_owned(), watched: None });
            }
        }
        let flags = Arc::new(Flags::default());
        let paths = folders.iter().map(|folder| folder.path.clone()).collect();
        let mut wakeups = Self { system: None, folders, flags: Arc::clone(&flags), told: false };
        if !wakeups.folders.is_empty() {
            match connect(handler(names, paths, flags, orders)) {
                Ok(system) => wakeups.system = Some(system),
                Err(error) => wakeups.tell(&error),
            }
        }
        wakeups
    }

    /// Before the files are looked at: what happens from now on orders another look, also in a folder that was replaced.
    pub(super) fn renew(&mut self) {
        self.flags.ordered.store(false, Ordering::SeqCst);
        let lost = self.flags.lost.swap(false, Ordering::SeqCst);
        let Some(system) = &mut self.system else { return };
        let mut failed = None;
        for Folder { path, watched } in &mut self.folders {
            let found = fs::metadata(&*path).ok().map(|found| (found.dev(), found.ino()));
            if found == *watched && !lost {
                continue;
            }
            // Where the old folder is gone, so is its watch.
            let _ = system.unwatch(path);
            *watched = found;
            if found.is_none() {
                continue;
            }
            match system.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                // It went away in between, and may come back.
                Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => *watched = None,
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            self.tell(&error);
        }
    }

    fn tell(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(%error, "the system does not tell of changes to the configuration; it is looked at every second");
        }
    }
}

impl fmt::Debug for Wakeups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakeups").field("works", &self.system.is_some()).finish_non_exhaustive()
    }
}

fn handler(names: HashSet<OsString>, folders: HashSet<PathBuf>, flags: Arc<Flags>, orders: Sender<Order>) -> Handler {
    Box::new(move |event| {
        let event = match event {
            Ok(event) => event,
            // Something was missed.
            Err(_) => Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan),
        };
        let lost = is_end(event.kind) && event.paths.iter().any(|path| folders.contains(path));
        if lost {
            flags.lost.store(true, Ordering::SeqCst);
        }
        let concerned = |path: &Path| path.file_name().is_some_and(|name| names.contains(name));
        let matters =
            event.need_rescan() || (!is_reading(event.kind) && event.paths.iter().any(|path| concerned(path)));
        if (lost || matters) && !flags.ordered.swap(true, Ordering::SeqCst) {
            // Where nobody listens any more, nothing is to be done.
            let _ = orders.send(Order::Look);
        }
    })
}

/// Whether it is the end of a folder by this name.
fn is_end(kind: EventKind) -> bool {
    matches!(kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)))
}

/// Whether nothing was written: the bot's own reading would order a look otherwise.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
