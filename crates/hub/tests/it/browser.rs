//! Headless Chromium, spoken to in its DevTools protocol over a pipe: JSON objects, each ended by a zero byte.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where Debian and others put it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A browser with one page; it is killed with the value.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    said: Receiver<Value>,
    number: u64,
    session: Option<String>,
    /// What the page did so far: the events of the protocol.
    events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// Starts it. None where a person said that the machine has none; CI may not say that.
    pub(crate) fn start() -> Option<Self> {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if set("TOLSTOY_NO_BROWSER") && !set("CI") {
            return None;
        }
        let works = |name: &&&str| Command::new(name).arg("--version").stderr(Stdio::null()).output().is_ok();
        let program = NAMES.iter().find(works).unwrap_or_else(|| {
            panic!(
                "the status page is tested in Chromium, and there is none on PATH: install it (Debian: apt-get install \
                 chromium), or set TOLSTOY_NO_BROWSER=1 to leave these tests out"
            )
        });
        let profile = TempDir::new().unwrap();
        // Chromium reads commands from descriptor 3 and answers on 4; a shell moves our pipes there.
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, program])
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--remote-debugging-pipe", "--hide-scrollbars", "--force-color-profile=srgb"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (sender, said) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while out.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let (number, session) = (0, None);
        let mut browser = Self { child, commands, said, number, session, events: Vec::new(), _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Calls a method and gives its result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let mut command = json!({"id": self.number, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        let mut bytes = serde_json::to_vec(&command).unwrap();
        bytes.push(0);
        self.commands.write_all(&bytes).unwrap();
        loop {
            let mut message = self.said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{method}: no answer"));
            if message["id"] == self.number {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// Opens a page, and waits until it is there.
    pub(crate) fn open(&mut self, url: &str) {
        let before = self.events.len();
        let opened = self.call("Page.navigate", json!({"url": url}));
        assert!(opened.get("errorText").is_none(), "{opened}");
        let loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().skip(before).any(loaded) {
            let event = self.said.recv_timeout(PATIENCE).expect("the page is not loaded");
            self.events.push(event);
        }
    }

    /// The value of an expression in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", params);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true in the page.
    pub(crate) fn wait_for(&mut self, expression: &str) {
        const PAUSE: Duration = Duration::from_millis(20);
        for _ in 0..PATIENCE.div_duration_f64(PAUSE) as u32 {
            if self.evaluate(&format!("Boolean({expression})")) == true {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("{expression} never came true; the page says:\n{}", self.text());
    }

    /// What a person reads on the page.
    pub(crate) fn text(&mut self) -> String {
        self.evaluate("document.body.innerText").as_str().unwrap().to_owned()
    }

    /// Types into the field that has the focus.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Presses a key, as on a keyboard.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            other => panic!("{other}: which code?"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let params = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Looks through a window of this size.
    pub(crate) fn resize(&mut self, width: u32, height: u32, mobile: bool) {
        let scale = if mobile { 2 } else { 1 };
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile}),
        );
    }

    /// Prefers dark colours, or light ones.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Keeps a picture of the page among the build's files.
    pub(crate) fn picture(&mut self, name: &str) {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("status-page");
        std::fs::create_dir_all(&directory).unwrap();
        let shot = self.call("Page.captureScreenshot", json!({"captureBeyondViewport": false}));
        let bytes = BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(directory.join(format!("{name}.png")), bytes).unwrap();
    }

    /// What the page complained of: errors, warnings, refused requests, broken policies.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // What was said before this answer has been heard after it.
        self.evaluate("0");
        let bad = |event: &&Value| {
            let params = &event["params"];
            match event["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Runtime.consoleAPICalled") => true,
                Some("Log.entryAdded") => params["entry"]["level"] != "verbose",
                _ => false,
            }
        };
        self.events.iter().filter(bad).map(ToString::to_string).collect()
    }

    /// Forgets what the page did so far.
    pub(crate) fn forget_events(&mut self) {
        self.evaluate("0");
        self.events.clear();
    }

    /// The addresses that the page asked for, data in the page itself left out.
    pub(crate) fn requests(&mut self) -> Vec<String> {
        self.evaluate("0");
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        let urls = sent.filter_map(|event| event["params"]["request"]["url"].as_str());
        urls.filter(|url| !url.starts_with("data:")).map(str::to_owned).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
