//! A client that knows nothing but the OpenAPI document walks every route with what the document allows and with what it does
//! not. Nothing it sends makes the hub fail, and every answer is one that the document tells of.

mod schema;

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tolstoy_hub::{Hub, Options};
use tolstoy_proto::coding::{compress, decompress};
use tolstoy_proto::{Form, media, paths};
use tower::ServiceExt;

use crate::common::{encode, env, frames};
use schema::{Dice, Schemas, mutants};

/// What may stand in an answer's head without being told of.
const GENERAL: [&str; 3] = ["content-type", "content-length", "allow"];

/// A request before it is sent.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Asked {
    fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// An answer as it came.
struct Told {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Told {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

async fn send(router: &Router, asked: &Asked) -> Option<Told> {
    let separator = if asked.query.is_empty() { "" } else { "?" };
    // What is no URI at all never gets past a server's parser.
    let uri: Uri = format!("{}{separator}{}", asked.path, asked.query).parse().ok()?;
    let mut request = Request::new(Body::from(asked.body.clone()));
    *request.uri_mut() = uri;
    *request.method_mut() = Method::from_bytes(asked.method.to_uppercase().as_bytes()).unwrap();
    request.headers_mut().insert("host", HeaderValue::from_static("localhost"));
    for (name, value) in &asked.headers {
        request.headers_mut().append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).ok()?);
    }
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    // A stream may be cut on purpose; none here is.
    let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
    Some(Told { status, headers, body })
}

/// Whether the document tells of an answer.
fn check(schemas: Schemas<'_>, operation: &Value, told: &Told) -> Result<(), String> {
    let response = operation["responses"].get(told.status.to_string());
    let response = schemas.resolve(response.ok_or_else(|| format!("the status {} is not told of", told.status))?);
    for (name, value) in told.headers.iter().filter(|(name, _)| !GENERAL.contains(&name.as_str())) {
        let known =
            response["headers"].as_object().into_iter().flatten().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, known) = known.ok_or_else(|| format!("the header {name} is not told of"))?;
        schemas.check(&schemas.resolve(known)["schema"], &json!(value)).map_err(|why| format!("{name}: {why}"))?;
    }
    let kind = told.header("content-type").map(|kind| kind.split(';').next().unwrap_or(""));
    let Some(contents) = response["content"].as_object() else {
        return if told.body.is_empty() && kind.is_none() {
            Ok(())
        } else {
            Err("a body that is not told of".to_owned())
        };
    };
    let kind = kind.ok_or("no content type")?;
    let content = contents.get(kind).ok_or_else(|| format!("the content type {kind} is not told of"))?;
    let body = match told.header("content-encoding") {
        None => told.body.clone(),
        Some(_) => decompress(&told.body, 1 << 26).map_err(|error| error.to_string())?,
    };
    match kind {
        media::JSON => {
            let value = serde_json::from_slice(&body).map_err(|error| format!("no JSON: {error}"))?;
            schemas.check(&content["schema"], &value)
        }
        media::MSGPACK => {
            let frames = frames(Form::MessagePack, &body).map_err(|error| error.to_string())?;
            // What its JSON form must be.
            let value: Value = serde_json::from_slice(&encode(Form::Json, &frames)).unwrap();
            schemas.check(&contents[media::JSON]["schema"], &value)
        }
        _ => Ok(()),
    }
}

/// A value as it stands in a query or a path.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// What the client makes of one operation.
struct Operation<'a> {
    schemas: Schemas<'a>,
    method: &'a str,
    path: &'a str,
    operation: &'a Value,
    in_use: &'a [String],
    /// A version that is there.
    version: &'a str,
}

