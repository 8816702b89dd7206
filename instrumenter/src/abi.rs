//! What an instrumented module and the engine that drives it agree on.
//!
//! Everything the instrumenter adds to a module is exported under one reserved prefix, so that it
//! can never collide with (or be called through) a name of the guest's own: a module that already
//! exports such a name is refused.
//!
//! # The driver
//!
//! A paused program is a stack of frames in the memory [`FRAMES`], the outermost frame lowest and
//! the innermost ending at the global [`SP`]. Running is always resuming: to start a program the
//! engine writes one frame (the entry function at its entry point) and calls [`RUN`], which takes
//! the innermost frame, calls its function with the fuel [`REWIND`], hands the results to the next
//! frame, and so on, until no frame is left ([`RUN_FINISHED`]) or the program has paused again
//! ([`RUN_PAUSED`]).
//!
//! # A frame
//!
//! ```text
//! start                                             start + size
//! | fields, each at its own offset             | trailer (16 bytes) |
//! trailer: u32 point, u32 references, u32 slot, u32 size
//! ```
//!
//! `point` is an index into [`Metadata::points`](crate::Metadata::points), `slot` is
//! [`FunctionInfo::slot`](crate::FunctionInfo::slot), `size` counts the trailer. All little-endian.
//!
//! # Results
//!
//! Result `i` of the function that returned last is at byte `16 * i` of [`FRAMES`]; a reference
//! result `i` is element `i` of the shadow table of its type instead.
//!
//! # Shadow tables
//!
//! References of frames and results are in tables, one for each kind of reference that the module
//! needs: [`REFS`], [`REFS_EXTERN`], [`REFS_EXN`]. They share one index space: reference `i` of the
//! continuation is element `i` of the table of its type, and element `i` of the others is null or stale.
//!
//! # Imported state
//!
//! Imported memories, tables and tags of the original are defined in the instrumented module, with
//! their minimum size, zero or null: a tasklet owns all its state. Imported globals stay imports.
//!
//! # Exceptions
//!
//! While an exception is in flight the fuel is in [`FUEL`]. One that leaves the outermost frame
//! leaves [`RUN`]. While the program is paused none is in flight.

/// The prefix of every name the instrumenter adds.
pub const PREFIX: &str = "tasklet.";
/// Name of the custom section that holds the [`Metadata`](crate::Metadata).
pub const SECTION: &str = "tasklet";

/// Mutable `i64` global: the fuel while no instrumented function is running.
pub const FUEL: &str = "tasklet.fuel";
/// Mutable `i64` global: steps a bulk operation consumed beyond what the fuel can express
/// ([`DEBT_FLOOR`]). The engine subtracts it from the fuel, and zeroes it, after every slice.
pub const DEBT: &str = "tasklet.debt";
/// Mutable `i32` global: end of the innermost frame in [`FRAMES`].
pub const SP: &str = "tasklet.sp";
/// Mutable `i32` global: number of elements of the shadow tables in use.
pub const REF_SP: &str = "tasklet.ref_sp";
/// The linear memory that holds results and frames. The guest cannot address it.
pub const FRAMES: &str = "tasklet.frames";
/// Shadow table (`funcref`) for the function references of frames and results. This and the next
/// ones are exported only if the module needs them.
pub const REFS: &str = "tasklet.refs";
/// Shadow table (`externref`) for the host's objects.
pub const REFS_EXTERN: &str = "tasklet.refs.extern";
/// Shadow table (`exnref`) for exceptions.
pub const REFS_EXN: &str = "tasklet.refs.exn";
/// Reserved: shadow table (`anyref`).
pub const REFS_ANY: &str = "tasklet.refs.any";
/// Table (`funcref`) of every address-taken function, in the order of
/// [`Metadata::referenced_functions`](crate::Metadata::referenced_functions).
pub const FUNCTIONS: &str = "tasklet.functions";
/// Function `[] -> [i32]`: runs the continuation. See the module documentation.
pub const RUN: &str = "tasklet.run";
/// Function `[i32] -> []`: drops the data segment with that index.
pub const DROP_DATA: &str = "tasklet.drop_data";
/// Function `[i32] -> []`: drops the element segment with that index.
pub const DROP_ELEMENTS: &str = "tasklet.drop_elements";
/// Function `[i32] -> []`: grows the shadow tables to at least so many elements. This and the next
/// one are exported if there are any.
pub const GROW_REFERENCES: &str = "tasklet.grow_references";
/// Function `[i32 i32] -> []`: nulls the elements of the shadow tables from the first index up to the
/// second, but not functions, which nobody collects.
pub const FORGET_REFERENCES: &str = "tasklet.forget_references";
/// Prefix of the exported guest memories: `tasklet.memory.N`, N the original index.
pub const MEMORY: &str = "tasklet.memory.";
/// Prefix of the exported guest mutable globals: `tasklet.global.N`, N the original index.
pub const GLOBAL: &str = "tasklet.global.";
/// Prefix of the exported guest tables: `tasklet.table.N`, N the original index.
pub const TABLE: &str = "tasklet.table.";
/// Prefix of the exported guest tags: `tasklet.tag.N`, N the original index.
pub const TAG: &str = "tasklet.tag.";
/// Prefix of the exported mutable `i64` globals that record dropped data segments: bit `i % 64` of
/// `tasklet.dropped_data.(i / 64)` is set once data segment `i` has been dropped by the guest.
pub const DROPPED_DATA: &str = "tasklet.dropped_data.";
/// The same for element segments.
pub const DROPPED_ELEMENTS: &str = "tasklet.dropped_elements.";

