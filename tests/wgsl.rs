//! The generated WGSL: reviewed snapshots (tests/snapshots), and every text is valid to naga, wgpu's shader compiler.
//!
//! `cargo test` fails where a text differs from its snapshot or has none. After a change that was meant, run
//! `INSTA_UPDATE=always cargo test --test wgsl` and read `git diff tests/snapshots`: a cell's file starts with its
//! equations in both directions, then come the kernels of one layer, and the diff should say what the change says.
//! tests/dawn puts the same files before a second compiler, by hand.

mod barriers;
#[path = "common/rows.rs"]
mod rows;
#[path = "common/steps.rs"]
mod steps;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use wgpu::naga;
use wgrnn::cell::rows::RowProgram;
use wgrnn::cell::{Cell, Noise, library};
use wgrnn::exec::gpu::{Gpu, Tile};
use wgrnn::model::text::{FieldSize, Model, Sizes};
use wgrnn::model::{Dims, Drops, Mode, Penalties, Softmax, Spec, Update};
use wgrnn::op::{MatMul, Op, Plan, Rule};

/// The tile of the snapshots: that of a GPU with one row a thread, which shares its sums with no other, and each operation by
/// itself; a second row repeats the first line by line.
const SNAPSHOT: Tile = Tile {
    scan_rows: 1,
    slices: [1, 1],
    slice_rows: [1, 1],
    merged: false,
    ..Tile::GPU
};

const DIMS: Dims = Dims { steps: 2, batch: 4 };

const ADAM: Rule = Rule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.01,
    decoupled: true,
};

fn every_cell() -> impl Iterator<Item = Cell> {
    library::names().map(|name| library::builtin(name).unwrap())
}

/// One layer of a cell at hidden size `hidden` over one-hot vectors; over rows where the cell uses x elementwise.
fn layer(cell: &Cell, hidden: usize, dims: Dims) -> Plan {
    alone(cell, hidden, dims, Mode::Gradients)
}

fn alone(cell: &Cell, hidden: usize, dims: Dims, mode: Mode) -> Plan {
    let spec = Spec {
        vocab: 5,
        cells: vec![Arc::new(cell.clone())],
        hidden,
        embed: if cell.raw_input { hidden } else { 0 },
        ..Spec::default()
    };
    spec.plan(dims, mode).unwrap()
}

/// Training plans that have every operation between them: more symbols than rows, so that rows of the embedding are
/// gathered; a penalty that fits a plain network alone; a head in chunks; sequences of
/// different lengths; programs on rows.
fn everything(rule: Rule) -> Vec<Plan> {
    let mut plans = ["lstm", "rnn"].map(|cell| regularized(cell, rule)).to_vec();
    plans.push(packed());
    plans.extend(large_vocabulary(rule));
    plans.push(halved(rule));
    plans.push(steps::plan(Some(9), 8));
    let program = RowProgram::parse("folds", FOLDS).unwrap();
    let sizes = rows::Sizes {
        packed: Some(9),
        width: 8,
    };
    plans.push(rows::plan(&program, sizes, true).plan);
    plans.push(attention());
    plans.extend(attending().into_iter().map(|(_, plan)| plan));
    plans.push(glimpses());
    plans.push(in_parts(rule));
    plans
}

/// Products whose sums are in parts, which the norm adds up but for those of one.
fn in_parts(rule: Rule) -> Plan {
    let update = Update {
        rule,
        clip_norm: 1.0,
        clip_value: 0.0,
    };
    let rnn = Arc::new(library::builtin("rnn").unwrap());
    let spec = Spec {
        vocab: 5,
        cells: vec![rnn],
        hidden: 8,
        ..Spec::default()
    };
    let plan = spec.plan(DIMS, Mode::Train(update)).unwrap();
    let depth = |op: &MatMul| op.transpose_a.then_some(4);
    let cut = plan.in_parts(depth, usize::MAX).unwrap();
    let mut completed = cut.with_completing_norm().unwrap();
    let Some(Op::Norm(norm)) = completed
        .ops
        .iter_mut()
        .find(|op| matches!(op, Op::Norm(_)))
    else {
        panic!("no norm");
    };
    let sum = norm.completes.remove(0);
    assert!(!norm.completes.is_empty());
    let at = completed
        .ops
        .iter()
        .position(|op| matches!(op, Op::Norm(_)));
    completed.ops.insert(at.unwrap(), Op::PartSum(sum));
    completed
}

