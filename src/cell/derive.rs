//! Symbolic reverse mode over one step, and the cut of both directions into stages.

use super::graph::{Graph, Id, Node};
use super::stage::{Compiled, Cut, Load, Operand, Program, Stage, Store, Sum, Term};
use super::{Cell, SourceKind};

/// The adjoints of a step: every leaf's, as nodes of a graph that continues the cell's.
struct Adjoints {
    graph: Graph,
    of: Vec<Option<Id>>,
}

impl Adjoints {
    fn accumulate(&mut self, id: Id, term: Id) {
        if self.of.len() <= id {
            self.of.resize(id + 1, None);
        }
        self.of[id] = Some(match self.of[id] {
            None => term,
            Some(sum) => self.graph.add(sum, term),
        });
    }

    fn get(&self, node: Node, graph: &Graph) -> Option<Id> {
        let mut graph = graph.clone();
        let known = graph.len();
        let id = graph.leaf(node);
        if id < known {
            self.of.get(id).copied().flatten()
        } else {
            None
        }
    }
}

/// States whose previous value an equation uses elementwise: only these have an adjoint to carry.
fn carries(cell: &Cell) -> Vec<bool> {
    let mut roots = cell.new_states.clone();
    roots.extend(made_nodes(cell));
    let used = cell.graph.reachable(roots);
    // Lowering makes the previous states first, so node k is state k.
    (0..cell.states.len()).map(|k| used[k]).collect()
}

fn made_nodes(cell: &Cell) -> impl Iterator<Item = Id> + '_ {
    cell.sources.iter().filter_map(|s| match s.kind {
        SourceKind::Made { node, .. } => Some(node),
        _ => None,
    })
}

/// Walks the step backward. The adjoint of a state is what the layer above, the next step's elementwise part and the
/// next step's products send to it; that of a made source comes through this step's products.
fn reverse(cell: &Cell, carries: &[bool]) -> Adjoints {
    let forward = cell.graph.len();
    let mut adjoints = Adjoints {
        graph: cell.graph.clone(),
        of: vec![None; forward],
    };
    for (k, id) in cell.new_states.iter().enumerate() {
        if k == cell.output {
            let upstream = adjoints.graph.leaf(Node::Upstream);
            adjoints.accumulate(*id, upstream);
        }
        if carries[k] {
            let carry = adjoints.graph.leaf(Node::Carry(k));
            adjoints.accumulate(*id, carry);
        }
    }
    for (s, source) in cell.sources.iter().enumerate() {
        let target = match source.kind {
            SourceKind::Input => continue,
            SourceKind::Previous(k) => cell.new_states[k],
            SourceKind::Made { node, .. } => node,
        };
        let back = adjoints.graph.leaf(Node::Back(s));
        adjoints.accumulate(target, back);
    }
    for id in (0..forward).rev() {
        let Some(dy) = adjoints.of[id] else { continue };
        match cell.graph.node(id) {
            Node::Unary(op, a) => {
                let [da] = op.adjoints(&mut adjoints.graph, [a], id, dy);
                da.into_iter().for_each(|d| adjoints.accumulate(a, d));
            }
            // A mean hands each unit the mean of what all units sent to it.
            Node::Mean(a) => {
                let da = adjoints.graph.mean(dy);
                adjoints.accumulate(a, da);
            }
            Node::Binary(op, a, b) => {
                let [da, db] = op.adjoints(&mut adjoints.graph, [a, b], id, dy);
                da.into_iter().for_each(|d| adjoints.accumulate(a, d));
                db.into_iter().for_each(|d| adjoints.accumulate(b, d));
            }
            _ => {}
        }
    }
    // A carry without a path to the loss is stored as zero.
    adjoints.graph.constant(0.0);
    adjoints
}

/// The stage in which each node can be known, given that of the leaves that wait for a product.
fn levels(graph: &Graph, waits: impl Fn(Id, &[usize]) -> Option<usize>) -> Vec<usize> {
    let mut level = Vec::with_capacity(graph.len());
    for id in 0..graph.len() {
        let own = match waits(id, &level) {
            Some(stage) => stage,
            None => graph.operands(id).map(|o| level[o]).max().unwrap_or(0),
        };
        level.push(own);
    }
    level
}

