//! The status page: its data, and the page in a real browser.

use serde_json::Value;
use tolstoy_env::Env;
use tolstoy_hub::auth::{Logs, NewToken, Rights, TokenFile};
use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::{LogId, LogState, media, paths};

use crate::browser::Browser;
use crate::common::{Answer, Pushing, TestHub, log};

#[tokio::test]
async fn a_browser_is_given_the_page_and_others_a_line_of_text() {
    let hub = TestHub::start().await;
    let ask = async |accept: Option<&str>| {
        let request = hub.client.get(hub.url("/"));
        let request = accept.into_iter().fold(request, |request, accept| request.header("accept", accept));
        request.send().await.unwrap()
    };
    for accept in [None, Some("*/*"), Some("application/json")] {
        let answer = Answer::of(ask(accept).await).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "This is a Tolstoy hub.\n"), "{accept:?}");
    }
    let page = ask(Some("text/html,application/xhtml+xml,*/*;q=0.8")).await;
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!((header("x-frame-options"), header("x-content-type-options")), ("DENY".into(), "nosniff".into()));
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let text = page.text().await.unwrap();
    assert!(text.len() < 20 << 10, "the page is small");
    for foreign in [" src=", "href=\"http", "//cdn", "@import", "url(", " onclick", " style=", "innerHTML"] {
        assert!(!text.contains(foreign), "{foreign}");
    }
}

