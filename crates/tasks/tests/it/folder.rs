//! A folder beside other programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tolstoy_tasks::driver::{Answer, Driver, Folder, FolderOptions, Hashes, Offer};
use tolstoy_tasks::json::Json;
use tolstoy_tasks::{Document, TaskId, resolve};

use crate::common::{Standing, author, doc, env_with, instant, set};

const ID: &str = "pb67wndxge8293xd";
const OTHER: &str = "px6zrs3z46b8e5pg";

struct Fixture {
    directory: TempDir,
    clock: Standing,
}

impl Fixture {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), clock: Standing::at("2100-01-01T00:00:00Z") }
    }

    fn folder(&self) -> Folder {
        self.with(FolderOptions::default())
    }

    fn with(&self, options: FolderOptions) -> Folder {
        Folder::open(self.root(), env_with(1, &self.clock), options).unwrap()
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.root().join(name), text).unwrap();
    }

    /// The file was changed at this time.
    fn change(&self, name: &str, at: &str) {
        let at = u64::try_from(instant(at).as_micros()).unwrap();
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_micros(at);
        fs::File::options().write(true).open(self.root().join(name)).unwrap().set_modified(at).unwrap();
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.root().join(name)).unwrap()
    }

    /// The names of all files but the lock.
    fn names(&self) -> BTreeSet<String> {
        let names = fs::read_dir(self.root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ".lock").collect()
    }
}