/// What an eye sees of an image, and what it is taken for.
fn glimpses() -> Plan {
    let model = Model::parse(
        "glimpses",
        "field image: vector\nfield label: class\nat = linear(image, width = 2)\n\
         loss cross_entropy(linear(glimpse(image, at, size = 2, scales = 2)), label)\n",
    );
    let sizes = Sizes {
        examples: 4,
        fields: vec![FieldSize::Vector(9), FieldSize::Classes(3)],
    };
    let model = model.unwrap();
    model.plan(&Spec::default(), &sizes, Mode::Scores).unwrap()
}

/// The built-in cells that look at a memory.
fn attending() -> Vec<(Cell, Plan)> {
    let cells = library::ATTENDING.iter().map(|(name, text)| {
        let cell = Cell::parse(name, text).unwrap();
        let model = Model::parse(
            name,
            "field source: tokens\nfield target: tokens\n\
             m = rnn(embed(source), cell = \"rnn\")\nh = rnn(embed(target), memory = m)\n\
             loss cross_entropy(linear(h), next(target))\n",
        );
        let plan = pairs(&model.unwrap(), Arc::new(cell.clone()));
        (cell, plan)
    });
    cells.collect()
}

/// Both scores, what is drawn by some, and patches that filters read and write, with their gradients.
fn attention() -> Plan {
    let model = Model::parse(
        "attention",
        "field source: tokens\nfield target: tokens\n\
         m = rnn(embed(source))\nh = rnn(embed(target))\nat = linear(h)\n\
         look = hard(additive(m, h))\np = write(read(h, at, size = 2, width = 4), at, h, width = 4)\n\
         loss cross_entropy(linear(concat(additive(m, h), dot(m, h), look, p)), next(target))\n\
         loss policy(log_prob(look), entropy(look), stop(log_prob(look)), stop(entropy(look)))\n",
    );
    let rnn = library::builtin("rnn").unwrap();
    pairs(&model.unwrap(), Arc::new(rnn))
}

/// The plan of a model of a source and a target.
fn pairs(model: &Model, cell: Arc<Cell>) -> Plan {
    let size = FieldSize::Tokens {
        symbols: 5,
        marks: [3, 4],
        steps: 3,
        rows: 7,
    };
    let sizes = Sizes {
        examples: 4,
        fields: vec![size; 2],
    };
    let spec = Spec {
        cells: vec![cell],
        hidden: 8,
        embed: 8,
        ..Spec::default()
    };
    model.plan(&spec, &sizes, Mode::Gradients).unwrap()
}

/// No more than every adapter has: two memories, noise inside the cell, packed rows.
#[test]
fn attention_in_a_cell_has_at_most_eight_bindings() {
    let cell = Cell::parse(
        "two",
        "memory m, n\nstate h, c\na = dot(m, h)\nu = tanh(linear(x, h, a) + peep(c))\nb = additive(n, u)\n\
         c = norm(linear(x, h, b) + c)\nh = tanh(c) * b\n",
    );
    let noise = Noise {
        zoneout: 0.1,
        zoneout_memory: 0.1,
        recurrent: 0.1,
    };
    let cell = cell.unwrap().with_noise(noise, true);
    let model = Model::parse(
        "two",
        "field source: tokens\nfield target: tokens\n\
         m = rnn(embed(source), cell = \"rnn\")\nn = linear(m)\nh = rnn(embed(target), memory = m, memory2 = n)\n\
         loss cross_entropy(linear(h), next(target))\n",
    );
    let plan = pairs(&model.unwrap(), Arc::new(cell));
    for tile in [SNAPSHOT, Tile::GPU] {
        let kernels = Gpu::sources(&plan, &tile).unwrap();
        let looks = |name: &str| name.ends_with(".a") || name.ends_with(".b");
        assert_eq!(kernels.iter().filter(|(name, _)| looks(name)).count(), 2);
        // Of operations that share a dispatch there are as many as an adapter's bindings allow.
        for (name, text) in kernels.iter().filter(|(name, _)| !name.contains('+')) {
            let bindings = text.matches("var<storage").count();
            assert!(bindings <= 8, "{name}: {bindings}");
        }
    }
}

/// Every fold, and a number that meets rows.
const FOLDS: &str = "row x, y\nnumber w\no = w * (x - logsum(x)) + max(x * y)\n";

/// Log probabilities of an adaptive softmax; a sampled one with the update of the rows in use.
fn large_vocabulary(rule: Rule) -> [Plan; 2] {
    let spec = |softmax| Spec {
        vocab: 21,
        cells: vec![Arc::new(library::builtin("rnn").unwrap())],
        hidden: 8,
        embed: 6,
        sparse: true,
        softmax,
        ..Spec::default()
    };
    let update = Update {
        rule,
        clip_norm: 1.0,
        clip_value: 0.0,
    };
    let adaptive = Softmax::Adaptive { cutoffs: vec![9] };
    let sampled = Softmax::Sampled { samples: 6 };
    [
        spec(adaptive).plan(DIMS, Mode::Scores).unwrap(),
        spec(sampled).plan(DIMS, Mode::Train(update)).unwrap(),
    ]
}

