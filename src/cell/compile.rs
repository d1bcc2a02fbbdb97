//! The cut of both directions of a step into stages, and the choice of what the forward pass keeps for the backward one.

use super::derive::{made_nodes, reverse};
use super::graph::{Graph, Id, Node};
use super::level::{back_level, find, gate_level, leaf, reduction_level, settled, waiting};
use super::stage::{
    Adjoint, Compiled, Load, ProductSum, Program, Stage, StageCut, Store, Term, TermOperand,
};
use super::{Cell, SourceKind, reduction};

/// `carries` says which states' adjoints go on as rows of their own.
pub(super) fn compile(cell: &Cell, training: bool, carries: Vec<bool>) -> Compiled {
    let forward_level = settled(cell, &cell.graph, |id, before, level| {
        match cell.graph.node(id) {
            Node::GateProduct(gate) => Some(gate_level(cell, before, gate)),
            Node::Attended(a) => {
                let queries = cell.attentions[a].queries.iter();
                queries.map(|query| level[*query] + 1).max()
            }
            node => reduction_level(&cell.graph, level, node),
        }
    });
    let mut compiled = Compiled {
        forward: Vec::new(),
        backward: Vec::new(),
        initial: Stage::default(),
        saved: 0,
        saved_nodes: Vec::new(),
        deltas: 0,
        in_place: false,
        over_projection: false,
        carries,
        scratch: 0,
        forward_scratch: 0,
        gate_delta: vec![None; cell.gates.len()],
        vector_adjoint: vec![None; cell.vectors.len()],
        totals: 0,
        input_delta: None,
        attention_deltas: vec![None; cell.attentions.len()],
    };
    let mut saved = Vec::new();
    if training {
        saved = backward(cell, &mut compiled);
    } else {
        let rows = kept_rows(cell).into_iter();
        saved.extend(rows.filter(|id| stored(cell, &[], *id).is_none()));
    }
    forward(cell, &forward_level, &saved, training, &mut compiled);
    compiled.saved_nodes = saved;
    compiled
}

/// In training what only later stages of the step read goes to scratch, which stays in a cache.
fn forward(cell: &Cell, level: &[usize], saved: &[Id], training: bool, compiled: &mut Compiled) {
    let mut outputs: Vec<(Store, Id)> = Vec::new();
    for (k, id) in cell.new_states.iter().enumerate() {
        outputs.push((Store::New(k), *id));
    }
    for (slot, node) in cell.made_values() {
        outputs.push((Store::Made(slot), node));
    }
    for (i, id) in saved.iter().enumerate() {
        outputs.push((Store::Saved(i), *id));
    }
    let mut parked = kept_rows(cell);
    parked.retain(|id| stored(cell, saved, *id).is_none());
    for (i, id) in parked.iter().enumerate() {
        outputs.push((Store::Scratch(i), *id));
    }
    let stages = outputs.iter().map(|o| level[o.1]).max().unwrap_or(0) + 1;
    // Which gates each stage sums, in the order in which `Load::Sum` counts them.
    let gates: Vec<Vec<usize>> = (0..stages)
        .map(|stage| {
            (0..cell.gates.len())
                .filter(|g| cell.sources[cell.gates[*g].source].kind != SourceKind::Input)
                .filter(|g| gate_level(cell, level, *g) == stage)
                .collect()
        })
        .collect();
    let reductions = reduction::all(&cell.graph);
    let stored = |id: Id| {
        let scratch = || parked.iter().position(|p| *p == id).map(Load::Scratch);
        stored(cell, saved, id).or_else(scratch)
    };
    let row = |id: Id| leaf(&cell.graph, id).or_else(|| stored(id));
    let load = |id: Id, stage: usize| match cell.graph.node(id) {
        node if reduction::is(node) => (level[id] <= stage)
            .then(|| reduction::load(&reductions, id))
            .flatten(),
        Node::GateProduct(g) => match cell.sources[cell.gates[g].source].kind {
            SourceKind::Input => Some(Load::InputProjection(cell.gates[g].block)),
            _ => gates[stage].iter().position(|o| *o == g).map(Load::Sum),
        },
        Node::Attended(_) => (level[id] <= stage).then(|| stored(id)).flatten(),
        _ => leaf(&cell.graph, id).or_else(|| {
            let earlier = level[id] < stage;
            earlier.then(|| stored(id)).flatten()
        }),
    };
    let (park, unpark): (&dyn Fn(usize) -> Store, &dyn Fn(usize) -> Load) = if training {
        (&Store::Scratch, &Load::Scratch)
    } else {
        (&Store::Saved, &Load::Saved)
    };
    let cut = StageCut {
        graph: &cell.graph,
        level,
        load: &load,
        park,
        unpark,
    };
    let known = if training { parked.len() } else { saved.len() };
    let (programs, count) = cut.programs(stages, &outputs, known);
    (compiled.saved, compiled.forward_scratch) = if training {
        (saved.len(), count)
    } else {
        (count, 0)
    };
    compiled.scratch = compiled.scratch.max(compiled.forward_scratch);
    compiled.forward = programs
        .into_iter()
        .zip(&gates)
        .enumerate()
        .map(|(stage, (mut program, gates))| Stage {
            attentions: attentions(&cell.graph, level, stage, |node| match node {
                Node::Attended(a) => Some(a),
                _ => None,
            }),
            sums: gates.iter().map(|g| gate_sum(cell, *g)).collect(),
            reductions: reduction::of_program(&cell.graph, &reductions, &mut program, row),
            program,
        })
        .collect();
    let inside = cell.made() == 0 && !cell.is_feed_forward();
    compiled.in_place =
        inside && unit_by_unit(&compiled.backward) && compiled.saved == compiled.deltas;
    let gates_of_input = cell
        .input_source()
        .map_or(0, |s| cell.sources[s].gates.len());
    compiled.over_projection =
        inside && unit_by_unit(&compiled.forward) && (1..=compiled.saved).contains(&gates_of_input);
}