#[tokio::test]
async fn the_status_says_what_the_hub_holds_and_does() {
    let hub = TestHub::start().await;
    let status = async |query: &str| {
        let answer = hub.get(&format!("/1/status{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let empty = status("").await;
    assert_eq!((&empty["logs"], &empty["activity"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert_eq!((&empty["ready"], &empty["problems"]), (&true.into(), &Value::Array(vec![])));
    let push = Pushing::onto(&LogState::EMPTY).text("one").text("two");
    let state = hub.push(log(1), &push).await.state();
    hub.pull(log(1), &[]).await;
    let told = status("").await;
    let row = &told["logs"][0];
    assert_eq!(row["log"], log(1).to_string());
    assert_eq!((&row["head"], &row["seq"]), (&state.head.to_string().into(), &2.into()));
    assert_eq!(row["generation"]["number"], 1);
    assert!(row["bytes"].as_u64().unwrap() > 6);
    let kinds: Vec<&str> = told["activity"].as_array().unwrap().iter().map(|a| a["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["pull", "push"]);
    assert_eq!(told["activity"][1]["who"], "127.0.0.1");
    assert_eq!(told["storage"]["logs"], 1);
    assert!(told["storage"]["disk_free_bytes"].as_u64().unwrap() > 0);
    assert!(
        told["writer"]["commits"].as_u64().unwrap() >= 1 && told["writer"]["commit_ms"]["p50"].as_f64().unwrap() > 0.0
    );
}

#[tokio::test]
async fn logs_are_listed_in_pages_and_found_by_their_ids() {
    let hub = TestHub::start().await;
    for n in 0..25 {
        let push = Pushing::onto(&LogState::EMPTY).text("x");
        assert_eq!(hub.push(log(n), &push).await.status, 200);
    }
    let walk = async |query: &str, limit: usize| {
        let mut found = Vec::new();
        let mut next = format!("/1/status?limit={limit}{query}");
        loop {
            let told = hub.get(&next).await.json();
            let page = told["logs"].as_array().unwrap();
            assert!(page.len() <= limit);
            found.extend(page.iter().map(|row| row["log"].as_str().unwrap().parse::<LogId>().unwrap()));
            let Some(after) = told["next"].as_str() else { return found };
            next = format!("/1/status?limit={limit}&after={after}");
        }
    };
    let mut all = walk("", 10).await;
    all.sort();
    assert_eq!(all, (0..25).map(log).collect::<Vec<_>>());
    assert_eq!(walk("&prefix=00000000-0000-0007-0000-00000000001", 3).await, (16..25).map(log).collect::<Vec<_>>());
    assert_eq!(walk("&prefix=ff", 3).await, []);
    for bad in ["?prefix=zz", "?after=1", "?after=a.b", "?limit=x"] {
        assert_eq!(hub.get(&format!("/1/status{bad}")).await.error(), "bad-request", "{bad}");
    }
}

/// A hub beside a browser, which is not to be waited for on the hub's threads.
struct Stage {
    runtime: tokio::runtime::Runtime,
    hub: HubHandle,
    directory: tempfile::TempDir,
}

impl Stage {
    fn new(tokens: &[NewToken]) -> (Self, Vec<String>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let directory = tempfile::TempDir::new().unwrap();
        let file = TokenFile::of(directory.path());
        let texts = tokens.iter().map(|new| file.create(new.clone(), &Env::system()).unwrap().1.expose().to_owned());
        let texts = texts.collect();
        let hub = runtime.block_on(async {
            let hub = Hub::open(directory.path(), Env::system(), Options::default()).unwrap();
            HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap()
        });
        (Self { runtime, hub, directory }, texts)
    }

    fn push(&self, log: LogId, onto: &LogState, text: &str, token: Option<&str>) -> LogState {
        let bytes = Pushing::onto(onto).text(text).bytes(tolstoy_proto::Form::MessagePack);
        let url = format!("{}{}", self.hub.url(), paths::push(log));
        let request = reqwest::Client::new().post(url).header("content-type", media::MSGPACK).body(bytes);
        let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        self.runtime.block_on(async { Answer::of(request.send().await.unwrap()).await }).state()
    }
}

const SHOWN: &str = "!document.getElementById('all').hidden";

fn says(text: &str) -> String {
    format!("document.body.innerText.includes({text:?})")
}

#[test]
fn the_page_shows_what_happens_without_being_loaded_again() {
    let Some(mut browser) = Browser::start() else { return };
    let (stage, _) = Stage::new(&[]);
    let url = stage.hub.url();
    let first = stage.push(log(1), &LogState::EMPTY, "one", None);
    browser.resize(1280, 800, false);
    browser.prefer("light");
    browser.open(&url);
    browser.wait_for(SHOWN);
    let head = |state: &LogState| says(&state.head.to_string()[..8]);
    browser.wait_for(&head(&first));
    browser.evaluate("window.loaded = 'once'");
    assert!(browser.text().contains(&log(1).to_string()) && browser.text().contains("Ready"));
    let second = stage.push(log(1), &first, "two", None);
    browser.wait_for(&head(&second));
    assert_eq!(browser.evaluate("window.loaded"), "once");
    assert_eq!(browser.evaluate("document.querySelectorAll('#activity tr').length"), 2);

    for n in 2..40 {
        stage.push(log(n), &LogState::EMPTY, &"x".repeat(n as usize * 997), None);
    }
    browser.wait_for("document.querySelectorAll('#logs tr').length === 25");
    browser.picture("desktop");
    browser.evaluate("document.getElementById('next').click()");
    browser.wait_for("document.querySelectorAll('#logs tr').length === 14 && document.getElementById('next').disabled");
    browser.evaluate("document.getElementById('first').click()");
    browser
        .wait_for("document.querySelectorAll('#logs tr').length === 25 && document.getElementById('first').disabled");
    // The keyboard alone: the first thing that can be used is the search.
    browser.press("Tab");
    assert_eq!(browser.evaluate("document.activeElement.id"), "prefix");
    browser.type_text("00000000-0000-0007-0000-00000000001");
    browser.wait_for("document.querySelectorAll('#logs tr').length === 16");
    browser.type_text("z");
    browser.wait_for(&says("a log's id begins with hexadecimal digits"));
    assert_eq!(browser.complaints().len(), 1, "the refused search alone: {:?}", browser.complaints());
    browser.forget_events();
    browser.evaluate("document.getElementById('prefix').value = ''");
    browser.evaluate("document.getElementById('prefix').dispatchEvent(new Event('input'))");
    browser.wait_for("document.querySelectorAll('#logs tr').length === 25");

    browser.prefer("dark");
    browser.picture("dark");
    browser.resize(375, 812, true);
    browser.wait_for("document.querySelectorAll('#logs tr').length === 10");
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        let wide = browser.evaluate("document.documentElement.scrollWidth");
        assert_eq!(wide, 375, "a phone shows all of it");
        browser.picture(&format!("phone-{scheme}"));
    }
    let small = "[...document.querySelectorAll('td span, dd, dt')].filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth).length";
    assert_eq!(browser.evaluate(small), 0, "no text is cut");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let foreign: Vec<String> = browser.requests().into_iter().filter(|asked| !asked.starts_with(&url)).collect();
    assert_eq!(foreign, Vec::<String>::new());
    stage.runtime.block_on(stage.hub.stop()).unwrap();
    browser.wait_for(&says("The hub does not answer"));
}

#[test]
fn a_log_of_tasks_alone_has_no_head() {
    let Some(mut browser) = Browser::start() else { return };
    let (stage, _) = Stage::new(&[]);
    let id = "pb67wndxge8293xd";
    let url = format!("{}{}", stage.hub.url(), paths::task(log(1), id));
    let offer = serde_json::json!({ "client_state": { "id": id, "description": "Buy milk" } }).to_string();
    let request = reqwest::Client::new().post(url).header("content-type", media::JSON).body(offer);
    assert_eq!(stage.runtime.block_on(async { request.send().await.unwrap().status() }), 200);
    browser.resize(1280, 800, false);
    browser.open(&stage.hub.url());
    browser.wait_for("document.querySelectorAll('#logs tr').length === 1");
    let text = browser.text();
    assert!(text.contains("1 task") && !text.contains("1 tasks"), "{text}");
    let cells = "[...document.querySelectorAll('#logs td')].slice(1, 5).map(td => td.innerText).join()";
    let cells = browser.evaluate(cells);
    let cells: Vec<&str> = cells.as_str().unwrap().split(',').collect();
    assert_eq!((cells[0], cells[1], cells[3]), ("0", "1", "–"));
    stage.runtime.block_on(stage.hub.stop()).unwrap();
}

#[test]
fn where_tokens_are_on_the_page_asks_for_one_and_names_are_text() {
    const HOSTILE: &str = "<img src=x onerror=document.title='pwned'><script>document.title='pwned'</script>";
    let Some(mut browser) = Browser::start() else { return };
    let token = |name: &str, rights: &str| NewToken {
        name: Some(name.to_owned()),
        rights: rights.parse::<Rights>().unwrap(),
        logs: Logs::All,
        expires: None,
    };
    let (stage, tokens) = Stage::new(&[token(HOSTILE, "read,write"), token("owner", "admin")]);
    let [writer, owner] = tokens.as_slice() else { panic!() };
    stage.push(log(1), &LogState::EMPTY, "one", Some(writer));
    browser.resize(1280, 800, false);
    browser.open(&stage.hub.url());
    browser.wait_for("!document.getElementById('door').hidden");
    assert!(browser.text().contains("A token is needed"));
    browser.picture("token");
    let enter = |browser: &mut Browser, token: &str| {
        browser.evaluate("document.getElementById('token').focus()");
        browser.type_text(token);
        browser.press("Enter");
    };
    enter(&mut browser, "tol_wrong");
    browser.wait_for(&says("This token is not valid"));
    enter(&mut browser, writer);
    browser.wait_for(&says("This token may not see the status"));
    assert_eq!(browser.evaluate("sessionStorage.length"), 0);
    browser.forget_events();
    enter(&mut browser, owner);
    browser.wait_for(SHOWN);
    browser.wait_for("document.querySelectorAll('#logs tr').length === 1");
    // In the table of logs and in that of activity, as it was written.
    let cells = format!("[...document.querySelectorAll('td')].filter(td => td.innerText.includes({HOSTILE:?})).length");
    assert_eq!(browser.evaluate(&cells), 2);
    assert_eq!(browser.evaluate("document.querySelectorAll('img, main script').length"), 0);
    assert_eq!(browser.evaluate("document.title"), "Tolstoy hub");
    assert_eq!(browser.evaluate("localStorage.length + document.cookie.length"), 0);
    assert_eq!(browser.evaluate("sessionStorage.length"), 1);
    assert!(browser.requests().iter().all(|asked| !asked.contains(owner.as_str())), "a token is in an address");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    browser.evaluate("document.getElementById('forget').click()");
    browser.wait_for("!document.getElementById('door').hidden");
    assert_eq!(browser.evaluate("sessionStorage.length"), 0);
    assert_eq!(browser.evaluate("document.getElementById('all').hidden"), true);
    drop(stage.directory);
}
