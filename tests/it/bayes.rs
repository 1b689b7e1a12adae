//! The counts of the spam filter, over files as earlier releases left them.

use database::{ChatId, ClassCounts, ClassDelta, DatabaseWrapper, TokenCounts, TokenDelta};

use crate::support::{Scratch, fresh, rows_of, sqlite};

const CHAT: ChatId = ChatId(-7);
/// What the clock of a fresh database shows.
const NOW: &str = "2026-01-01 12:00:00";

fn token(token: &str, spam: i64, ham: i64) -> TokenDelta {
    TokenDelta { token: token.to_owned(), spam, ham }
}

fn counts(token: &str, spam_count: i64, ham_count: i64) -> TokenCounts {
    TokenCounts { token: token.to_owned(), spam_count, ham_count, total_count: spam_count + ham_count }
}

/// A file in which the global model has several rows for one token and one class, as earlier releases left them.
fn with_duplicates(scratch: &Scratch) -> DatabaseWrapper {
    let db = fresh(scratch);
    sqlite(&scratch.file("bot.db"))
        .execute_batch(
            "INSERT INTO bayes_tokens (token, chat_id, spam_count, ham_count, total_count) VALUES
                 ('win', NULL, 1, 0, 1), ('win', NULL, 2, NULL, 2), ('win', NULL, 0, 1, 1), ('win', -7, 50, 0, 50),
                 ('cat', NULL, 0, 5, 5), ('rare', NULL, 1, 0, 1), ('rare', NULL, 0, 1, 1), ('rarest', NULL, 1, 0, 1);
             INSERT INTO bayes_classes (chat_id, is_spam, message_count, token_count) VALUES
                 (NULL, 1, 3, 30), (NULL, 1, 4, NULL), (NULL, 0, 9, 90), (-7, 1, 1, 1);",
        )
        .unwrap();
    db
}

#[test]
fn of_several_global_rows_the_sum_counts_and_one_is_updated() {
    let scratch = Scratch::new();
    let db = with_duplicates(&scratch);
    let class = |is_spam, message_count, token_count| ClassCounts { is_spam, message_count, token_count };
    assert_eq!(
        db.get_bayes_tokens(None, &["win", "none", "cat", "win"]).unwrap(),
        [counts("cat", 0, 5), counts("win", 3, 1)]
    );
    assert_eq!(db.get_bayes_tokens(Some(CHAT), &["win", "cat"]).unwrap(), [counts("win", 50, 0)]);
    assert_eq!(db.get_bayes_classes(None).unwrap(), [class(false, 9, 90), class(true, 7, 30)]);
    assert_eq!(db.get_bayes_vocabulary_size(None).unwrap(), 4);

    let classes = [ClassDelta { is_spam: true, messages: 1, tokens: 2 }];
    db.update_bayes(None, &[token("win", 10, 1), token("new", 0, 1), token("new", 1, 0)], &classes).unwrap();
    assert_eq!(db.get_bayes_tokens(None, &["win", "new"]).unwrap(), [counts("new", 1, 1), counts("win", 13, 2)]);
    assert_eq!(db.get_bayes_classes(None).unwrap(), [class(false, 9, 90), class(true, 8, 32)]);
    let connection = sqlite(&scratch.file("bot.db"));
    let tokens = rows_of(&connection, "bayes_tokens");
    let touched = |rows: &[String]| rows.iter().filter(|row| row.contains(&format!("updated_at={NOW:?}"))).count();
    assert_eq!((tokens.len(), touched(&tokens)), (9, 2), "one row of `win` was changed, one of `new` made");
    let classes = rows_of(&connection, "bayes_classes");
    assert_eq!((classes.len(), touched(&classes)), (4, 1));
}

#[test]
fn the_models_lists_and_clearing_keep_to_one_model() {
    let scratch = Scratch::new();
    let db = with_duplicates(&scratch);
    let spam = db.get_top_spam_tokens(None, 2).unwrap();
    assert_eq!(spam, [counts("win", 3, 1), counts("rare", 1, 1)], "of equals the first by its text");
    assert_eq!(
        db.get_top_ham_tokens(None, 9).unwrap(),
        [counts("cat", 0, 5), counts("rare", 1, 1), counts("win", 3, 1)]
    );
    assert_eq!(db.drop_rare_bayes_tokens(None, 2).unwrap(), 1, "`rare` was seen twice in all");
    assert_eq!(db.drop_rare_bayes_tokens(None, 3).unwrap(), 2, "with all its rows");
    db.clear_bayes(None).unwrap();
    assert_eq!(db.get_bayes_vocabulary_size(None).unwrap(), 0);
    assert_eq!(db.get_bayes_classes(None).unwrap(), []);
    assert_eq!(db.get_top_spam_tokens(Some(CHAT), 9).unwrap(), [counts("win", 50, 0)]);
    db.clear_bayes(Some(CHAT)).unwrap();
    assert_eq!(db.get_bayes_classes(Some(CHAT)).unwrap(), []);
}

#[test]
fn more_tokens_than_one_statement_takes_are_looked_up_all_the_same() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    let names: Vec<_> = (0..1201).map(|number| format!("t{number:04}")).collect();
    let deltas: Vec<_> = names.iter().map(|name| token(name, 1, 0)).collect();
    db.update_bayes(Some(CHAT), &deltas, &[]).unwrap();
    let asked: Vec<_> = names.iter().rev().map(String::as_str).collect();
    let found = db.get_bayes_tokens(Some(CHAT), &asked).unwrap();
    assert!(found.iter().map(|counts| &counts.token).eq(&names));
    assert_eq!(db.get_bayes_tokens(Some(CHAT), &[]).unwrap(), []);
}
