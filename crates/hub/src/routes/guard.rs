//! Who is answered, and who may do what.
//!
//! A request's [`Principal`] is worked out here, once, before anything else looks at the request; handlers ask for its
//! [`Client`]. What it may do is decided here too, from the method and the path alone: no log is looked up before.
//!
//! A hub on loopback that has no tokens has no other lock than being there: but any web page that a browser on this
//! machine shows can send requests to a local port. Such a request names the page's host, in `Host` (where the name was
//! made to lead here) or in `Origin`. So only requests that name loopback's own are answered. A page that knows no token
//! cannot send one, so where tokens are asked for, these names do not matter.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::RequestExt;
use axum::extract::{MatchedPath, RawPathParams, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use tolstoy_env::Env;
use tolstoy_proto::taskchampion::ClientId;
use tolstoy_proto::{ErrorKind, LogId, paths};

use super::error::ApiError;
use super::{App, Gates, state, stream, taskchampion, tasks};
use crate::auth::{LiveTokens, Principal, Right, TokenId};
use crate::connection::Peer;
use crate::gate::{Client, Gate, Place};
use crate::rate::{Address, Limiter};
use crate::server::Options;

/// Paths that are answered without a token. They tell nothing of any log.
const PUBLIC: [&str; 3] = ["/", paths::HEALTHZ, paths::READYZ];

/// Paths that any token opens, whatever its logs and rights. All other paths that are about no one log are for tokens
/// with the right `admin` on all logs: a path that is added is closed unless it is named here.
const ANY_TOKEN: [&str; 1] = ["/openapi.json"];

const FORWARDED: HeaderName = header::FORWARDED;
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What decides whether a request is answered.
#[derive(Debug)]
pub(crate) struct Door {
    tokens: Arc<LiveTokens>,
    env: Env,
    open: bool,
    behind_proxy: bool,
    by_token: Limiter<TokenId>,
    by_address: Limiter<Address>,
    /// The moment from which the limiters count.
    began: Instant,
    /// Requests under way.
    requests: Arc<Gate>,
}

/// A request that is answered: whose it is, and its place among those under way. Where anybody may know the answer, and
/// the hub asks others for tokens, it may be nobody's.
struct Admitted {
    principal: Option<Principal>,
    client: Client,
    place: Place,
}

/// What a request is about, as far as it takes to decide who may.
enum Matter {
    /// Nothing that anybody may not know.
    Public,
    /// Something that any token opens; also paths that lead nowhere.
    AnyToken,
    /// The log that the asker's token is for.
    Own,
    /// All logs.
    Hub,
    /// One log; none where the path names it wrongly.
    Log(Option<LogId>),
    /// A log of TaskChampion's, whose client shows who it is by the same id; none where it shows none.
    Versions(Option<ClientId>),
}

impl Matter {
    fn of(about: Option<&About>) -> Self {
        let Some(about) = about else { return Self::AnyToken };
        match about.names {
            Names::Log => return Self::Log(about.log),
            Names::Client(client) => return Self::Versions(client),
            Names::Nothing => {}
        }
        match about.template.as_str() {
            path if PUBLIC.contains(&path) => Self::Public,
            path if ANY_TOKEN.contains(&path) => Self::AnyToken,
            path if tasks::OWN.contains(&path) => Self::Own,
            _ => Self::Hub,
        }
    }
}

impl Door {
    pub(crate) fn new(tokens: Arc<LiveTokens>, env: Env, options: &Options, gates: &Gates) -> Self {
        Self {
            tokens,
            env,
            open: options.open,
            behind_proxy: options.behind_proxy,
            by_token: Limiter::new(options.token_rate),
            by_address: Limiter::new(options.address_rate),
            began: Instant::now(),
            requests: gates.requests.clone(),
        }
    }

    fn decide(&self, request: &Request, matter: &Matter) -> Result<Admitted, Refusal> {
        let principal = self.principal(request, matter)?;
        if let Some(principal) = &principal {
            may(principal, request.method(), matter)?;
        }
        let client = self.client(request, principal.as_ref());
        let place = self.requests.try_take(&client, 1).ok_or_else(Refusal::busy)?;
        Ok(Admitted { principal, client, place })
    }

    /// Whose share of the hub the request takes.
    fn client(&self, request: &Request, principal: Option<&Principal>) -> Client {
        match principal {
            Some(Principal::Token(token)) => Client::Token(token.id.clone()),
            Some(Principal::Loopback) => Client::Anyone,
            Some(Principal::Open) | None => {
                self.address(request).map_or(Client::Anyone, |ip| Client::Address(ip.into()))
            }
        }
    }

    /// Whose the request is; none where it does not matter and nobody said.
    fn principal(&self, request: &Request, matter: &Matter) -> Result<Option<Principal>, Refusal> {
        let required = self.tokens.required();
        if !self.open && !required && !self.behind_proxy {
            return if is_local(request.uri(), request.headers()) {
                Ok(Some(Principal::Loopback))
            } else {
                Err(Refusal::not_local())
            };
        }
        let elapsed = self.began.elapsed();
        if let Some(ip) = self.address(request) {
            self.by_address.admit(ip.into(), elapsed).map_err(Refusal::too_many)?;
        }
        if self.open {
            return Ok(Some(Principal::Open));
        }
        let now = self.env.now();
        let token = match (bearer(request.headers()), matter) {
            // Clients of TaskChampion's send no token: the client's id is one, where the hub's owner said so.
            (None, Matter::Versions(Some(client))) => {
                self.tokens.find_client(*client, now).ok_or_else(Refusal::no_such_client)?
            }
            (None, Matter::Versions(None)) => return Err(Refusal::no_client()),
            (None, Matter::Public) => return Ok(None),
            (None, _) => return Err(Refusal::no_token()),
            (Some(shown), matter) => match shown.and_then(|text| self.tokens.find(text, now)) {
                Some(token) => token,
                None if matches!(matter, Matter::Public) => return Ok(None),
                None => return Err(Refusal::bad_token()),
            },
        };
        self.by_token.admit(token.id.clone(), elapsed).map_err(Refusal::too_many)?;
        Ok(Some(Principal::Token(token)))
    }

    /// The address that the request comes from; where a proxy stands before the hub, the one that the proxy names.
    fn address(&self, request: &Request) -> Option<IpAddr> {
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        if self.behind_proxy { forwarded_for(request.headers()).or(peer) } else { peer }
    }
}

/// Whether the principal may do what the request asks. What it does not cover looks as if it was not there, whether or not
/// it is.
fn may(principal: &Principal, method: &Method, matter: &Matter) -> Result<(), Refusal> {
    match matter {
        Matter::Public | Matter::AnyToken => Ok(()),
        // A token that is for no one log is told so by the path itself.
        Matter::Own => has_right(principal, method),
        Matter::Hub if principal.oversees() => Ok(()),
        Matter::Hub => Err(Refusal::lacks("the right admin, on all logs")),
        Matter::Log(log) => {
            let covered = match log {
                Some(log) => principal.covers(*log),
                None => matches!(principal, Principal::Loopback | Principal::Open),
            };
            if !covered {
                return Err(if log.is_some() { Refusal::no_such_log() } else { Refusal::no_log() });
            }
            has_right(principal, method)
        }
        // Not 404, which tells these clients that they know all there is.
        Matter::Versions(Some(client)) if principal.covers(client.log()) => has_right(principal, method),
        Matter::Versions(Some(_)) => Err(Refusal::no_such_client()),
        Matter::Versions(None) => match principal {
            Principal::Token(_) => Err(Refusal::no_client()),
            // Whoever asks may: that it names no client is said where it matters.
            Principal::Loopback | Principal::Open => Ok(()),
        },
    }
}

fn has_right(principal: &Principal, method: &Method) -> Result<(), Refusal> {
    let right = right_for(method);
    if principal.has(right) { Ok(()) } else { Err(Refusal::lacks(&format!("the right {right}, on this log"))) }
}

/// The right that a method needs.
fn right_for(method: &Method) -> Right {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Right::Read,
        Method::DELETE => Right::Admin,
        _ => Right::Write,
    }
}

