//! How much a reader is willing to take from a snapshot.

/// Upper bounds on what one snapshot may hold, each a total over the file unless it says otherwise.
///
/// They bound the memory a hostile snapshot can claim: whatever else it holds
/// costs at most a small multiple of its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the original module.
    pub module_bytes: u64,
    /// Number of memories.
    pub memories: u64,
    /// Bytes of all memories at their current size, whether stored or not.
    pub memory_bytes: u64,
    /// Frames, pending calls and lines of a backtrace together.
    pub frames: u64,
    /// Typed values: locals, operands, globals, arguments, results, payloads of exceptions.
    pub values: u64,
    /// Number of tables.
    pub tables: u64,
    /// Elements of all tables at their current size, whether stored or not.
    pub table_elements: u64,
    /// Number of the host's objects.
    pub objects: u64,
    /// Bytes of all the host's objects.
    pub object_bytes: u64,
    /// Number of exceptions.
    pub exceptions: u64,
    /// Dropped data and element segments.
    pub segments: u64,
    /// Namespaces of host state.
    pub host_namespaces: u64,
    /// Values within host state, map keys counted too.
    pub host_values: u64,
    /// Bytes of text and byte strings within host state.
    pub host_bytes: u64,
    /// Arrays and maps within each other in host state; above 64 counts as 64.
    pub host_depth: u64,
    /// Number of labels.
    pub labels: u64,
    /// Bytes of each text outside host values: names, labels, trap messages.
    pub text_bytes: u64,
}

/// The deepest nesting of host state the format allows.
///
/// Host values are walked and dropped recursively, so this bounds the native stack.
pub(super) const HOST_DEPTH_MAX: u64 = 64;

impl Limits {
    /// What a reader takes unless told otherwise.
    ///
    /// The numbers of modules are those of wasmtime and of the JS embedding
    /// limits; 4 GiB is one whole 32-bit memory. Frames and values are as many
    /// as fit the engine's default limit for a stack, 256 MiB: frames without
    /// values, or with four each. They are the dearest items: a value takes 48
    /// bytes in memory for as little as 4 in the file.
    pub const DEFAULT: Limits = Limits {
        module_bytes: 256 << 20,
        memories: 100,
        memory_bytes: 4 << 30,
        frames: 1 << 24,
        values: 1 << 25,
        tables: 1000,
        table_elements: 10_000_000,
        objects: 1 << 20,
        object_bytes: 64 << 20,
        exceptions: 1 << 20,
        segments: 200_000,
        host_namespaces: 64,
        host_values: 1 << 20,
        host_bytes: 64 << 20,
        host_depth: HOST_DEPTH_MAX,
        labels: 1000,
        text_bytes: 100_000,
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}
