//! The settings of `serve`: from flags, the environment and a file.

use crate::room::{Hub, Room};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/tolstoy.toml");

fn printed(room: &Room, args: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = room.command(&[&["serve", "--print-config"], args].concat());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The lines that say something to a program.
fn values(document: &str) -> Vec<&str> {
    document.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

#[test]
fn the_settings_in_force_are_a_settings_file() {
    let room = Room::new();
    let first = printed(&room, &[], &[]);
    insta::assert_snapshot!("print-config", room.tidy(&first));
    room.write("hub.toml", &first);
    let second = printed(&room, &["--config", "hub.toml"], &[]);
    assert_eq!(values(&first), values(&second));
    assert_eq!(second.matches("this is from hub.toml:").count(), values(&second).len());
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let room = Room::new();
    room.write("hub.toml", "queue = 7\nopen = true\nstall-timeout = \"1m\"\n");
    let told = |args: &[&str], variables: &[(&str, &str)], key: &str| {
        let document = printed(&room, args, variables);
        let start = document.find(&format!("\n{key} = ")).unwrap();
        let comment = document[..start].lines().last().unwrap();
        let from = comment.split_once("; this is from ").map_or("the default", |(_, from)| from);
        format!("{} from {from}", document[start + 1..].lines().next().unwrap())
    };
    let file = ["--config", "hub.toml"];
    assert_eq!(told(&[], &[], "queue"), "queue = 4096 from the default");
    assert_eq!(told(&file, &[], "queue"), "queue = 7 from hub.toml:1");
    assert_eq!(told(&[], &[("TOLSTOY_CONFIG", "hub.toml")], "queue"), "queue = 7 from hub.toml:1");
    assert_eq!(told(&file, &[("TOLSTOY_QUEUE", "8")], "queue"), "queue = 8 from $TOLSTOY_QUEUE");
    let flag = ["--config", "hub.toml", "--queue", "9"];
    assert_eq!(told(&flag, &[("TOLSTOY_QUEUE", "8")], "queue"), "queue = 9 from --queue");
    assert_eq!(told(&file, &[], "stall-timeout"), "stall-timeout = \"1m\" from hub.toml:3");
    assert_eq!(told(&["-c", "hub.toml", "--open=false"], &[], "open"), "open = false from --open");
    assert_eq!(told(&["--open"], &[], "open"), "open = true from --open");
    assert_eq!(told(&[], &[("TOLSTOY_OPEN", "true")], "open"), "open = true from $TOLSTOY_OPEN");
}

#[test]
fn the_sample_says_the_defaults_and_each_setting() {
    let room = Room::new();
    let sample = std::fs::read_to_string(SAMPLE).unwrap();
    let packaged = printed(&room, &[], &[("TOLSTOY_DATA", "/var/lib/tolstoy")]);
    let commented: String = packaged
        .lines()
        .map(|line| if line.is_empty() || line.starts_with('#') { format!("{line}\n") } else { format!("#{line}\n") })
        .collect();
    let how = "TOLSTOY_DATA=/var/lib/tolstoy tolstoy serve --print-config | sed 's/^[^#]/#&/' > packaging/tolstoy.toml";
    assert_eq!(sample, commented, "make it anew:\n{how}");
    assert_eq!(values(&printed(&room, &["--config", SAMPLE], &[])), values(&printed(&room, &[], &[])));
}

#[test]
fn a_hub_does_as_the_file_says() {
    let room = Room::new();
    room.write("hub.toml", "listen = \"127.0.0.1:0\"\ndata = \"there\"\nlog = \"info\"\n");
    let mut hub = Hub::start(&room, &["serve", "--config", "hub.toml"]);
    hub.signal("TERM");
    let (code, told) = hub.end();
    assert!(code == Some(0) && told.contains("stopped"), "{told}");
    assert!(room.path("there/hub.db").is_file());
}

#[test]
fn what_a_hub_cannot_take_is_told_with_its_place() {
    let room = Room::new();
    room.write("bad.toml", "listen = \"127.0.0.1:0\"\n\nstall-timout = \"30s\" # too long?\n");
    room.write("text.toml", "drain = \"soon\"\n");
    let with = |args: &[&str]| room.tidy(&room.run(&[&["serve"], args].concat()).to_string());
    insta::assert_snapshot!([
        with(&["--config", "bad.toml"]),
        with(&["--config", "text.toml", "--print-config"]),
        with(&["--config", "none.toml"]),
        with(&["--config", "."]),
        with(&["--drain", "soon"]),
        with(&["--open=perhaps"]),
        with(&["-v", "--log", "info"]),
    ]
    .join("\n\n"), @r#"
    error: bad.toml:3:1: there is no setting stall-timout
      stall-timout = "30s" # too long?
      ^^^^^^^^^^^^
    hint: did you mean stall-timeout? `tolstoy serve --print-config` lists all
    exit 3

    error: text.toml:1:9: drain: a duration is a whole number and a unit, such as 90d, 12h, 5m, 30s or 250ms
      drain = "soon"
              ^^^^^^
    exit 3

    error: none.toml: there is no such file
    hint: `tolstoy serve --print-config` prints a settings file to begin with
    exit 1

    error: .: Is a directory
    hint: `tolstoy serve --print-config` prints a settings file to begin with
    exit 1

    error: invalid value 'soon' for '--drain <DURATION>': a duration is a whole number and a unit, such as 90d, 12h, 5m, 30s or 250ms

    For more information, try '--help'.
    exit 2

    error: invalid value 'perhaps' for '--open[=<true|false>]'
      [possible values: true, false]

    For more information, try '--help'.
    exit 2

    error: --verbose and --log say the same: one of them is enough
    exit 2
    "#);
    let wrong = room.command(&["serve"]).env("TOLSTOY_QUEUE", "0").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("a whole number from 1 on is needed"));
}
