//! Binding ranges: the part of a slot that a kernel binds, where the whole slot is more than one binding may hold.
//!
//! Every matrix of a kernel lies in a range that starts at an offset which a binding may have, and the kernel counts its
//! elements from there: kernels of equal layers and chunks then have equal texts, and each text is compiled once. A slot
//! that a kernel writes to and binds in another place too, which the first one meets, is bound whole, where it is small
//! enough for that.

use super::device::GpuDevice;
use super::product_tile::ProductPlace;
use super::quirk;
use crate::op::{Limits, Matrix, Plan, SlotId};

/// How a slot is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bind {
    /// The slot.
    pub slot: SlotId,
    /// Whether the kernel stores to it.
    pub write: bool,
    /// The elements of the slot that are bound, from the first to one past the last; all of them where absent.
    pub range: Option<(usize, usize)>,
}

/// Slots of more elements than this are bound in ranges even where one binding could hold them.
pub(super) const WHOLE: usize = 8 << 20;

/// What a binding may be, in elements of four bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BindingLimits {
    /// The most elements; a slot in half precision has twice as many in as many bytes, one in double half as many.
    pub binding: usize,
    /// BindingRanges start at multiples of this.
    pub align: usize,
    /// The most floating point operations of one dispatch of a product.
    pub flops: f64,
    /// Bytes of memory that a workgroup can share.
    pub memory: usize,
    /// Divisions that a thread makes between two looks for what another workgroup sends.
    pub pause: usize,
    /// Storage bindings of a kernel that has several parts, at most.
    pub bindings: usize,
    /// Whether a slot that one binding can hold is bound whole, however large it is.
    pub whole: bool,
}

impl BindingLimits {
    /// No limit, and ranges and workgroups as most adapters allow them.
    pub const ANY: BindingLimits = BindingLimits {
        binding: usize::MAX,
        align: 4,
        flops: f64::INFINITY,
        memory: 32 << 10,
        pause: 0,
        bindings: MOST_PARTS * BINDINGS,
        whole: false,
    };

    /// Bindings of at most `binding` bytes on a device.
    pub fn of(device: &GpuDevice, binding: u64) -> BindingLimits {
        let align = u64::from(device.limits.min_storage_buffer_offset_alignment).max(16);
        BindingLimits {
            binding: (binding / 4) as usize,
            align: (align / 4) as usize,
            flops: quirk::largest_product(&device.adapter),
            memory: device.limits.max_compute_workgroup_storage_size as usize,
            pause: quirk::pause(&device.adapter),
            bindings: device.limits.max_storage_buffers_per_shader_stage as usize,
            whole: false,
        }
    }

    /// Where products of a plan are worked out.
    pub fn product_place(&self, plan: &Plan) -> ProductPlace {
        ProductPlace {
            memory: self.memory,
            double: plan.doubled(),
        }
    }

    /// Parts of a kernel at most; each binds two slots at least.
    pub fn parts_of_kernel(&self) -> usize {
        MOST_PARTS.min(self.bindings / 2)
    }

    /// The same in elements of a slot.
    pub fn within(&self, plan: &Plan, slot: SlotId) -> BindingLimits {
        let width = plan.slot(slot).width();
        BindingLimits {
            binding: match width {
                4 => self.binding,
                2 => self.binding.saturating_mul(2),
                width => self.binding / (width / 4),
            },
            // A range starts with a whole vector of four.
            align: (self.align * 4 / width).max(4),
            ..*self
        }
    }

    fn ranged(&self, plan: &Plan, slot: SlotId) -> bool {
        let most = self.within(plan, slot).binding;
        let most = if self.whole { most } else { most.min(WHOLE) };
        self.binding < usize::MAX && plan.slot(slot).len() > most
    }

    /// Whether one binding can hold the matrix.
    pub fn holds(&self, plan: &Plan, m: &Matrix) -> bool {
        let fit = self.within(plan, m.slot);
        let start = if self.ranged(plan, m.slot) {
            m.offset / fit.align * fit.align
        } else {
            0
        };
        plan.slot(m.slot).len() <= fit.binding || m.end() - start <= fit.binding
    }

    /// Ranges of rows of a matrix that one binding can hold: all of them where it can hold the matrix.
    pub fn bands(&self, plan: &Plan, m: &Matrix) -> Vec<(usize, usize)> {
        if self.holds(plan, m) {
            return vec![(0, m.rows)];
        }
        let fit = self.within(plan, m.slot);
        let most = fit.binding.saturating_sub(fit.align) / m.stride.max(1);
        cut(m.rows, most.max(1))
    }

