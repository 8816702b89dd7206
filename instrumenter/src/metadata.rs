//! What the engine must know of an instrumented module, in terms of the original one.

use serde::{Deserialize, Serialize};

use crate::abi;
use crate::error::{Error, ErrorKind};

/// A wasm value type, as far as it can be part of a tasklet's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ValType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 128-bit vector.
    V128,
    /// Reference to a function: typed or not, nullable or not.
    FuncRef,
    /// Reference to an object of the host's.
    ExternRef,
    /// Reference to an exception.
    ExnRef,
    /// Reference of the `any` hierarchy. Reserved: no module that has such values is instrumented.
    AnyRef,
}

impl ValType {
    /// Whether it is a reference. In an instrumented module every reference type is nullable.
    pub fn is_reference(self) -> bool {
        match self {
            ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64 | ValType::V128 => false,
            ValType::FuncRef | ValType::ExternRef | ValType::ExnRef | ValType::AnyRef => true,
        }
    }

    /// Bytes of frame memory a value takes; references take none (they live in shadow tables).
    pub fn frame_bytes(self) -> u32 {
        match self {
            ValType::I32 | ValType::F32 => 4,
            ValType::I64 | ValType::F64 => 8,
            ValType::V128 => 16,
            ValType::FuncRef | ValType::ExternRef | ValType::ExnRef | ValType::AnyRef => 0,
        }
    }
}

/// Everything the engine knows of an instrumented module. All indices are those of the original
/// module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// [`abi::ABI_VERSION`].
    pub abi_version: u32,
    /// [`abi::COST_TABLE_VERSION`].
    pub cost_table: u32,
    /// BLAKE3 of the original module.
    pub original_hash: [u8; 32],
    /// First byte of the frame memory behind the result area; the bottom of the continuation.
    pub frames_base: u32,
    /// First element of the shadow tables behind the results.
    pub refs_base: u32,
    /// Function types used by `functions`.
    pub types: Vec<FunctionType>,
    /// Every function by index, imports first.
    pub functions: Vec<FunctionInfo>,
    /// Number of imported functions.
    pub imported_functions: u32,
    /// The imported functions, in order: module and name.
    pub imports: Vec<(String, String)>,
    /// The resume points; a frame's trailer holds an index into this.
    pub points: Vec<Point>,
    /// Exported functions by name, in the module's order.
    pub exports: Vec<Export>,
    /// The start function. The instrumented module has none: the engine runs it as a first call.
    pub start: Option<u32>,
    /// Every memory. An imported one is defined in the instrumented module.
    pub memories: Vec<MemoryInfo>,
    /// Every mutable global, and every imported one. Imported ones stay imports.
    pub globals: Vec<GlobalInfo>,
    /// Every table. An imported one is defined in the instrumented module.
    pub tables: Vec<TableInfo>,
    /// Every tag. An imported one is defined in the instrumented module.
    pub tags: Vec<TagInfo>,
    /// Address-taken functions in ascending order: element `i` of [`abi::FUNCTIONS`].
    pub referenced_functions: Vec<u32>,
    /// Number of data segments.
    pub data_segments: u32,
    /// Number of element segments.
    pub element_segments: u32,
    /// Native stack that recursion can take for each step at most, in bytes, as estimated from the
    /// original code; 0 if nothing recurses but through imports.
    pub stack_bytes_per_step: u32,
    /// Native stack that is taken besides, in bytes.
    pub stack_bytes_fixed: u32,
}

/// A function type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FunctionType {
    /// Parameter types.
    pub params: Vec<ValType>,
    /// Result types.
    pub results: Vec<ValType>,
}

/// One function of the original module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionInfo {
    /// Index into [`Metadata::types`].
    pub ty: u32,
    /// Its name in the original's name section. In the instrumented module function `N` is named
    /// `N:name` (or `N:`), so that a backtrace there tells original indices; every other function
    /// of the instrumented module has a name that starts with [`abi::PREFIX`].
    pub name: Option<String>,
    /// Resume slot: what the trailer of its frames says; `None` where it has no resume code.
    /// Imported, exported and start functions always have one.
    pub slot: Option<u32>,
    /// Its first resume point (the entry, or for an import the pending call).
    pub first_point: u32,
    /// Number of its resume points.
    pub points: u32,
    /// Byte offset, in the original module, of the first instruction of its body; 0 for imports.
    pub code_offset: u32,
}

/// Where in a function a slice may end and the next begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PointKind {
    /// Before the first instruction; the entry's charge has not been paid.
    Entry,
    /// At the header of the loop whose `loop` instruction is at the offset; the charge has not
    /// been paid, the loop's parameters are on the operand stack.
    Loop,
    /// In or after the call at the offset; the operands are those below the call's arguments.
    Call,
    /// In an imported function: the call is pending and is issued again. Arguments are locals.
    Import,
}

