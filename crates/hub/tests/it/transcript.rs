//! What the original clients sent to the original server, sent to the hub.

use serde_json::Value;

use crate::common::TestHub;

#[tokio::test]
async fn the_original_clients_get_the_answers_they_got() {
    let hub = TestHub::start().await;
    let transcript = include_str!("../fixtures/mentat-transcript.jsonl");
    let mut compared = 0;
    for (number, line) in transcript.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (method, path) = (line["method"].as_str().unwrap(), line["path"].as_str().unwrap());
        let body = line["body"].as_str().unwrap_or("").to_owned();
        let answer = hub.send(method, path, body).await;
        assert_eq!(u64::from(answer.status), line["status"], "{}: {method} {path}: {}", number + 1, answer.text());
        if let Ok(expected) = serde_json::from_str::<Value>(line["answer"].as_str().unwrap_or("")) {
            assert_eq!(answer.json(), expected, "{}: {method} {path}", number + 1);
            compared += 1;
        }
    }
    assert!(compared > 50, "only {compared} answers were compared");
}