/// Rows of a segment in half precision, with a penalty.
fn halved(rule: Rule) -> Plan {
    let spec = Spec {
        vocab: 21,
        cells: std::iter::repeat_n(library::builtin("lstm").unwrap(), 2)
            .map(Arc::new)
            .collect(),
        hidden: 8,
        embed: 6,
        penalties: Penalties {
            activation: 0.25,
            ..Penalties::default()
        },
        half: true,
        ..Spec::default()
    };
    let update = Update {
        rule,
        clip_norm: 1.0,
        clip_value: 0.0,
    };
    spec.plan(DIMS, Mode::Train(update)).unwrap()
}

fn packed() -> Plan {
    let spec = Spec {
        vocab: 5,
        cells: vec![Arc::new(library::builtin("lstm").unwrap())],
        hidden: 8,
        embed: 6,
        dropout: 0.25,
        packed: 7,
        ..Spec::default()
    };
    spec.plan(DIMS, Mode::Gradients).unwrap()
}

fn regularized(cell: &str, rule: Rule) -> Plan {
    let spec = Spec {
        vocab: 21,
        cells: vec![Arc::new(library::builtin(cell).unwrap())],
        hidden: 8,
        embed: 6,
        dropout: 0.25,
        drops: Drops {
            input: 0.25,
            tokens: 0.25,
            locked: cell == "rnn",
            ..Drops::default()
        },
        penalties: Penalties {
            activation: 0.25,
            temporal: 0.25,
            norm: 0.25,
            propagation: if cell == "rnn" { 0.25 } else { 0.0 },
        },
        scores_at_once: if cell == "rnn" { usize::MAX } else { 100 },
        ..Spec::default()
    };
    let update = Update {
        rule,
        clip_norm: 1.0,
        clip_value: 5.0,
    };
    spec.plan(DIMS, Mode::Train(update)).unwrap()
}

fn is_scan(kernel: &str) -> bool {
    kernel.starts_with("forward.") || kernel.starts_with("backward.")
}

/// Name and text of the kernels of a cell's one layer, the same as `cells show` prints.
fn scans(plan: &Plan, tile: &Tile) -> Vec<(String, String)> {
    let mut kernels = Gpu::sources(plan, tile).unwrap();
    kernels.retain(|(name, _)| is_scan(name));
    kernels
}

/// What stands where a kernel's functions are those of the kernel before it.
const AS_ABOVE: &str = "// functions as above\n";

/// The name and the WGSL of each kernel; tests/dawn/check.mjs cuts a file at these headings and fills in what is as above.
fn listing(kernels: &[(String, String)]) -> String {
    let mut all = String::new();
    let mut above = "";
    for (name, text) in kernels {
        let end = text.find("@compute").unwrap_or(text.len());
        let start = text[..end].find("\nfn ").map_or(end, |at| at + 1);
        let functions = &text[start..end];
        let shown = if functions.is_empty() || functions != above {
            functions
        } else {
            AS_ABOVE
        };
        above = functions;
        let (head, body) = (&text[..start], text[end..].trim_end());
        all += &format!("// == {name} ==\n{head}{shown}{body}\n");
    }
    all
}

fn commented(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| format!("// {line}").trim_end().to_string() + "\n")
        .collect()
}

