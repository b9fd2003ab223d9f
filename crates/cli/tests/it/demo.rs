//! The story that everything is for.

use crate::room::{Room, tidy};

#[test]
fn the_demo_comes_out_as_the_document_promises() {
    let room = Room::new();
    let ran = room.run(&["demo"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran}");
    // The directory's name is random, the rest of it is the machine's.
    let told: Vec<&str> = ran.out.lines().filter(|line| !line.starts_with("All of it happens in /")).collect();
    insta::assert_snapshot!("demo", tidy(&told.join("\n")));
}

#[cfg(unix)]
#[test]
fn the_demo_leaves_nothing_behind_unless_told_to_keep_it() {
    let room = Room::new();
    std::fs::create_dir(room.path("tmp")).unwrap();
    let run = |args: &[&str]| {
        let output = room.command(args).env("TMPDIR", room.path("tmp")).output().unwrap();
        assert!(output.status.success());
        let entries = std::fs::read_dir(room.path("tmp")).unwrap().map(|e| e.unwrap().path());
        (String::from_utf8(output.stdout).unwrap(), entries.collect::<Vec<_>>())
    };
    assert_eq!(run(&["demo"]).1, Vec::<std::path::PathBuf>::new());
    let (told, kept) = run(&["demo", "--keep"]);
    let [directory] = kept.as_slice() else { panic!("{kept:?}") };
    assert!(told.contains(&format!("The stores and the hub's data are in {}", directory.display())), "{told}");
    assert!(directory.join("a1.db").exists() && directory.join("hub").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_takes_the_demo_down_with_its_hub() {
    use std::io::{BufRead, BufReader};
    use std::process::Command;

    let room = Room::new();
    std::fs::create_dir(room.path("tmp")).unwrap();
    let mut child = room.command(&["demo"]).env("TMPDIR", room.path("tmp")).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening on http://") {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "the demo ended before its hub listened");
    }
    let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    std::io::copy(&mut out, &mut std::io::sink()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(std::fs::read_dir(room.path("tmp")).unwrap().count(), 0);
    assert!(std::net::TcpStream::connect(address).is_err(), "the hub outlived the demo");
}
