//! Clients of TaskChampion's, who send no token, at a hub that asks for one.

use tolstoy_env::Env;
use tolstoy_hub::auth::{Logs, NewToken, Token};
use tolstoy_hub::{Options, Rate};
use tolstoy_proto::paths;
use tolstoy_proto::taskchampion::{self, ClientId, HISTORY_SEGMENT};
use tolstoy_proto::{LogId, TrnId};

use crate::closed::Closed;
use crate::common::{Answer, log};

fn client(n: u64) -> ClientId {
    ClientId::new(uuid::Uuid::from_u64_pair(3, n))
}

/// Makes the client known.
fn known(hub: &Closed, client: ClientId, rights: &str) -> Token {
    let new = NewToken { name: None, rights: rights.parse().unwrap(), logs: Logs::All, expires: None };
    let token = hub.tokens.create_client(client, new, &Env::system()).unwrap();
    hub.hub.reloader().reload().unwrap();
    token
}

async fn ask(hub: &Closed, method: &str, path: &str, client: Option<&str>, bearer: Option<&str>) -> Answer {
    let request = reqwest::Client::new().request(method.parse().unwrap(), format!("{}{path}", hub.hub.url()));
    let request = client.into_iter().fold(request, |request, client| request.header("x-client-id", client));
    let request = bearer.into_iter().fold(request, |request, token| request.bearer_auth(token));
    let request = request.header("content-type", HISTORY_SEGMENT).body(if method == "POST" { "version" } else { "" });
    Answer::of(request.send().await.unwrap()).await
}

async fn add(hub: &Closed, of: ClientId) -> u16 {
    ask(hub, "POST", &taskchampion::add_version(TrnId::ROOT), Some(&of.expose()), None).await.status
}

async fn read(hub: &Closed, of: ClientId) -> u16 {
    ask(hub, "GET", &taskchampion::get_child_version(TrnId::ROOT), Some(&of.expose()), None).await.status
}

#[tokio::test]
async fn only_clients_that_are_known_are_answered() {
    let hub = Closed::start(Options { require_token: true, ..Options::default() }).await;
    assert_eq!((read(&hub, client(1)).await, add(&hub, client(1)).await), (403, 403));
    let token = known(&hub, client(1), "read,write");
    assert_eq!(token.logs, Logs::Only([client(1).log()].into()));
    assert_eq!((read(&hub, client(1)).await, add(&hub, client(1)).await, read(&hub, client(1)).await), (404, 200, 200));
    let stranger = ask(&hub, "GET", taskchampion::GET_SNAPSHOT, Some(&client(2).expose()), None).await;
    assert_eq!((stranger.status, stranger.error().as_str()), (403, "forbidden"));
    assert!(!stranger.text().contains(&client(2).expose()));
    for wrong in [None, Some("x")] {
        let answer = ask(&hub, "GET", taskchampion::GET_SNAPSHOT, wrong, None).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "bad-request"));
    }
    hub.tokens.revoke(&token.id).unwrap();
    hub.hub.reloader().reload().unwrap();
    assert_eq!((read(&hub, client(1)).await, add(&hub, client(1)).await), (403, 403));
}

#[tokio::test]
async fn a_client_opens_its_log_on_its_surface_alone() {
    let hub = Closed::start(Options::default()).await;
    known(&hub, client(1), "read,write");
    known(&hub, client(2), "read");
    assert_eq!((add(&hub, client(1)).await, add(&hub, client(2)).await, read(&hub, client(2)).await), (200, 403, 404));
    let id = client(1).expose();
    for path in [paths::log(client(1).log()), paths::log(log(1)), paths::STATUS.to_owned(), paths::METRICS.to_owned()] {
        assert_eq!(ask(&hub, "GET", &path, Some(&id), None).await.status, 401, "{path}");
        assert_eq!(ask(&hub, "GET", &path, Some(&id), Some(&id)).await.status, 401, "{path}: it is no bearer token");
    }
}

#[tokio::test]
async fn a_bearer_token_that_covers_the_log_will_do() {
    let hub = Closed::start(Options::default()).await;
    let own: LogId = client(1).log();
    let [all, one, other, admin] =
        [("read,write", vec![]), ("read", vec![own]), ("read,write", vec![log(1)]), ("admin", vec![])]
            .map(|(rights, logs)| hub.token(rights, &logs));
    let id = client(1).expose();
    let add = async |bearer: &str| {
        let path = taskchampion::add_version(TrnId::ROOT);
        ask(&hub, "POST", &path, Some(&id), Some(bearer)).await.status
    };
    assert_eq!((add(other.expose()).await, add(one.expose()).await, add(all.expose()).await), (403, 403, 200));
    assert_eq!(add(admin.expose()).await, 403, "the right to look after a hub is not that to write");
    assert_eq!(add("tol_x").await, 401);
    let status = ask(&hub, "GET", paths::STATUS, None, Some(admin.expose())).await;
    assert_eq!((status.status, status.text().contains(&id)), (200, false));
}

#[tokio::test]
async fn a_clients_requests_are_counted() {
    let options = Options { token_rate: Rate::per_second(1), address_rate: None, ..Options::default() };
    let hub = Closed::start(options).await;
    known(&hub, client(1), "read,write");
    known(&hub, client(2), "read,write");
    let mut answers = Vec::new();
    for _ in 0..30 {
        answers.push(read(&hub, client(1)).await);
    }
    assert!(answers.contains(&429), "{answers:?}");
    assert_eq!(read(&hub, client(2)).await, 404);
}
