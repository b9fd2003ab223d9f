//! What holds for any text that is given as a document. The fuzzer calls this with its own texts, a test with those it found.

use tolstoy_edn::Instant;
use tolstoy_tasks::json::{Json, Limits, read};
use tolstoy_tasks::taskwarrior::{Foreign, to_taskwarrior};
use tolstoy_tasks::{Document, Task, resolve};

/// Reads a text as a document and as Taskwarrior's task, and panics where a promise is broken. Whether it was either.
pub(crate) fn check_text(text: &str) -> bool {
    let document = Document::parse(text).ok();
    if let Some(document) = &document {
        check_document(document);
    }
    let json = read(text, Limits { bytes: tolstoy_tasks::MAX_TEXT, depth: tolstoy_tasks::MAX_DEPTH }).ok();
    let foreign = json.and_then(|json| Foreign::read(json).ok());
    let taken = foreign.and_then(|foreign| Some((foreign.onto(None).ok()?, foreign)));
    if let Some((document, foreign)) = &taken {
        check_document(document);
        assert_eq!(foreign.onto(Some(document)).as_ref(), Ok(document), "twice is once");
    }
    document.is_some() || taken.is_some()
}

fn check_document(document: &Document) {
    for text in [document.canonical(), document.pretty(), document.to_json().exact()] {
        let read_back = Document::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(read_back, *document, "{text}");
        assert_eq!(read_back.hash(), document.hash());
        assert_eq!(Task::parse(&text).as_ref(), Ok(&document.task()), "{text}");
    }
    assert_eq!(resolve(document, document).as_ref(), Ok(document), "idempotent");
    let now = Instant::from_micros(1_764_072_000_000_000);
    let given = |document: &Document| -> Json { to_taskwarrior(&document.task(), now, &|_| None) };
    // What goes out comes back as it is, once lists that were texts are lists. It may be refused for its size alone: names grow
    // by a prefix.
    let back = |out: Json| Foreign::read(out).and_then(|foreign| foreign.onto(None)).ok();
    if let Some(elsewhere) = back(given(document)) {
        assert_eq!(elsewhere.id(), document.id());
        let again = back(given(&elsewhere)).map(|document| given(&document));
        assert_eq!(again, Some(given(&elsewhere)), "what went out comes back the same");
    }
}
