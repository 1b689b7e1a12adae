//! Well-behaved and other guests of the control socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::mpsc::{Receiver, Sender, channel};

use database::{ChatId, SourceName};
use tempfile::TempDir;

use super::*;
use crate::control::client::{Client, ClientError};
use crate::control::moves::{MoveOutcome, MoveReport, MoveRequest, MoveStep, MovesReport};
use crate::control::protocol::{Accept, Command};
use crate::control::report::{ReloadReport, RouteReport, SourceReport, StatusReport};
use crate::control::socket::connect_in;

/// Answers questions about chats, and waits at `reload` until it is told to go on.
struct Script {
    began: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Operator for Script {
    fn status(&self) -> StatusReport {
        StatusReport { running: true, generation: Some(7), ..StatusReport::default() }
    }

    fn route(&self, chat: ChatId) -> RouteReport {
        RouteReport::only(chat, &SourceName::primary())
    }

    fn retry(&self, _: &SourceName) -> Result<SourceReport, Fault> {
        panic!("as was asked for")
    }

    fn adopt(&self, source: &SourceName, what: Accept) -> Result<SourceReport, Fault> {
        Err(Fault::new(FaultKind::UnknownSource, format!("{source} {what:?}")))
    }

    /// Tells a step of each of two stages and then goes on telling until nobody listens.
    fn move_chats(
        &self,
        what: &MoveRequest,
        tell: &mut dyn FnMut(MoveStep) -> ControlFlow<()>,
    ) -> Result<MovesReport, Fault> {
        let chat = what.chats[0];
        let step = |stage: &str, done| MoveStep { chat, stage: stage.to_owned(), can_be_undone: true, done, total: 2 };
        let _ = tell(step("copying", 1));
        if what.keep {
            while tell(step("copying", 2)).is_continue() {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            self.began.send(()).unwrap();
        } else {
            let _ = tell(step("copying", 2));
            let _ = tell(step("verifying", 1));
        }
        Ok(MovesReport { moves: vec![MoveReport::of(what.chats[0], MoveOutcome::Moved)], note: None })
    }

    fn reload(&self) -> Result<ReloadReport, Fault> {
        self.began.send(()).unwrap();
        // Whoever tells may be gone.
        let _ = self.go_on.lock().recv();
        Err(Fault::new(FaultKind::NotNow, "later"))
    }
}

struct Site {
    folder: TempDir,
    server: Option<Server>,
    began: Receiver<()>,
    go_on: Sender<()>,
}

impl Site {
    fn new(patience: Duration) -> Self {
        let folder = TempDir::new().unwrap();
        let (began, begun) = channel();
        let (go_on, told) = channel();
        let operator = Arc::new(Script { began, go_on: Mutex::new(told) });
        let server = Some(Server::start_with(folder.path(), operator, patience).unwrap());
        Self { folder, server, began: begun, go_on }
    }

    fn ask(&self, command: Command) -> Result<Answer, ClientError> {
        Client::connect(self.folder.path()).unwrap().unwrap().ask(command, LONG)
    }

    /// Sends these bytes and reads what comes back.
    fn send(&self, bytes: &[u8]) -> String {
        let mut stream = connect_in(self.folder.path()).unwrap();
        // It may be hung up on before all is said.
        let _ = stream.write_all(bytes);
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    }

    fn fault(&self, command: Command) -> Fault {
        match self.ask(command).unwrap() {
            Answer::Error(fault) => fault,
            other => panic!("{other:?}"),
        }
    }
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

#[test]
fn each_question_has_its_answer() {
    let site = Site::new(LONG);
    assert!(matches!(site.ask(Command::Status).unwrap(), Answer::Status(report) if report.generation == Some(7)));
    assert!(matches!(site.ask(Command::Route { chat: -5 }).unwrap(), Answer::Route(report) if report.chat == -5));
    let adopt = |source: &str| Command::Adopt { source: source.to_owned(), accept: Accept::New };
    assert_eq!(site.fault(adopt("archive")), Fault::new(FaultKind::UnknownSource, "archive New"));
    assert_eq!(site.fault(adopt("No name")).kind, FaultKind::UnknownSource);
}

#[test]
fn whoever_asks_for_a_move_is_told_how_far_it_is_and_hanging_up_breaks_it_off() {
    let site = Site::new(LONG);
    let request = MoveRequest { chats: vec![-5], to: Some("archive".to_owned()), ..MoveRequest::default() };
    let mut told = Vec::new();
    let client = Client::connect(site.folder.path()).unwrap().unwrap();
    let answer = client.ask_and_follow(Command::Move(request.clone()), LONG, &mut |step| {
        told.extend(step.map(|step| (step.stage, step.done)));
        ControlFlow::Continue(())
    });
    assert!(matches!(answer.unwrap(), Answer::Moves(report) if report.moves.len() == 1));
    assert_eq!(
        told,
        [("copying", 1), ("verifying", 1)].map(|(stage, done)| (stage.to_owned(), done)),
        "a stage at once"
    );
    let client = Client::connect(site.folder.path()).unwrap().unwrap();
    let endless = Command::Move(MoveRequest { keep: true, ..request });
    let mut steps = 0;
    let ended = client.ask_and_follow(endless, LONG, &mut |step| {
        steps += usize::from(step.is_some());
        if steps < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert!(matches!(ended, Err(ClientError::BrokenOff { can_be_undone: true })));
    for can_be_undone in [true, false] {
        let told = ClientError::BrokenOff { can_be_undone }.to_string();
        assert!(told.contains("`bot db check`") && told.contains("repeat the move"), "{told}");
        assert_eq!(told.contains("`--abort`"), can_be_undone, "{told}");
    }
    site.began.recv_timeout(LONG).unwrap();
}

#[test]
fn a_bad_line_is_answered_with_what_is_wrong_and_never_with_what_it_holds() {
    let site = Site::new(LONG);
    let kind = |line: &str| {
        let answer: Response = serde_json::from_str(&site.send(line.as_bytes())).unwrap();
        match answer.answer {
            Answer::Error(fault) => {
                assert!(!fault.message.contains("secret"), "{fault}");
                fault.kind
            }
            other => panic!("{other:?}"),
        }
    };
    for line in [
        "\n",
        "secret\n",
        "[]\n",
        "{}\n",
        "{\"version\":\"1\"}\n",
        "{\"version\":1}\n",
        "{\"version\":1,\"command\":\"secret\"}\n",
        "{\"version\":1,\"command\":\"route\"}\n",
        "{\"version\":1,\"command\":\"route\",\"chat\":\"secret\"}\n",
        "{\"version\":1,\"command\":\"adopt\",\"source\":\"a\",\"accept\":\"secret\"}\n",
        "\u{0}\u{1}\n",
    ] {
        assert_eq!(kind(line), FaultKind::BadRequest, "{line}");
    }
    assert_eq!(kind("{\"version\":2,\"command\":\"secret\"}\n"), FaultKind::Version);
    assert_eq!(kind(&format!("{}\n", "x".repeat(LINE_LIMIT + 1))), FaultKind::BadRequest);
    assert_eq!(kind(&"secret".repeat(1 << 20)), FaultKind::BadRequest);
    assert!(matches!(site.ask(Command::Status).unwrap(), Answer::Status(_)));
}

#[test]
fn whoever_is_silent_or_slow_is_sent_away_in_time() {
    let site = Site::new(SHORT);
    let begun = Instant::now();
    let answer = site.send(b"{\"version\":1,");
    assert!(answer.contains("no whole line"), "{answer}");
    assert!(begun.elapsed() >= SHORT && begun.elapsed() < LONG);
    // A byte now and then does not make it longer.
    let stream = connect_in(site.folder.path()).unwrap();
    let mut slow = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        while slow.write_all(b"x").is_ok() {
            std::thread::park_timeout(SHORT / 10);
        }
    });
    let begun = Instant::now();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    assert!(answer.contains("no whole line") && begun.elapsed() < LONG, "{answer}");
}

#[test]
fn too_many_at_a_time_are_told_so_and_room_comes_back() {
    let site = Site::new(LONG);
    let guests: Vec<_> = (0..AT_ONCE).map(|_| connect_in(site.folder.path()).unwrap()).collect();
    assert_eq!(site.fault(Command::Status).kind, FaultKind::Busy);
    drop(guests);
    let begun = Instant::now();
    while matches!(site.ask(Command::Status).unwrap(), Answer::Error(_)) {
        assert!(begun.elapsed() < LONG, "no room came back");
    }
    // A panic gives its place back too.
    for _ in 0..2 * AT_ONCE {
        let retry = Command::Retry { source: "archive".to_owned() };
        assert!(matches!(site.ask(retry), Err(ClientError::HungUp { .. })));
    }
    assert!(matches!(site.ask(Command::Status).unwrap(), Answer::Status(_)));
}

#[test]
fn stopping_waits_for_nobody_and_takes_the_file_away() {
    let mut site = Site::new(LONG);
    let path = Server::path_in(site.folder.path());
    assert!(path.exists());
    let silent = connect_in(site.folder.path()).unwrap();
    let asking = Client::connect(site.folder.path()).unwrap().unwrap();
    let asked = std::thread::spawn(move || asking.ask(Command::Reload, LONG));
    site.began.recv_timeout(LONG).unwrap();
    let begun = Instant::now();
    site.server.take().unwrap().stop();
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    assert!(!path.exists());
    assert!(matches!(asked.join().unwrap(), Err(ClientError::HungUp { .. })));
    assert_eq!(BufReader::new(silent).read_line(&mut String::new()).unwrap(), 0);
    assert!(Client::connect(site.folder.path()).unwrap().is_none());
    site.go_on.send(()).unwrap();
}

#[test]
fn who_asks_does_not_wait_for_ever() {
    let site = Site::new(LONG);
    let asking = Client::connect(site.folder.path()).unwrap().unwrap();
    assert!(matches!(asking.ask(Command::Reload, SHORT), Err(ClientError::Silent { .. })));
    site.go_on.send(()).unwrap();
    // One that listens and lets nobody in: a process that was stopped.
    let folder = TempDir::new().unwrap();
    let stopped = Listening::open(folder.path()).unwrap();
    let waiting: Vec<_> = (0..100).map(|_| Client::connect(folder.path())).take_while(Result::is_ok).collect();
    assert!(waiting.len() < 100);
    assert!(matches!(Client::connect(folder.path()), Err(ClientError::Silent { .. })));
    stopped.remove();
}
