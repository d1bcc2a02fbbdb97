//! `generate` as a user meets it: its list, the same bytes for the same seed, refusals, and training on what it writes.

mod sandbox;

use std::fs;

use sandbox::Sandbox;
use wgrnn::generate::TASKS;

#[test]
fn the_list_has_every_task_with_its_ending() {
    let list = Sandbox::new().ok("generate");
    assert_eq!(list.lines().count(), TASKS.len());
    for (line, task) in list.lines().zip(&TASKS) {
        let words: Vec<&str> = line.split_whitespace().take(2).collect();
        assert_eq!(words, [task.name, &format!(".{}", task.ending)]);
        assert!(line.ends_with(task.about));
    }
}

#[test]
fn a_file_holds_what_is_printed() {
    let sandbox = Sandbox::new();
    let printed = sandbox.ok("generate xml --count 900 --seed 7 --length 12");
    assert_eq!(printed.lines().count(), 900);
    sandbox.ok("generate xml --count 900 --seed 7 --length 12 --out a.xml");
    assert_eq!(fs::read_to_string(sandbox.at("a.xml")).unwrap(), printed);
}

#[test]
fn bad_input_exits_2_with_one_line() {
    let sandbox = Sandbox::new();
    let names: Vec<&str> = TASKS.iter().map(|task| task.name).collect();
    let mut parts = vec!["unknown task `ading`", "did you mean `adding`"];
    parts.extend(names);
    sandbox.refuses("generate ading", 2, &parts);
    sandbox.refuses(
        "generate latch --length 0",
        2,
        &["--length", "1 to 65536 symbols", "got 0"],
    );
    sandbox.refuses(
        "generate adding --length 1",
        2,
        &["--length", "2 to", "adding", "got 1"],
    );
    sandbox.refuses(
        "generate order --length 9",
        2,
        &["--length", "none", "order", "got 9"],
    );
    sandbox.refuses("generate order --out a.txt", 2, &["--out", "a.txt"]);
    sandbox.refuses(
        "generate --seed 2",
        2,
        &["--seed", "name of a task", "latch"],
    );
    sandbox.refuses("generate order --json", 2, &["--json", "order"]);
    sandbox.refuses("generate order --out no/a.tsv", 7, &["no/a.tsv"]);
    for flags in ["latch --count 0", "latch --count -1", "latch --seed x"] {
        assert_eq!(sandbox.run(&format!("generate {flags}")).code, 2);
    }
}

/// Every format is one that `train` reads, with the flags that the list names.
#[test]
fn train_takes_every_task() {
    let sandbox = Sandbox::new();
    let tree = env!("CARGO_MANIFEST_DIR");
    for task in &TASKS {
        let (name, ending) = (task.name, task.ending);
        let length = if task.length.is_some() {
            "--length 12"
        } else {
            ""
        };
        sandbox.ok(&format!(
            "generate {name} --count 24 {length} --out {name}.{ending}"
        ));
        let flags = task.train.replace("benches/", &format!("{tree}/benches/"));
        let size = "--hidden 4 --embed 4 --batch 4 --steps 2 --device cpu";
        sandbox.ok(&format!(
            "train {name}.{ending} {flags} {size} --out {name}.run"
        ));
        assert_eq!(sandbox.losses(&format!("{name}.run")).len(), 2, "{name}");
    }
}