/// What a request is about, as its route says.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) template: MatchedPath,
    names: Names,
    /// The log that it is about; none where it is about none, or names it wrongly.
    pub(super) log: Option<LogId>,
}

/// What a request to a route names.
#[derive(Debug, Clone, Copy)]
enum Names {
    /// No log.
    Nothing,
    /// A log, in its path.
    Log,
    /// A client of TaskChampion's, in its head; none where it is named wrongly.
    Client(Option<ClientId>),
}

impl About {
    /// None where no route is at the path.
    pub(super) fn of(request: &mut Request) -> Option<Self> {
        let template = request.extensions().get::<MatchedPath>()?.clone();
        if template.as_str().starts_with(taskchampion::BASE) {
            let client = taskchampion::client_id(request.headers());
            return Some(Self { template, names: Names::Client(client), log: client.map(|client| client.log()) });
        }
        let named = named_log(template.as_str(), request.uri().path());
        let names = if named.is_some() { Names::Log } else { Names::Nothing };
        let log = match named {
            // Handlers find it spelled out, and so must it be found here.
            Some(id) if id.contains('%') => spelled_out(request),
            named => named.and_then(|id| id.parse().ok()),
        };
        Some(Self { template, names, log })
    }

    /// Whether the request is about a log of TaskChampion's, in a way that is not for others: all may look at its state, and
    /// delete it.
    fn is_foreign(&self, method: &Method) -> bool {
        let is_theirs = self.log.is_some_and(|log| log.is_taskchampion());
        is_theirs
            && matches!(self.names, Names::Log)
            && *method != Method::DELETE
            && !(matches!(*method, Method::GET | Method::HEAD) && self.template.as_str() == "/1/logs/{log}")
    }
}