impl Operation<'_> {
    fn parameters(&self, place: &str) -> impl Iterator<Item = &Value> {
        let all = self.operation["parameters"].as_array().into_iter().flatten();
        all.filter(move |parameter| parameter["in"] == place)
    }

    /// The request, with a value for each parameter: none leaves it out.
    fn request(&self, mut value: impl FnMut(&Value) -> Option<String>) -> Asked {
        let mut path = self.path.to_owned();
        for parameter in self.parameters("path") {
            let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
            assert!(path.contains(&name), "{path} has no {name}");
            path = path.replace(&name, &value(parameter).unwrap_or_default());
        }
        assert!(!path.contains('{'), "{path} has a segment without a parameter");
        let query = self.parameters("query");
        let query = query.filter_map(|p| Some(format!("{}={}", p["name"].as_str().unwrap(), value(p)?)));
        let query = query.collect::<Vec<_>>().join("&");
        let headers = self.parameters("header");
        let headers =
            headers.filter_map(|p| Some((p["name"].as_str().unwrap().to_owned(), value(p)?.into_bytes()))).collect();
        Asked { method: self.method.to_owned(), path, query, headers, body: Vec::new() }
    }

    /// The request of the document's examples.
    fn example(&self) -> Asked {
        let asked = self.request(|parameter| parameter.get("example").map(plain));
        let contents = self.operation["requestBody"]["content"].as_object().into_iter().flatten();
        let with_example = contents.into_iter().find_map(|(kind, content)| Some((kind, content.get("example")?)));
        with_example.map_or_else(
            || asked.clone(),
            |(kind, example)| {
                let is_text = example.is_string();
                let body = if is_text { plain(example) } else { example.to_string() };
                asked.clone().with_header("content-type", kind.as_bytes()).with_body(body)
            },
        )
    }

    /// A request that the document allows, with whatever body.
    fn valid(&self, dice: &mut Dice) -> Asked {
        let (mut choices, in_use) = (Dice(dice.next() | 1), self.in_use);
        self.request(|parameter| {
            let required = parameter["required"] == true;
            if !required && dice.below(2) == 0 {
                return None;
            }
            match parameter["name"].as_str().unwrap() {
                "version" => Some(self.version.to_owned()),
                // What waits for nothing waits long.
                "wait" => Some(["0", "1"][usize::from(choices.below(40) == 0)].to_owned()),
                "Accept-Encoding" => Some((*choices.pick(&["zstd", "identity", "gzip, zstd;q=0.5", "*"])).to_owned()),
                _ if parameter.get("example").is_some() && choices.below(2) == 0 => Some(plain(&parameter["example"])),
                _ => Some(plain(&self.schemas.valid(&parameter["schema"], &mut choices, in_use))),
            }
        })
    }

    /// Bodies of the document's, and others.
    fn bodies(&self, dice: &mut Dice) -> Vec<(String, Vec<u8>)> {
        let mut bodies = Vec::new();
        for (kind, content) in self.operation["requestBody"]["content"].as_object().into_iter().flatten() {
            let contents = &self.operation["requestBody"]["content"];
            let schema = if kind == media::MSGPACK { &contents[media::JSON]["schema"] } else { &content["schema"] };
            let mut values: Vec<Value> = (0..12).map(|_| self.schemas.valid(schema, dice, self.in_use)).collect();
            if let Some(example) = content.get("example").or(contents[media::JSON].get("example")) {
                values.extend(mutants(example, self.in_use));
                values.push(example.clone());
            }
            values.extend(self.schemas.odd(schema, dice, self.in_use));
            for value in values {
                let text = if kind == media::OCTETS { plain(&value) } else { value.to_string() };
                let bytes = match frames(Form::Json, text.as_bytes()) {
                    Ok(frames) if kind == media::MSGPACK => encode(Form::MessagePack, &frames),
                    _ => text.into_bytes(),
                };
                bodies.push((kind.clone(), bytes.clone()));
                if !bytes.is_empty() {
                    let mut other = bytes.clone();
                    let at = dice.below(other.len());
                    other[at] ^= 1 << dice.below(8);
                    bodies.push((kind.clone(), other));
                    bodies.push((kind.clone(), bytes[..dice.below(bytes.len())].to_vec()));
                }
            }
            bodies.push((kind.clone(), Vec::new()));
            bodies.push((kind.clone(), vec![0xff; 300]));
        }
        bodies
    }

    /// Requests of all kinds.
    fn requests(&self, dice: &mut Dice) -> Vec<Asked> {
        let mut all = vec![self.example()];
        all.extend((0..20).map(|_| self.valid(dice)));
        for parameter in self.operation["parameters"].as_array().into_iter().flatten() {
            let (place, name) = (parameter["in"].as_str().unwrap(), parameter["name"].as_str().unwrap());
            let mut texts: Vec<String> = ODD.iter().map(ToString::to_string).collect();
            texts.push("x".repeat(5000));
            texts.push([plain(&parameter["example"]).as_str(); 70].join(","));
            texts.extend(self.schemas.odd(&parameter["schema"], dice, self.in_use).iter().map(escaped));
            // A path without one of its segments is another path.
            for text in texts.into_iter().filter(|text| place != "path" || !text.is_empty()) {
                let mut asked = self.request(|other| {
                    let this = other["name"] == name && other["in"] == place;
                    let other = || other.get("example").filter(|_| other["in"] != "query").map(plain);
                    if this { Some(text.clone()) } else { other() }
                });
                if name == "wait" {
                    asked = asked.with_header("if-none-match", *b"\"x\"");
                }
                all.push(asked.clone());
                if place == "query" {
                    asked.query = format!("{0}&{0}&more=1&=&&%ff=%ff", asked.query);
                    all.push(asked);
                }
            }
        }
        for (kind, body) in self.bodies(dice) {
            let asked = self.valid(dice).with_header("content-type", kind.as_bytes()).with_body(body.clone());
            let asked = asked.with_header("content-encoding", *b"identity");
            let coded = asked.clone().with_header("content-encoding", *b"zstd");
            all.extend([asked.clone(), coded.clone().with_body(compress(&body, 1).unwrap()), coded]);
            if dice.below(8) == 0 {
                for (name, value) in HEADERS {
                    all.push(asked.clone().with_header(name, *value));
                }
            }
        }
        for (name, value) in HEADERS {
            all.push(self.example().with_header(name, *value));
        }
        all
    }
}

