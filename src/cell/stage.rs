//! Stages: what one kernel does for one step. Sums of products first, then a straight-line program on them.

use std::fmt::Debug;

use super::graph::{Graph, Id, Node};
use super::operator::{Binary, Unary};
use super::real::Real;
use super::reduction::Reduction;

/// Where a program's values come from.
pub trait LoadPlace: Copy + Debug {
    /// The number of a row that it is, the same for all units: the place where it waits among those; none for a value a unit.
    fn number(self) -> Option<usize>;
}

/// Where a value comes from when a stage's program starts. All are [B, H] at the step in hand unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Load {
    /// The n-th sum of this stage.
    Sum(usize),
    /// The n-th reduction of this stage, the same for every unit of a row.
    Reduction(usize),
    /// A random factor: 0 or the scale of this mask of the cell.
    Mask(usize),
    /// The input projection, in this block of columns of the input source's weight.
    InputProjection(usize),
    /// The input x, D = H.
    Input,
    /// A state of the previous step.
    Previous(usize),
    /// A state of this step.
    New(usize),
    /// A value made for a product within this step.
    Made(usize),
    /// A learned vector `[H]`.
    Vector(usize),
    /// A value that the forward pass kept.
    Saved(usize),
    /// A delta of this step that no program has left: the adjoint of an attention's query.
    Delta(usize),
    /// The gradient with respect to the output, from the layer above.
    Upstream,
    /// The adjoint of a state that the next step's elementwise part left.
    Carry(usize),
    /// A value that an earlier backward stage of this step left.
    Scratch(usize),
}

impl LoadPlace for Load {
    fn number(self) -> Option<usize> {
        match self {
            Load::Reduction(n) => Some(n),
            _ => None,
        }
    }
}

/// Where a stage's program leaves a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Store {
    /// A state of this step.
    New(usize),
    /// A value made for a product within this step.
    Made(usize),
    /// A value kept for later stages and the backward pass.
    Saved(usize),
    /// The adjoint of gates, vectors or the input's elementwise uses.
    Delta(usize),
    /// The adjoint that this step's elementwise part sends to the previous step's state.
    Carry(usize),
    /// A value for a later backward stage of this step.
    Scratch(usize),
    /// The gradient with respect to a state before the first step.
    Initial(usize),
    /// What is added to the sum over all steps of a vector's adjoint.
    Total(usize),
}

impl Store {
    /// Puts values in their place. Adjoints die out by products of small slopes where gates are shut; their last, subnormal
    /// digits would take a CPU a hundred times as long in every product after.
    #[inline(always)]
    pub fn put<F: Real>(self, row: &mut [F], values: &[F]) {
        let row = &mut row[..values.len()];
        match self {
            Store::Delta(_) | Store::Carry(_) | Store::Scratch(_) => {
                for i in 0..values.len() {
                    row[i] = values[i].flushed();
                }
            }
            Store::Total(_) => {
                for i in 0..values.len() {
                    row[i] += values[i].flushed();
                }
            }
            _ => row.copy_from_slice(values),
        }
    }
}

/// An instruction; operands are indices of earlier instructions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instr<L = Load> {
    /// Reads a value.
    Load(L),
    /// A constant.
    Constant(f64),
    /// An operator with one operand.
    Unary(Unary, usize),
    /// An operator with two operands.
    Binary(Binary, usize, usize),
}

/// Straight-line code for one row and unit, with places of a kind of its own: those of a cell's step unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Program<L = Load, S = Store> {
    /// The instructions, each making one value.
    pub instrs: Vec<Instr<L>>,
    /// What is stored, in this order, after all loads.
    pub stores: Vec<(S, usize)>,
}

impl<L, S> Default for Program<L, S> {
    fn default() -> Program<L, S> {
        Program {
            instrs: Vec::new(),
            stores: Vec::new(),
        }
    }
}

