//! Logs that were wiped, stores that were copied or put back, and what `status` says of it.

use tolstoy_env::Env;
use tolstoy_sync::{OtherLife, Relation, local_status, log_status};

use super::*;

fn sync_as(store: &mut Store, hub: &Hub, other_life: OtherLife) -> Result<SyncReport, Error> {
    let options = Options { other_life, ..options() };
    now(tolstoy_sync::sync(store, &mut MemoryTransport::new(|request| hub.answer(request)), &options))
}

fn wipe(hub: &Hub) {
    hub.service.delete(hub.log).wait().unwrap();
}

fn relation(store: &Store, hub: &Hub) -> Relation {
    now(log_status(store, &mut MemoryTransport::new(|request| hub.answer(request)))).unwrap().relation
}

fn names(store: &Store) -> String {
    format!("{:?}", store.query("[:find [?n ...] :where [_ :name ?n]]", &[]).unwrap())
}

/// All origins of main but the bootstrap's, each of which must be there once.
fn origins(store: &Store) -> std::collections::BTreeSet<Uuid> {
    let all = store.transactions(tolstoy_store::Timeline::MAIN, Entid::TX0, usize::MAX).unwrap();
    let origins: std::collections::BTreeSet<Uuid> = all.iter().map(|t| t.origin.id).collect();
    assert_eq!(origins.len(), all.len());
    origins
}