/// What is in each snapshot file.
fn snapshots() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let alone = every_cell().map(|cell| {
        let plan = layer(&cell, 8, DIMS);
        (cell, plan)
    });
    for (cell, plan) in alone.chain(attending()) {
        let compiled = cell.compile();
        let [forward, backward] = cell.equations(&compiled);
        let head = format!(
            "{}\nforward\n{}\nbackward\n{}",
            cell.text, forward, backward
        );
        let mut kernels = scans(&plan, &SNAPSHOT);
        // Beside the layer of the cell there may be the memory's.
        kernels.retain(|(name, _)| !name.contains(".m."));
        all.push((cell.name, commented(&head) + "\n" + &listing(&kernels)));
    }
    all.push(("packed".into(), listing(&scans(&packed(), &SNAPSHOT))));
    // Few rows a thread, or each kernel would be pages.
    let few = Tile {
        scan_rows: 4,
        product_rows: 4,
        product_columns: 4,
        ..Tile::subgroups(4, 1)
    };
    let kernels = Gpu::sources(&layer(&library::builtin("gru").unwrap(), 8, DIMS), &few);
    let uses = |text: &str| text.contains("subgroup");
    let mut kernels = kernels.unwrap();
    kernels.retain(|(_, text)| uses(text));
    all.push(("subgroups".into(), listing(&kernels)));
    all.push(("split".into(), listing(&split())));
    // What two scans in one kernel have around them is the same everywhere.
    let wavefront = Tile {
        wavefront_steps: 1,
        scan_rows: 1,
        ..SNAPSHOT
    };
    let rnn = Arc::new(library::builtin("rnn").unwrap());
    let spec = Spec {
        vocab: 5,
        cells: vec![rnn.clone(), rnn],
        hidden: 8,
        ..Spec::default()
    };
    let plan = spec.plan(DIMS, Mode::Gradients).unwrap();
    let mut kernels = Gpu::sources(&plan, &wavefront).unwrap();
    let mut seen = BTreeSet::new();
    kernels.retain(|(name, _)| name.contains("l0+l1") && seen.insert(name.clone()));
    all.push(("concurrent".into(), listing(&kernels)));
    // The other operations; kernels that differ in nothing but their sizes once.
    let sources = |plan: &Plan| Gpu::sources(plan, &SNAPSHOT).unwrap();
    let mut kernels: Vec<_> = everything(ADAM).iter().flat_map(sources).collect();
    let mut seen = BTreeSet::new();
    kernels.retain(|(name, text)| {
        let numbers = |line: &&str| !line.starts_with("const ");
        let wide = !text.starts_with("enable f16;");
        wide && !is_scan(name) && seen.insert(text.lines().filter(numbers).collect::<String>())
    });
    all.push(("operations".into(), listing(&kernels)));
    // Several operations in a dispatch, and the update that ends the norm.
    let lstm = Arc::new(library::builtin("lstm").unwrap());
    let spec = Spec {
        vocab: 5,
        cells: vec![lstm],
        hidden: 8,
        ..Spec::default()
    };
    let update = Update {
        rule: ADAM,
        clip_norm: 1.0,
        clip_value: 0.0,
    };
    let plan = spec.plan(DIMS, Mode::Train(update)).unwrap();
    let mut kernels = Gpu::sources(&plan, &Tile::GPU).unwrap();
    kernels.retain(|(name, _)| name.contains('+') || ["norm", "update"].contains(&name.as_str()));
    all.push(("merged".into(), listing(&kernels)));
    // What half precision changes is the same everywhere: some kernels show it.
    let some = ["embed.l0", "forward.l0", "backward.l0", "penalty"];
    let mut kernels = sources(&halved(ADAM));
    kernels.retain(|(name, _)| some.iter().any(|part| name.starts_with(part)));
    all.push(("half".into(), listing(&kernels)));
    all
}

/// The kernels of an LSTM's step whose sums threads share, at a size for which that was made.
fn split() -> Vec<(String, String)> {
    let dims = Dims {
        steps: 2,
        batch: 32,
    };
    let lstm = library::builtin("lstm").unwrap();
    let mut kernels = scans(&layer(&lstm, 512, dims), &Tile::GPU);
    kernels.retain(|(name, _)| name.ends_with(".l0.0"));
    kernels
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")
}

#[test]
fn every_text_equals_its_snapshot() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut differ = Vec::new();
    let mut known = BTreeSet::new();
    for (name, text) in snapshots() {
        known.insert(format!("{name}.snap"));
        // All of them are compared, and each says what differs, before the test ends.
        let compare = || settings.bind(|| insta::assert_snapshot!(name.as_str(), text));
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(compare)).is_err() {
            differ.push(name);
        }
    }
    assert!(
        differ.is_empty(),
        "these differ from tests/snapshots or have no file there: {} (the head of tests/wgsl.rs says what to do)",
        differ.join(", ")
    );
    for entry in std::fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        // insta leaves what a failed comparison got beside its snapshot.
        assert!(
            known.contains(&file) || file.ends_with(".snap.new"),
            "tests/snapshots/{file} belongs to no cell: delete it"
        );
    }
}

#[test]
fn every_operation_has_a_snapshot() {
    let plans = everything(ADAM);
    let ops = plans.iter().flat_map(|plan| &plan.ops);
    let seen: BTreeSet<&str> = ops.map(|op| op.kind()).collect();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(kind) = file.strip_suffix(".wgsl") else {
            continue;
        };
        // These measure a device and stand in no plan.
        if !kind.starts_with("limits_") && kind != "meeting" {
            let base = ["_shared", "_cooperative", "_span", "_fill", "_split"]
                .iter()
                .find_map(|suffix| kind.strip_suffix(suffix));
            let kind = base.unwrap_or(kind);
            assert!(seen.contains(kind), "no operation of the plan uses {file}");
        }
    }
}