/// The levels when a leaf may wait for a node that comes after it, whose level `waits` takes from the round before.
fn settled(
    cell: &Cell,
    graph: &Graph,
    waits: impl Fn(Id, &[usize], &[usize]) -> Option<usize>,
) -> Vec<usize> {
    let mut level = vec![0; graph.len()];
    // Levels rise along chains of made sources, which are acyclic: as many rounds as sources settle them.
    for _ in 0..=cell.sources.len() {
        let before = level;
        level = levels(graph, |id, level| waits(id, &before, level));
    }
    level
}

pub(super) fn compile(cell: &Cell, training: bool) -> Compiled {
    let forward_level = settled(cell, &cell.graph, |id, before, level| {
        match cell.graph.node(id) {
            Node::Lane(lane) => Some(lane_level(cell, before, lane)),
            Node::Mean(row) => Some(row_level(&cell.graph, level, row)),
            _ => None,
        }
    });
    let mut compiled = Compiled {
        forward: Vec::new(),
        backward: Vec::new(),
        initial: Stage::default(),
        saved: 0,
        deltas: 0,
        carries: carries(cell),
        scratch: 0,
        lane_delta: vec![None; cell.lanes.len()],
        vector_delta: vec![None; cell.vectors.len()],
        input_delta: None,
    };
    let mut saved = Vec::new();
    if training {
        saved = backward(cell, &mut compiled);
    } else {
        let rows = mean_rows(cell).into_iter();
        saved.extend(rows.filter(|id| stored(cell, &[], *id).is_none()));
    }
    forward(cell, &forward_level, &saved, &mut compiled);
    compiled
}

fn forward(cell: &Cell, level: &[usize], saved: &[Id], compiled: &mut Compiled) {
    let mut outputs: Vec<(Store, Id)> = Vec::new();
    for (k, id) in cell.new_states.iter().enumerate() {
        outputs.push((Store::New(k), *id));
    }
    for source in &cell.sources {
        if let SourceKind::Made { slot, node } = source.kind {
            outputs.push((Store::Made(slot), node));
        }
    }
    for (i, id) in saved.iter().enumerate() {
        outputs.push((Store::Saved(i), *id));
    }
    let stages = outputs.iter().map(|o| level[o.1]).max().unwrap_or(0) + 1;
    // Which lanes each stage sums, in the order in which `Load::Sum` counts them.
    let lanes: Vec<Vec<usize>> = (0..stages)
        .map(|stage| {
            (0..cell.lanes.len())
                .filter(|l| cell.sources[cell.lanes[*l].source].kind != SourceKind::Input)
                .filter(|l| lane_level(cell, level, *l) == stage)
                .collect()
        })
        .collect();
    let means = means(&cell.graph, outputs.iter().map(|o| o.1), level, stages, 0);
    let row = |id: Id| leaf(&cell.graph, id).or_else(|| stored(cell, saved, id));
    let load = |id: Id, stage: usize| match cell.graph.node(id) {
        Node::Mean(_) if level[id] == stage => {
            means[stage].iter().position(|m| *m == id).map(Load::Mean)
        }
        Node::Lane(l) => match cell.sources[cell.lanes[l].source].kind {
            SourceKind::Input => Some(Load::Hoisted(cell.lanes[l].block)),
            _ => lanes[stage].iter().position(|o| *o == l).map(Load::Sum),
        },
        _ => leaf(&cell.graph, id).or_else(|| {
            let earlier = level[id] < stage;
            earlier.then(|| stored(cell, saved, id)).flatten()
        }),
    };
    let cut = Cut {
        graph: &cell.graph,
        level,
        load: &load,
        park: &Store::Saved,
        unpark: &Load::Saved,
    };
    let (programs, saved) = cut.programs(stages, &outputs, saved.len());
    compiled.saved = saved;
    compiled.forward = programs
        .into_iter()
        .zip(lanes.iter().zip(&means))
        .map(|(program, (lanes, means))| Stage {
            sums: lanes.iter().map(|l| lane_sum(cell, *l)).collect(),
            means: mean_loads(&cell.graph, means, row),
            program,
        })
        .collect();
}