/// A value as text in a path or a query, with all that could end it escaped.
fn escaped(value: &Value) -> String {
    let kept = |b: u8| b.is_ascii_alphanumeric() || b"-,.".contains(&b);
    plain(value).bytes().map(|b| if kept(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Texts that are no id, and no number.
const ODD: [&str; 20] = [
    "",
    "x",
    "-1",
    "+1",
    "1.5",
    "18446744073709551616",
    "99999999999999999999999999999999",
    "%",
    "%f",
    "%zz",
    "%ff",
    "%00",
    "%2F",
    "%2e%2e",
    "..",
    "é",
    "3A1F0B52-6C1D-4A57-9F0E-5D1C2B7A9E10",
    "3a1f0b526c1d4a579f0e5d1c2b7a9e10",
    "00000000-0000-0000-0000-000000000000",
    ",,,",
];

/// Headers that say odd things.
const HEADERS: &[(&str, &[u8])] = &[
    ("accept", b"application/json"),
    ("accept", b"application/json;q=\xff, */*;q=x"),
    ("accept", b",,;;q=,"),
    ("accept-encoding", b"identity;q=0"),
    ("accept-encoding", b"zstd;q=1.0, identity;q=0"),
    ("accept-encoding", b"\xff;;q=\xff,,"),
    ("content-encoding", b"gzip"),
    ("content-encoding", b"\xff"),
    ("content-encoding", b"zstd, zstd"),
    ("content-type", b""),
    ("content-type", b"text/html"),
    ("content-type", b"\xff\xfe"),
    ("content-type", b"application/json; charset=utf-8"),
    ("content-length", b"99999999999999999999"),
    ("content-length", b"99999999999"),
    ("content-length", b"-1"),
    ("content-length", b"x"),
    ("if-none-match", b"*"),
    ("if-none-match", b"\"none\", W/\"x\", \xff"),
    ("authorization", b"Bearer \xff"),
    ("authorization", b"Basic eDp5"),
    ("origin", b"http://elsewhere.example"),
    ("range", b"bytes=0-1"),
];

async fn document(router: &Router) -> Value {
    let asked = Asked {
        method: "get".into(),
        path: paths::OPENAPI.into(),
        query: String::new(),
        headers: vec![],
        body: vec![],
    };
    let told = send(router, &asked).await.unwrap();
    assert_eq!(told.status, 200);
    serde_json::from_slice(&told.body).unwrap()
}

/// Adds a version as the document's example does; gives its id, which the hub mints.
async fn added_version(router: &Router, document: &Value) -> String {
    let (path, method) = ("/v1/client/add-version/{parent}", "post");
    let operation = Operation {
        schemas: Schemas(document),
        method,
        path,
        operation: &document["paths"][path][method],
        in_use: &[],
        version: "",
    };
    let told = send(router, &operation.example()).await.unwrap();
    assert_eq!(told.status, 200);
    check(operation.schemas, operation.operation, &told).unwrap();
    told.header("x-version-id").unwrap().to_owned()
}

/// Every id that the document's examples name.
fn ids_in(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.len() == 36 || text.len() == 64 => _ = ids.insert(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| ids_in(item, ids)),
        Value::Object(fields) => fields.values().for_each(|field| ids_in(field, ids)),
        _ => {}
    }
}

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

#[tokio::test]
async fn every_answer_is_one_that_the_document_tells_of() {
    let router = Hub::in_memory(env(), Options::default()).router();
    let document = document(&router).await;
    let schemas = Schemas(&document);
    let (mut dice, mut ids) = (Dice(0x7014), BTreeSet::new());
    ids_in(&document["paths"], &mut ids);
    let version = added_version(&router, &document).await;
    let in_use: Vec<String> =
        ids.into_iter().filter(|id| id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())).collect();
    let operations = || {
        document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            let known = |(method, operation)| Operation {
                schemas,
                method,
                path,
                operation,
                in_use: &in_use,
                version: &version,
            };
            item.as_object().unwrap().iter().map(|(method, operation)| (method.as_str(), operation)).map(known)
        })
    };
    // Its example has succeeded above, which it does once.
    let mut seen = BTreeMap::from([("post /v1/client/add-version/{parent}".to_owned(), BTreeSet::from([200_u16]))]);
    let mut requests = 0;
    // First what the examples say, in an order that lets each succeed once; then anything.
    let order = |method: &str, path: &str| match (method, path) {
        ("put", path) => {
            (0, ["chunks", "transactions", "head", "snapshots"].iter().position(|part| path.contains(part)))
        }
        ("get", _) => (1, None),
        ("delete", _) => (2, None),
        _ => (3, None),
    };
    let mut examples: Vec<_> = operations().collect();
    examples.sort_by_key(|operation| order(operation.method, operation.path));
    for round in 0..4 {
        for operation in &examples {
            let asked = if round == 0 { vec![operation.example()] } else { operation.requests(&mut dice) };
            for asked in asked {
                let Some(told) = send(&router, &asked).await else { continue };
                requests += 1;
                let (method, path) = (operation.method, operation.path);
                check(schemas, operation.operation, &told).unwrap_or_else(|why| {
                    let body = String::from_utf8_lossy(&told.body).into_owned();
                    panic!("{method} {path} answers {asked:?} with {}: {why}\n{:?}\n{body}", told.status, told.headers)
                });
                assert!(told.status != 500, "{asked:?}");
                seen.entry(format!("{method} {path}")).or_default().insert(told.status);
            }
        }
    }
    for operation in operations() {
        let seen = &seen[&format!("{} {}", operation.method, operation.path)];
        let good = operation.operation["responses"].as_object().unwrap().keys();
        // Without a token there is no log that these could be about; `closed` has them with one.
        let wants_token = [paths::OWN_HASHES, paths::OWN_TASK].contains(&operation.path);
        for good in good.filter(|status| status.starts_with(['2', '3']) && !wants_token) {
            assert!(seen.contains(&good.parse().unwrap()), "{} {}: no {good}", operation.method, operation.path);
        }
    }
    let all: BTreeSet<u16> = seen.into_values().flatten().collect();
    assert!(
        [200, 201, 204, 304, 400, 403, 404, 406, 409, 412, 413, 415, 422].iter().all(|status| all.contains(status)),
        "{all:?}"
    );
    assert!(requests > 2000, "{requests}");
}