#[test]
fn a_wiped_log_is_filled_again_by_one_and_found_the_same_by_the_other() {
    let (hub, mut one, mut two) = two();
    must(&mut one, r#"[{:name "Anna"}]"#);
    sync(&mut one, &hub);
    sync(&mut two, &hub);
    must(&mut one, r#"[{:name "Vera"}]"#);
    must(&mut two, r#"[{:name "Oleg"}]"#);
    let before = hub.state();
    wipe(&hub);
    assert_eq!(relation(&one, &hub), Relation::OtherLife);

    assert_eq!(try_sync(&mut one, &hub).unwrap_err().kind(), ErrorKind::Generation);
    let error = sync_as(&mut one, &hub, OtherLife::Adopt).unwrap_err();
    assert!(matches!(error, Error::NothingToAdopt), "{error}");
    assert_eq!(hub.state().generation, None, "a sync that stops changed something");

    let report = sync_as(&mut one, &hub, OtherLife::Reseed).unwrap();
    assert_eq!(report.other_life, Some(OtherLife::Reseed));
    assert_eq!(hub.state().generation.unwrap().number, before.generation.unwrap().number + 1);
    assert_eq!(hub.state().seq, Seq(3));

    // The other one is not asked to destroy what is there, and loses nothing by joining it.
    let error = sync_as(&mut two, &hub, OtherLife::Reseed).unwrap_err();
    assert!(matches!(error, Error::NotEmpty { transactions: 3 }), "{error}");
    let report = sync_as(&mut two, &hub, OtherLife::Adopt).unwrap();
    assert_eq!(report.acknowledged, 2, "what both had was moved about: {report:?}");
    sync(&mut one, &hub);
    same(&one, &two);
    assert_eq!(origins(&one).len(), 4);
    assert_eq!(relation(&one, &hub), Relation::Ahead(0));
}

#[test]
fn a_new_life_is_joined_with_everything_that_it_lacks() {
    let (hub, mut one, mut two) = two();
    must(&mut one, r#"[{:name "Anna"}]"#);
    sync(&mut one, &hub);
    sync(&mut two, &hub);
    must(&mut two, r#"[{:name "Vera"}]"#);
    wipe(&hub);
    let mut other = device(3);
    must(&mut other, SCHEMA);
    must(&mut other, r#"[{:name "Oleg"} {:name "Anna" :text "there too"}]"#);
    sync(&mut other, &hub);

    let (was, all) = (one.facts_digest().unwrap(), &origins(&one) | &(&origins(&two) | &origins(&other)));
    assert_eq!(try_sync(&mut one, &hub).unwrap_err().kind(), ErrorKind::Generation);
    assert_eq!(one.facts_digest().unwrap(), was);
    sync_as(&mut one, &hub, OtherLife::Adopt).unwrap();
    sync_as(&mut two, &hub, OtherLife::Adopt).unwrap();
    sync(&mut other, &hub);
    sync(&mut one, &hub);
    same(&one, &two);
    same(&one, &other);
    assert_eq!(origins(&one), all);
    for name in ["Anna", "Vera", "Oleg"] {
        assert!(names(&one).contains(name), "{name} is not in {}", names(&one));
    }
}

/// A life that was to be joined or filled, and could not be, is as much another one as it was before.
#[test]
fn a_life_that_could_not_be_joined_or_filled_is_not_joined_unasked() {
    let (hub, mut one, mut two) = two();
    must(&mut one, r#"[{:name "Anna"}]"#);
    sync(&mut one, &hub);
    sync(&mut two, &hub);
    must(&mut two, "[{:db/ident :late :db/valueType :db.type/long :db/cardinality :db.cardinality/one}]");
    wipe(&hub);
    let filling = Options { other_life: OtherLife::Reseed, ..options() };
    let mut cut = MemoryTransport::new(|request| match request {
        Request::Push(_) => Err(TransportError::Broken("cut".to_owned())),
        other => hub.answer(other),
    });
    let error = now(tolstoy_sync::sync(&mut one, &mut cut, &filling)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Offline);

    let mut other = device(3);
    must(&mut other, SCHEMA);
    must(&mut other, "[{:db/ident :late :db/valueType :db.type/string :db/cardinality :db.cardinality/one}]");
    sync(&mut other, &hub);
    let error = sync_as(&mut two, &hub, OtherLife::Adopt).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    assert!(error.to_string().contains(":late"), "{error}");
    for store in [&mut one, &mut two] {
        let before = (store.facts_digest().unwrap(), store.last_positioned().unwrap());
        assert_eq!(relation(store, &hub), Relation::OtherLife);
        assert_eq!(try_sync(store, &hub).unwrap_err().kind(), ErrorKind::Generation);
        assert_eq!((store.facts_digest().unwrap(), store.last_positioned().unwrap()), before);
    }
    sync_as(&mut one, &hub, OtherLife::Adopt).unwrap();
    sync(&mut other, &hub);
    same(&one, &other);
}

/// The log was filled again, and nobody heard of it: it is another life, with the same in it.
#[test]
fn a_log_that_was_filled_again_unheard_is_found_the_same() {
    let (hub, mut one, _) = two();
    must(&mut one, r#"[{:name "Anna"}]"#);
    sync(&mut one, &hub);
    let (before, facts) = (hub.state(), one.facts_digest().unwrap());
    wipe(&hub);
    let filling = Options { other_life: OtherLife::Reseed, ..options() };
    let mut unheard = MemoryTransport::new(|request| {
        let is_push = matches!(request, Request::Push(_));
        let answer = hub.answer(request)?;
        if is_push { Err(TransportError::Broken("lost".to_owned())) } else { Ok(answer) }
    });
    now(tolstoy_sync::sync(&mut one, &mut unheard, &filling)).unwrap_err();
    assert_eq!((hub.state().seq, hub.state().chain), (before.seq, before.chain));
    assert_eq!(try_sync(&mut one, &hub).unwrap_err().kind(), ErrorKind::Generation);
    let report = sync_as(&mut one, &hub, OtherLife::Adopt).unwrap();
    assert_eq!((report.acknowledged, report.resupplied), (2, 0));
    assert_eq!(one.facts_digest().unwrap(), facts);
    assert_eq!(relation(&one, &hub), Relation::Ahead(0));
}

/// A store in a file, with something synced, and the file's path.
fn filed(hub: &Hub, folder: &tempfile::TempDir) -> std::path::PathBuf {
    let path = folder.path().join("one.db");
    let mut one = Store::open_or_create(&path, Env::repeatable(1)).unwrap();
    must(&mut one, SCHEMA);
    must(&mut one, r#"[{:name "Anna"}]"#);
    sync(&mut one, hub);
    path
}

fn new_device(report: &SyncReport) -> Option<Uuid> {
    report.passes.iter().find_map(|p| p.rebased.as_ref()?.new_device)
}

#[test]
fn a_store_file_that_was_copied_becomes_a_device_of_its_own() {
    let (hub, folder) = (Hub::new(), tempfile::tempdir().unwrap());
    let path = filed(&hub, &folder);
    let copy = folder.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    let (mut one, mut two) =
        (Store::open(&path, Env::repeatable(11)).unwrap(), Store::open(&copy, Env::repeatable(12)).unwrap());
    let device = one.device();
    assert_eq!(device, two.device());
    must(&mut one, r#"[{:name "Vera"}]"#);
    must(&mut two, r#"[{:name "Oleg"}]"#);
    assert_eq!(new_device(&sync(&mut one, &hub)), None);
    let renamed = new_device(&sync(&mut two, &hub)).expect("the copy noticed nothing");
    assert_eq!((two.device(), one.device()), (renamed, device));
    assert_ne!(renamed, device);
    drop(two);
    let mut two = Store::open(&copy, Env::repeatable(13)).unwrap();
    assert_eq!(two.device(), renamed, "it is a new device for good");
    must(&mut two, r#"[{:name "Ivan"}]"#);
    sync(&mut two, &hub);
    sync(&mut one, &hub);
    sync(&mut two, &hub);
    same(&one, &two);
    assert_eq!(origins(&one).len(), 5);
    let by = two.by_origin(two.transaction(two.basis()).unwrap().unwrap().origin.id).unwrap();
    assert_eq!(by, Some(two.basis()));
}

#[test]
fn a_store_that_was_put_back_from_a_backup_gets_all_it_lost_and_is_another_device() {
    let (hub, folder) = (Hub::new(), tempfile::tempdir().unwrap());
    let path = filed(&hub, &folder);
    let backup = folder.path().join("backup.db");
    std::fs::copy(&path, &backup).unwrap();
    let mut one = Store::open(&path, Env::repeatable(11)).unwrap();
    must(&mut one, r#"[{:name "Vera"}]"#);
    sync(&mut one, &hub);
    let (whole, device) = (origins(&one), one.device());
    drop(one);
    for extra in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.path().join(format!("one.db{extra}")));
    }
    std::fs::copy(&backup, &path).unwrap();
    let mut one = Store::open(&path, Env::repeatable(12)).unwrap();
    assert_eq!(relation(&one, &hub), Relation::Ahead(1));
    must(&mut one, r#"[{:name "Oleg"}]"#);
    let report = sync(&mut one, &hub);
    assert!(new_device(&report).is_some_and(|new| new != device));
    assert!(whole.is_subset(&origins(&one)));
    assert_eq!(origins(&one).len(), whole.len() + 1);
    assert_eq!(relation(&one, &hub), Relation::Ahead(0));
}

#[test]
fn a_device_whose_own_changes_come_back_stays_what_it_is() {
    let (hub, mut one, mut two) = two();
    must(&mut one, r#"[{:name "Anna"}]"#);
    // The push arrives and its answer is lost; the other goes on; then one merges on top of its own.
    let lost = sync_over(&mut one, |request| {
        hub.answer(request)?;
        Err(TransportError::Broken("lost".to_owned()))
    });
    lost.unwrap_err();
    must(&mut two, r#"[{:name "Vera"}]"#);
    sync(&mut two, &hub);
    must(&mut one, r#"[{:name "Oleg"}]"#);
    let report = sync(&mut one, &hub);
    assert_eq!(new_device(&report), None);
    sync(&mut two, &hub);
    same(&one, &two);
}

#[test]
fn status_tells_each_way_in_which_a_store_is_not_in_step() {
    let (hub, mut one, mut two) = two();
    let fresh = device(3);
    assert_eq!(relation(&fresh, &hub), Relation::Ahead(1));
    assert_eq!(local_status(&fresh).unwrap().transactions, 0);
    must(&mut one, r#"[{:name "Anna"}]"#);
    let local = local_status(&one).unwrap();
    assert_eq!((local.transactions, local.ahead), (2, 1));
    assert_eq!(relation(&one, &hub), Relation::Ahead(0));
    let backup = Hub::new();
    copy_log(&hub, &backup);
    sync(&mut one, &hub);
    must(&mut one, r#"[{:name "Vera"}]"#);
    sync(&mut one, &hub);
    assert_eq!(relation(&two, &hub), Relation::Ahead(2));
    assert_eq!(local_status(&one).unwrap().chain, hub.state().chain.0);

    // The hub is put back to before both.
    assert_eq!(relation(&one, &backup), Relation::Lost(2));
    must(&mut two, r#"[{:name "Oleg"}]"#);
    sync(&mut two, &backup);
    assert_eq!(relation(&one, &backup), Relation::Forked { lost: 2, others: 1 });
    let report = sync(&mut one, &backup);
    assert_eq!(report.resupplied, 2);
    sync(&mut two, &backup);
    same(&one, &two);
    assert_eq!(relation(&one, &backup), Relation::Ahead(0));
}

/// Makes the log of one hub that of another, in the same generation, as a backup does.
fn copy_log(from: &Hub, to: &Hub) {
    use tolstoy_hub::storage::{Storage, StorageError, WriteJob, WriteTxn};
    struct Begin(LogId, Generation);
    impl WriteJob for Begin {
        fn run(&mut self, txn: &mut dyn WriteTxn) -> Result<(), StorageError> {
            txn.begin_life(self.0, self.1).map(|_| ())
        }
        fn done(self: Box<Self>, _: Result<(), StorageError>) {}
    }
    let state = from.state();
    to.storage.write(Box::new(Begin(to.log, state.generation.unwrap())));
    let mut mirror = device(99);
    sync(&mut mirror, from);
    // It supplies what the other lacks, which is the same, byte by byte.
    let pushed = sync_over(&mut mirror, |request| to.answer(request)).unwrap();
    assert!(pushed.resupplied > 0);
    assert_eq!(to.state(), state);
}
