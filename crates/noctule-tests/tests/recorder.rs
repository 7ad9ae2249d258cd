//! The recorder under a program that changes files in known patterns: what is undone is exactly
//! what no sync covers.

use noctule_tests::kill::{Image, Model, Orders, Recorded, Style, image};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

const DEEDS: usize = 120;

/// Scribbles under the recorder; answers how it ended and how many deeds were done for certain.
fn scribble(home: &Path, recorded: &Recorded, seed: u64, names: bool, orders: Orders) -> Ended {
    let progress = home.join("progress");
    let status = Command::new(env!("CARGO_BIN_EXE_kill"))
        .arg("scribble")
        .arg(recorded.data())
        .arg(&progress)
        .args([seed.to_string(), DEEDS.to_string(), names.to_string()])
        .envs(recorded.environment(orders).expect("the recorder was built"))
        .status()
        .expect("the program starts");
    let deeds = std::fs::read(progress).expect("the program says what it did").len();
    Ended { status, deeds }
}

struct Ended {
    status: ExitStatus,
    deeds: usize,
}

fn each_seed(seeds: u64, mut test: impl FnMut(&Path, Recorded, u64)) {
    for seed in 0..seeds {
        let home = tempfile::tempdir().expect("a directory");
        let recorded = Recorded::new(home.path()).expect("a directory");
        test(home.path(), recorded, seed);
    }
}

fn found(recorded: &Recorded) -> Image {
    image(&recorded.data()).expect("readable")
}

/// Says which names differ; the bytes would fill screens.
fn same(seed: u64, found: &Image, expected: &Image) {
    let names = |image: &Image| image.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "seed {seed}");
    for (name, content) in found {
        let differs = *content != expected[name];
        assert!(!differs, "seed {seed}: {name} has other bytes than expected");
    }
}

#[test]
fn what_was_not_synced_is_undone_to_the_byte() {
    each_seed(40, |home, mut recorded, seed| {
        let ended = scribble(home, &recorded, seed, true, Orders::default());
        assert!(ended.status.success() && ended.deeds == DEEDS, "seed {seed}");
        let model = Model::after(seed, DEEDS, true);
        same(seed, &found(&recorded), &model.kept());
        recorded.prove().expect("all changes were seen");
        recorded.cut_by(Style::Lose, seed).expect("undone");
        same(seed, &found(&recorded), &model.lost());
    });
}

#[test]
fn a_process_that_dies_at_any_entry_leaves_what_was_synced() {
    each_seed(60, |home, mut recorded, seed| {
        let die_at = Some(2 + seed * 37 % 148);
        let ended = scribble(home, &recorded, seed, true, Orders { die_at, lie: false });
        assert_eq!(ended.status.signal(), Some(9), "seed {seed}");
        recorded.prove().expect("all changes were seen");
        recorded.cut_by(Style::Lose, seed).expect("undone");
        // The deed that it died in may be a sync that was completed.
        let deeds = [ended.deeds, ended.deeds + 1];
        let possible = deeds.map(|deeds| Model::after(seed, deeds, true).lost());
        let found = found(&recorded);
        if found != possible[1] {
            same(seed, &found, &possible[0]);
        }
    });
}

#[test]
fn what_is_torn_is_in_each_sector_as_it_was_once() {
    let mut torn = 0;
    each_seed(60, |home, mut recorded, seed| {
        scribble(home, &recorded, seed, false, Orders::default());
        let model = Model::after(seed, DEEDS, false);
        let styles = [Style::Scatter(10), Style::Scatter(60), Style::TornEnd(60)];
        let style = styles[seed as usize % styles.len()];
        recorded.cut_by(style, seed).expect("undone");
        let found = found(&recorded);
        if let Err(wrong) = model.allows(&found) {
            panic!("seed {seed}, {style:?}: {wrong}");
        }
        torn += usize::from(found != model.lost() && found != model.kept());
    });
    assert!(torn > 50, "{torn} cuts of 60 ended between all and nothing");
}

#[test]
fn a_sync_that_lies_covers_nothing() {
    each_seed(10, |home, mut recorded, seed| {
        scribble(home, &recorded, seed, true, Orders { lie: true, die_at: None });
        recorded.cut_by(Style::Lose, seed).expect("undone");
        assert_eq!(found(&recorded), Image::new(), "seed {seed}");
    });
}

#[test]
fn a_journal_goes_on_over_processes_until_the_power_is_cut() {
    each_seed(10, |home, mut recorded, seed| {
        let die_at = Some(40 + seed * 4);
        let first = scribble(home, &recorded, seed, true, Orders { die_at, lie: false });
        recorded.ended().expect("readable");
        // What the first wrote and did not sync is still in doubt when the second has done nothing.
        let status = Command::new(env!("CARGO_BIN_EXE_kill"))
            .arg("scribble")
            .arg(recorded.data())
            .arg(home.join("progress-2"))
            .args(["0", "0", "true"])
            .envs(recorded.environment(Orders::default()).expect("the recorder was built"))
            .status();
        assert!(status.expect("the program starts").success());
        recorded.cut_by(Style::Lose, seed).expect("undone");
        let possible =
            [first.deeds, first.deeds + 1].map(|deeds| Model::after(seed, deeds, true).lost());
        assert!(possible.contains(&found(&recorded)), "seed {seed}");
    });
}