#[tokio::test]
async fn what_the_document_does_not_know_is_not_there() {
    let router = Hub::in_memory(env(), Options::default()).router();
    let document = document(&router).await;
    let schemas = Schemas(&document);
    let error = json!({"$ref": "#/components/schemas/Error"});
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.split('/').map(|part| match part {
            "{log}" | "{user}" | "{trn}" | "{parent}" | "{version}" => "3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10",
            "{chunk}" => "a",
            "{id}" => "pb67wndxge8293xd",
            other => other,
        });
        let path = path.collect::<Vec<_>>().join("/");
        // What can be got can be asked for without its body.
        let head =
            Asked { method: "head".into(), path: path.clone(), query: String::new(), headers: vec![], body: vec![] };
        let told = send(&router, &head).await.unwrap();
        assert_eq!(told.status == 405, item.get("get").is_none(), "{path}");
        assert_eq!(told.body.len(), 0);
        for method in METHODS.iter().filter(|method| item.get(method).is_none()) {
            for (path, status) in [(path.clone(), 405), (format!("{path}/no/such"), 404)] {
                let asked =
                    Asked { method: (*method).into(), path, query: String::new(), headers: vec![], body: vec![] };
                let told = send(&router, &asked).await.unwrap();
                assert_eq!(told.status, status, "{asked:?}");
                schemas.check(&error, &serde_json::from_slice(&told.body).unwrap()).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn the_document_that_is_kept_is_the_one_that_is_served() {
    let router = Hub::in_memory(env(), Options::default()).router();
    let asked = Asked {
        method: "get".into(),
        path: paths::OPENAPI.into(),
        query: String::new(),
        headers: vec![],
        body: vec![],
    };
    let served = String::from_utf8(send(&router, &asked).await.unwrap().body).unwrap();
    let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if std::fs::read_to_string(&kept).unwrap_or_default() != served {
        let new = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi.json");
        std::fs::write(&new, &served).unwrap();
        panic!(
            "docs/openapi.json is not what the hub serves. Where that is meant:\n    cp {} docs/openapi.json",
            new.display()
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_path_is_told_in_words() {
    let router = Hub::in_memory(env(), Options::default()).router();
    let log = "3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10";
    for (path, message) in [
        ("/1/logs/x".to_owned(), r#"the path's log: "x" is not a UUID of 36 lowercase characters"#),
        ("/1/logs/%ff".to_owned(), "the path's log: its percent escapes are not UTF-8"),
        (format!("/0.1/{log}/transactions/x"), r#"the path's trn: "x" is not a UUID of 36 lowercase characters"#),
        (
            format!("/0.1/{log}/chunks/A"),
            r#"the path's chunk: "A" is not a chunk id: 1 to 64 characters of a-z, 0-9 and -"#,
        ),
        (
            format!("/0.1/{log}/transactions?from=x"),
            r#"the query's from: "x" is not a UUID of 36 lowercase characters"#,
        ),
        (format!("/1/logs/{log}/pull?from=x"), r#"the query's from: "x" is not a UUID of 36 lowercase characters"#),
    ] {
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let asked =
            Asked { method: "get".into(), path: path.into(), query: query.into(), headers: vec![], body: vec![] };
        let told = send(&router, &asked).await.unwrap();
        let body: Value = serde_json::from_slice(&told.body).unwrap();
        assert_eq!((told.status, body["message"].as_str().unwrap()), (400, message), "{path}");
    }
}
