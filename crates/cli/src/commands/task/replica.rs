//! The replica that Taskwarrior 3 keeps: a database of TaskChampion's, which may be in use meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use tolstoy_tasks::json::{Json, Limits, read as read_json};
use tolstoy_tasks::taskwarrior::from_map;
use uuid::Uuid;

use crate::error::{Failure, Kind};

/// The name of the file in its directory.
const FILE: &str = "taskchampion.sqlite3";
/// How long the replica's own program may keep us waiting.
const PATIENCE: Duration = Duration::from_secs(5);
/// The versions of the format that are understood.
const MAJOR: i64 = 0;

/// All tasks of the replica, as Taskwarrior's JSON has them, from one moment.
pub(super) fn read(path: &Path) -> Result<Vec<Json>, Failure> {
    let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let name = path.display().to_string();
    if !path.is_file() {
        return Err(Failure::new(Kind::Missing, format!("{name}: there is no such file")).hint(format!(
            "a replica of Taskwarrior 3 is the file {FILE}, usually in ~/.task or ~/.local/share/task"
        )));
    }
    let failed = |error: rusqlite::Error| failure(&name, &error);
    let mut replica = connect(&path).map_err(failed)?;
    let snapshot = replica.transaction().map_err(failed)?;
    check_format(&snapshot, &name)?;
    let mut statement = snapshot.prepare("SELECT uuid, data FROM tasks ORDER BY uuid").map_err(failed)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    rows.map(|row| {
        let (uuid, data): (String, String) = row.map_err(failed)?;
        task(&uuid, &data).map_err(|why| Failure::new(Kind::Damaged, format!("{name}: the task {uuid:?}: {why}")))
    })
    .collect()
}

/// Opens it to read. Where neither it nor its directory may be written, and nobody has it open, it is read as it lies there.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = Connection::open_with_flags(path, flags).and_then(|replica| {
        replica.busy_timeout(PATIENCE)?;
        replica.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(replica)
    });
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        Path::new(&name).exists()
    };
    match open {
        Err(rusqlite::Error::SqliteFailure(error, _))
            if matches!(error.code, ErrorCode::CannotOpen | ErrorCode::ReadOnly) && !beside("-wal") =>
        {
            let text = path.display().to_string();
            let escaped: String = text
                .chars()
                .map(|c| if "%?#".contains(c) { format!("%{:02x}", c as u32) } else { c.to_string() })
                .collect();
            Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI)
        }
        result => result,
    }
}

fn check_format(replica: &Connection, name: &str) -> Result<(), Failure> {
    let has = |table: &str| {
        let found =
            replica.query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1", [table], |_| Ok(()));
        found.optional().map(|found| found.is_some()).map_err(|error| failure(name, &error))
    };
    if !has("tasks")? || !has("operations")? {
        return Err(Failure::new(Kind::NotAStore, format!("{name}: this is no replica of TaskChampion's"))
            .hint("`task export | tolstoy task import -` takes tasks from older versions of Taskwarrior"));
    }
    if has("version")? {
        let major = replica.query_row("SELECT major FROM version", [], |row| row.get(0)).optional();
        let major: i64 = major.map_err(|error| failure(name, &error))?.unwrap_or(MAJOR);
        if major > MAJOR {
            let message = format!("{name}: this replica has format {major}, and {MAJOR} is understood here");
            return Err(
                Failure::new(Kind::NewerFormat, message).hint("`task export | tolstoy task import -` goes without it")
            );
        }
    }
    Ok(())
}

/// One task from its row.
fn task(uuid: &str, data: &str) -> Result<Json, String> {
    let uuid = Uuid::try_parse(uuid).map_err(|_| "its name is no UUID".to_owned())?;
    let data = read_json(data, Limits { bytes: tolstoy_tasks::MAX_TEXT, depth: 2 }).map_err(|e| e.to_string())?;
    let Json::Object(data) = data else { return Err(format!("it is {}, not an object", data.describe())) };
    let text = |(key, value): (String, Json)| match value {
        Json::String(value) => Ok((key, value)),
        other => Err(format!("{key:?} is {}, not a text", other.describe())),
    };
    let map: BTreeMap<String, String> = data.into_iter().map(text).collect::<Result<_, _>>()?;
    Ok(from_map(uuid, map))
}

fn failure(name: &str, error: &rusqlite::Error) -> Failure {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Kind::Busy,
        Some(ErrorCode::NotADatabase) => Kind::NotAStore,
        Some(ErrorCode::DatabaseCorrupt) => Kind::Damaged,
        _ => Kind::Storage,
    };
    Failure::new(kind, format!("{name}: {error}"))
}