/// What naga says against a text, as wgpu would on an adapter without any optional feature but those that it enables.
fn fault(text: &str) -> Option<String> {
    let mut capabilities = naga::valid::Capabilities::SUBGROUP;
    if text.starts_with("enable f16;") {
        capabilities |= naga::valid::Capabilities::SHADER_FLOAT16;
    }
    fault_with(text, capabilities)
}

fn fault_with(text: &str, capabilities: naga::valid::Capabilities) -> Option<String> {
    let module = match naga::front::wgsl::parse_str(text) {
        Ok(module) => module,
        Err(error) => return Some(error.emit_to_string(text)),
    };
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities);
    let verdict = validator.validate(&module);
    let stages = module
        .entry_points
        .iter()
        .map(|e| (e.name.as_str(), e.stage));
    let only_main = stages.eq([("main", naga::ShaderStage::Compute)]);
    match verdict {
        Err(error) => Some(error.emit_to_string(text)),
        Ok(_) if !only_main => Some("main is not the only entry point".into()),
        Ok(_) => None,
    }
}

fn all_valid(what: &str, kernels: &[(String, String)]) {
    assert!(!kernels.is_empty(), "{what}: no kernel");
    for (name, text) in kernels {
        if let Some(fault) = fault(text) {
            panic!("{what}, kernel {name}: {fault}");
        }
    }
}

fn tiles() -> [(&'static str, Tile); 8] {
    [
        (
            "wavefront",
            Tile {
                wavefront_steps: 1,
                ..SNAPSHOT
            },
        ),
        (
            "kernels that span workgroups",
            Tile {
                span: 64,
                ..Tile::GPU
            },
        ),
        ("subgroups", Tile::subgroups(8, 2)),
        ("snapshot", SNAPSHOT),
        ("GPU", Tile::GPU),
        (
            "GPU, each operation by itself",
            Tile {
                merged: false,
                ..Tile::GPU
            },
        ),
        ("software", Tile::SOFTWARE),
        ("naive", Tile::NAIVE),
    ]
}

// Sizes that vectors of four divide, and sizes that nothing divides.
#[test]
fn every_cell_is_valid_wgsl_in_every_tile() {
    for cell in every_cell() {
        for (hidden, dims) in [(8, DIMS), (7, Dims { steps: 3, batch: 5 })] {
            let plan = layer(&cell, hidden, dims);
            for (tile, size) in &tiles() {
                let what = format!("{} H {hidden} tile {tile}", cell.name);
                all_valid(&what, &scans(&plan, size));
            }
        }
    }
}

#[test]
fn every_operation_and_rule_is_valid_wgsl_in_every_tile() {
    let weight_decay = 0.01;
    let rules = [
        ADAM,
        Rule::Sgd {
            momentum: 0.9,
            nesterov: true,
            weight_decay,
        },
        Rule::Adagrad {
            eps: 1e-10,
            weight_decay,
        },
        Rule::RmsProp {
            alpha: 0.99,
            eps: 1e-8,
            momentum: 0.9,
            weight_decay,
        },
    ];
    for rule in rules {
        for plan in everything(rule) {
            for (tile, size) in &tiles() {
                let kernels = Gpu::sources(&plan, size).unwrap();
                all_valid(&format!("{rule:?} tile {tile}"), &kernels);
            }
        }
    }
}

/// Kernels of the plans that have every operation, in every tile.
fn every_kernel() -> Vec<(String, String)> {
    let plans = everything(ADAM);
    let kernels = plans.iter().flat_map(|plan| {
        let of = |(_, tile): &(_, Tile)| Gpu::sources(plan, tile).unwrap();
        tiles().iter().flat_map(of).collect::<Vec<_>>()
    });
    let all: BTreeSet<(String, String)> = kernels.collect();
    all.into_iter().collect()
}

#[test]
fn what_threads_hand_on_through_storage_is_behind_a_barrier_of_storage() {
    let kernels = every_kernel();
    // A step's kernel hands nothing on, whatever barriers its sums need: it stores what no other of its threads reads.
    let step = |k: &(String, String)| is_scan(&k.0) && k.1.contains("fn added(");
    // Where operations share a dispatch each workgroup has the part of one, which stands here by itself, too; the walk takes what
    // several parts touch for what threads hand on.
    let merged = |k: &(String, String)| !is_scan(&k.0) && k.1.contains("fn main_1(");
    assert!(kernels.iter().any(merged));
    let hands_on = |k: &&(String, String)| !step(k) && !merged(k);
    for (name, text) in kernels.iter().filter(hands_on) {
        if let Some(fault) = barriers::fault(text) {
            panic!("{name}: {fault}\n{text}");
        }
    }
    // Without them the walk finds a fault, in softmax_xent, where a lane replaces what all lanes have read.
    let mut found = 0;
    for (name, text) in kernels.iter().filter(|k| k.1.contains("let score = ")) {
        let replaced = text.find("select(gradient, gradient - factor");
        let (Some(stored), true) = (replaced, text.contains("var<workgroup>")) else {
            continue;
        };
        found += 1;
        let without = text.replace("storageBarrier", "workgroupBarrier");
        assert!(barriers::fault(&without).is_some(), "{name}:\n{without}");
        // The walk cannot tell a lane's own score from another's where there is no barrier at all.
        let score = text.find("let score = ").unwrap_or(stored);
        let between = &text[score..stored];
        assert!(between.contains("storageBarrier();"), "{name}:\n{text}");
    }
    assert!(found > 0, "no loss is shared by lanes");
}

/// Loads from storage and multiply-adds of the innermost loops of a kernel's own code; a load of four numbers is one, and a
/// multiply-add of four numbers is four.
fn loads_and_multiplies(text: &str) -> (usize, usize) {
    use naga::{AddressSpace, BinaryOperator, Expression, MathFunction, ScalarKind, TypeInner};
    let module = naga::front::wgsl::parse_str(text).unwrap();
    let flags = naga::valid::ValidationFlags::all();
    let mut validator = naga::valid::Validator::new(flags, naga::valid::Capabilities::empty());
    let known = validator.validate(&module).unwrap();
    let (function, types) = (&module.entry_points[0].function, known.get_entry_point(0));
    let storage = |mut at| loop {
        at = match function.expressions[at] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => base,
            Expression::GlobalVariable(global) => {
                let space = module.global_variables[global].space;
                break matches!(space, AddressSpace::Storage { .. });
            }
            _ => break false,
        }
    };
    let floats = |at: naga::Handle<Expression>| match types[at].ty.inner_with(&module.types) {
        TypeInner::Scalar(s) if s.kind == ScalarKind::Float => 1,
        TypeInner::Vector { size, scalar } if scalar.kind == ScalarKind::Float => *size as usize,
        _ => 0,
    };
    let (mut loads, mut multiplies) = (0, 0);
    let mut count = |range: &naga::Range<Expression>| {
        for at in range.clone() {
            match function.expressions[at] {
                Expression::Load { pointer } => loads += usize::from(storage(pointer)),
                Expression::Math {
                    fun: MathFunction::Dot,
                    arg,
                    ..
                } => multiplies += floats(arg),
                Expression::Binary {
                    op: BinaryOperator::Multiply,
                    ..
                } => multiplies += floats(at),
                _ => {}
            }
        }
    };
    fn walk<'a>(
        block: &'a naga::Block,
        inside: bool,
        count: &mut dyn FnMut(&'a naga::Range<Expression>),
    ) {
        for statement in block.iter() {
            match statement {
                naga::Statement::Emit(range) if inside => count(range),
                naga::Statement::Block(inner) => walk(inner, inside, count),
                naga::Statement::If { accept, reject, .. } => {
                    walk(accept, inside, count);
                    walk(reject, inside, count);
                }
                naga::Statement::Loop { body, .. } => walk(body, true, count),
                _ => {}
            }
        }
    }
    walk(&function.body, false, &mut count);
    (loads, multiplies)
}