/// A leaf that a program loads wherever it likes.
fn leaf(graph: &Graph, id: Id) -> Option<Load> {
    match graph.node(id) {
        Node::Input => Some(Load::Input),
        Node::Previous(k) => Some(Load::Previous(k)),
        Node::Vector(v) => Some(Load::Vector(v)),
        Node::Mask(m) => Some(Load::Mask(m)),
        _ => None,
    }
}

/// The stage in which a row's mean can be known: that of the row where it lies in memory before the step, else the next.
fn row_level(graph: &Graph, level: &[usize], row: Id) -> usize {
    match leaf(graph, row) {
        Some(_) => 0,
        None => level[row] + 1,
    }
}

/// The means from node `first` on that the roots need, by stage.
fn means(
    graph: &Graph,
    roots: impl Iterator<Item = Id>,
    level: &[usize],
    stages: usize,
    first: Id,
) -> Vec<Vec<Id>> {
    let used = graph.reachable(roots);
    let is_mean = |id: &Id| used[*id] && matches!(graph.node(*id), Node::Mean(_));
    let at = |stage: usize| {
        let ids = (first..graph.len()).filter(is_mean);
        ids.filter(|id| level[*id] == stage).collect()
    };
    (0..stages).map(at).collect()
}

fn mean_loads(graph: &Graph, means: &[Id], load: impl Fn(Id) -> Option<Load>) -> Vec<Load> {
    let row = |id: &Id| graph.operands(*id).next().and_then(&load);
    means.iter().filter_map(row).collect()
}

/// The forward values whose means are taken and that do not lie in memory before the step.
fn mean_rows(cell: &Cell) -> Vec<Id> {
    let mut roots = cell.new_states.clone();
    roots.extend(made_nodes(cell));
    let used = cell.graph.reachable(roots);
    let mut rows: Vec<Id> = Vec::new();
    for id in (0..cell.graph.len()).filter(|id| used[*id]) {
        if let Node::Mean(row) = cell.graph.node(id)
            && leaf(&cell.graph, row).is_none()
            && !rows.contains(&row)
        {
            rows.push(row);
        }
    }
    rows
}

fn lane_level(cell: &Cell, level: &[usize], lane: usize) -> usize {
    match cell.sources[cell.lanes[lane].source].kind {
        SourceKind::Made { node, .. } => level[node] + 1,
        _ => 0,
    }
}

fn lane_sum(cell: &Cell, lane: usize) -> Sum {
    let lane = &cell.lanes[lane];
    let operand = match cell.sources[lane.source].kind {
        SourceKind::Previous(k) => Operand::Previous(k),
        SourceKind::Made { slot, .. } => Operand::Made(slot),
        SourceKind::Input => unreachable!("products of the input are hoisted"),
    };
    let term = Term {
        operand,
        source: lane.source,
        block: lane.block,
    };
    Sum {
        terms: vec![term],
        transposed: false,
    }
}

/// How a value that the forward pass left in memory is loaded.
fn stored(cell: &Cell, saved: &[Id], id: Id) -> Option<Load> {
    if let Some(k) = cell.new_states.iter().position(|s| *s == id) {
        return Some(Load::New(k));
    }
    if let Some(i) = saved.iter().position(|s| *s == id) {
        return Some(Load::Saved(i));
    }
    cell.sources.iter().find_map(|s| match s.kind {
        SourceKind::Made { slot, node } if node == id => Some(Load::Made(slot)),
        _ => None,
    })
}

