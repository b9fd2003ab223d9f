//! The power fails at every operation of the disk under a loaded hub.

use std::path::Path;

use tempfile::TempDir;
use tolstoy_hub::storage::{Finding, Listener, fsck};
use tolstoy_testkit::disk::{Disk, Image};

use crate::load::{DiskHub, Story, check_database};
use crate::long;

/// A load that was played to its end.
struct Played {
    disk: Disk,
    story: Story,
    directory: TempDir,
    seed: u64,
    /// When the hub had opened, in operations.
    opened: usize,
}

fn play(seed: u64, steps: usize) -> Played {
    let (disk, directory) = (Disk::new(), TempDir::new().unwrap());
    let mut story = Story::new(seed, 5);
    let hub = DiskHub::open(&disk, directory.path(), seed).unwrap();
    story.step(&hub, &disk);
    let opened = disk.operations();
    for _ in 0..steps {
        story.step(&hub, &disk);
    }
    assert_eq!(story.check(&hub.service, disk.operations()), Ok(()), "seed {seed}: nothing was cut");
    hub.close();
    Played { disk, story, directory, seed, opened }
}

/// Opens a hub on what a cut left, and checks it. Then the clients go on; where `again` says so, the power fails once more
/// meanwhile.
fn survives(played: &Played, image: Image, at: usize, again: bool) -> Result<(), String> {
    let seed = played.seed ^ at as u64;
    let (survivor, directory) = (Disk::holding(image), played.directory.path());
    let hub = DiskHub::open(&survivor, directory, seed).map_err(|error| error.to_string())?;
    played.story.check(&hub.service, at)?;
    let mut story = played.story.after_cut(&hub.service, at, seed)?;
    story.go_on(&hub.service, &survivor)?;
    hub.close();
    check_database(&survivor, directory)?;
    if again { survives_again(&survivor, &story, directory, seed) } else { Ok(()) }
}

/// The hub's own check of what is left, on real files.
fn is_sound(image: &Image) -> Result<(), String> {
    struct Findings(Vec<String>);
    impl Listener for Findings {
        fn found(&mut self, finding: Finding) {
            self.0.push(finding.to_string());
        }
        fn done(&mut self, _: u64, _: u64) {}
    }
    let directory = TempDir::new().unwrap();
    image.write_to(directory.path()).unwrap();
    let mut findings = Findings(Vec::new());
    fsck(directory.path(), &mut findings).map_err(|error| error.to_string())?;
    if findings.0.is_empty() { Ok(()) } else { Err(format!("fsck: {}", findings.0.join("; "))) }
}

/// Cuts the recovery, and what came after it, at a few places.
fn survives_again(disk: &Disk, story: &Story, directory: &Path, seed: u64) -> Result<(), String> {
    let mut replay = disk.replay(false);
    let all = replay.operations();
    for at in (0..all).step_by((all / 6).max(1)) {
        replay.forward(at);
        let survivor = Disk::holding(replay.cut(seed ^ at as u64));
        let hub = DiskHub::open(&survivor, directory, seed).map_err(|error| error.to_string())?;
        story.check(&hub.service, at).map_err(|error| format!("cut again at {at}: {error}"))?;
        hub.close();
        check_database(&survivor, directory).map_err(|error| format!("cut again at {at}: {error}"))?;
    }
    Ok(())
}

/// Cuts at every operation, or every so many; gives how many cuts there were, and what did not survive one.
fn cut_everywhere(played: &Played, every: usize, lies: bool) -> (usize, Vec<String>) {
    let mut replay = played.disk.replay(lies);
    let mut failures = Vec::new();
    let places: Vec<usize> = (0..=replay.operations()).step_by(every).collect();
    for (n, at) in places.iter().enumerate() {
        replay.forward(*at);
        let seed = played.seed.wrapping_mul(1_000_003) ^ *at as u64;
        let image = replay.cut(seed);
        // Before the hub's tables are there, nothing can be checked.
        let sound = if n % 16 == 15 && *at > played.opened { is_sound(&image) } else { Ok(()) };
        if let Err(why) = sound.and_then(|()| survives(played, image, *at, n % 8 == 0)) {
            failures.push(format!("seed {}, cut after {at} operations: {why}", played.seed));
        }
    }
    (places.len(), failures)
}

#[test]
fn what_was_acknowledged_survives_a_power_loss_at_any_write() {
    let seeds = if long() { 1..=6 } else { 1..=1 };
    for seed in seeds {
        let played = play(seed, if long() { 80 } else { 26 });
        let (cuts, failures) = cut_everywhere(&played, 1, false);
        println!("seed {seed}: {cuts} cuts");
        assert!(cuts > 500, "the load is no load: {cuts}");
        assert!(failures.is_empty(), "{} of {cuts} cuts: {}", failures.len(), failures[0]);
    }
}

/// The proof above is worth something only if it can fail.
#[test]
fn a_disk_that_lies_about_syncs_is_noticed() {
    let played = play(1, 30);
    let (cuts, failures) = cut_everywhere(&played, 7, true);
    let lost = failures.iter().filter(|why| why.contains("which is none of")).count();
    assert!(lost > cuts / 4, "{lost} of {cuts}, {} in all", failures.len());
}