    /// Ranges of rows of matrices that have equally many, so that bindings can hold those of each; all but the last one are a
    /// multiple of `unit` rows.
    pub fn common_bands(
        &self,
        plan: &Plan,
        matrices: &[Matrix],
        unit: usize,
    ) -> Vec<(usize, usize)> {
        let rows = matrices.iter().map(|m| m.rows).max().unwrap_or(0);
        let bands = matrices.iter().map(|m| self.bands(plan, m));
        let most = bands.filter_map(|bands| bands.first().map(|b| b.1)).min();
        match most {
            Some(most) if most < rows => cut(rows, (most / unit * unit).max(unit)),
            _ => vec![(0, rows)],
        }
    }

    /// Ranges of columns of a row that one binding can hold, each a multiple of `unit` but the last.
    pub fn parts(&self, plan: &Plan, m: &Matrix, unit: usize) -> Vec<(usize, usize)> {
        if self.holds(plan, m) {
            return vec![(0, m.cols)];
        }
        let fit = self.within(plan, m.slot);
        let most = fit.binding.saturating_sub(fit.align) / unit * unit;
        cut(m.cols, most.max(unit))
    }
}

/// The same for the operations of a plan.
pub(super) struct SplitLimits<'a> {
    pub plan: &'a Plan,
    pub fit: BindingLimits,
    /// The longest sum of a product.
    pub deepest: usize,
}

impl Limits for SplitLimits<'_> {
    fn holds(&self, matrix: &Matrix) -> bool {
        self.fit.holds(self.plan, matrix)
    }

    fn holds_slot(&self, slot: SlotId) -> bool {
        self.plan.slot(slot).len() <= self.fit.within(self.plan, slot).binding
    }

    fn columns(&self, row: &Matrix, unit: usize) -> Vec<(usize, usize)> {
        self.fit.parts(self.plan, row, unit)
    }

    fn rows(&self, matrices: &[Matrix], unit: usize) -> Vec<(usize, usize)> {
        self.fit.common_bands(self.plan, matrices, unit)
    }

    fn deepest(&self) -> usize {
        self.deepest
    }

    fn flops(&self) -> f64 {
        self.fit.flops
    }
}

/// 0 .. n in ranges (first, length) of `most`.
fn cut(n: usize, most: usize) -> Vec<(usize, usize)> {
    let range = |first| (first, most.min(n - first));
    (0..n).step_by(most).map(range).collect()
}

/// Storage bindings of a kernel, or of one of its parts, at most.
const BINDINGS: usize = 8;
/// Parts of a kernel at most.
const MOST_PARTS: usize = 8;

/// The binding ranges of an operation's kernels. A range stands in for its slot under a number after those of the plan's.
pub(super) struct BindingRanges<'a> {
    plan: &'a Plan,
    fit: BindingLimits,
    /// Whether small slots are bound in ranges, too.
    small: bool,
    /// Slot, first element, and one past the last.
    ranges: Vec<(SlotId, usize, usize)>,
}

impl<'a> BindingRanges<'a> {
    /// With `small`, slots that could be bound whole are bound in ranges as well.
    pub fn new(plan: &'a Plan, fit: BindingLimits, small: bool) -> BindingRanges<'a> {
        BindingRanges {
            plan,
            fit,
            small,
            ranges: Vec::new(),
        }
    }

    pub fn fit(&self) -> BindingLimits {
        self.fit
    }

    pub fn plan(&self) -> &'a Plan {
        self.plan
    }

    /// Where products are worked out.
    pub fn product_place(&self) -> ProductPlace {
        self.fit.product_place(self.plan)
    }

    /// A range of a slot from one element to another; it starts at a multiple of [`BindingRanges::align`].
    pub fn add(&mut self, slot: SlotId, from: usize, to: usize) -> SlotId {
        let to = to.min(self.plan.slot(slot).len());
        self.ranges.push((slot, from, to));
        SlotId(self.plan.slots.len() + self.ranges.len() - 1)
    }

    /// Makes a range that was added end no earlier than at an element.
    pub fn widen(&mut self, range: SlotId, to: usize) {
        if let Some((slot, _, end)) = self.ranges.get_mut(range.0 - self.plan.slots.len()) {
            *end = to.min(self.plan.slot(*slot).len()).max(*end);
        }
    }

    /// The elements of which ranges of a slot start at multiples.
    pub fn align(&self, slot: SlotId) -> usize {
        self.fit.within(self.plan, slot).align
    }