/// [`RUN`] returned because no frame is left; the results are in the result area.
pub const RUN_FINISHED: i32 = 0;
/// [`RUN`] returned because the program paused; its frames are in [`FRAMES`].
pub const RUN_PAUSED: i32 = 1;

/// The fuel passed to a function that is to rebuild its frame.
pub const REWIND: i64 = i64::MIN;
/// The fuel returned by a function that has spilled its frame. A host import that wants the
/// program to pause stores it in [`FUEL`] before it returns; the import is issued again at resume.
pub const UNWIND: i64 = i64::MIN + 1;
/// Fuel below this is one of the two sentinels. It fits the immediate of a 64-bit compare on
/// x86-64, which is why it is no lower.
pub const SENTINEL_LIMIT: i64 = -(1 << 31);
/// What a bulk operation leaves of the fuel at least; the rest it puts on [`DEBT`].
///
/// From here, the charges between two checks must stay above [`SENTINEL_LIMIT`], 2^30 further down.
/// They are bounded: a path without a check passes each instruction of a body of at most 7,654,321
/// bytes once. The dearest are bulk operations of constant length, at most 256 steps for 8 bytes of
/// code or 2.5 * 10^8 in all, and calls of unchecked functions, at most
/// [`limits::UNCHECKED_STEPS_MAX`] each; of calls there are fewer than [`limits::NODES_MAX`], which
/// makes 3.4 * 10^7. What is paid while calls return into one another, see
/// [`limits::RETURN_STEPS_MAX`].
pub const DEBT_FLOOR: i64 = -(1 << 30);
/// What a bulk operation with a 64-bit length pays at most: no memory or table is larger, so that
/// longer ones trap or, growing a table, fail.
pub const BULK_STEPS_MAX: i64 = 1 << 40;
/// The largest fuel the engine may grant at once.
pub const FUEL_MAX: i64 = 1 << 62;

/// Size of a frame's trailer in bytes.
pub const TRAILER_BYTES: u32 = 16;
/// Size of one slot of the result area in bytes.
pub const RESULT_BYTES: u32 = 16;
/// Version of the prices below; part of every snapshot.
pub const COST_TABLE_VERSION: u32 = 1;
/// Version of the ABI described here and of the [`Metadata`](crate::Metadata) encoding.
pub const ABI_VERSION: u32 = 3;