fn milk() -> Document {
    let mut task = doc(&format!(r#"{{"id":"{ID}"}}"#));
    set(&mut task, &author("laptop", "2026-11-25T09:00:00Z"), "description", "milk");
    task
}

fn offer(folder: &mut Folder, document: &Document) -> Answer {
    folder.exchange(&[Offer::of(document.clone())]).unwrap().answers.remove(0)
}

fn read(folder: &mut Folder, id: &str) -> Answer {
    folder.exchange(&[Offer::nothing(id.parse::<TaskId>().unwrap())]).unwrap().answers.remove(0)
}

fn stands(answer: Answer) -> Document {
    match answer {
        Answer::Stands(Some(document)) => document,
        other => panic!("{other:?}"),
    }
}

fn refused(answer: Answer) -> String {
    match answer {
        Answer::Refused(refusal) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

fn hashes(folder: &mut Folder) -> (Vec<String>, Vec<String>) {
    let Hashes { tasks, troubles } = folder.hashes().unwrap();
    (tasks.keys().map(ToString::to_string).collect(), troubles.iter().map(ToString::to_string).collect())
}

#[test]
fn a_file_is_a_document_with_a_property_to_a_line() {
    let place = Fixture::new();
    let text = format!(
        r#"{{"id":"{ID}","zoo":1.0,"description":"milk","tags":["home"],"updated_at":"2026-11-25T09:00:00Z","due":"2026-11-26"}}"#
    );
    let mut task = doc(&text);
    set(&mut task, &author("laptop", "2026-11-25T10:00:00Z"), "due", "2026-11-27");
    stands(offer(&mut place.folder(), &task));
    let expected = r#"{
  "id": "pb67wndxge8293xd",
  "description": "milk",
  "tags": ["home"],
  "due": "2026-11-27",
  "updated_at": "2026-11-25T10:00:00Z",
  "zoo": 1.0,
  "_clocks": {
    "description": "2026-11-25T09:00:00Z/0/-/6a9bd25c",
    "due": ["2026-11-25T10:00:00Z/0/laptop/50eb1d6c","2026-11-25T09:00:00Z/0/-/9b1c4a4f"],
    "tags": {"home":"2026-11-25T09:00:00Z/0/-/+"},
    "zoo": "2026-11-25T09:00:00Z/0/-/6b86b273"
  }
}
"#;
    let lines = |text: &str| text.lines().map(|line| line.split("Z/0/").next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(lines(&place.text(&format!("{ID}.json"))), lines(expected));
}

#[test]
fn an_edit_by_hand_is_noticed_and_is_newer_than_what_it_replaced() {
    let place = Fixture::new();
    let mut folder = place.folder();
    stands(offer(&mut folder, &milk()));
    let before = folder.hashes().unwrap();
    let name = format!("{ID}.json");
    place.put(&name, &place.text(&name).replace("\"milk\"", "\"oat milk\""));
    assert_ne!(folder.hashes().unwrap().tasks, before.tasks);
    // Another device edited before the file was changed: the file's time is now.
    let mut other = milk();
    set(&mut other, &author("phone", "2026-11-25T10:00:00Z"), "description", "soy milk");
    let both = stands(offer(&mut folder, &other));
    assert_eq!(both.get("description"), Some(&Json::from("oat milk")));
    assert_eq!(both.journal()[0].value, Some(Json::from("soy milk")));
    assert_eq!(stands(read(&mut folder, ID)), both);
}

#[test]
fn conflict_copies_are_resolved_and_removed() {
    let place = Fixture::new();
    let mut folder = place.folder();
    stands(offer(&mut folder, &milk()));
    let names = [
        "pb67wndxge8293xd (Anna's conflicted copy 2026-11-25).json",
        "pb67wndxge8293xd.sync-conflict-20261125-235829-ABCDEFG.json",
        "pb67wndxge8293xd (1).json",
    ];
    let mut expected = milk();
    for (i, name) in names.iter().enumerate() {
        let mut copy = milk();
        set(&mut copy, &author("phone", &format!("2026-11-25T10:00:0{i}Z")), "description", &format!("milk {i}"));
        place.put(name, &copy.pretty());
        expected = resolve(&expected, &copy).unwrap();
    }
    assert_eq!(folder.hashes().unwrap().tasks.values().copied().collect::<Vec<_>>(), [expected.hash()]);
    assert_eq!(place.names(), BTreeSet::from([format!("{ID}.json")]));
    assert_eq!(stands(read(&mut folder, ID)), expected);
    assert_eq!(expected.journal().len(), 2);
}

#[test]
fn a_conflict_copy_of_a_task_without_a_file_becomes_its_file() {
    let place = Fixture::new();
    place.put("pb67wndxge8293xd.sync-conflict-20261125-235829-ABCDEFG.json", &milk().pretty());
    assert_eq!(hashes(&mut place.folder()), (vec![ID.to_owned()], vec![]));
    assert_eq!(place.names(), BTreeSet::from([format!("{ID}.json")]));
}

#[test]
fn a_copy_that_is_cut_off_or_of_another_task_stays_and_is_told_of() {
    let place = Fixture::new();
    let mut folder = place.folder();
    stands(offer(&mut folder, &milk()));
    place.put("pb67wndxge8293xd (1).json", "{\"id\": \"pb67");
    place.put("pb67wndxge8293xd (2).json", &format!("{{\"id\":\"{OTHER}\"}}"));
    let (ids, troubles) = hashes(&mut folder);
    assert_eq!(ids, [ID]);
    assert_eq!(
        troubles,
        [
            "pb67wndxge8293xd (1).json: line 1, column 13: the text is cut off: a `\"` is missing",
            "pb67wndxge8293xd (2).json: it holds another task, px6zrs3z46b8e5pg: give it that name, or remove it",
        ]
    );
    assert_eq!(place.names().len(), 3);
}

#[test]
fn a_renamed_file_gets_its_name_back_and_a_second_one_stays() {
    let place = Fixture::new();
    let mut folder = place.folder();
    place.put("milk.json", &milk().pretty());
    assert_eq!(stands(read(&mut folder, ID)), milk());
    assert_eq!(place.names(), BTreeSet::from([format!("{ID}.json")]));
    let mut old = milk();
    set(&mut old, &author("phone", "2026-11-25T10:00:00Z"), "description", "not used");
    place.put("backup.json", &old.pretty());
    let (ids, troubles) = hashes(&mut folder);
    assert_eq!(ids, [ID]);
    assert_eq!(troubles, ["backup.json: it holds the task pb67wndxge8293xd too; what is in it is not used"]);
    assert_eq!(stands(read(&mut folder, ID)), milk());
    assert_eq!(place.names().len(), 2);
}

#[test]
fn what_is_no_task_is_left_alone() {
    let place = Fixture::new();
    for (name, text) in [
        ("notes.txt", "x"),
        ("package.json", "{\"id\": 1}"),
        ("list.json", "[1, 2"),
        (".hidden.json", "{}"),
        (".syncthing.pb67wndxge8293xd.json.tmp", "{}"),
        ("pb67wndxge8293xd.json~", "{}"),
    ] {
        place.put(name, text);
    }
    fs::create_dir(place.root().join("px6zrs3z46b8e5pg")).unwrap();
    let before = place.names();
    assert_eq!(hashes(&mut place.folder()), (vec![], vec![]));
    stands(offer(&mut place.folder(), &milk()));
    assert_eq!(place.names().difference(&before).collect::<Vec<_>>(), [&format!("{ID}.json")]);
}

#[test]
fn a_file_that_is_half_written_is_told_of_and_the_others_go_on() {
    let place = Fixture::new();
    let whole = milk().pretty();
    for cut in [0, 1, 20, whole.len() - 3] {
        place.clock.set("2020-01-01T00:00:00Z");
        place.put(&format!("{ID}.json"), &whole[..cut]);
        // The other's clock is a little ahead.
        place.change(&format!("{ID}.json"), "2020-01-01T00:10:00Z");
        place.put(&format!("{OTHER}.json"), &format!("{{\"id\":\"{OTHER}\"}}"));
        let mut folder = place.folder();
        let (ids, troubles) = hashes(&mut folder);
        assert_eq!(ids, [OTHER]);
        assert!(
            troubles[0].starts_with("pb67wndxge8293xd.json: line ") && troubles[0].contains("cut off"),
            "{troubles:?}"
        );
        // Someone may be writing it: nothing is touched.
        assert!(refused(offer(&mut folder, &milk())).contains("cut off"));
        assert_eq!(place.text(&format!("{ID}.json")), &whole[..cut]);
        // Nobody is any more; nor where its time is one that cannot be.
        place.clock.set(if cut == 1 { "2019-01-01T00:00:00Z" } else { "2020-01-01T00:10:11Z" });
        assert!(refused(read(&mut folder, ID)).contains("cut off"));
        let exchanged = folder.exchange(&[Offer::of(milk())]).unwrap();
        assert_eq!(exchanged.answers, [Answer::Stands(Some(milk()))]);
        assert!(exchanged.troubles[0].to_string().contains("is kept as pb67wndxge8293xd.damaged-"));
        let kept: Vec<String> = place.names().into_iter().filter(|name| name.contains("damaged")).collect();
        assert_eq!(place.text(&kept[0]), &whole[..cut]);
        fs::remove_file(place.root().join(&kept[0])).unwrap();
        assert_eq!(hashes(&mut folder).0, [ID, OTHER]);
    }
}

#[test]
fn what_is_no_file_is_never_followed_or_replaced() {
    let place = Fixture::new();
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.json");
    fs::write(&secret, milk().pretty()).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&secret, place.root().join(format!("{ID}.json"))).unwrap();
    fs::create_dir(place.root().join(format!("{OTHER}.json"))).unwrap();
    let mut folder = place.folder();
    let (ids, troubles) = hashes(&mut folder);
    assert!(ids.is_empty(), "{ids:?}");
    assert_eq!(
        troubles,
        [
            "pb67wndxge8293xd.json: it is a link, and is left alone",
            "px6zrs3z46b8e5pg.json: it is a directory, and is left alone",
        ]
    );
    assert!(refused(offer(&mut folder, &milk())).contains("it is a link"));
    assert!(refused(offer(&mut folder, &doc(&format!("{{\"id\":\"{OTHER}\"}}")))).contains("it is a directory"));
    assert_eq!(fs::read_to_string(&secret).unwrap(), milk().pretty());
}

#[test]
fn files_of_other_encodings_and_sizes_are_refused() {
    let place = Fixture::new();
    fs::write(place.root().join(format!("{ID}.json")), b"{\"id\": \"\xff\"}").unwrap();
    let huge = format!("{{\"id\":\"{OTHER}\",\"description\":\"{}\"}}", "x".repeat(10 << 20));
    place.put(&format!("{OTHER}.json"), &huge);
    place.put("wbyzkrrrp7xb2rps.json", "\u{feff}{\"id\":\"wbyzkrrrp7xb2rps\"}\r\n");
    let (ids, troubles) = hashes(&mut place.folder());
    assert_eq!(ids, ["wbyzkrrrp7xb2rps"]);
    assert!(troubles[0].contains("it is no text in UTF-8"), "{troubles:?}");
    assert!(troubles[1].contains("at most 2097152 are read"), "{troubles:?}");
}

#[test]
fn leftovers_of_writers_that_died_are_removed_in_time() {
    let place = Fixture::new();
    let leftover = format!(".{ID}.{OTHER}.tmp");
    place.put(&leftover, "{");
    place.clock.set("2020-01-01T00:00:00Z");
    place.folder().hashes().unwrap();
    assert!(place.names().contains(&leftover));
    place.clock.set("2100-01-01T00:00:00Z");
    place.folder().hashes().unwrap();
    assert!(place.names().is_empty());
}

#[test]
fn two_writers_at_once_lose_nothing() {
    let place = Fixture::new();
    let (root, clock) = (place.root().to_owned(), place.clock.clone());
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let (root, clock) = (root.clone(), clock.clone());
            std::thread::spawn(move || {
                let mut folder = Folder::open(&root, env_with(n, &clock), FolderOptions::default()).unwrap();
                for i in 0..10 {
                    let mut task = doc(&format!(r#"{{"id":"{ID}"}}"#));
                    task.tag(&author("laptop", "2026-11-25T10:00:00Z"), &format!("{n}-{i}"), true).unwrap();
                    stands(offer(&mut folder, &task));
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(stands(read(&mut place.folder(), ID)).tags().count(), 40);
    assert_eq!(place.names(), BTreeSet::from([format!("{ID}.json")]));
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_is_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Fixture::new();
    stands(offer(&mut place.folder(), &milk()));
    fs::remove_file(place.root().join(".lock")).unwrap();
    fs::set_permissions(place.root(), fs::Permissions::from_mode(0o555)).unwrap();
    let may_write_anyway = fs::write(place.root().join("probe"), "").is_ok();
    let mut folder = place.folder();
    assert_eq!(hashes(&mut folder), (vec![ID.to_owned()], vec![]));
    assert_eq!(stands(read(&mut folder, ID)), milk());
    let mut other = milk();
    set(&mut other, &author("phone", "2026-11-25T10:00:00Z"), "description", "soy milk");
    if may_write_anyway {
        // A superuser is told no.
        stands(offer(&mut folder, &other));
    } else {
        assert!(refused(offer(&mut folder, &other)).contains("cannot be written by this user"));
    }
    fs::set_permissions(place.root(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_folder_that_is_none_is_said() {
    let place = Fixture::new();
    let nowhere = place.root().join("nowhere");
    let error = Folder::open(&nowhere, env_with(1, &place.clock), FolderOptions::default()).unwrap_err();
    assert!(error.to_string().ends_with("nowhere: there is no such folder"), "{error}");
}

fn git(root: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn in_a_git_work_tree_what_is_written_is_committed_and_nothing_else() {
    let place = Fixture::new();
    git(place.root(), &["init", "-q"]);
    git(place.root(), &["config", "user.name", "Anna"]);
    git(place.root(), &["config", "user.email", "anna@example.org"]);
    place.put("staged.txt", "x");
    git(place.root(), &["add", "staged.txt"]);
    place.put("*.json", "not asked for");
    let mut folder = place.with(FolderOptions { create: false, commit: true });
    let exchanged = folder.exchange(&[Offer::of(milk()), Offer::of(doc(&format!("{{\"id\":\"{OTHER}\"}}")))]).unwrap();
    assert_eq!(exchanged.troubles, []);
    // What changes nothing makes no commit.
    folder.exchange(&[Offer::of(milk()), Offer::nothing(OTHER.parse().unwrap())]).unwrap();
    folder.hashes().unwrap();
    assert_eq!(git(place.root(), &["log", "--format=%an %s"]), "Anna tasks: 2 changed\n");
    assert_eq!(
        git(place.root(), &["show", "--name-only", "--format="]),
        "pb67wndxge8293xd.json\npx6zrs3z46b8e5pg.json\n"
    );
    // A conflict copy that git knew is gone with the same commit.
    let mut copy = milk();
    set(&mut copy, &author("phone", "2026-11-25T10:00:00Z"), "description", "oat milk");
    place.put("pb67wndxge8293xd (1).json", &copy.pretty());
    git(place.root(), &["add", "pb67wndxge8293xd (1).json"]);
    git(place.root(), &["commit", "-qm", "copy", "--", "pb67wndxge8293xd (1).json"]);
    assert_eq!(folder.hashes().unwrap().troubles, []);
    assert_eq!(git(place.root(), &["log", "--format=%s"]), "tasks: 1 changed\ncopy\ntasks: 2 changed\n");
    assert_eq!(git(place.root(), &["status", "--porcelain"]), "A  staged.txt\n?? *.json\n?? .lock\n");
}

#[test]
fn without_a_work_tree_nothing_is_committed_and_what_git_refuses_is_told() {
    let place = Fixture::new();
    let mut folder = place.with(FolderOptions { create: false, commit: true });
    // The directory for temporary files is in no work tree.
    assert_eq!(folder.exchange(&[Offer::of(milk())]).unwrap().troubles, []);
    git(place.root(), &["init", "-q"]);
    git(place.root(), &["config", "user.name", "Anna"]);
    git(place.root(), &["config", "user.email", "anna@example.org"]);
    place.put(".git/index.lock", "");
    let mut other = milk();
    set(&mut other, &author("phone", "2026-11-25T10:00:00Z"), "description", "soy milk");
    let exchanged = folder.exchange(&[Offer::of(other.clone())]).unwrap();
    assert_eq!(exchanged.answers, [Answer::Stands(Some(other))]);
    assert!(exchanged.troubles[0].to_string().contains("git: what was written could not be added"), "{exchanged:?}");
}
