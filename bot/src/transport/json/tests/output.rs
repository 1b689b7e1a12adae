//! Sessions whose output fails.

use super::*;

#[test]
fn nothing_is_written_after_a_failure() {
    /// Output that fails once and would then work again, in the middle of a line perhaps.
    struct Hiccup(usize);
    impl Write for Hiccup {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 == 1 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (input, reader) = fed();
    (0..10).for_each(|number| feed(&input, 1, &number.to_string()));
    drop(input);
    let mut out = Hiccup(0);
    let error = Parts::new().run(&echo, Limits::default(), reader, &mut out).unwrap_err();
    assert!(matches!(error, JsonError::Output(_)), "{error}");
    assert_eq!(out.0, 1);
}

#[test]
fn a_reader_that_left_ends_the_session_quietly_though_more_input_may_come() {
    let (input, reader) = fed();
    let mut out = Broken { lines: 2, kind: io::ErrorKind::BrokenPipe };
    (0..10).for_each(|number| feed(&input, 1, &number.to_string()));
    let report = Parts::new().run(&echo, Limits::default(), reader, &mut out).unwrap();
    assert_eq!(report, Report { ended: Ended::OutputClosed, answered: 2, failed: 0 });
    // Whoever read the input may have ended meanwhile, or waits for this.
    let _ = input.send(Ok(b"nobody reads this\n".to_vec()));
}

#[test]
fn a_full_disk_is_no_quiet_end() {
    let (input, reader) = fed();
    let mut out = Broken { lines: 0, kind: io::ErrorKind::StorageFull };
    feed(&input, 1, "x");
    let error = Parts::new().run(&echo, Limits::default(), reader, &mut out).unwrap_err();
    assert!(matches!(error, JsonError::Output(_)), "{error}");
}
