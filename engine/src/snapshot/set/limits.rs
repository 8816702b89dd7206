//! How much a reader is willing to take from a set.

use super::super::Limits as SnapshotLimits;

/// Upper bounds on what one set may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Number of tasklets.
    pub tasklets: u64,
    /// Number of channels.
    pub channels: u64,
    /// Number of modules.
    pub modules: u64,
    /// Channels that one tasklet was given.
    pub grants: u64,
    /// What all tasklets together may hold: those that are totals over a snapshot are totals over
    /// the set.
    pub snapshots: SnapshotLimits,
}

impl Limits {
    /// What a reader takes unless told otherwise: as much of everything as a million tasklets of
    /// moderate size have, and memories of 1 TiB, most of which is not stored.
    pub const DEFAULT: Limits = Limits {
        tasklets: 1 << 24,
        channels: 1 << 20,
        modules: 1024,
        grants: 4096,
        snapshots: SnapshotLimits {
            module_bytes: 1 << 30,
            memories: 1 << 24,
            memory_bytes: 1 << 40,
            frames: 1 << 26,
            values: 1 << 27,
            tables: 1 << 24,
            table_elements: 1 << 28,
            objects: 1 << 24,
            object_bytes: 1 << 30,
            exceptions: 1 << 24,
            segments: 1 << 24,
            host_namespaces: 1 << 25,
            host_values: 1 << 26,
            host_bytes: 4 << 30,
            ..SnapshotLimits::DEFAULT
        },
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}
