//! Tasks: `/1/logs/{log}/hashes`, `/task/{id}` and `/tasks`, as `docs/tasks.md` has them; and `/hashes` and `/task/{id}` for who
//! has a token for one log.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use tolstoy_proto::coding::ZSTD;
use tolstoy_proto::{LogId, media, paths};
use tolstoy_tasks::interchange::{
    self, MAX_BATCH_BYTES, MAX_OFFER_BYTES, MAX_PREFIXES, read_offer, read_offers, write_answer, write_hash,
    write_state,
};
use tolstoy_tasks::{Hash, Node, Prefix, Refusal, TaskId};

use super::checked::Checked;
use super::coding::{self, Coder, Coding};
use super::error::ApiError;
use super::pieces::{HELD, Piece, Pieces};
use super::stream::{Places, Weight, held, kib, weighed};
use super::table::Routes;
use super::watched::{self, WaitArgs};
use super::{App, body, openapi, watch};
use crate::gate::Client;
use crate::service::{Service, TaskAnswer, TaskOffer, TasksOutcome};
use crate::storage::StorageError;

/// The path that is about the log of the asker's token.
pub(super) const OWN: [&str; 2] = [paths::OWN_HASHES, paths::OWN_TASK];

/// Hashes that are read at once: they make a page of less than a piece.
const PAGE: usize = 2048;

pub(super) fn routes() -> Routes {
    Routes::default()
        .get("/1/logs/{log}/hashes", hashes, openapi::tasks::hashes)
        .post("/1/logs/{log}/task/{id}", task, openapi::tasks::task)
        .post("/1/logs/{log}/tasks", tasks, openapi::tasks::tasks)
        .get(paths::OWN_HASHES, own_hashes, openapi::tasks::own_hashes)
        .post(paths::OWN_TASK, own_task, openapi::tasks::own_task)
}

/// The log of the asker's token, which is for that one alone.
struct Own(LogId);

impl<S: Send + Sync> FromRequestParts<S> for Own {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match watch::own_log() {
            Some(log) if log.is_taskchampion() => Err(ApiError::foreign_log()),
            Some(log) => Ok(Self(log)),
            None => {
                let path = parts.uri.path();
                let message = format!(
                    "this path is about the log of a token that is for exactly one, and none was sent: name the log, as in /1/logs/LOG{path}"
                );
                Err(ApiError::bad_request(message))
            }
        }
    }
}

#[derive(Debug, Deserialize)]
struct HashesArgs {
    prefix: Option<String>,
    #[serde(flatten)]
    wait: WaitArgs,
}

async fn hashes(
    State(app): State<Arc<App>>,
    Checked(Path(log)): Checked<Path<LogId>>,
    Checked(Query(args)): Checked<Query<HashesArgs>>,
    client: Client,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    compare(&app, log, &args, &client, &headers).await
}

async fn own_hashes(
    State(app): State<Arc<App>>,
    Own(log): Own,
    Checked(Query(args)): Checked<Query<HashesArgs>>,
    client: Client,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    compare(&app, log, &args, &client, &headers).await
}

/// Answers with the hashes, or with what is asked for of their tree.
async fn compare(
    app: &Arc<App>,
    log: LogId,
    args: &HashesArgs,
    client: &Client,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let coding = Coding::accepted(headers)?;
    let prefixes = args.prefix.as_deref().map(prefixes).transpose()?;
    // Of several nodes there is no one digest to name.
    let watched = match prefixes.as_deref() {
        None => Some(Prefix::ROOT),
        Some([only]) => Some(*only),
        Some(_) => None,
    };
    let patience = args.wait.patience()?;
    if let Some(prefix) = watched {
        let read = move |service: &Service| Ok(((), tag(&service.task_node(log, prefix)?, false)?));
        let ((), tag) = watched::news(app, log, client, headers, patience, read).await?;
        if watched::is_known(headers, &tag) {
            return Ok(watched::not_modified(tag));
        }
    }
    match prefixes {
        None => map(app, log, client, coding).await,
        Some(prefixes) => tree(app, log, client, coding, prefixes).await,
    }
}

fn prefixes(text: &str) -> Result<Vec<Prefix>, ApiError> {
    let bad = |why: String| ApiError::bad_request(format!("the query's prefix: {why}"));
    let prefixes: Vec<Prefix> = text
        .split(',')
        .take(MAX_PREFIXES + 1)
        .map(|prefix| prefix.parse().map_err(|error: tolstoy_tasks::NoPrefix| bad(error.to_string())))
        .collect::<Result<_, _>>()?;
    if prefixes.len() > MAX_PREFIXES {
        return Err(bad(format!("more than {MAX_PREFIXES} prefixes")));
    }
    Ok(prefixes)
}