/// On a GPU a step waits for its loads, so each has to be worth ten multiply-adds.
#[test]
fn a_step_of_shared_sums_loads_little() {
    let mut found = Vec::new();
    for (name, text) in split() {
        let (loads, multiplies) = loads_and_multiplies(&text);
        assert!(10 * loads <= multiplies, "{name}: {loads} of {multiplies}");
        found.push((loads, multiplies));
    }
    // Four of K: 4 rows of a weight for each of 4 gates, and 4 rows; 4 rows of a weight, and 8 rows.
    assert_eq!(found, [(20, 256), (12, 128)]);
    let lstm = library::builtin("lstm").unwrap();
    let (loads, multiplies) =
        loads_and_multiplies(&scans(&layer(&lstm, 512, DIMS), &SNAPSHOT)[0].1);
    assert!(loads > multiplies, "{loads} of {multiplies}");
}

/// A constant of a kernel.
fn constant(text: &str, name: &str) -> usize {
    let declared = format!("const {name}: u32 = ");
    let value = text.lines().find_map(|line| line.strip_prefix(&declared));
    let value = value.unwrap_or_else(|| panic!("no {name} in {text}"));
    value.trim_end_matches("u;").parse().unwrap()
}

/// 256 threads and 16 KiB are what every device has; a thread adds up one sum of those that it has parts of.
#[test]
fn workgroups_of_shared_sums_fit_every_device() {
    let mut full = 0;
    for (hidden, batch) in [(1, 1), (5, 1), (17, 3), (64, 32), (512, 1), (512, 128)] {
        for cell in every_cell() {
            let mut plan = layer(&cell, hidden, Dims { steps: 2, batch });
            for bytes in [4, 8] {
                if bytes == 8 {
                    plan.double().unwrap();
                }
                for (name, text) in scans(&plan, &Tile::GPU) {
                    if !text.contains("fn added(") {
                        continue;
                    }
                    let of = |name| constant(&text, name);
                    let width = if text.contains("alias V = vec4") {
                        4
                    } else {
                        1
                    };
                    let what = format!("{} {name} H {hidden} B {batch}", cell.name);
                    assert!(of("GROUP") <= 256, "{what}");
                    assert!(of("PARTS") * width * bytes <= 16 << 10, "{what}");
                    assert_eq!(of("OWNERS") * of("SLICES"), of("GROUP"), "{what}");
                    assert_eq!(of("LANES") * of("BANDS"), of("OWNERS"), "{what}");
                    assert!(of("ROWS") * of("COLUMNS") <= of("SLICES"), "{what}");
                    let stored = text.matches("parts[(slice * ").count();
                    assert!(stored >= of("SUMS") * of("ROWS") * of("COLUMNS"), "{what}");
                    full += usize::from(of("GROUP") == 256);
                }
            }
        }
    }
    assert!(full > 100, "{full}");
}