/// Whether each unit of a row is made of what was there for that unit alone, besides its sums: it may then be stored in its
/// place.
fn unit_by_unit(stages: &[Stage]) -> bool {
    matches!(stages, [stage] if stage.reductions.is_empty())
}

fn gate_sum(cell: &Cell, gate: usize) -> ProductSum {
    let gate = &cell.gates[gate];
    let operand = match cell.sources[gate.source].kind {
        SourceKind::Previous(k) => TermOperand::Previous(k),
        SourceKind::Made { slot, .. } => TermOperand::Made(slot),
        SourceKind::Input => unreachable!("products of the input are made before the loop"),
    };
    let term = Term {
        operand,
        source: gate.source,
        block: gate.block,
    };
    ProductSum {
        terms: vec![term],
        transposed: false,
    }
}

/// How a value that the forward pass left in memory is loaded.
fn stored(cell: &Cell, saved: &[Id], id: Id) -> Option<Load> {
    if let Some(slot) = cell.slot_of_attended(id) {
        return Some(Load::Made(slot));
    }
    if let Some(k) = cell.new_states.iter().position(|s| *s == id) {
        return Some(Load::New(k));
    }
    if let Some(i) = saved.iter().position(|s| *s == id) {
        return Some(Load::Saved(i));
    }
    cell.made_slot(id).map(Load::Made)
}