/// What names a log in a path, where its template says so: first of all that it names, so that both begin with the same.
fn named_log<'a>(template: &str, path: &'a str) -> Option<&'a str> {
    let (before, names) = template.split_once('{')?;
    let is_log = names.starts_with("log}") || names.starts_with("user}");
    path.get(before.len()..).filter(|_| is_log)?.split('/').next()
}

/// The log that a path with percent escapes names.
fn spelled_out(request: &mut Request) -> Option<LogId> {
    // It waits for nothing: the router has found them.
    let found = std::pin::pin!(request.extract_parts::<RawPathParams>());
    let Poll::Ready(params) = found.poll(&mut Context::from_waker(Waker::noop())) else { return None };
    let params = params.ok()?;
    let (_, id) = params.iter().find(|(name, _)| matches!(*name, "log" | "user"))?;
    id.parse().ok()
}

/// A request that has come to the door, and what is known of its asker.
pub(super) struct Entered<F> {
    /// None also where it is not let in.
    pub(super) principal: Option<Principal>,
    pub(super) client: Client,
    pub(super) entry: Entry<F>,
}

/// A request that is let in, or not.
pub(super) enum Entry<F> {
    In {
        /// What answers it; none where that is not for this surface.
        next: Option<F>,
        /// The log whose state its answer tells.
        told: Option<LogId>,
        /// Among the requests under way, and whose it is.
        place: Place,
        client: Client,
    },
    Out(Refusal),
}

