//! The socket in the data directory, whatever the length of its path.
//!
//! The address of a socket holds 107 bytes. A longer path is reached through an open handle on the folder, by way of
//! `/proc/self/fd`.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

/// The name of the socket in the data directory.
const NAME: &str = "control.sock";
/// What it is called until it can be used.
const NEW: &str = "control.sock.new";
/// How many may wait to be let in.
const BACKLOG: i32 = 32;

/// Where the socket of a data directory is.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// A listening socket and its file.
pub(super) struct Listening {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
}

impl Listening {
    /// Listens in a folder that this process is in charge of. Whatever socket is there was left behind, and is replaced.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let (path, new) = (folder.join(NAME), folder.join(NEW));
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is there"));
            }
            _ => {}
        }
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let address = Address::of(folder, NEW)?;
        bind(&socket, &address.socket)?;
        // It listens when nobody else can connect to it any more, and has its name when it listens.
        fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        listen(&socket, BACKLOG)?;
        fs::rename(&new, &path)?;
        let found = fs::symlink_metadata(&path)?;
        Ok(Self { listener: UnixListener::from(socket), path, file: (found.dev(), found.ino()) })
    }

    /// Takes the socket's file away, unless it is another's by now.
    pub(super) fn remove(&self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.file);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the control socket is left behind");
        }
    }
}

/// Connects to the socket of a folder without waiting for room.
pub(super) fn connect_in(folder: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &Address::of(folder, NAME)?.socket)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// The address of a socket, and what it needs to stay open while it is used.
struct Address {
    socket: SocketAddrUnix,
    _folder: Option<File>,
}

impl Address {
    fn of(folder: &Path, name: &str) -> io::Result<Self> {
        if let Ok(socket) = SocketAddrUnix::new(folder.join(name)) {
            return Ok(Self { socket, _folder: None });
        }
        let handle = File::open(folder)?;
        let way = Path::new("/proc/self/fd").join(handle.as_raw_fd().to_string());
        if !way.is_dir() {
            let what = "its path is longer than the 107 bytes that a socket's may have, and /proc is not there to go \
                        around that; use a shorter data_dir";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Ok(Self { socket: SocketAddrUnix::new(way.join(name))?, _folder: Some(handle) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_any_length_can_be_listened_on_and_connected_to() {
        let root = tempfile::tempdir().unwrap();
        for length in [10_usize, 90, 94, 95, 96, 97, 98, 108, 200] {
            let missing = length.saturating_sub(root.path().as_os_str().len() + 1);
            let folder = root.path().join("d".repeat(missing.max(1)));
            fs::create_dir_all(&folder).unwrap();
            let listening = Listening::open(&folder).unwrap();
            let found = fs::symlink_metadata(path_in(&folder)).unwrap();
            assert_eq!(found.mode() & 0o777, 0o600);
            assert!(!folder.join(NEW).exists());
            connect_in(&folder).unwrap();
            listening.remove();
            assert!(!path_in(&folder).exists());
            assert_eq!(connect_in(&folder).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn what_was_left_behind_is_replaced_and_what_is_no_socket_is_not() {
        let folder = tempfile::tempdir().unwrap();
        drop(Listening::open(folder.path()).unwrap());
        assert_eq!(connect_in(folder.path()).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let again = Listening::open(folder.path()).unwrap();
        connect_in(folder.path()).unwrap();
        fs::remove_file(path_in(folder.path())).unwrap();
        fs::write(path_in(folder.path()), "mine").unwrap();
        again.remove();
        assert_eq!(fs::read(path_in(folder.path())).unwrap(), b"mine");
        assert!(Listening::open(folder.path()).is_err());
        assert_eq!(fs::read(path_in(folder.path())).unwrap(), b"mine");
    }
}