/// A stage of a kernel that spans workgroups reads what other threads have made in the one before, or in the step before: a
/// thread that waits for what its own workgroup has not sent yet would keep a processor from sending it.
#[test]
fn every_stage_of_a_kernel_that_spans_workgroups_ends_with_a_barrier() {
    let tile = Tile {
        span: 64,
        ..Tile::GPU
    };
    let mut kernels = 0;
    for cell in every_cell() {
        let compiled = cell.compile();
        let update = Update {
            rule: ADAM,
            clip_norm: 1.0,
            clip_value: 0.0,
        };
        let plan = alone(&cell, 8, DIMS, Mode::Train(update));
        for (name, text) in scans(&plan, &tile) {
            let stages = match name.strip_suffix(".span") {
                Some("forward.l0") => compiled.forward.len(),
                Some("backward.l0") => compiled.backward.len(),
                _ => continue,
            };
            kernels += 1;
            let ends = text.matches("\n    }\n}\nworkgroupBarrier();").count();
            let evaluated = text.matches("if (slice < TILE) {").count();
            assert_eq!(
                (ends, evaluated),
                (stages, stages),
                "{} {name}:\n{text}",
                cell.name
            );
        }
    }
    assert!(kernels > 20, "{kernels} kernels");
}

/// The same kernels in f64, which is said of naga alone: the shading language has no such type.
#[test]
fn every_kernel_in_double_precision_is_valid() {
    use naga::valid::Capabilities;
    let cells = every_cell().flat_map(|cell| {
        [(8, DIMS), (7, Dims { steps: 3, batch: 5 })].map(|(h, dims)| layer(&cell, h, dims))
    });
    let plans = everything(ADAM).into_iter().filter(|plan| !plan.halved());
    let mut seen = BTreeSet::new();
    for mut plan in plans.chain(cells) {
        plan.double().unwrap();
        seen.extend(plan.ops.iter().map(|op| op.kind()));
        // Of subgroups there is nothing in f64.
        for (tile, size) in tiles().iter().filter(|(_, size)| size.subgroup == 0) {
            for (name, text) in Gpu::sources(&plan, size).unwrap() {
                if let Some(fault) = fault_with(&text, Capabilities::FLOAT64) {
                    panic!("{name}, tile {tile}: {fault}");
                }
                // Nothing is rounded to f32 but an exponent on the way to a logarithm.
                let mut rest = text.lines().filter(|line| !line.starts_with("alias S"));
                let single = rest.find(|line| line.contains("f32"));
                assert_eq!(single, None, "{name}, tile {tile}");
                assert!(text.contains("f64"), "{name}, tile {tile}: {text}");
            }
        }
    }
    let halved = everything(ADAM).into_iter().filter(|plan| plan.halved());
    for op in halved.flat_map(|plan| plan.ops) {
        // What is in f64 needs no factor for its gradients.
        let known = seen.contains(op.kind()) || op.kind() == "loss_scale";
        assert!(known, "{}", op.kind());
    }
}

