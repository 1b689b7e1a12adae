//! Groups that become supergroups while lines of both are in hand.

use super::*;

fn migrate(input: &Input, group: i64, supergroup: i64) {
    let line =
        format!("{{\"chat\":{group},\"user\":2,\"event\":\"migrate\",\"new_chat\":{supergroup},\"ref\":\"news\"}}\n");
    input.send(Ok(line.into())).unwrap();
}

#[test]
fn nothing_is_done_in_a_supergroup_before_what_it_was_is_known_and_other_chats_go_on() {
    let (begun, begins) = channel();
    let (begun, (release, released)) = (Mutex::new(begun), channel::<()>());
    let released = Mutex::new(released);
    let handler = |incoming: Incoming| -> Result<Handled, HandleError> {
        let is_news = matches!(incoming.event, Event::MigratedTo(_));
        begun.lock().send(if is_news { "news".to_owned() } else { incoming.text.clone() }).unwrap();
        if is_news || incoming.text == "early" {
            released.lock().recv_timeout(SOON).unwrap();
        }
        echo(incoming)
    };
    let (input, reader) = fed();
    let (out, answers) = channel();
    let begins = || begins.recv_timeout(SOON).unwrap();
    std::thread::scope(|scope| {
        let session = scope.spawn(|| Parts::new().run(&handler, Limits::default(), reader, &mut Passed(out)));
        // Somebody was quicker than the news.
        feed(&input, -100, "early");
        assert_eq!(begins(), "early");
        migrate(&input, -1, -100);
        feed(&input, -100, "first");
        feed(&input, -1, "late");
        feed(&input, -100, "second");
        // What waits there holds up no other chat.
        feed(&input, 6, "meanwhile");
        assert_eq!(begins(), "meanwhile");
        release.send(()).unwrap();
        assert_eq!(begins(), "news");
        // It is still at work.
        feed(&input, 5, "other");
        assert_eq!(begins(), "other");
        let told = |count: usize| -> Vec<String> {
            (0..count).map(|_| next(&answers)["ref"].as_str().unwrap().to_owned()).collect()
        };
        let mut first = told(3);
        first.sort_unstable();
        assert_eq!(first, ["early", "meanwhile", "other"]);
        release.send(()).unwrap();
        assert_eq!([begins(), begins(), begins()], ["first", "late", "second"]);
        let rest = told(4);
        // Those of the supergroup in their order; that of the group is another chat's.
        assert_eq!(rest[0], "news");
        assert_eq!(rest.iter().filter(|said| *said != "late").collect::<Vec<_>>(), ["news", "first", "second"]);
        drop(input);
        session.join().unwrap().unwrap();
    });
}