/// The attentions that run before a stage: those of whose nodes, forward or backward, this is the first.
fn attentions(
    graph: &Graph,
    level: &[usize],
    stage: usize,
    of: impl Fn(Node) -> Option<usize>,
) -> Vec<usize> {
    let here = (0..graph.len()).filter(|id| level[*id] == stage);
    here.filter_map(|id| of(graph.node(id))).collect()
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
    // Gates by source first, so that the deltas of one source tend to lie side by side.
    for source in &cell.sources {
        for gate in &source.gates {
            compiled.gate_delta[*gate] =
                delta_of(adjoints.get(Node::GateProduct(*gate), &cell.graph));
        }
    }
    compiled.input_delta = delta_of(adjoints.get(Node::Input, &cell.graph));
    // Sums along a memory look at the adjoints of all steps; that of a query no program makes.
    for a in 0..cell.attentions.len() {
        let of = |node, graph| adjoints.get(node, graph);
        let result = delta_of(of(Node::Attended(a), &cell.graph));
        // Those of several queries lie side by side.
        let queries = 0..cell.attentions[a].queries.len();
        let deltas = queries.map(|part| {
            let own = Node::Query(a, part);
            result.and_then(|_| delta_of(find(graph, |g, id| g.node(id) == own)))
        });
        let query = deltas.collect::<Vec<_>>().first().copied().flatten();
        compiled.attention_deltas[a] = result.zip(query).map(|(result, query)| [result, query]);
    }
    // An adjoint that nothing but a vector has is needed as a sum alone: one row for all steps, which stays in a cache.
    let once = !cell.is_feed_forward();
    let mut totals: Vec<Id> = Vec::new();
    for v in 0..cell.vectors.len() {
        let Some(id) = adjoints.get(Node::Vector(v), &cell.graph) else {
            continue;
        };
        let is = |known: &Id| *known == id;
        compiled.vector_adjoint[v] = Some(match deltas.iter().position(is) {
            Some(delta) => Adjoint::Delta(delta),
            None if once => Adjoint::Total(totals.iter().position(is).unwrap_or_else(|| {
                totals.push(id);
                totals.len() - 1
            })),
            None => {
                deltas.push(id);
                Adjoint::Delta(deltas.len() - 1)
            }
        });
    }
    (compiled.deltas, compiled.totals) = (deltas.len(), totals.len());

    let mut outputs: Vec<(Store, Id)> = Vec::new();
    let query = |id: Id| matches!(graph.node(id), Node::Query(..));
    for (i, id) in deltas.iter().enumerate().filter(|(_, id)| !query(**id)) {
        outputs.push((Store::Delta(i), *id));
    }
    for (i, id) in totals.iter().enumerate() {
        outputs.push((Store::Total(i), *id));
    }
    // The previous state's node is node k; without any path to the loss its adjoint is zero.
    let zero = find(graph, |g, id| g.value(id) == Some(0.0));
    for k in (0..carries.len()).filter(|k| carries[*k]) {
        outputs.extend(adjoints.of[k].or(zero).map(|id| (Store::Carry(k), id)));
    }

    let saved = choose_saved(cell, graph, outputs.iter().map(|o| o.1), forward);
    // A row of a reduction waits in memory for the next stage.
    let rows = waiting(graph, outputs.iter().map(|o| o.1), forward);
    let parked = rows.iter().enumerate();
    outputs.extend(parked.map(|(i, row)| (Store::Scratch(i), *row)));

    // A made source's adjoint waits for the deltas of all gates that it feeds.
    let gate_delta = &compiled.gate_delta;
    let source_deltas = |s: usize| {
        cell.sources[s]
            .gates
            .iter()
            .filter_map(|g| gate_delta[*g].map(|d| (cell.gates[*g].block, d)))
            .collect::<Vec<_>>()
    };
    let made = |s: usize| matches!(cell.sources[s].kind, SourceKind::Made { .. });
    let level = settled(cell, graph, |id, before, level| match graph.node(id) {
        _ if id < forward => Some(0),
        Node::Back(s) if made(s) => {
            let waits = source_deltas(s).iter().map(|d| before[deltas[d.1]]).max();
            Some(waits.map_or(0, |stage| stage + 1))
        }
        Node::Query(a, _) => {
            let result = compiled.attention_deltas[a].map(|[result, _]| deltas[result]);
            Some(result.map_or(0, |id| before[id] + 1))
        }
        node => reduction_level(graph, level, node),
    });
    // The last of what runs may be an attention's.
    let queries = (0..graph.len()).filter(|id| query(*id));
    let ends = outputs.iter().map(|o| o.1).chain(queries);
    let stages = ends.map(|id| level[id]).max().unwrap_or(0) + 1;
    let backs: Vec<Vec<usize>> = (0..stages)
        .map(|stage| {
            (0..cell.sources.len())
                .filter(|s| cell.sources[*s].kind != SourceKind::Input)
                .filter(|s| back_level(graph, &level, *s) == Some(stage))
                .collect()
        })
        .collect();
    let reductions = reduction::all(graph);
    let parked = |id: Id| rows.iter().position(|r| *r == id).map(Load::Scratch);
    let load = |id: Id, stage: usize| match graph.node(id) {
        // A number of a row is cheaper made again than kept for every unit.
        node if reduction::is(node) => (level[id] <= stage)
            .then(|| reduction::load(&reductions, id))
            .flatten(),
        Node::Upstream => Some(Load::Upstream),
        // The first stage that stores a carry overwrites it, so later ones cannot read it.
        Node::Carry(k) => (stage == 0).then_some(Load::Carry(k)),
        Node::Back(s) => backs[stage].iter().position(|o| *o == s).map(Load::Sum),
        Node::Query(a, part) => {
            let known = compiled.attention_deltas[a].filter(|_| level[id] <= stage);
            known.map(|[_, first]| Load::Delta(first + part))
        }
        _ if id < forward => leaf(graph, id).or_else(|| stored(cell, &saved, id)),
        _ => leaf(graph, id).or_else(|| parked(id).filter(|_| level[id] < stage)),
    };
    let cut = StageCut {
        graph,
        level: &level,
        load: &load,
        park: &Store::Scratch,
        unpark: &Load::Scratch,
    };
    let (programs, scratch) = cut.programs(stages, &outputs, rows.len());
    compiled.scratch = scratch;
    let sum = |s: usize| ProductSum {
        terms: source_deltas(s)
            .into_iter()
            .map(|(block, delta)| Term {
                operand: if made(s) {
                    TermOperand::Delta(delta)
                } else {
                    TermOperand::NextDelta(delta)
                },
                source: s,
                block,
            })
            .collect(),
        transposed: true,
    };
    compiled.backward = programs
        .into_iter()
        .zip(&backs)
        .enumerate()
        .map(|(stage, (mut program, backs))| Stage {
            attentions: attentions(graph, &level, stage, |node| match node {
                Node::Query(a, 0) => Some(a),
                _ => None,
            }),
            sums: backs.iter().map(|s| sum(*s)).collect(),
            reductions: reduction::of_program(graph, &reductions, &mut program, |id| {
                let kept = || {
                    if id < forward {
                        stored(cell, &saved, id)
                    } else {
                        parked(id)
                    }
                };
                leaf(graph, id).or_else(kept)
            }),
            program,
        })
        .collect();
    compiled.initial = initial(cell, &carries, sum);
    saved
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
    // Rows of which the backward pass takes a number lie in memory whether it can make them or not.
    let mut memory = vec![false; forward];
    for id in (0..graph.len()).filter(|id| used[*id] && (*id >= forward || direct[*id])) {
        for row in reduction::rows(graph.node(id)).filter(|row| *row < forward) {
            memory[row] = true;
        }
    }
    let mut saved: Vec<Id> = Vec::new();
    let mut available = vec![false; forward];
    let lies = |id: Id| leaf(graph, id).is_some() || stored(cell, &[], id).is_some();
    for id in 0..forward {
        available[id] = match graph.node(id) {
            Node::Constant(_) => true,
            _ if lies(id) => true,
            Node::Unary(..) | Node::Binary(..) | Node::Standard { .. } => {
                graph.operands(id).all(|o| available[o])
            }
            node => {
                let mut rows = reduction::rows(node);
                reduction::is(node) && rows.all(|row| lies(row) || saved.contains(&row))
            }
        };
        if (direct[id] && !available[id]) || (memory[id] && !lies(id)) {
            saved.push(id);
            available[id] = true;
        }
    }
    saved
}

/// The adjoint of each state before the first step: its carry plus what comes back through the products.
fn initial(cell: &Cell, carries: &[bool], sum: impl Fn(usize) -> ProductSum) -> Stage {
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
        program,
        ..Stage::default()
    }
}

/// The forward values of which reductions are made: they wait in memory for the next stage.
fn kept_rows(cell: &Cell) -> Vec<Id> {
    let roots = cell.new_states.iter().copied();
    waiting(&cell.graph, roots.chain(made_nodes(cell)), 0)
}
