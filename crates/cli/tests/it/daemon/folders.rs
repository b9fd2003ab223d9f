//! Tasks that are kept in step: a store here, folders elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ALERT, Dice, Home, pairs};
use crate::room::Room;

const ONE: &str = "[[tasks]]\nwith = [\"../shared/\"]\n";

fn alert(pairs: &str) -> String {
    format!("{ALERT}{}", pairs.replace("../shared", "~/../shared"))
}

fn room() -> Arc<Room> {
    let room = Arc::new(Room::new());
    fs::create_dir(room.path("shared")).unwrap();
    room
}

/// The tasks' files in a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

#[test]
fn an_edit_here_goes_out_and_an_edit_elsewhere_comes_in() {
    let room = room();
    fs::create_dir(room.path("second")).unwrap();
    let home = Home::new(&room, "ann");
    home.settings(&alert("[[tasks]]\nwith = [\"../shared/\", \"~/../second\"]\n"));
    let daemon = home.start(&[]);
    let milk = home.add("Buy milk");
    let of = |folder: &str, id: &str| room.path(folder).join(format!("{id}.json"));
    daemon.wait_in_step("an edit goes out", || of("shared", &milk).exists() && of("second", &milk).exists());

    // By hand, in a file; and from one folder into the other.
    let text = fs::read_to_string(of("shared", &milk)).unwrap();
    fs::write(of("shared", &milk), text.replace("Buy milk", "Buy oat milk")).unwrap();
    fs::write(of("second", "pb67wndxge8293xd"), r#"{"id": "pb67wndxge8293xd", "description": "Paint the fence"}"#)
        .unwrap();
    daemon.wait_in_step("edits come in", || {
        let listed = home.ok(&["task", "list"]);
        listed.contains("Buy oat milk")
            && listed.contains("Paint the fence")
            && of("shared", "pb67wndxge8293xd").exists()
    });
    home.ok(&["task", "done", &milk]);
    daemon.wait_in_step("done goes out", || {
        ["shared", "second"].iter().all(|folder| fs::read_to_string(of(folder, &milk)).unwrap().contains("\"done\""))
    });
    let log = daemon.stop();
    assert!(log.contains("1 task went") && log.contains("stopped"), "{log}");
}

#[test]
fn what_happened_while_it_was_away_is_caught_up() {
    let room = room();
    let home = Home::new(&room, "ann");
    home.settings(&alert(ONE));
    let mut ids: Vec<String> = (0..3).map(|n| home.add(&format!("before {n}"))).collect();
    home.start(&[]).stop();
    fs::write(room.path("shared/pb67wndxge8293xd.json"), r#"{"id": "pb67wndxge8293xd"}"#).unwrap();
    ids.extend((0..3).map(|n| home.add(&format!("between {n}"))));
    let daemon = home.start(&[]);
    daemon.wait_in_step("all is caught up", || files(&room.path("shared")).len() == 7 && home.tasks().len() == 7);
    for id in ids {
        assert!(room.path("shared").join(format!("{id}.json")).exists(), "{id}");
    }
}

#[test]
fn a_place_that_goes_is_waited_for_and_never_made_and_what_comes_back_is_synced_at_once() {
    let room = room();
    let home = Home::new(&room, "ann");
    home.settings(&alert(ONE));
    let daemon = home.start(&[]);
    daemon.wait_in_step("it begins", || true);
    fs::rename(room.path("shared"), room.path("unplugged")).unwrap();
    let milk = home.add("Buy milk");
    let status = daemon.wait("the folder is away", |status| pairs(status)[0]["state"] == "waiting");
    assert_eq!(pairs(&status)[0]["error"], "missing");
    assert_eq!(home.run(&["daemon", "status"]).code, 5);
    assert!(!room.path("shared").exists());
    // The next try by itself would be in hours.
    home.ok(&["daemon", "sync"]);
    daemon.wait("it is tried, and waits again", |status| pairs(status)[0]["failures"] == 1);
    fs::rename(room.path("unplugged"), room.path("shared")).unwrap();
    daemon.wait_in_step("the folder is back", || room.path("shared").join(format!("{milk}.json")).exists());
    assert_eq!(home.run(&["daemon", "status"]).code, 0);
}

#[test]
fn the_place_here_is_made_and_filled() {
    let room = room();
    fs::write(room.path("shared/pb67wndxge8293xd.json"), r#"{"id": "pb67wndxge8293xd"}"#).unwrap();
    let home = Home::new(&room, "ann");
    home.settings(&alert(
        "[[tasks]]\nplace = \"~/mine/\"\nwith = [\"../shared/\"]\n\n[[tasks]]\nwith = [\"~/mine\"]\n",
    ));
    let daemon = home.start(&[]);
    daemon.wait_in_step("both are filled", || {
        home.path("mine/pb67wndxge8293xd.json").exists() && home.tasks().len() == 1
    });
}

#[test]
fn a_file_that_is_cut_off_is_told_of_and_the_others_go_on_and_it_is_mended() {
    let room = room();
    let home = Home::new(&room, "ann");
    home.settings(&alert(ONE));
    let milk = home.add("Buy milk");
    let file = room.path("shared").join(format!("{milk}.json"));
    let daemon = home.start(&[]);
    daemon.wait_in_step("it is there", || file.exists());
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let fence = home.add("Paint the fence");
    let remarked = |status: &serde_json::Value| pairs(status)[0]["remarks"].to_string().contains(&milk);
    daemon.wait("it is told of, and the other went", |status| {
        remarked(status) && room.path("shared").join(format!("{fence}.json")).exists()
    });
    assert_eq!(home.run(&["daemon", "status"]).code, 6);
    // Whoever wrote it goes on.
    fs::write(&file, whole.replace("Buy milk", "Buy milk and eggs")).unwrap();
    daemon.wait_in_step("it is whole", || home.ok(&["task", "list"]).contains("Buy milk and eggs"));
    daemon.wait("nothing is to be told of", |status| !remarked(status));
    assert_eq!(home.run(&["daemon", "status"]).code, 0);
}

#[test]
fn a_folder_that_another_program_holds_is_waited_for() {
    let room = room();
    let home = Home::new(&room, "ann");
    home.settings(&alert(ONE));
    let daemon = home.start(&[]);
    daemon.wait_in_step("it begins", || true);
    let lock = fs::File::options().create(true).truncate(false).write(true).open(room.path("shared/.lock")).unwrap();
    lock.lock().unwrap();
    let milk = home.add("Buy milk");
    daemon.wait("it waits for its turn", |status| pairs(status)[0]["state"] == "syncing");
    assert_eq!(home.run(&["daemon", "status"]).code, 0);
    drop(lock);
    daemon.wait_in_step("it has its turn", || room.path("shared").join(format!("{milk}.json")).exists());
}

#[test]
fn two_daemons_on_one_folder_while_others_write_and_rename_and_copy_in_it() {
    let room = room();
    let homes = [Home::new(&room, "ann"), Home::new(&room, "ben")];
    for home in &homes {
        home.settings(&alert(ONE));
    }
    let daemons = [homes[0].start(&[]), homes[1].start(&[])];
    let shared = room.path("shared");
    let mut dice = Dice(7);
    let mut added: Vec<String> = Vec::new();
    for round in 0..40 {
        let home = &homes[usize::try_from(dice.below(2)).unwrap()];
        let known = files(&shared);
        let chosen =
            (!known.is_empty()).then(|| known[usize::try_from(dice.below(known.len() as u64)).unwrap()].clone());
        match (dice.below(7), chosen) {
            (0 | 1, _) | (_, None) => added.push(home.add(&format!("task {round}"))),
            (2, Some(_)) => {
                // It may not have come to this home yet.
                let id = &added[usize::try_from(dice.below(added.len() as u64)).unwrap()];
                home.run(&["task", "modify", id, &format!("changed in {round}")]);
            }
            (3, Some(file)) => {
                // An editor that writes in place, in two halves.
                let Ok(text) = fs::read_to_string(&file) else { continue };
                let edited = text.replacen("\"description\": \"", &format!("\"description\": \"by hand {round}, "), 1);
                fs::write(&file, &edited[..edited.len() / 2]).unwrap();
                fs::write(&file, edited).unwrap();
            }
            (4, Some(file)) => {
                let copy = file.with_extension(format!("sync-conflict-20261126-0{:05}-ABCDEFG.json", round));
                let _ = fs::copy(&file, copy);
            }
            (5, Some(file)) => drop(fs::rename(&file, file.with_file_name(format!("renamed {round}.json")))),
            (_, Some(file)) => drop(fs::remove_file(file)),
        }
    }
    for daemon in &daemons {
        daemon.wait_in_step("both come to rest", || {
            homes[0].tasks() == homes[1].tasks() && homes[0].tasks().len() == added.len()
        });
    }
    // A file that was given another name, and whose task has its own again, stays and is told of.
    let has_file = |id: &String| shared.join(format!("{id}.json")).exists();
    daemons[0].wait_in_step("each task has its file", || added.iter().all(has_file));
    for daemon in daemons {
        daemon.stop();
    }
}
