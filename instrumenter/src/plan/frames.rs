//! What a frame looks like.
//!
//! Values are laid out from the frame's end towards its start: first those that the outermost
//! dispatch reloads, then those of the next one inwards. So all points in a loop that have the
//! same values to reload outside of it find them at the same distance from the frame's end, and
//! share the code that does.

use super::{Load, NodeId};
use crate::graph::{Graph, Var};
use crate::metadata::{Field, ValType};
use crate::types::kind;

/// The layout of the frame of a resume point.
#[derive(Debug)]
pub(crate) struct Layout {
    values: Vec<Value>,
    /// Bytes of the frame without its trailer, a multiple of 8.
    pub bytes: u32,
    /// Number of references.
    pub references: u32,
}

#[derive(Debug, Clone, Copy)]
struct Value {
    var: Var,
    ty: ValType,
    level: u32,
    /// Distance from the end of the values (for references: of the shadow table) to the start of
    /// this one.
    distance: u32,
}

impl Layout {
    /// Lays out live variables, given with the level of the dispatch that reloads them.
    pub fn new(graph: &Graph, mut live: Vec<(u32, Var)>) -> Layout {
        let ty = |var: Var| kind(graph.vars[var as usize]);
        live.sort_unstable_by_key(|(level, var)| {
            (*level, std::cmp::Reverse(ty(*var).frame_bytes()), *var)
        });
        let (mut bytes, mut references) = (0, 0);
        let mut values = Vec::with_capacity(live.len());
        for (level, var) in live {
            let distance = if ty(var).is_reference() {
                references += 1;
                references
            } else {
                bytes += ty(var).frame_bytes();
                bytes
            };
            values.push(Value { var, ty: ty(var), level, distance });
        }
        Layout { values, bytes: bytes.next_multiple_of(8), references }
    }

    /// Variables that are not references, with their byte offset from the frame's start.
    pub fn values(&self) -> impl Iterator<Item = (Var, ValType, u32)> + '_ {
        self.values
            .iter()
            .filter(|value| !value.ty.is_reference())
            .map(|value| (value.var, value.ty, self.bytes - value.distance))
    }

    /// Variables that are references, with their index from the frame's first element.
    pub fn references(&self) -> impl Iterator<Item = (Var, ValType, u32)> + '_ {
        self.values
            .iter()
            .filter(|value| value.ty.is_reference())
            .map(|value| (value.var, value.ty, self.references - value.distance))
    }

    /// The fields as the metadata gives them, ordered by place.
    pub fn fields(&self, graph: &Graph) -> Vec<Field> {
        let mut fields: Vec<Field> = self
            .values()
            .chain(self.references())
            .map(|(var, ty, at)| Field { ty, at, place: graph.place(var) })
            .collect();
        fields.sort_unstable_by_key(|field| field.place);
        fields
    }

    /// The load of the values of one level.
    pub fn load(&self, level: u32, trailer: u32, finish: Option<u32>, target: NodeId) -> Load {
        let chosen = || self.values.iter().filter(move |value| value.level == level);
        let plain = || chosen().filter(|value| !value.ty.is_reference());
        let depth = plain().map(|value| value.distance).max().unwrap_or(0);
        Load {
            reach: trailer + depth,
            values: plain().map(|value| (value.var, depth - value.distance)).collect(),
            references: chosen()
                .filter(|value| value.ty.is_reference())
                .map(|value| (value.var, value.distance))
                .collect(),
            finish,
            thrown: None,
            target,
        }
    }
}
