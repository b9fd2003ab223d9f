//! `tolstoy token`

use std::path::PathBuf;

use serde_json::{Value as Json, json};
use tolstoy_edn::Instant;
use tolstoy_env::Env;
use tolstoy_hub::auth::{Logs, NewToken, Token, TokenFile};
use tolstoy_proto::taskchampion::ClientId;

use crate::args::{HubData, TokenCommand, TokenCreate, TokenList, TokenRevoke};
use crate::commands::serve;
use crate::error::{Failure, Kind};
use crate::ui::{DIM, Ui, visible};
use crate::{args, facts};

pub(crate) fn run(args: &args::Token, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    match &args.what {
        TokenCommand::Create(args) => create(args, env, ui),
        TokenCommand::List(args) => list(args, env, ui),
        TokenCommand::Revoke(args) => revoke(args, ui),
    }
}

fn create(args: &TokenCreate, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let expires = args.expires.as_deref().map(|text| moment(text, env.now())).transpose()?;
    let new = NewToken {
        name: args.name.clone(),
        rights: args.rights,
        logs: if args.log.is_empty() { Logs::All } else { Logs::Only(args.log.iter().copied().collect()) },
        expires,
    };
    let file = file(&args.data)?;
    if let Some(client) = args.taskchampion {
        return create_client(&file, client, new, args, env, ui);
    }
    let (token, secret) = file.create(new, env).map_err(|e| Failure::tokens(&e))?;
    if args.output.json {
        let mut told = in_json(&token);
        if let Json::Object(fields) = &mut told {
            fields.insert("token".to_owned(), secret.expose().into());
        }
        return ui.json(&told);
    }
    ui.line(secret.expose())?;
    ui.flush()?;
    let (rights, logs, validity) = (token.rights, logs(&token), validity(&token));
    ui.note(format!("token {}: {rights} on {logs}, {validity}. It is shown this once", token.id));
    Ok(())
}

/// Makes a client of TaskChampion's known, by this id or a new one.
fn create_client(
    file: &TokenFile,
    client: Option<ClientId>,
    new: NewToken,
    args: &TokenCreate,
    env: &Env,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let client = match client {
        Some(client) => client,
        None => ClientId::new(env.uuid().map_err(|e| Failure::tokens(&e.into()))?),
    };
    let name = new.name.or_else(|| Some("taskchampion".to_owned()));
    let token = file.create_client(client, NewToken { name, ..new }, env).map_err(|e| Failure::tokens(&e))?;
    if args.output.json {
        let mut told = in_json(&token);
        if let Json::Object(fields) = &mut told {
            fields.insert("client_id".to_owned(), client.expose().into());
        }
        return ui.json(&told);
    }
    ui.line(client.expose())?;
    ui.flush()?;
    ui.note(format!(
        "token {}: {} on {}, {}. The client id above is its secret, and is shown this once: \
         `task config sync.server.client_id` takes it",
        token.id,
        token.rights,
        logs(&token),
        validity(&token)
    ));
    Ok(())
}

/// Until when it is valid, in words.
fn validity(token: &Token) -> String {
    token.expires.map_or_else(|| "never expires".to_owned(), |at| format!("expires {at}"))
}

fn list(args: &TokenList, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let file = file(&args.data)?;
    let tokens = file.read().map_err(|e| Failure::tokens(&e))?;
    let all = tokens.as_deref().unwrap_or_default();
    if args.output.json {
        return ui.json(&all.iter().map(in_json).collect::<Vec<_>>());
    }
    if all.is_empty() {
        ui.note(match &tokens {
            None => format!("no token was ever made for the hub in {}", shown(&file)),
            Some(_) => closed_to_all(&file),
        });
        return Ok(());
    }
    let header = ["id", "name", "rights", "logs", "created", "expires"].map(str::to_owned);
    let now = env.now();
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|token| {
            let expires = match token.expires {
                None => "never".to_owned(),
                Some(_) if token.is_expired(now) => "expired".to_owned(),
                Some(at) => day(at),
            };
            let name = visible(token.name.as_deref().unwrap_or(""));
            vec![token.id.to_string(), name, token.rights.to_string(), logs(token), day(token.created), expires]
        })
        .collect();
    ui.table(&header, &rows)?;
    let count = ui.paint(DIM, facts::count(rows.len() as u64, "token"));
    ui.line(count)
}