impl<L, S: Copy> Program<L, S> {
    /// The code that leaves every output in its place, in the order of the nodes; `load` gives those that are not made here.
    pub(super) fn of(
        graph: &Graph,
        outputs: &[(S, Id)],
        load: impl Fn(Id) -> Option<L>,
    ) -> Program<L, S> {
        let mut needed = vec![false; graph.len()];
        let mut open: Vec<Id> = outputs.iter().map(|o| o.1).collect();
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut needed[id], true) && load(id).is_none() {
                open.extend(graph.operands(id));
            }
        }
        let mut register = vec![usize::MAX; graph.len()];
        let mut program = Program::default();
        for id in (0..graph.len()).filter(|id| needed[*id]) {
            let instr = match (load(id), graph.node(id)) {
                (Some(load), _) => Instr::Load(load),
                (_, Node::Constant(bits)) => Instr::Constant(f64::from_bits(bits)),
                (_, Node::Unary(op, a)) => Instr::Unary(op, register[a]),
                (_, Node::Binary(op, a, b)) => Instr::Binary(op, register[a], register[b]),
                (_, Node::Standard { row, mean, scale }) => {
                    let centred = Instr::Binary(Binary::Sub, register[row], register[mean]);
                    program.instrs.push(centred);
                    Instr::Binary(Binary::Mul, program.instrs.len() - 1, register[scale])
                }
                (_, Node::LogSum { max, sum, .. }) => {
                    program.instrs.push(Instr::Unary(Unary::Log, register[sum]));
                    Instr::Binary(Binary::Add, program.instrs.len() - 1, register[max])
                }
                (_, node) => unreachable!("{node:?} cannot be loaded where it is needed"),
            };
            register[id] = program.instrs.len();
            program.instrs.push(instr);
        }
        let stores = outputs.iter();
        program.stores = stores.map(|(store, id)| (*store, register[*id])).collect();
        program
    }
}

/// The vector [B, H] that a term multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TermOperand {
    /// A state of the previous step.
    Previous(usize),
    /// A value made within this step.
    Made(usize),
    /// A delta of this step.
    Delta(usize),
    /// A delta of the next step.
    NextDelta(usize),
}

/// One product of a sum: an operand times H rows or columns of a source's weight [H, gates * H].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is multiplied.
    pub operand: TermOperand,
    /// The index of the source whose weight it is.
    pub source: usize,
    /// The block of H columns of that weight.
    pub block: usize,
}

/// A sum of products for every unit: forward over the weight's rows, backward over its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductSum {
    /// Its products.
    pub terms: Vec<Term>,
    /// Whether the weights are used transposed, as the backward pass does.
    pub transposed: bool,
}

/// One kernel's work for one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stage {
    /// The attentions of the cell that run before it, forward or backward.
    pub attentions: Vec<usize>,
    /// The sums of products that the program reads with [`Load::Sum`].
    pub sums: Vec<ProductSum>,
    /// The numbers of rows that the program reads with [`Load::Reduction`].
    pub reductions: Vec<Reduction>,
    /// The elementwise part.
    pub program: Program,
}

/// Where the adjoint of a vector is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjoint {
    /// A delta, of every row and step.
    Delta(usize),
    /// A total, of every row.
    Total(usize),
}

/// A cell ready to run: stages for both directions and the sizes of what they keep.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// The stages of a step, forward.
    pub forward: Vec<Stage>,
    /// The stages of a step, backward.
    pub backward: Vec<Stage>,
    /// After the last backward step: the gradients with respect to the initial states.
    pub initial: Stage,
    /// How many values `[H]` per row and step the forward pass keeps.
    pub saved: usize,
    /// The first of them, node by node: all of them in training.
    pub saved_nodes: Vec<Id>,
    /// How many distinct adjoints `[H]` per row and step the backward pass leaves.
    pub deltas: usize,
    /// Whether the deltas of a row and step may take the place of what the forward pass kept for it: there are as many, and
    /// one stage reads the ones and makes the others.
    pub in_place: bool,
    /// Whether what the forward pass keeps of a row and step may take the place of its input projection: there is space for
    /// that, and one stage reads the one and makes the other.
    pub over_projection: bool,
    /// Whether each state has an adjoint to carry: where an equation uses it elementwise, or its last step is used.
    pub carries: Vec<bool>,
    /// How many values `[H]` per row the stages of one step hand on, forward or backward.
    pub scratch: usize,
    /// How many of them the forward stages hand on.
    pub forward_scratch: usize,
    /// For every gate, which delta is its adjoint (absent where the loss does not depend on it).
    pub gate_delta: Vec<Option<usize>>,
    /// For every vector, what is its adjoint.
    pub vector_adjoint: Vec<Option<Adjoint>>,
    /// How many adjoints `[H]` per row are summed over the steps where they are made.
    pub totals: usize,
    /// For every attention, which deltas are the adjoints of its result and of its query (absent where the loss does not
    /// depend on it).
    pub attention_deltas: Vec<Option<[usize; 2]>>,
    /// Which delta is the adjoint of an elementwise use of the input.
    pub input_delta: Option<usize>,
}