/// Fills in the backward half; returns the nodes that the forward pass must save for it.
fn backward(cell: &Cell, compiled: &mut Compiled) -> Vec<Id> {
    let carries = compiled.carries.clone();
    let adjoints = reverse(cell, &carries);
    let forward = cell.graph.len();
    let graph = &adjoints.graph;

    let mut deltas: Vec<Id> = Vec::new();
    let mut delta_of = |adjoint: Option<Id>| {
        let id = adjoint?;
        let known = deltas.iter().position(|d| *d == id);
        Some(known.unwrap_or_else(|| {
            deltas.push(id);
            deltas.len() - 1
        }))
    };
    // Lanes by source first, so that the deltas of one source tend to lie side by side.
    for source in &cell.sources {
        for lane in &source.lanes {
            compiled.lane_delta[*lane] = delta_of(adjoints.get(Node::Lane(*lane), &cell.graph));
        }
    }
    for v in 0..cell.vectors.len() {
        compiled.vector_delta[v] = delta_of(adjoints.get(Node::Vector(v), &cell.graph));
    }
    compiled.input_delta = delta_of(adjoints.get(Node::Input, &cell.graph));
    compiled.deltas = deltas.len();

    let mut outputs: Vec<(Store, Id)> = Vec::new();
    for (i, id) in deltas.iter().enumerate() {
        outputs.push((Store::Delta(i), *id));
    }
    // The previous state's node is node k; without any path to the loss its adjoint is zero.
    let zero = find(graph, |g, id| g.value(id) == Some(0.0));
    for k in (0..carries.len()).filter(|k| carries[*k]) {
        outputs.extend(adjoints.of[k].or(zero).map(|id| (Store::Carry(k), id)));
    }

    let saved = choose_saved(cell, graph, outputs.iter().map(|o| o.1), forward);
    // A row whose mean is taken waits in memory for the next stage.
    let used = graph.reachable(outputs.iter().map(|o| o.1));
    let mut rows: Vec<Id> = Vec::new();
    for id in (forward..graph.len()).filter(|id| used[*id]) {
        if let Node::Mean(row) = graph.node(id)
            && leaf(graph, row).is_none()
            && !rows.contains(&row)
        {
            outputs.push((Store::Scratch(rows.len()), row));
            rows.push(row);
        }
    }

    // A made source's adjoint waits for the deltas of all lanes that it feeds.
    let lane_delta = &compiled.lane_delta;
    let source_deltas = |s: usize| {
        cell.sources[s]
            .lanes
            .iter()
            .filter_map(|l| lane_delta[*l].map(|d| (cell.lanes[*l].block, d)))
            .collect::<Vec<_>>()
    };
    let made = |s: usize| matches!(cell.sources[s].kind, SourceKind::Made { .. });
    let level = settled(cell, graph, |id, before, level| match graph.node(id) {
        _ if id < forward => Some(0),
        Node::Mean(row) => Some(row_level(graph, level, row)),
        Node::Back(s) if made(s) => {
            let waits = source_deltas(s).iter().map(|d| before[deltas[d.1]]).max();
            Some(waits.map_or(0, |stage| stage + 1))
        }
        _ => None,
    });
    let stages = outputs.iter().map(|o| level[o.1]).max().unwrap_or(0) + 1;
    let backs: Vec<Vec<usize>> = (0..stages)
        .map(|stage| {
            (0..cell.sources.len())
                .filter(|s| cell.sources[*s].kind != SourceKind::Input)
                .filter(|s| back_level(graph, &level, *s) == Some(stage))
                .collect()
        })
        .collect();
    let means = means(graph, outputs.iter().map(|o| o.1), &level, stages, forward);
    let parked = |id: Id| rows.iter().position(|r| *r == id).map(Load::Scratch);
    let load = |id: Id, stage: usize| match graph.node(id) {
        Node::Mean(_) if id >= forward && level[id] == stage => {
            means[stage].iter().position(|m| *m == id).map(Load::Mean)
        }
        Node::Upstream => Some(Load::Upstream),
        // The first stage that stores a carry overwrites it, so later ones cannot read it.
        Node::Carry(k) => (stage == 0).then_some(Load::Carry(k)),
        Node::Back(s) => backs[stage].iter().position(|o| *o == s).map(Load::Sum),
        _ if id < forward => leaf(graph, id).or_else(|| stored(cell, &saved, id)),
        _ => leaf(graph, id).or_else(|| parked(id).filter(|_| level[id] < stage)),
    };
    let cut = Cut {
        graph,
        level: &level,
        load: &load,
        park: &Store::Scratch,
        unpark: &Load::Scratch,
    };
    let (programs, scratch) = cut.programs(stages, &outputs, rows.len());
    compiled.scratch = scratch;
    let sum = |s: usize| Sum {
        terms: source_deltas(s)
            .into_iter()
            .map(|(block, delta)| Term {
                operand: if made(s) {
                    Operand::Delta(delta)
                } else {
                    Operand::NextDelta(delta)
                },
                source: s,
                block,
            })
            .collect(),
        transposed: true,
    };
    compiled.backward = programs
        .into_iter()
        .zip(backs.iter().zip(&means))
        .map(|(program, (backs, means))| Stage {
            sums: backs.iter().map(|s| sum(*s)).collect(),
            means: mean_loads(graph, means, |id| leaf(graph, id).or_else(|| parked(id))),
            program,
        })
        .collect();
    compiled.initial = initial(cell, &carries, sum);
    saved
}