/// Limits on what the instrumenter takes and makes; `docs/limits.md` lists them.
pub mod limits {
    /// Largest module accepted, in bytes.
    pub const MODULE_BYTES_MAX: usize = 1 << 30;
    /// Most parameters, and most results, of a function type. The transform adds one of each and
    /// wasm's own limit is 1000.
    pub const SIGNATURE_VALUES_MAX: usize = 999;
    /// Most locals of a function, the transform's own included (wasm's limit).
    pub const LOCALS_MAX: usize = 50_000;
    /// Deepest nesting of control instructions in a function; the work recurses once per level.
    pub const NESTING_MAX: usize = 20_000;
    /// Most catch clauses around an instruction: those of all `try_table`s that it is in.
    pub const HANDLERS_MAX: usize = 1 << 10;
    /// Most operands at block boundaries of a function, added up over its blocks.
    pub const BOUNDARY_OPERANDS_MAX: usize = 1 << 22;
    /// The same of all functions, and their locals.
    pub const MODULE_BOUNDARY_OPERANDS_MAX: u64 = 1 << 24;
    /// Most calls and throws times the catch clauses around each, of a function.
    pub const HANDLER_EDGES_MAX: usize = 1 << 19;
    /// Most 64-bit words for the live locals of a function: blocks times locals, by the bit.
    pub const LIVENESS_WORDS_MAX: usize = 1 << 22;
    /// Most words the analysis of live locals looks at, in all functions: edges between blocks times
    /// locals, by the bit, as often as a block has to be looked at again.
    pub const MODULE_LIVENESS_STEPS_MAX: u64 = 1 << 29;
    /// Most values in the frames of all resume points of a function: this, and
    /// [`FRAME_VALUES_PER_BYTE`] for each byte of its code, up to [`FRAME_VALUES_MAX`].
    pub const FRAME_VALUES: usize = 1 << 19;
    /// Real functions of 200 KB have ten for each byte.
    pub const FRAME_VALUES_PER_BYTE: usize = 32;
    /// More than this no function has.
    pub const FRAME_VALUES_MAX: usize = 1 << 22;
    /// Most values in the frames of all resume points of a module: this, and one for each of its
    /// bytes, up to [`MODULE_FRAME_VALUES_MAX`].
    pub const MODULE_FRAME_VALUES: usize = 1 << 22;
    /// More than this no module has.
    pub const MODULE_FRAME_VALUES_MAX: usize = 1 << 26;

    /// Most values in the frames of a function of so many bytes.
    pub(crate) fn frame_values(bytes: usize) -> usize {
        FRAME_VALUES
            .saturating_add(bytes.saturating_mul(FRAME_VALUES_PER_BYTE))
            .min(FRAME_VALUES_MAX)
    }

    /// Most values in the frames of a module of so many bytes.
    pub(crate) fn module_frame_values(bytes: usize) -> usize {
        MODULE_FRAME_VALUES.saturating_add(bytes).min(MODULE_FRAME_VALUES_MAX)
    }
    /// Most entries of all dispatches of a function: resume points times the loops around them.
    pub const DISPATCH_TARGETS_MAX: usize = 1 << 21;
    /// The same of all functions.
    pub const MODULE_DISPATCH_TARGETS_MAX: u64 = 1 << 24;
    /// Most bytes of all functions when they are rewritten: this ...
    pub const GROWTH_BYTES: u64 = 1 << 25;
    /// ... and so many times the module. Real programs become three or four times as large.
    pub const GROWTH_FACTOR: u64 = 16;
    /// Most bytes of a function when it is rewritten: wasmtime's limit.
    pub const FUNCTION_BYTES_MAX: usize = 7_654_321;
    /// Most blocks a function has when it is rewritten. Emitting and compiling it can take time in
    /// the square of that.
    pub const NODES_MAX: usize = 1 << 17;
    /// Largest frame memory in 64 KiB pages (1 GiB).
    pub const FRAME_PAGES_MAX: u64 = 1 << 14;
    /// Frame memory kept free above the continuation when a slice begins, in 64 KiB pages
    /// (16 MiB). A spill past it is a wasm out-of-bounds trap, never a silent overrun.
    pub const FRAME_PAGES_RESERVE: u32 = 256;
    /// Elements of the shadow tables kept free when a slice begins.
    pub const REFS_RESERVE: u32 = 1 << 12;
    /// Most elements of a shadow table.
    pub const REFS_MAX: u64 = 1 << 24;
    /// Where more than this can be paid on a path behind a call without another check, the fuel is
    /// looked at when the call returns. Less cannot add up to the distance from
    /// [`DEBT_FLOOR`](super::DEBT_FLOOR) to [`SENTINEL_LIMIT`](super::SENTINEL_LIMIT): the engine
    /// lets at most 2^22 steps go by before nothing is left on the native stack, which makes 2^21
    /// calls that can return one after the other, and the driver looks at the fuel too.
    pub const RETURN_STEPS_MAX: u64 = 256;
    /// A function that neither loops nor calls one that can pause, and that costs at most this
    /// many steps on its longest path, gets no check of its own.
    pub const UNCHECKED_STEPS_MAX: u64 = 256;
}
