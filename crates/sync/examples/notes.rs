//! Notes that stay in step by themselves. Run a hub (`tolstoy serve`), then, in two terminals with two files,
//!
//! ```text
//! cargo run -p tolstoy-sync --example notes -- one.db http://127.0.0.1:7410 0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e
//! ```
//!
//! and type: each line is a note, and those of the other appear.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::BufRead;
use std::path::Path;

use tolstoy_edn::Value;
use tolstoy_env::Env;
use tolstoy_store::{Shape, Store};
use tolstoy_sync::{Access, Happened, Options, Pair, Remote, Syncer};

const SCHEMA: &str = "[{:db/ident :note/text :db/valueType :db.type/string :db/cardinality :db.cardinality/one}]";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(url), Some(log)) = (args.next(), args.next(), args.next()) else {
        return Err("say: notes STORE URL LOG-UUID".into());
    };
    let path = Path::new(&path);
    let env = Env::system();
    let mut store = Store::open_or_create(path, env.clone())?;
    store.transact_str(SCHEMA)?;

    let remote = Remote { url: tolstoy_sync::normalize_url(&url)?, log: log.parse()? };
    let pair = Pair { store: path.to_owned(), remote, access: Access::default() };
    let reader = path.to_owned();
    let reads = env.clone();
    let syncer = Syncer::start(&pair, Options::on_tokio(env), move |happened| match happened {
        Happened::Synced(_) => match notes(&reader, reads.clone()) {
            Ok(notes) => println!("{} notes, the last: {}", notes.len(), notes.last().map_or("", String::as_str)),
            Err(error) => println!("{error}"),
        },
        Happened::Failed { error, again_in } => println!("{error}; again in {} s", again_in.as_secs()),
        _ => println!("stopped"),
    })?;
    for line in std::io::stdin().lock().lines() {
        let text = Value::String(line?.into());
        store.transact_str(&format!("[{{:note/text {text}}}]"))?;
        // It would be noticed within a moment; so it goes at once.
        syncer.wake();
    }
    syncer.stop();
    Ok(())
}

/// All notes, oldest first.
fn notes(path: &Path, env: Env) -> Result<Vec<String>, Box<dyn Error>> {
    let store = Store::open_to_read(path, env)?;
    let answer = store.query("[:find [?text ...] :where [?note :note/text ?text] :order ?note]", &[])?;
    let Shape::Collection(texts) = answer.shape else { return Ok(Vec::new()) };
    Ok(texts.iter().map(ToString::to_string).collect())
}