/// How to cut a graph into stages: what can be loaded where, and where values that cross stages are parked.
pub(super) struct StageCut<'a> {
    pub graph: &'a Graph,
    /// The first stage in which each node can be known.
    pub level: &'a [usize],
    /// How a node is loaded in a stage, if it can be.
    pub load: &'a dyn Fn(Id, usize) -> Option<Load>,
    /// The place for the n-th value that crosses stages.
    pub park: &'a dyn Fn(usize) -> Store,
    /// The load that matches `park`.
    pub unpark: &'a dyn Fn(usize) -> Load,
}

impl StageCut<'_> {
    /// Programs for `stages` stages that leave every output in its place; parks from number `parked` on and returns how
    /// many places are taken at the end.
    pub fn programs(
        &self,
        stages: usize,
        outputs: &[(Store, Id)],
        mut parked: usize,
    ) -> (Vec<Program>, usize) {
        let mut wanted: Vec<Vec<(Store, Id)>> = vec![Vec::new(); stages];
        for (store, id) in outputs {
            wanted[self.level[*id]].push((*store, *id));
        }
        let mut parking: Vec<(Id, usize)> = Vec::new();
        // From the last stage to the first: what a stage lacks becomes an output of an earlier one.
        for stage in (0..stages).rev() {
            let computable = self.computable(stage);
            let mut open: Vec<Id> = wanted[stage].iter().map(|w| w.1).collect();
            let mut seen = vec![false; self.graph.len()];
            while let Some(id) = open.pop() {
                if std::mem::replace(&mut seen[id], true) || (self.load)(id, stage).is_some() {
                    continue;
                }
                if self.level[id] < stage && !computable[id] {
                    if parking.iter().all(|p| p.0 != id) {
                        parking.push((id, parked));
                        wanted[self.level[id]].push(((self.park)(parked), id));
                        parked += 1;
                    }
                    continue;
                }
                open.extend(self.graph.operands(id));
            }
        }
        let programs = wanted
            .iter()
            .enumerate()
            .map(|(stage, outputs)| self.program(stage, outputs, &parking))
            .collect();
        (programs, parked)
    }

    /// Whether each node can be made in `stage` from what is loadable there.
    fn computable(&self, stage: usize) -> Vec<bool> {
        let mut computable = vec![false; self.graph.len()];
        // Operands come first, so one pass settles all.
        for id in 0..self.graph.len() {
            computable[id] = (self.load)(id, stage).is_some()
                || match self.graph.node(id) {
                    Node::Constant(_) => true,
                    Node::Unary(..) | Node::Binary(..) | Node::Standard { .. } => {
                        self.graph.operands(id).all(|o| computable[o])
                    }
                    _ => false,
                };
        }
        computable
    }

    /// The instructions of a stage, in the order of the nodes.
    fn program(&self, stage: usize, outputs: &[(Store, Id)], parking: &[(Id, usize)]) -> Program {
        let leaf = |id: Id| {
            let parked = || parking.iter().find(|p| p.0 == id && self.level[id] < stage);
            (self.load)(id, stage).or_else(|| parked().map(|p| (self.unpark)(p.1)))
        };
        Program::of(self.graph, outputs, leaf)
    }
}