    /// Moves the matrices of one kernel into binding ranges; with `join`, those of a slot near one another into one.
    pub fn place(&mut self, matrices: Vec<&mut Matrix>, join: bool) {
        let first = self.ranges.len();
        let (plan, fit, small) = (self.plan, self.fit, self.small);
        let of_plan =
            |m: &&mut Matrix| m.slot.0 < plan.slots.len() && (small || fit.ranged(plan, m.slot));
        let mut far: Vec<&mut Matrix> = matrices.into_iter().filter(of_plan).collect();
        far.sort_by_key(|m| (m.slot, m.offset));
        for m in far {
            let fit = fit.within(plan, m.slot);
            let (start, end) = (m.offset / fit.align * fit.align, m.end());
            let known = self.ranges[first..].last().is_some_and(|(slot, from, to)| {
                let joined = join && end.max(*to) - from <= fit.binding;
                *slot == m.slot && (joined || end <= *to)
            });
            if !known {
                self.ranges.push((m.slot, start, end));
            }
            let number = self.ranges.len() - 1;
            let (_, from, to) = &mut self.ranges[number];
            *to = end.max(*to);
            m.offset -= *from;
            m.slot = SlotId(plan.slots.len() + number);
        }
    }

    /// The slot of the plan that a slot, or a range of one, stands for.
    pub fn slot(&self, slot: SlotId) -> SlotId {
        let range = slot.0.checked_sub(self.plan.slots.len());
        range.map_or(slot, |number| self.ranges[number].0)
    }

    /// Puts slots and their parts in place of ranges, and marks as written what shares its slot with something written.
    ///
    /// Ranges of a slot of which a kernel writes to one must lie apart.
    ///
    /// # Errors
    /// Where a kernel would write to one range of a slot and bind another that meets it, or bind more than kernels may.
    pub fn resolve(&self, binds: &mut [Bind]) -> std::result::Result<(), String> {
        for bind in binds.iter_mut() {
            if let Some(number) = bind.slot.0.checked_sub(self.plan.slots.len()) {
                let (slot, from, to) = self.ranges[number];
                bind.slot = slot;
                bind.range = Some((from, to));
            }
        }
        for n in 0..binds.len() {
            let slot = binds[n].slot;
            binds[n].write |= binds.iter().any(|b| b.slot == slot && b.write);
        }
        let apart = |a: &Bind, b: &Bind| match (a.range, b.range) {
            (Some(a), Some(b)) => a.1 <= b.0 || b.1 <= a.0,
            _ => false,
        };
        let twice = |n: usize| {
            let mut others = binds.iter().enumerate().filter(|(other, _)| *other != n);
            let bind = &binds[n];
            bind.write && others.any(|(_, b)| b.slot == bind.slot && !apart(b, bind))
        };
        let exchanged = |slot| {
            let exchange = self.plan.io.exchange;
            exchange.is_some_and(|e| [e.words, e.flag].contains(&slot))
        };
        // Those are beside what every adapter has.
        if binds.iter().filter(|b| !exchanged(b.slot)).count() > BINDINGS {
            let found = binds.len();
            return Err(format!(
                "{found} storage bindings, and {BINDINGS} are the limit"
            ));
        }
        match (0..binds.len()).find(|n| twice(*n)) {
            Some(n) => Err(format!(
                "writes to {} and binds another part of it",
                self.plan.slot(binds[n].slot).name
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(slot: usize, rows: usize, cols: usize) -> Matrix {
        Matrix::new(SlotId(slot), rows, cols)
    }

    #[test]
    fn ranges_start_where_a_binding_may_and_hold_what_is_asked() {
        let mut plan = Plan::default();
        let slot = plan.add("parameters", &[1, 1000], crate::op::Role::Parameters);
        let at = |offset: usize, rows: usize| Matrix {
            offset,
            ..matrix(slot.0, rows, 10)
        };
        let fit = BindingLimits {
            binding: 256,
            align: 64,
            flops: f64::INFINITY,
            memory: 32 << 10,
            pause: 0,
            bindings: 16,
            whole: false,
        };
        let mut ranges = BindingRanges::new(&plan, fit, false);
        let (mut a, mut b, mut c) = (at(130, 2), at(900, 10), at(200, 3));
        ranges.place(vec![&mut a, &mut b, &mut c], true);
        assert_eq!(ranges.ranges, [(slot, 128, 230), (slot, 896, 1000)]);
        assert_eq!((a.slot, a.offset), (SlotId(1), 2));
        assert_eq!((c.slot, c.offset), (SlotId(1), 72));
        assert_eq!((b.slot, b.offset), (SlotId(2), 4));
        let mut a = at(130, 2);
        ranges.place(vec![&mut a], false);
        assert_eq!(ranges.ranges.len(), 3);
        assert!(!fit.holds(&plan, &at(0, 30)));
        assert_eq!(fit.bands(&plan, &at(0, 30)), [(0, 19), (19, 11)]);
    }
}