/// Lets the request in, to what answers it, or not.
pub(super) fn enter<F>(
    door: &Door,
    about: Option<&About>,
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Entered<F> {
    match door.decide(&request, &Matter::of(about)) {
        Ok(Admitted { principal, client, place }) => {
            let is_foreign = about.is_some_and(|about| about.is_foreign(request.method()));
            let next = (!is_foreign).then(|| next(request));
            let told = about.filter(|about| state::is_told(about.template.as_str())).and_then(|about| about.log);
            Entered { principal, client: client.clone(), entry: Entry::In { next, told, place, client } }
        }
        Err(refusal) => Entered { principal: None, client: Client::Anyone, entry: Entry::Out(refusal) },
    }
}

impl<F: Future<Output = Result<Response, Infallible>> + Unpin> Entry<F> {
    /// The answer, or why there is none.
    pub(super) async fn answer(self, app: Arc<App>) -> Response {
        match self {
            Self::In { next, told, place, client } => {
                let mut response = match next {
                    Some(next) => next.await.unwrap_or_else(|never| match never {}),
                    None => ApiError::foreign_log().into_response(),
                };
                if let Some(log) = told {
                    state::tell(&app, log, &mut response).await;
                }
                drop(place);
                stream::weigh(&app, &client, response)
            }
            Self::Out(refusal) => refusal.into_response(),
        }
    }
}

/// A request that is not answered.
pub(super) struct Refusal {
    error: ApiError,
    told: Option<Told>,
}

/// What a header of a refusal tells.
enum Told {
    /// How to say who one is.
    Challenge(&'static str),
    /// After how many seconds to try again.
    RetryAfter(u64),
}

impl Refusal {
    fn new(status: StatusCode, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { error: ApiError::new(status, kind, message), told: None }
    }

    fn not_local() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            ErrorKind::Forbidden,
            "this hub answers only requests whose Host and Origin are this machine's own (localhost, 127.0.0.0/8 or [::1]) \
             and that no proxy passed on",
        )
    }

    fn no_token() -> Self {
        Self::unauthorized("this hub wants a token: send it as Authorization: Bearer", "Bearer")
    }

    fn bad_token() -> Self {
        Self::unauthorized(
            "this token is not valid here: it was revoked, has expired, or was never given out",
            "Bearer error=\"invalid_token\"",
        )
    }

    fn unauthorized(message: &str, challenge: &'static str) -> Self {
        let refusal = Self::new(StatusCode::UNAUTHORIZED, ErrorKind::Unauthorized, message);
        Self { told: Some(Told::Challenge(challenge)), ..refusal }
    }

    fn lacks(right: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorKind::Forbidden, format!("this token lacks {right}"))
    }

    fn no_such_log() -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorKind::NotFound, "there is no such log, or this token does not cover it")
    }

    fn no_log() -> Self {
        Self { error: ApiError::bad_request("the path names no log: a log's name is a UUID in lowercase"), told: None }
    }

    fn no_client() -> Self {
        Self { error: taskchampion::no_client_id(), told: None }
    }

    fn no_such_client() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            ErrorKind::Forbidden,
            "this hub does not know this client: its owner makes it known",
        )
    }

    fn too_many(pause: Duration) -> Self {
        // Rounded up, so that who waits so long is let through.
        let seconds = u64::try_from(pause.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1);
        let refusal = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::RateLimited,
            format!("too many requests: try again in {seconds} s"),
        );
        Self { told: Some(Told::RetryAfter(seconds)), ..refusal }
    }

    fn busy() -> Self {
        Self { error: ApiError::busy("too many requests are under way: try again later"), told: None }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.error.into_response();
        let header = self.told.map(|told| match told {
            Told::Challenge(how) => (header::WWW_AUTHENTICATE, HeaderValue::from_static(how)),
            Told::RetryAfter(seconds) => (header::RETRY_AFTER, HeaderValue::from(seconds)),
        });
        response.headers_mut().extend(header);
        response
    }
}

/// What stands behind `Bearer` in `Authorization`. None: there is no such header; none within: it is no bearer token, or
/// there are several.
fn bearer(headers: &HeaderMap) -> Option<Option<&str>> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let first = all.next()?;
    let token = first.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
    });
    Some(token.filter(|_| all.next().is_none()))
}

/// The client that the nearest proxy names: the last one, since what stands before it was said by the client itself.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = |name: &HeaderName| headers.get_all(name).iter().next_back()?.to_str().ok()?.rsplit(',').next();
    if let Some(ip) = last(&X_FORWARDED_FOR).and_then(node) {
        return Some(ip);
    }
    let pairs = last(&FORWARDED)?.split(';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case("for"));
    named.next().and_then(|(_, value)| node(value))
}

/// An address with or without a port, as proxies write it.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').and_then(|(ip, _)| ip.parse::<Ipv6Addr>().ok()).map(IpAddr::V6);
    }
    text.parse().ok().or_else(|| text.split_once(':').and_then(|(ip, _)| ip.parse::<Ipv4Addr>().ok()).map(IpAddr::V4))
}

fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    // In HTTP/2 the authority stands in the place of Host.
    let mut is_named = uri.authority().is_some();
    uri.authority().is_none_or(|authority| is_loopback(authority.as_str()))
        && headers.iter().all(|(name, value)| {
            if *name == header::HOST {
                is_named = true;
                value.to_str().is_ok_and(is_loopback)
            } else if *name == header::ORIGIN {
                value.to_str().is_ok_and(is_loopback_origin)
            } else {
                *name != FORWARDED && *name != X_FORWARDED_FOR
            }
        })
        && is_named
}

fn is_loopback_origin(origin: &str) -> bool {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).is_some_and(is_loopback)
}

/// Whether a host with or without a port is loopback's.
fn is_loopback(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host.parse().is_ok_and(|ip: Ipv6Addr| ip.is_loopback()), None),
            Some((host, port)) => {
                let Some(port) = port.strip_prefix(':') else { return false };
                (host.parse().is_ok_and(|ip: Ipv6Addr| ip.is_loopback()), Some(port))
            }
            None => return false,
        },
        None => {
            let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
            let named = host.eq_ignore_ascii_case("localhost");
            (named || host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback()), port)
        }
    };
    host && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests;
