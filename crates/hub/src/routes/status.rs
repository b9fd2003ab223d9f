//! What the status page shows, as JSON; and the page.

use std::sync::{Arc, LazyLock};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{Html, IntoResponse, Json, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tolstoy_edn::Instant;
use tolstoy_proto::{Generation, LogId, Seq, TrnId, paths};

use super::checked::Checked;
use super::error::ApiError;
use super::table::Routes;
use super::{App, openapi};
use crate::activity::{Activity, Kind};
use crate::metrics::Histogram;
use crate::service::LogList;
use crate::storage::{Life, LogCursor, LogFigures};

/// Logs of a page where nobody says how many, and at most.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// The page: one file, with its style and its script within.
const PAGE: &str = include_str!("status.html");

/// What the page may do: run its own script, wear its own style, and ask this hub. Nothing else, whatever gets into it.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = |tag| BASE64_STANDARD.encode(Sha256::digest(within(PAGE, tag)));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        digest("script"),
        digest("style")
    )
});

/// What stands between the tags of this name, which the page has once.
fn within<'p>(page: &'p str, tag: &str) -> &'p str {
    let inner = page.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
    inner.map_or("", |(inner, _)| inner)
}

pub(super) fn routes() -> Routes {
    Routes::default().get("/", root, openapi::hub::root).get(paths::STATUS, status, openapi::hub::status)
}