fn find(graph: &Graph, wanted: impl Fn(&Graph, Id) -> bool) -> Option<Id> {
    (0..graph.len()).find(|id| wanted(graph, *id))
}

fn back_level(graph: &Graph, level: &[usize], source: usize) -> Option<usize> {
    find(graph, |g, id| g.node(id) == Node::Back(source)).map(|id| level[id])
}

/// The nodes to keep for the backward pass: in order of evaluation, each that it uses directly and that previous and new
/// states, made values and the nodes kept so far do not give.
fn choose_saved(
    cell: &Cell,
    graph: &Graph,
    roots: impl Iterator<Item = Id>,
    forward: usize,
) -> Vec<Id> {
    let roots: Vec<Id> = roots.collect();
    let used = graph.reachable(roots.iter().copied());
    let mut direct: Vec<bool> = vec![false; forward];
    for id in (forward..graph.len()).filter(|id| used[*id]) {
        for operand in graph.operands(id).filter(|o| *o < forward) {
            direct[operand] = true;
        }
    }
    for root in roots.into_iter().filter(|r| *r < forward) {
        direct[root] = true;
    }
    let mut saved: Vec<Id> = Vec::new();
    let mut available = vec![false; forward];
    let rows = mean_rows(cell);
    for id in 0..forward {
        available[id] = match graph.node(id) {
            Node::Constant(_) => true,
            _ if leaf(graph, id).is_some() => true,
            Node::Unary(..) | Node::Binary(..) => graph.operands(id).all(|o| available[o]),
            _ => false,
        } || stored(cell, &[], id).is_some();
        let row = rows.contains(&id) && stored(cell, &[], id).is_none();
        if row || (direct[id] && !available[id]) {
            saved.push(id);
            available[id] = true;
        }
    }
    saved
}

/// The adjoint of each state before the first step: its carry plus what comes back through the products.
fn initial(cell: &Cell, carries: &[bool], sum: impl Fn(usize) -> Sum) -> Stage {
    use super::operator::Binary;
    use super::stage::Instr;
    let mut program = Program::default();
    let mut sums = Vec::new();
    for (k, carries) in carries.iter().enumerate() {
        let mut value = None;
        let mut push = |program: &mut Program, load: Load| {
            program.instrs.push(Instr::Load(load));
            let register = program.instrs.len() - 1;
            value = Some(match value {
                None => register,
                Some(before) => {
                    let add = Instr::Binary(Binary::Add, before, register);
                    program.instrs.push(add);
                    program.instrs.len() - 1
                }
            });
        };
        if *carries {
            push(&mut program, Load::Carry(k));
        }
        for (s, source) in cell.sources.iter().enumerate() {
            if source.kind == SourceKind::Previous(k) {
                sums.push(sum(s));
                push(&mut program, Load::Sum(sums.len() - 1));
            }
        }
        if let Some(register) = value {
            program.stores.push((Store::Initial(k), register));
        }
    }
    Stage {
        sums,
        means: Vec::new(),
        program,
    }
}
