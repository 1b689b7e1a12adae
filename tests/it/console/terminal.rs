//! A session in a terminal, made of the kernel's pseudo-terminals.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use rustix::fs::OFlags;
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::program::{Home, PATIENCE, until};

/// A terminal with a bot in it, seen from the keyboard and the screen.
struct Session {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// The terminal's own side, open so that its modes can be looked at when the bot is gone.
    line: File,
    /// The terminal's modes before the bot had it.
    found: LocalModes,
    seen: String,
    /// How much of what was seen has been asked for.
    asked: usize,
}

impl Session {
    fn start(home: &Home, args: &[&str]) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap();
        let no_control = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
        let line = File::options().read(true).write(true).custom_flags(no_control).open(name).unwrap();
        tcsetwinsize(&line, Winsize { ws_row: 24, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let found = tcgetattr(&line).unwrap().local_modes;
        assert!(found.contains(LocalModes::ECHO | LocalModes::ICANON));
        let bot = home.bot(args);
        let mut command = Command::new(env!("CARGO_BIN_EXE_in-terminal"));
        command.arg(bot.get_program()).args(bot.get_args()).env("TERM", "xterm").env_remove("RUST_LOG");
        let [input, output, errors] = [0; 3].map(|_| line.try_clone().unwrap());
        let child = command.stdin(input).stdout(output).stderr(errors).spawn().unwrap();
        let keyboard = File::from(keyboard);
        let mut reader = keyboard.try_clone().unwrap();
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, screen, line, found, seen: String::new(), asked: 0 }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for a text to appear on the screen, behind what was waited for before.
    fn see(&mut self, text: &str) {
        // Also where something else comes all the time.
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen[self.asked..].find(text) {
                self.asked += at + text.len();
                return;
            }
            let Ok(more) = self.screen.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                panic!("`{text}` is not in {:?}", &self.seen[self.asked..])
            };
            self.seen.push_str(&String::from_utf8_lossy(&more));
        }
    }

    fn local_modes(&self) -> LocalModes {
        tcgetattr(&self.line).unwrap().local_modes
    }

    /// How it ends, with the terminal as it was found.
    fn end(mut self) -> Option<i32> {
        let mut status = None;
        until("the session ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(self.local_modes(), self.found, "the terminal's modes are not those that were found");
        status.unwrap().code()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn lines_are_typed_at_a_prompt_and_brought_back_from_the_history() {
    let home = Home::with_made();
    let mut session = Session::start(&home, &["--chat", "-1000000020001", "--user", "10001", "--name", "Ada"]);
    session.see("Using the database ");
    session.see("Type a message, /help for what I can be asked");
    session.see("chat -1000000020001 · Ada> ");
    assert!(!session.local_modes().contains(LocalModes::ICANON));
    session.press("/search tomatoes\r");
    session.see("2023-11-14 22:54 Alan Turing: Tomatoes\r\n");
    session.see("Ada> ");
    // The bars are as wide as the terminal.
    session.press("/stats 1\r");
    session.see("█\r\n");
    let bar = session.seen.lines().rev().find(|line| line.contains('█')).unwrap().trim_end();
    assert!(bar.chars().count() <= 60, "{bar}");
    session.see("Ada> ");
    session.press("\x1b[A\x1b[A\r");
    session.see("Alan Turing: Tomatoes\r\n");
    session.press(":chat 5\r");
    session.see("chat 5 · Ada> ");
    session.press("only here\r");
    session.see("chat 5 · Ada> ");
    session.press("\x04");
    assert_eq!(session.end(), Some(0));
    assert_eq!(home.texts("SELECT message_text FROM chat_messages WHERE chat_id = 5"), ["only here"]);
    let history = home.path("data/console_history");
    assert_eq!(std::fs::metadata(&history).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&history).unwrap().contains("/search tomatoes\n"));

    // The next run remembers.
    let mut session = Session::start(&home, &["-q"]);
    session.see("> ");
    session.press("\x1b[A");
    session.see("only here");
    session.press("\x03");
    session.see("> ");
    session.press(":quit\r");
    assert_eq!(session.end(), Some(0));
}

#[test]
fn a_speaker_without_a_name_has_a_prompt_all_the_same() {
    let home = Home::new();
    let mut session = Session::start(&home, &["-q"]);
    session.see("chat 1 · user 1> ");
    session.press(":user 7\r");
    session.see("chat 1 · user 7> ");
    session.press("\x03");
    session.see("(Ctrl-C again, Ctrl-D or :quit leaves)");
    session.press("\x03");
    assert_eq!(session.end(), Some(0));
}

#[test]
fn a_signal_gives_the_terminal_back_in_the_middle_of_a_line() {
    let home = Home::new();
    let mut session = Session::start(&home, &[]);
    session.see("chat 1");
    session.press("half a li");
    session.see("half a li");
    kill_process(Pid::from_child(&session.child), Signal::TERM).unwrap();
    assert_eq!(session.end(), Some(0));
    assert_eq!(home.names(), ["bot.db", "console_history"]);
    assert_eq!(home.one("SELECT COUNT(*) FROM chat_messages"), 0);
}

#[test]
fn what_is_logged_while_somebody_types_stands_above_the_line_which_is_there_again_below_it() {
    let home = Home::new();
    let mut session = Session::start(&home, &[]);
    session.see("chat 1 · user 1> ");
    session.press("half a li");
    session.see("half a li");
    std::fs::rename(home.database(), home.path("away.db")).unwrap();
    session.see("what is due could not be said");
    // Not behind what was typed, which was wiped away before.
    let line = session.seen[..session.asked].lines().last().unwrap();
    assert!(line.rsplit("half a li").next().unwrap().contains("\x1b[K"), "{line:?}");
    session.see("chat 1 · user 1> half a li");
    std::fs::rename(home.path("away.db"), home.database()).unwrap();
    session.see("what is due can be said again");
    session.see("chat 1 · user 1> half a li");
    session.press("ne\r");
    session.see("chat 1 · user 1> ");
    session.press("\x04");
    assert_eq!(session.end(), Some(0));
    assert_eq!(home.texts("SELECT message_text FROM chat_messages WHERE chat_id = 1"), ["half a line"]);
}

#[test]
fn lines_that_come_at_once_are_all_heard_in_their_order() {
    let home = Home::new();
    let mut session = Session::start(&home, &[]);
    session.see("chat 1 · user 1> ");
    session.press("burst one\rburst two\r:chat 5\rburst three\rhalf a li");
    session.see("chat 5 · user 1> ");
    session.see("half a li");
    session.press("ne\r\x04");
    assert_eq!(session.end(), Some(0));
    let heard = home.texts("SELECT chat_id || ' ' || message_text FROM chat_messages ORDER BY message_id");
    assert_eq!(heard, ["1 burst one", "1 burst two", "5 burst three", "5 half a line"]);
}

#[test]
fn what_is_typed_while_a_message_is_handled_waits_for_its_turn() {
    let home = Home::new();
    let mut session = Session::start(&home, &[]);
    session.see("chat 1 · user 1> ");
    let holder = rusqlite::Connection::open(home.database()).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    session.press("first\r");
    // Bracketed paste goes with the line.
    session.see("\x1b[?2004l");
    // Longer than a line that a terminal puts together.
    let long = "long ".repeat(1_200) + "line";
    session.press(&format!("{long}\rlast\r\x04"));
    until("it waits in the terminal", || ioctl_fionread(&session.line).unwrap() >= 4_095);
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(session.end(), Some(0));
    let heard = home.texts("SELECT message_text FROM chat_messages ORDER BY message_id");
    assert_eq!(heard, ["first", &long, "last"]);
}

#[test]
fn what_is_pasted_in_one_piece_is_one_message_without_its_last_line_break() {
    let home = Home::new();
    let mut session = Session::start(&home, &[]);
    session.see("chat 1 · user 1> ");
    session.press("\x1b[200~one line\ranother\r\x1b[201~");
    session.see("another");
    session.press("\r");
    session.see("chat 1 · user 1> ");
    session.press("\x04");
    assert_eq!(session.end(), Some(0));
    assert_eq!(home.texts("SELECT message_text FROM chat_messages"), ["one line\nanother"]);
}
