//! What is counted of requests.

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use tolstoy_proto::ErrorKind;

use super::Histogram;

/// Routes that are told apart, more than there are templates. Should there be more one day, the last place takes them all.
const ROUTES: usize = 64;

/// The route of requests that match no template.
pub(crate) const NO_ROUTE: &str = "none";

/// The methods that are told apart.
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "other"];

/// How a request ended; the last is that the asker went before it was answered.
const ENDS: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "gone"];

/// A route's template, the method and how it ended: as many as the hub has routes, whatever is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: String,
    method: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfError {
    error: String,
}

/// Requests: how many, how long, how large.
#[derive(Debug)]
pub(crate) struct HttpMetrics {
    requests: Family<Labels, Counter>,
    errors: Family<OfError, Counter>,
    seconds: Family<OfRoute, Histogram, fn() -> Histogram>,
    received: Family<OfRoute, Counter>,
    sent: Family<OfRoute, Counter>,
    /// Filled from the front and never changed, so that a request finds its counters without a lock.
    routes: Box<[OnceLock<Route>]>,
}

/// The counters of a route.
#[derive(Debug)]
pub(crate) struct Route {
    template: String,
    ends: [[OnceLock<Counter>; ENDS.len()]; METHODS.len()],
    seconds: Histogram,
    received: Counter,
    sent: Counter,
}

impl HttpMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let http = Self {
            requests: Family::default(),
            errors: Family::default(),
            seconds: Family::new_with_constructor(Histogram::of_seconds),
            received: Family::default(),
            sent: Family::default(),
            routes: (0..ROUTES).map(|_| OnceLock::new()).collect(),
        };
        registry.register("requests", "Requests that ended", http.requests.clone());
        registry.register("errors", "Requests that were answered with an error, by its kind", http.errors.clone());
        let help = "From a request's head to the end of its answer";
        registry.register_with_unit("request", help, Unit::Seconds, http.seconds.clone());
        registry.register_with_unit("received", "Bodies of requests", Unit::Bytes, http.received.clone());
        registry.register_with_unit("sent", "Bodies of answers", Unit::Bytes, http.sent.clone());
        http
    }

    /// The place of a route's counters.
    pub(crate) fn route(&self, template: &str) -> usize {
        let last = self.routes.len() - 1;
        self.routes
            .iter()
            .position(|place| place.get_or_init(|| self.counters(template)).template == template)
            .unwrap_or(last)
    }

    /// The template at this place.
    pub(crate) fn template(&self, route: usize) -> &str {
        self.routes.get(route).and_then(OnceLock::get).map_or(NO_ROUTE, |route| &route.template)
    }

    fn counters(&self, template: &str) -> Route {
        let labels = OfRoute { route: template.to_owned() };
        Route {
            template: template.to_owned(),
            ends: Default::default(),
            seconds: self.seconds.get_or_create_owned(&labels),
            received: self.received.get_or_create_owned(&labels),
            sent: self.sent.get_or_create_owned(&labels),
        }
    }

    /// Counts an answer that said what is wrong.
    pub(crate) fn refused(&self, kind: ErrorKind) {
        self.errors.get_or_create(&OfError { error: kind.to_string() }).inc();
    }

    /// Counts a request that ended: with this status, or without an answer.
    pub(crate) fn ended(
        &self,
        route: usize,
        method: &Method,
        status: Option<StatusCode>,
        elapsed: Duration,
        (received, sent): (u64, u64),
    ) {
        let Some(route) = self.routes.get(route).and_then(OnceLock::get) else { return };
        let method = METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len() - 1);
        let end = match status.map(|status| status.as_u16()) {
            Some(..300) => 0,
            Some(300..400) => 1,
            Some(400..500) => 2,
            Some(500..) => 3,
            None => 4,
        };
        if let Some(counter) = route.ends.get(method).and_then(|ends| ends.get(end)) {
            let (method, status) = (METHODS.get(method).copied(), ENDS.get(end).copied());
            let labels = || Labels {
                route: route.template.clone(),
                method: method.unwrap_or_default(),
                status: status.unwrap_or_default(),
            };
            counter.get_or_init(|| self.requests.get_or_create_owned(&labels())).inc();
        }
        route.seconds.observe_duration(elapsed);
        route.received.inc_by(received);
        route.sent.inc_by(sent);
    }
}