/// Compiling is most of a start: layers of equal shape have equal kernels, wherever their parameters lie.
#[test]
fn more_layers_of_a_shape_need_no_other_kernels() {
    let texts = |cell: &Cell, layers: usize, hidden: usize| {
        let spec = Spec {
            vocab: 5,
            cells: std::iter::repeat_n(Arc::new(cell.clone()), layers).collect(),
            hidden,
            embed: hidden,
            dropout: 0.25,
            ..Spec::default()
        };
        let update = Update {
            rule: ADAM,
            clip_norm: 1.0,
            clip_value: 0.0,
        };
        let plan = spec.plan(DIMS, Mode::Train(update)).unwrap();
        let mut kernels = Gpu::sources(&plan, &SNAPSHOT).unwrap();
        // These go over all parameters at once.
        kernels.retain(|(name, _)| !name.starts_with("norm.") && name != "update");
        let texts: BTreeSet<String> = kernels.iter().map(|k| k.1.clone()).collect();
        (kernels.len(), texts)
    };
    for cell in every_cell() {
        for hidden in [8, 7] {
            // The second layer is the first whose input is another layer's output.
            let ((two, few), (five, many)) = (texts(&cell, 2, hidden), texts(&cell, 5, hidden));
            assert!(five > two);
            let new = many.difference(&few).next();
            assert!(new.is_none(), "{} H {hidden}: {new:?}", cell.name);
        }
    }
}

/// All that can be said of these kernels without an adapter that has the feature: they are valid to naga, and as SPIR-V
/// they load, multiply and store cooperative matrices.
#[test]
fn products_on_cooperative_matrices_are_valid_and_become_spirv() {
    // Matrices of 16 x 16: four sums, two operands on either side. Of 8 x 8: four times as many, and K in two parts.
    for (threads, matrices, counts) in [(32, 16, [8, 4, 4]), (8, 8, [32, 16, 32])] {
        let tile = Tile {
            cooperative: threads,
            matrices,
            ..Tile::GPU
        };
        cooperative_products(&tile, counts);
    }
}

/// `counts`: how often a kernel loads, stores and multiplies.
fn cooperative_products(tile: &Tile, counts: [usize; 3]) {
    use naga::valid::Capabilities;
    let kernels = Gpu::sources(&halved(ADAM), tile).unwrap();
    let enabled = |text: &str| text.contains("enable wgpu_cooperative_matrix;");
    let products: Vec<_> = kernels.iter().filter(|k| enabled(&k.1)).collect();
    assert!(products.len() > 8, "{} products", products.len());
    // Each way in which the operands may lie, and with a bias and a sum to add to.
    for part in ["left[e]", "left[e % 64u", "right[e]", "right[e % 16u"] {
        assert!(products.iter().any(|p| p.1.contains(part)), "{part}");
    }
    let wide = Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16;
    for (name, text) in products {
        assert!(fault_with(text, wide).is_some(), "{name}: needs no feature");
        let capabilities = wide | Capabilities::COOPERATIVE_MATRIX;
        if let Some(fault) = fault_with(text, capabilities) {
            panic!("{name}: {fault}\n{text}");
        }
        let module = naga::front::wgsl::parse_str(text).unwrap();
        let flags = naga::valid::ValidationFlags::all();
        let info = naga::valid::Validator::new(flags, capabilities).validate(&module);
        let options = naga::back::spv::Options {
            lang_version: (1, 6),
            ..Default::default()
        };
        let words = naga::back::spv::write_vec(&module, &info.unwrap(), &options, None).unwrap();
        // OpCooperativeMatrixLoadKHR, StoreKHR and MulAddKHR.
        let found = [4457, 4458, 4459].map(|opcode| instructions(&words, opcode));
        assert_eq!(found, counts, "{name}");
    }
}

/// How many instructions of a module have an operation code.
fn instructions(words: &[u32], opcode: u32) -> usize {
    let (mut at, mut count) = (5, 0);
    while at < words.len() {
        count += usize::from(words[at] & 0xffff == opcode);
        at += (words[at] >> 16).max(1) as usize;
    }
    count
}

#[test]
fn a_broken_text_is_refused() {
    let lstm = library::builtin("lstm").unwrap();
    let kernels = scans(&layer(&lstm, 8, DIMS), &SNAPSHOT);
    let (_, good) = &kernels[0];
    assert_eq!(fault(good), None);
    let broken = [
        // An unknown name, a missing bracket, numbers of two types, a store to what is read-only, another entry point.
        ("let t = step.x;", "let t = steps.x;"),
        ("acc_0_0_0 += x0 * m_0_0_0;", "acc_0_0_0 += (x0 * m_0_0_0;"),
        ("array<u32>", "array<f32>"),
        ("var<storage, read_write>", "var<storage, read>"),
        ("fn main(", "fn start("),
    ];
    for (from, to) in broken {
        assert!(good.contains(from), "{from} is no longer in the text");
        let fault = fault(&good.replace(from, to));
        assert!(fault.is_some(), "{to} was accepted");
    }
}