/// One resume point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The function.
    pub function: u32,
    /// What kind of place it is.
    pub kind: PointKind,
    /// Byte offset of the place in the original module (0 for imports).
    pub offset: u32,
    /// Size of the frame in bytes, trailer included.
    pub frame_bytes: u32,
    /// For [`PointKind::Call`], the type of the callee as an index into [`Metadata::types`]: the
    /// frame above, whatever its function, returns the results of that type.
    pub callee: Option<u32>,
    /// Steps already charged when the function is at this point, for code behind it.
    pub prepaid: u64,
    /// The live values.
    pub fields: Vec<Field>,
}

impl Point {
    /// Number of elements the frame takes in the shadow tables, all of which have the same indices.
    pub fn references(&self) -> u32 {
        self.fields.iter().filter(|field| field.ty.is_reference()).count() as u32
    }
}

/// A value of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its type.
    pub ty: ValType,
    /// Byte offset from the frame's start; for a reference the index from the frame's first
    /// element in the shadow table of its type.
    pub at: u32,
    /// What the value is in the original function.
    pub place: Place,
}

/// A place in an activation of an original function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Place {
    /// A local (parameters first) by index.
    Local(u32),
    /// An operand-stack entry, 0 at the bottom.
    Operand(u32),
}

/// An exported function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// The name.
    pub name: String,
    /// The function's index.
    pub function: u32,
}

/// A memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryInfo {
    /// Its index.
    pub index: u32,
    /// Initial size in 64 KiB pages.
    pub pages: u64,
    /// Maximum in 64 KiB pages.
    pub pages_max: Option<u64>,
    /// Whether its addresses have 64 bits.
    pub memory64: bool,
    /// Module and name of the import that it was in the original.
    pub import: Option<(String, String)>,
    /// Exported names.
    pub exports: Vec<String>,
}

/// A global that is mutable or imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalInfo {
    /// Its index.
    pub index: u32,
    /// Its type.
    pub ty: ValType,
    /// Whether it can be set. Only then the instrumented module exports it under its index.
    pub mutable: bool,
    /// Module and name of its import.
    pub import: Option<(String, String)>,
    /// Exported names.
    pub exports: Vec<String>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableInfo {
    /// Its index.
    pub index: u32,
    /// Type of its elements.
    pub element: ValType,
    /// Initial number of elements.
    pub elements: u64,
    /// Maximum.
    pub elements_max: Option<u64>,
    /// Whether its indices have 64 bits.
    pub table64: bool,
    /// Module and name of the import that it was in the original.
    pub import: Option<(String, String)>,
    /// Exported names.
    pub exports: Vec<String>,
}

/// A tag of exceptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagInfo {
    /// Its index.
    pub index: u32,
    /// Types of the payload.
    pub params: Vec<ValType>,
    /// Module and name of the import that it was in the original.
    pub import: Option<(String, String)>,
}

impl Metadata {
    /// Reads the metadata of an instrumented module from its custom section.
    ///
    /// # Errors
    /// [`ErrorKind::Metadata`] when the section is missing, damaged or of another version.
    pub fn from_wasm(wasm: &[u8]) -> Result<Metadata, Error> {
        for payload in wasmparser::Parser::new(0).parse_all(wasm) {
            let payload = payload.map_err(|e| Error::new(ErrorKind::Invalid, e.to_string()))?;
            if let wasmparser::Payload::CustomSection(section) = payload
                && section.name() == abi::SECTION
            {
                return Metadata::decode(section.data());
            }
        }
        Err(Error::new(ErrorKind::Metadata, "the module has no `tasklet` section"))
    }

    /// The resume points of the function with that index.
    pub fn points_of(&self, function: u32) -> &[Point] {
        match self.functions.get(function as usize) {
            Some(info) => {
                let first = info.first_point as usize;
                self.points.get(first..first + info.points as usize).unwrap_or(&[])
            }
            None => &[],
        }
    }

    /// The type of the function with that index.
    pub fn type_of(&self, function: u32) -> Option<&FunctionType> {
        let info = self.functions.get(function as usize)?;
        self.types.get(info.ty as usize)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("writing plain data to a vector cannot fail")
    }

    fn decode(bytes: &[u8]) -> Result<Metadata, Error> {
        let damaged = |e| Error::new(ErrorKind::Metadata, format!("the section is damaged: {e}"));
        // The version comes first and is read alone: what follows depends on it.
        let (version, _) = postcard::take_from_bytes::<u32>(bytes).map_err(damaged)?;
        if version != abi::ABI_VERSION {
            let message = format!("version {version}, this build reads {}", abi::ABI_VERSION);
            return Err(Error::new(ErrorKind::Metadata, message));
        }
        postcard::from_bytes(bytes).map_err(damaged)
    }
}