fn revoke(args: &TokenRevoke, ui: &mut Ui) -> Result<(), Failure> {
    let file = file(&args.data)?;
    let mut revoked = Vec::new();
    for id in &args.id {
        let found = file.revoke(id).map_err(|e| Failure::tokens(&e))?;
        let Some(token) = found else {
            return Err(Failure::new(Kind::Input, format!("there is no token {id} in {}", shown(&file)))
                .hint("`tolstoy token list` shows their ids"));
        };
        if !args.output.json {
            ui.line(format!("revoked {id}"))?;
        }
        revoked.push(token);
    }
    if args.output.json {
        return ui.json(&revoked.iter().map(in_json).collect::<Vec<_>>());
    }
    if file.read().map_err(|e| Failure::tokens(&e))?.is_some_and(|left| left.is_empty()) {
        ui.note(closed_to_all(&file));
    }
    Ok(())
}

fn closed_to_all(file: &TokenFile) -> String {
    let path = file.path();
    format!(
        "no token is left, and the hub answers nobody: make one; or, for a hub on loopback that asks for none, remove {} and \
         start it again",
        path.display()
    )
}

fn file(data: &HubData) -> Result<TokenFile, Failure> {
    let data: PathBuf = match &data.data {
        Some(data) => data.clone(),
        None => serve::default_data()?,
    };
    Ok(TokenFile::of(&data))
}

fn shown(file: &TokenFile) -> String {
    file.path().parent().map(|directory| directory.display().to_string()).unwrap_or_default()
}

fn logs(token: &Token) -> String {
    match &token.logs {
        Logs::All => "all logs".to_owned(),
        Logs::Only(logs) => logs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}

fn day(at: Instant) -> String {
    at.to_string().chars().take_while(|c| *c != 'T').collect()
}

fn in_json(token: &Token) -> Json {
    json!({
        "id": token.id.to_string(),
        "name": token.name,
        "rights": token.rights.iter().map(|right| right.name()).collect::<Vec<_>>(),
        "logs": match &token.logs {
            Logs::All => Json::Null,
            Logs::Only(logs) => logs.iter().map(ToString::to_string).collect(),
        },
        "created": token.created.to_string(),
        "expires": token.expires.map(|at| at.to_string()),
    })
}

/// A time from now on, or a moment.
fn moment(text: &str, now: Instant) -> Result<Instant, Failure> {
    let bad = |why: &str| {
        Failure::new(Kind::Usage, format!("--expires {text}: {why}"))
            .hint("write 12h, 90d, 8w or 1y, or a day or an instant, such as 2027-01-31 or 2027-01-31T12:00:00Z")
    };
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let hours = match unit {
        "h" => Some(1),
        "d" => Some(24),
        "w" => Some(7 * 24),
        "y" => Some(365 * 24),
        _ => None,
    };
    let at = match (number.parse::<i64>(), hours) {
        (Ok(number), Some(hours)) => number
            .checked_mul(hours * 3_600_000_000)
            .and_then(|micros| now.as_micros().checked_add(micros))
            .map(Instant::from_micros)
            .ok_or_else(|| bad("that is too far away"))?,
        _ => Instant::parse_rfc3339(text).ok_or_else(|| bad("this is neither a time nor a day"))?,
    };
    if at <= now { Err(bad("that is over already")) } else { Ok(at) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn times_are_from_now_on_and_days_are_days() {
        let now = Instant::parse_rfc3339("2026-11-21T12:00:00Z").unwrap();
        let told = |text| moment(text, now).map(|at| at.to_string()).map_err(|f| f.message);
        assert_eq!(told("12h").unwrap(), "2026-11-22T00:00:00Z");
        assert_eq!(told("90d").unwrap(), "2027-02-19T12:00:00Z");
        assert_eq!(told("2w").unwrap(), "2026-12-05T12:00:00Z");
        assert_eq!(told("1y").unwrap(), "2027-11-21T12:00:00Z");
        assert_eq!(told("2027-01-31").unwrap(), "2027-01-31T00:00:00Z");
        assert_eq!(told("0d").unwrap_err(), "--expires 0d: that is over already");
        assert_eq!(told("2026-01-01").unwrap_err(), "--expires 2026-01-01: that is over already");
        assert_eq!(told("9999999999999y").unwrap_err(), "--expires 9999999999999y: that is too far away");
        for bad in ["", "d", "90", "90 d", "-1d", "1m", "soon", "90dd"] {
            assert!(told(bad).unwrap_err().contains(": "), "{bad}");
        }
    }
}