/// The page for browsers, a line of text for everybody else.
async fn root(headers: HeaderMap) -> Response {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if !values.flat_map(|value| value.split(',')).any(|item| item.trim_start().starts_with("text/html")) {
        return "This is a Tolstoy hub.\n".into_response();
    }
    let mut response = Html(PAGE).into_response();
    let said = [
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "Accept"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    response.headers_mut().extend(said.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

#[derive(Debug, Deserialize)]
struct StatusArgs {
    /// Lists only logs whose ids begin so.
    prefix: Option<String>,
    /// Lists at most so many.
    limit: Option<usize>,
    /// Goes on after the page that gave this.
    after: Option<String>,
}

/// What a hub is and does.
#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    now: String,
    uptime_seconds: i64,
    ready: bool,
    /// What is wrong where it is not ready.
    problems: Vec<String>,
    writer: WriterStatus,
    storage: StorageStatus,
    connections: i64,
    streams: usize,
    activity: Vec<ActivityStatus>,
    logs: Vec<LogStatus>,
    /// Gives the next page as `after`; null at the end.
    next: Option<String>,
}

/// The writer's work since the hub started.
#[derive(Debug, Serialize)]
struct WriterStatus {
    queue: i64,
    refused: u64,
    commits: u64,
    commit_ms: Quantiles,
    batch_ms: Quantiles,
    /// Writes that share a commit.
    jobs: Quantiles,
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50: Option<f64>,
    p99: Option<f64>,
}

impl Quantiles {
    fn of(histogram: &Histogram, scale: f64) -> Self {
        let told = |part| histogram.quantile(part).map(|value| (value * scale * 1e3).round() / 1e3);
        Self { p50: told(0.5), p99: told(0.99) }
    }
}

#[derive(Debug, Serialize)]
struct StorageStatus {
    logs: u64,
    tasks: u64,
    /// Deleted logs that are not swept yet.
    ended: u64,
    database_bytes: Option<u64>,
    wal_bytes: Option<u64>,
    reclaimable_bytes: u64,
    disk_free_bytes: Option<u64>,
    gc_bytes: u64,
}

#[derive(Debug, Serialize)]
struct ActivityStatus {
    at: String,
    kind: Kind,
    log: LogId,
    who: Option<String>,
    received: u64,
    sent: u64,
    status: u16,
}

impl From<Activity> for ActivityStatus {
    fn from(activity: Activity) -> Self {
        let who = activity.who();
        let Activity { at, act, received, sent, status, .. } = activity;
        Self { at: at.to_string(), kind: act.kind, log: act.log, who, received, sent, status: status.as_u16() }
    }
}

#[derive(Debug, Serialize)]
struct LogStatus {
    log: LogId,
    /// Whose clients write it.
    kind: LogKind,
    generation: Generation,
    head: TrnId,
    seq: Seq,
    bytes: u64,
    tasks: u64,
    written: String,
    writer: String,
}

/// Whose clients write a log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum LogKind {
    Tolstoy,
    TaskChampion,
}

impl From<LogFigures> for LogStatus {
    fn from(figures: LogFigures) -> Self {
        let LogFigures { log, generation, tip, usage, writer, tasks, .. } = figures;
        let written = Instant::from_micros(usage.written).to_string();
        let kind = if log.is_taskchampion() { LogKind::TaskChampion } else { LogKind::Tolstoy };
        Self { log, kind, generation, head: tip.id, seq: tip.seq, bytes: usage.bytes, tasks, written, writer }
    }
}

async fn status(
    State(app): State<Arc<App>>,
    Checked(Query(args)): Checked<Query<StatusArgs>>,
) -> Result<Response, ApiError> {
    let limit = args.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let list = list(&args)?;
    let problems = app.problems().await;
    let now = app.look(problems.is_empty()).await?;
    let page = super::read(&app, move |service| service.logs(list, limit)).await??;
    let counted = &app.metrics.storage;
    let time = app.service.now();
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        now: time.to_string(),
        uptime_seconds: (time.as_micros() - app.metrics.started().as_micros()).max(0) / 1_000_000,
        ready: problems.is_empty(),
        problems,
        writer: WriterStatus {
            queue: counted.queue.get(),
            refused: counted.refused.get(),
            commits: counted.commits.get(),
            commit_ms: Quantiles::of(&counted.commit_seconds, 1e3),
            batch_ms: Quantiles::of(&counted.batch_seconds, 1e3),
            jobs: Quantiles::of(&counted.commit_jobs, 1.0),
        },
        storage: StorageStatus {
            logs: now.totals.logs,
            tasks: now.totals.tasks,
            ended: now.totals.ended,
            database_bytes: now.database_bytes,
            wal_bytes: now.wal_bytes,
            reclaimable_bytes: now.totals.free,
            disk_free_bytes: now.disk_free_bytes,
            gc_bytes: now.gc.bytes + now.gc.swept_bytes,
        },
        connections: app.metrics.door.open.get(),
        streams: now.streams,
        activity: app.activity.newest().into_iter().map(Into::into).collect(),
        logs: page.logs.into_iter().map(Into::into).collect(),
        next: page.rest.map(cursor),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(status)).into_response())
}

/// Which logs are asked for.
fn list(args: &StatusArgs) -> Result<LogList, ApiError> {
    if let Some(after) = &args.after {
        return parse_cursor(after).ok_or_else(|| ApiError::bad_request("after: this is no page's `next`"));
    }
    match args.prefix.as_deref().map(str::trim) {
        None | Some("") => Ok(LogList::Newest(None)),
        Some(prefix) => LogList::beginning_with(prefix)
            .ok_or_else(|| ApiError::bad_request("prefix: a log's id begins with hexadecimal digits and hyphens")),
    }
}

/// A list as text: `MINUTE.LIFE`, or `FIRST.LAST` of ids.
fn cursor(list: LogList) -> String {
    match list {
        LogList::Newest(None) => String::new(),
        LogList::Newest(Some(LogCursor { minute, life })) => format!("{minute}.{}", life.0),
        LogList::Between(from, to) => format!("{from}.{to}"),
    }
}

fn parse_cursor(text: &str) -> Option<LogList> {
    let (one, other) = text.split_once('.')?;
    if let (Ok(minute), Ok(life)) = (one.parse(), other.parse()) {
        return Some(LogList::Newest(Some(LogCursor { minute, life: Life(life) })));
    }
    Some(LogList::Between(one.parse().ok()?, other.parse().ok()?))
}