/// Names what a node stands for. A body that is coded is another representation of the same.
fn tag(node: &Node, is_coded: bool) -> Result<HeaderValue, ApiError> {
    let weak = if is_coded { "W/" } else { "" };
    HeaderValue::try_from(format!("{weak}\"{}\"", node.digest)).map_err(|error| ApiError::internal(&error))
}

/// What an answer about tasks says of its body.
fn about(is_coded: bool) -> HeaderMap {
    let json = (header::CONTENT_TYPE, HeaderValue::from_static(media::JSON));
    let vary = (header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let coded = is_coded.then(|| (header::CONTENT_ENCODING, HeaderValue::from_static(ZSTD)));
    [json, vary, coding::TAKES].into_iter().chain(coded).collect()
}

/// The body of an answer that is there as a whole: its bytes, and whether they are coded.
fn whole(text: String, coding: Coding) -> Result<(Bytes, bool), StorageError> {
    let coded = coding.whole(text.as_bytes())?;
    let is_coded = coded.is_some();
    Ok((coded.unwrap_or_else(|| text.into_bytes()).into(), is_coded))
}

/// The hashes of all tasks.
async fn map(app: &Arc<App>, log: LogId, client: &Client, coding: Coding) -> Result<Response, ApiError> {
    let first = move |service: &Service| {
        let (tasks, node) = service.task_hashes(log, None, PAGE)?;
        let mut hashes = Hashes { log, after: None, text: "{".to_owned(), coder: None };
        let is_last = tasks.len() < PAGE;
        hashes.add(&tasks, is_last);
        if is_last {
            let (bytes, is_coded) = whole(hashes.text, coding)?;
            let weight = Weight { kib: kib(bytes.len()), is_long: false };
            return Ok(((bytes, is_coded, node, None), weight));
        }
        hashes.coder = coding.coder(hashes.text.len(), false)?;
        let is_coded = hashes.coder.is_some();
        let weight = Weight { kib: kib(HELD), is_long: true };
        Ok(((Bytes::new(), is_coded, node, Some(hashes)), weight))
    };
    let ((bytes, is_coded, node, rest), Places { page, stream }) = weighed(app, client, first).await?;
    let body = match (rest, stream) {
        (None, _) => Body::from(held(bytes, page)),
        (Some(mut rest), Some(stream)) => {
            let next = move |service: &Service| rest.piece(service);
            Body::new(Pieces::stream(app.clone(), None, [stream, page], next))
        }
        // A long answer has a stream's place.
        (Some(_), None) => return Err(ApiError::busy("too many long answers are being sent")),
    };
    let holds = Extension(app.holds(client));
    Ok((holds, watched::tags(tag(&node, is_coded)?), about(is_coded), body).into_response())
}

/// An object of hashes that is read page by page: a task that is written meanwhile is in it as before or as after.
struct Hashes {
    log: LogId,
    after: Option<TaskId>,
    /// What is not sent yet.
    text: String,
    coder: Option<Coder>,
}

impl Hashes {
    fn add(&mut self, tasks: &[(TaskId, Hash)], is_last: bool) {
        for (id, hash) in tasks {
            // Of a page that was sent nothing is left that would say so.
            if self.text.is_empty() {
                self.text.push(',');
                let mut one = String::new();
                write_hash(&mut one, *id, *hash);
                self.text.push_str(&one);
            } else {
                write_hash(&mut self.text, *id, *hash);
            }
        }
        self.after = tasks.last().map(|(id, _)| *id).or(self.after);
        if is_last {
            self.text.push('}');
        }
    }

    /// The page that is there; reads the next one first, to know whether there is one.
    fn piece(&mut self, service: &Service) -> Result<Piece, StorageError> {
        let page = std::mem::take(&mut self.text);
        let is_last = page.ends_with('}');
        if !is_last {
            let (tasks, _) = service.task_hashes(self.log, self.after, PAGE)?;
            self.add(&tasks, tasks.len() < PAGE);
        }
        let bytes = match &mut self.coder {
            None => page.into_bytes(),
            Some(coder) => {
                let mut coded = Vec::new();
                coder.page(page.as_bytes(), is_last, &mut coded)?;
                coded
            }
        };
        Ok(if is_last { Piece::Last(bytes.into()) } else { Piece::More(bytes.into()) })
    }
}

/// Nodes of the tree.
async fn tree(
    app: &Arc<App>,
    log: LogId,
    client: &Client,
    coding: Coding,
    prefixes: Vec<Prefix>,
) -> Result<Response, ApiError> {
    let read = move |service: &Service| {
        let nodes = service.task_tree(log, &prefixes)?;
        let only = if let [(_, told)] = &nodes[..] { Some(told.node).filter(|_| prefixes.len() == 1) } else { None };
        let (bytes, is_coded) = whole(interchange::write_nodes(&nodes), coding)?;
        let weight = Weight { kib: kib(bytes.len()), is_long: false };
        Ok(((bytes, is_coded, only), weight))
    };
    let ((bytes, is_coded, only), places) = weighed(app, client, read).await?;
    let tags = only.map(|node| tag(&node, is_coded)).transpose()?.map(watched::tags);
    let holds = Extension(app.holds(client));
    Ok((holds, tags, about(is_coded), Body::from(held(bytes, places.page))).into_response())
}

async fn task(
    State(app): State<Arc<App>>,
    Checked(Path((log, id))): Checked<Path<(LogId, TaskName)>>,
    client: Client,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    exchange_one(&app, log, id.0, client, &headers, body).await
}

async fn own_task(
    State(app): State<Arc<App>>,
    Own(log): Own,
    Checked(Path(id)): Checked<Path<TaskName>>,
    client: Client,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    exchange_one(&app, log, id.0, client, &headers, body).await
}

/// A task's id in a path.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct TaskName(TaskId);

impl TryFrom<String> for TaskName {
    type Error = tolstoy_tasks::NoTaskId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

async fn exchange_one(
    app: &Arc<App>,
    log: LogId,
    id: TaskId,
    client: Client,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let read = move |text: &str| Ok(vec![TaskOffer::from(read_offer(text, id)?)]);
    let write = |_: &[TaskId], answers: Vec<TaskAnswer>| match answers.into_iter().next() {
        Some(TaskAnswer::Refused(refusal)) => Err(ApiError::conflict(refusal.to_string())),
        Some(TaskAnswer::Stands(text)) => Ok(write_state(text.as_deref())),
        None => Err(ApiError::internal(&"an offer got no answer")),
    };
    exchange(app, log, (client, headers, body), MAX_OFFER_BYTES, read, write).await
}

async fn tasks(
    State(app): State<Arc<App>>,
    Checked(Path(log)): Checked<Path<LogId>>,
    client: Client,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let read = |text: &str| Ok(read_offers(text)?.into_iter().map(TaskOffer::from).collect());
    let write = |ids: &[TaskId], answers: Vec<TaskAnswer>| {
        let item = |(id, answer): (&TaskId, TaskAnswer)| match answer {
            TaskAnswer::Stands(text) => write_answer(*id, Ok(text.as_deref())),
            TaskAnswer::Refused(refusal) => write_answer(*id, Err(&refusal)),
        };
        Ok(format!("[{}]", ids.iter().zip(answers).map(item).collect::<Vec<_>>().join(",")))
    };
    exchange(&app, log, (client, &headers, body), MAX_BATCH_BYTES, read, write).await
}

/// Reads offers from the body, exchanges them, and answers with what `write` makes of their answers. Reading and writing take
/// threads that may block: they may take a while.
async fn exchange(
    app: &Arc<App>,
    log: LogId,
    (client, headers, body): (Client, &HeaderMap, Body),
    limit: usize,
    read: impl FnOnce(&str) -> Result<Vec<TaskOffer>, Refusal> + Send + 'static,
    write: impl FnOnce(&[TaskId], Vec<TaskAnswer>) -> Result<String, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let coding = Coding::accepted(headers)?;
    let (bytes, places) = body::whole(app, client, headers, body, limit).await?;
    let reading = tokio::task::spawn_blocking(move || {
        let text = std::str::from_utf8(&bytes).map_err(|error| Refusal(format!("it is no text: {error}")))?;
        read(text)
    });
    let offers = reading.await.map_err(|error| ApiError::internal(&error))?;
    let offers = offers.map_err(|Refusal(why)| ApiError::bad_request(format!("the body: {why}")))?;
    let ids: Vec<TaskId> = offers.iter().map(TaskOffer::id).collect();
    let outcome = if offers.iter().all(TaskOffer::only_asks) {
        TasksOutcome::Answered(super::read(app, move |service| service.tasks(log, &offers)).await??)
    } else {
        app.writing().holding(places.clone().into_held()).exchange_tasks(log, offers).await?
    };
    let answers = match outcome {
        TasksOutcome::Answered(answers) => answers,
        TasksOutcome::Quota(quota) => return Err(ApiError::quota(quota, None)),
    };
    let writing = tokio::task::spawn_blocking(move || {
        let written = write(&ids, answers).and_then(|text| Ok(whole(text, coding)?));
        // They stand for the answers too.
        drop(places);
        written
    });
    let (bytes, is_coded) = writing.await.map_err(|error| ApiError::internal(&error))??;
    Ok((StatusCode::OK, about(is_coded), bytes).into_response())
}
