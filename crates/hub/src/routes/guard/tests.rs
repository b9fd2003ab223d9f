use super::*;

#[test]
fn loopback_has_these_names() {
    for good in ["localhost", "LOCALHOST:7410", "127.0.0.1", "127.0.0.1:7410", "127.9.8.7:1", "[::1]", "[::1]:7410"] {
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

#[test]
fn a_token_stands_behind_bearer() {
    let told = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        });
        bearer(&headers).map(|token| token.map(str::to_owned))
    };
    assert_eq!(told(&[]), None);
    assert_eq!(told(&["Bearer abc"]), Some(Some("abc".to_owned())));
    assert_eq!(told(&["bearer  abc "]), Some(Some("abc".to_owned())));
    for bad in [&["Basic abc"][..], &["abc"], &["Bearer"], &["Bearer abc", "Bearer abc"], &["Bearer abc", "Basic x"]] {
        assert_eq!(told(bad), Some(None), "{bad:?}");
    }
}

#[test]
fn a_proxy_names_the_client_last() {
    let told = |name: &HeaderName, values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| {
            headers.append(name, HeaderValue::from_static(value));
        });
        forwarded_for(&headers).map(|ip| ip.to_string())
    };
    for (values, ip) in [
        (&["192.0.2.1"][..], Some("192.0.2.1")),
        (&["10.0.0.1, 192.0.2.1"], Some("192.0.2.1")),
        (&["10.0.0.1", "192.0.2.1:4711"], Some("192.0.2.1")),
        (&["2001:db8::1"], Some("2001:db8::1")),
        (&["[2001:db8::1]:4711"], Some("2001:db8::1")),
        (&["192.0.2.1, unknown"], None),
        (&[""], None),
    ] {
        assert_eq!(told(&X_FORWARDED_FOR, values).as_deref(), ip, "{values:?}");
    }
    for (values, ip) in [
        (&["for=192.0.2.1;proto=https"][..], Some("192.0.2.1")),
        (&["for=10.0.0.1, proto=https;For=\"[2001:db8::1]:4711\""], Some("2001:db8::1")),
        (&["for=_hidden"], None),
        (&["proto=https"], None),
    ] {
        assert_eq!(told(&FORWARDED, values).as_deref(), ip, "{values:?}");
    }
}

#[test]
fn what_a_proxy_passed_on_is_not_local() {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    assert!(is_local(&Uri::from_static("/"), &headers));
    for name in [FORWARDED, X_FORWARDED_FOR] {
        let mut headers = headers.clone();
        headers.insert(name, HeaderValue::from_static("127.0.0.1"));
        assert!(!is_local(&Uri::from_static("/"), &headers));
    }
    for (name, value) in [
        (header::HOST, "evil.example"),
        (header::HOST, ""),
        (header::ORIGIN, "http://evil.example"),
        (header::ORIGIN, "null"),
    ] {
        let mut headers = headers.clone();
        headers.append(name, HeaderValue::from_static(value));
        assert!(!is_local(&Uri::from_static("/"), &headers), "{headers:?}");
    }
    let http2 = Uri::from_static("http://localhost:7410/healthz");
    assert!(is_local(&http2, &HeaderMap::new()));
    assert!(!is_local(&Uri::from_static("http://evil.example/"), &HeaderMap::new()));
    assert!(!is_local(&Uri::from_static("/"), &HeaderMap::new()));
}

#[test]
fn a_path_names_a_log_where_its_template_does() {
    let named = named_log;
    assert_eq!(named("/1/logs/{log}/push", "/1/logs/a/push"), Some("a"));
    assert_eq!(named("/1/logs/{log}", "/1/logs/a%2Fb"), Some("a%2Fb"));
    assert_eq!(named("/0.1/{user}/head", "/0.1//head"), Some(""));
    assert_eq!(named("/healthz", "/healthz"), None);
    assert_eq!(named("/v1/client/snapshot/{version}", "/v1/client/snapshot/{log}"), None);
}

#[test]
fn a_log_is_the_first_that_a_template_names() {
    use super::super::{observe, openapi, snapshots, status, v0, v1};
    let own = [v0::routes(), v1::routes(), snapshots::routes(), tasks::routes(), taskchampion::routes()];
    let others = [observe::routes(), status::routes(), openapi::routes()];
    for route in own.into_iter().chain(others).flat_map(|routes| routes.split().1) {
        let before = route.path.split(['{']).next().unwrap();
        let names_log = ["{log}", "{user}"].iter().any(|name| route.path.contains(name));
        assert_eq!(names_log, named_log(route.path, &format!("{before}x/y")) == Some("x"), "{}", route.path);
    }
}
