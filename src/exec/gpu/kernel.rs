//! What an operation becomes for a device: kernels in WGSL, and the parameters of their dispatches.

use super::binding_range::Bind;

/// A kernel in WGSL, complete but for its buffers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct KernelSource {
    /// Its name in profiles and errors.
    pub label: String,
    /// The text.
    pub text: String,
    /// The slots in the order of their bindings.
    pub binds: Vec<Bind>,
    /// How many steps the binding after the slots, a uniform, tells of: none where there is no such binding.
    pub parameters: usize,
    /// Workgroups.
    pub groups: [u32; 3],
    /// Whether it is compiled without checks of indices and loops: see [`Tile::unchecked`](super::Tile::unchecked).
    pub unchecked: bool,
}

/// What a dispatch gives its kernel as a uniform, so that the kernel need not be another one for it: the step, where its
/// operation's piece of the segment begins, the first stream of its random numbers, and how many steps it goes through; where
/// it binds a range of rows, the first one of them in place of that.
pub(super) type DispatchParameters = [u32; 4];

/// A text in WGSL: a kernel's, or that of one of its parts.
pub(super) struct KernelText {
    /// The text, but for the extensions that it enables, and for a part's bindings.
    pub text: String,
    pub binds: Vec<Bind>,
    /// The name of each binding, and the type of its elements.
    pub declared: Vec<(String, String)>,
    /// Whether it asks for its dispatch parameters.
    pub step: bool,
    /// The arguments of its entry point.
    pub arguments: Vec<&'static str>,
    /// The extensions of WGSL that it uses.
    pub extensions: Vec<&'static str>,
}

/// What a text with these extensions begins with.
pub(super) fn enabled(extensions: &[&str]) -> String {
    let line = |name: &&str| format!("enable {name};\n");
    extensions.iter().map(line).collect()
}
