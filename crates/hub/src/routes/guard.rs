//! Who is answered.
//!
//! A hub on loopback has no other lock than being there: but any web page that a browser on this machine shows can send
//! requests to a local port. Such a request names the page's host, in `Host` (where the name was made to lead here) or in
//! `Origin`. So only requests that name loopback's own are answered.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tolstoy_proto::ErrorKind;

use super::error::ApiError;

/// Whom the hub answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Requests to loopback, from loopback.
    Loopback,
    /// All.
    Open,
}

/// Answers the request, or says that it is not answered.
pub(super) async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if guard == Guard::Open || is_local(request.uri(), request.headers()) {
        next.run(request).await
    } else {
        forbidden().into_response()
    }
}

fn forbidden() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        ErrorKind::Forbidden,
        "this hub answers only requests whose Host and Origin are this machine's own: localhost, 127.0.0.0/8 or [::1]",
    )
}

fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let values = |name| headers.get_all(name).iter().map(|value: &header::HeaderValue| value.to_str().unwrap_or(""));
    headers.contains_key(header::HOST)
        && values(header::HOST).all(is_loopback)
        && uri.authority().is_none_or(|authority| is_loopback(authority.as_str()))
        && values(header::ORIGIN).all(is_loopback_origin)
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
mod tests {
    use super::*;

    #[test]
    fn loopback_has_these_names() {
        for good in ["localhost", "LOCALHOST:7410", "127.0.0.1", "127.0.0.1:7410", "127.9.8.7:1", "[::1]", "[::1]:7410"]
        {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "127.0.0.1@example.org",
            "example.org:127",
            "localhost:",
            "localhost:x",
            "localhost:7410:7410",
            "10.0.0.1",
            "0.0.0.0",
            "::1",
            "[::2]",
            "[::1",
            "[::1]7410",
            "[127.0.0.1]",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn an_origin_has_a_scheme() {
        assert!(is_loopback_origin("http://localhost:3000"));
        assert!(is_loopback_origin("https://127.0.0.1"));
        for bad in ["null", "", "localhost", "http://example.org", "file://localhost", "http://localhost/"] {
            assert!(!is_loopback_origin(bad), "{bad}");
        }
    }
}
