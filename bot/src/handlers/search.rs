//! `/search`: messages that contain all of the words.

use database::{Page, Result, Search};

use super::{CONVERSATION, Call, Command, Who, people};

pub(super) const SEARCH: Command = Command {
    name: "search",
    arguments: "WORD... [page=N]",
    summary: "messages with all of these words, newest first",
    who: Who::Everybody,
    run,
};

const PAGE_SIZE: u32 = 10;

fn run(call: &Call<'_>) -> Result<String> {
    let (words, page) = words_and_page(call.arguments);
    let page = match page {
        Some(page) if !words.is_empty() => page,
        _ => return Ok(format!("{} (a page is a number from 1)", SEARCH.usage())),
    };
    let page_of_ten = Page { number: page - 1, size: PAGE_SIZE };
    let search = Search { words: &words, categories: CONVERSATION, page: page_of_ten };
    let found = call.db.search_messages(call.incoming.chat, search)?;
    let words = words.join(" ");
    if found.messages.is_empty() {
        return Ok(if page == 1 {
            format!("No message here contains \"{words}\".")
        } else {
            format!("There is no page {page} of messages with \"{words}\".")
        });
    }
    let mut lines: Vec<_> = found.messages.iter().map(people::message).collect();
    if found.more {
        lines.push(format!("More: /search {words} page={}", page + 1));
    }
    Ok(lines.join("\n"))
}

/// The words, and the page: 1 unless the last word says otherwise, `None` where what it says is no page.
fn words_and_page(arguments: &str) -> (Vec<&str>, Option<u32>) {
    let mut words: Vec<_> = arguments.split_whitespace().collect();
    let page = match words.last().and_then(|last| last.strip_prefix("page=")) {
        None => Some(1),
        Some(number) => {
            words.pop();
            number.parse().ok().filter(|page| *page > 0)
        }
    };
    (words, page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_the_last_word() {
        assert_eq!(words_and_page("a b page=3"), (vec!["a", "b"], Some(3)));
        assert_eq!(words_and_page("page=3 a"), (vec!["page=3", "a"], Some(1)));
        assert_eq!(words_and_page("a page=0"), (vec!["a"], None));
        assert_eq!(words_and_page("a page=x"), (vec!["a"], None));
        assert_eq!(words_and_page(""), (vec![], Some(1)));
    }
}
