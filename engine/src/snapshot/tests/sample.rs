//! Snapshots to test with: a few fixed ones and any number of random ones.

use super::*;

/// SplitMix64: small, seeded, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number whose size is as likely small as large.
    fn number(&mut self) -> u64 {
        let shift = self.below(64);
        self.next() >> shift
    }

    fn index(&mut self) -> u32 {
        self.number() as u32
    }

    pub fn list<T>(&mut self, most: u64, mut item: impl FnMut(&mut Random) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| item(self)).collect()
    }

    fn ascending(&mut self, most: u64) -> Vec<u32> {
        let mut indices = self.list(most, Random::index);
        indices.sort_unstable();
        indices.dedup();
        indices
    }

    fn value(&mut self) -> Value {
        match self.below(8) {
            0 => Value::I32(self.number() as i32),
            1 => Value::I64(self.number() as i64),
            2 => Value::F32(self.index()),
            3 => Value::F64(self.number()),
            4 => Value::V128(u128::from(self.next()) << 64 | u128::from(self.next())),
            5 => Value::ExternRef((self.below(3) > 0).then(|| self.index())),
            6 => Value::ExnRef((self.below(3) > 0).then(|| self.index())),
            _ => Value::FuncRef((self.below(3) > 0).then(|| self.index())),
        }
    }

    fn indexed(&mut self, most: u64) -> Vec<(u32, Value)> {
        self.ascending(most).into_iter().map(|index| (index, self.value())).collect()
    }

    pub fn text(&mut self) -> String {
        self.list(30, |r| char::from_u32(r.index() >> 11).unwrap_or('ß')).into_iter().collect()
    }

    fn host_value(&mut self, depth: u64) -> HostValue {
        match self.below(if depth == 0 { 5 } else { 7 }) {
            0 => HostValue::Null,
            1 => HostValue::Bool(self.below(2) == 1),
            2 => self.host_integer(),
            3 => HostValue::Bytes(self.list(40, |r| r.next() as u8)),
            4 => HostValue::Text(self.text()),
            5 => HostValue::Array(self.list(4, |r| r.host_value(depth - 1))),
            _ => HostValue::Map(vec![
                (self.host_integer(), self.host_value(depth - 1)),
                (HostValue::Bytes(vec![1, 2]), self.host_value(depth - 1)),
                (HostValue::Text("z".into()), self.host_value(depth - 1)),
                (HostValue::Text("aa".into()), self.host_value(depth - 1)),
            ]),
        }
    }

    fn host_integer(&mut self) -> HostValue {
        let value = self.number();
        let negative = HostValue::Integer((-1 - i128::from(value)).try_into().expect("65 bits"));
        if self.below(2) == 0 { HostValue::Integer(value.into()) } else { negative }
    }

    fn frame(&mut self, innermost: bool) -> Frame {
        let offset = self.index();
        let at = match self.below(if innermost { 4 } else { 1 }) {
            0 => Position::Call { offset },
            1 => Position::Loop { offset },
            2 => Position::Entry,
            _ => Position::Import,
        };
        let args = self.list(5, Random::value);
        let locals = match at {
            Position::Import => (0..).zip(args).collect(),
            _ => self.indexed(9),
        };
        let operands = match at {
            Position::Import | Position::Entry => Vec::new(),
            _ => self.list(5, Random::value),
        };
        Frame { function: self.index(), at, locals, operands }
    }

    fn status(&mut self) -> Status {
        match self.below(6) {
            0 => Status::Finished { results: self.list(4, Random::value) },
            1 => Status::Exited { code: self.index() },
            2 => Status::Trapped {
                message: self.text(),
                backtrace: self.list(4, |r| TrapFrame {
                    function: r.index(),
                    offset: (r.below(2) == 0).then(|| r.index()),
                }),
            },
            3 => Status::Paused { reason: PauseReason::Requested },
            4 => Status::Paused { reason: PauseReason::Waiting },
            _ => Status::Paused { reason: PauseReason::OutOfBudget },
        }
    }

    fn memory(&mut self, index: u32) -> MemoryState<'static> {
        let pages = self.below(3);
        let image: Vec<u8> = self.pages(pages);
        let current = self.pages(pages);
        let runs = diff_pages(&current, |page| image.chunks(PAGE_BYTES).nth(page as usize));
        MemoryState { index, pages, runs: runs.into_iter().map(PageRun::into_owned).collect() }
    }

    /// A memory whose every page is zero, or one of two others.
    pub fn pages(&mut self, pages: u64) -> Vec<u8> {
        let mut memory = vec![0; (pages * WASM_PAGE_BYTES) as usize];
        for page in memory.chunks_mut(PAGE_BYTES) {
            match self.below(4) {
                0 => page.fill(7),
                1 => page[PAGE_BYTES - 1] = 1,
                _ => {}
            }
        }
        memory
    }

    fn table(&mut self, index: u32) -> TableState {
        let mut end = 0;
        let runs = self.list(4, |r| {
            let first = end + 1 + r.below(300);
            let mut elements = r.list(5, |r| (r.below(3) > 0).then(|| r.index()));
            elements.push(None);
            end = first + elements.len() as u64;
            TableRun { first, elements }
        });
        let element = [RefType::Func, RefType::Extern, RefType::Exn][self.below(3) as usize];
        TableState { index, element, size: end + self.below(2), runs }
    }

    /// A random snapshot that keeps all rules.
    pub fn snapshot(&mut self) -> Snapshot<'static> {
        let mut snapshot = self.unnumbered();
        self.number_references(&mut snapshot);
        snapshot
    }

    /// Makes objects and exceptions for the references, as the walk meets them.
    fn number_references(&mut self, snapshot: &mut Snapshot<'static>) {
        let (mut objects, mut exceptions) = (Vec::new(), Vec::new());
        let mut number = |value: &mut Value| match value {
            Value::ExternRef(Some(index)) => *index = self.object(&mut objects),
            Value::ExnRef(Some(index)) => *index = self.exception(&mut objects, &mut exceptions),
            _ => {}
        };
        snapshot.entry.args.iter_mut().for_each(&mut number);
        if let Status::Finished { results } = &mut snapshot.status {
            results.iter_mut().for_each(&mut number);
        }
        for frame in &mut snapshot.frames {
            frame.locals.iter_mut().for_each(|(_, value)| number(value));
            frame.operands.iter_mut().for_each(&mut number);
        }
        snapshot.pending.iter_mut().flat_map(|call| &mut call.args).for_each(&mut number);
        snapshot.globals.iter_mut().for_each(|(_, value)| number(value));
        for table in &mut snapshot.tables {
            for element in table.runs.iter_mut().flat_map(|run| &mut run.elements) {
                let mut value = table.element.value(*element);
                number(&mut value);
                *element = match value {
                    Value::ExternRef(index) | Value::ExnRef(index) => index,
                    _ => *element,
                };
            }
        }
        (snapshot.objects, snapshot.exceptions) = (objects, exceptions);
    }

    /// One that is there already, or the next.
    fn object(&mut self, objects: &mut Vec<Object>) -> u32 {
        let index = self.below(objects.len() as u64 + 1) as u32;
        if index as usize == objects.len() {
            objects.push(Object { codec: self.text(), bytes: self.list(20, |r| r.next() as u8) });
        }
        index
    }

    fn exception(&mut self, objects: &mut Vec<Object>, exceptions: &mut Vec<Exception>) -> u32 {
        let index = self.below(exceptions.len() as u64 + 1) as u32;
        if index as usize == exceptions.len() {
            let fields = self.list(4, |r| match r.value() {
                Value::ExternRef(Some(_)) => Value::ExternRef(Some(r.object(objects))),
                Value::ExnRef(Some(any)) => Value::ExnRef(any.checked_rem(exceptions.len() as u32)),
                other => other,
            });
            exceptions.push(Exception { tag: self.index(), fields });
        }
        index
    }

    fn profile(&mut self) -> Profile {
        Profile {
            stack_bytes: self.number(),
            memory_bytes: self.number(),
            callback_steps: self.index(),
            table_elements: self.number(),
            reference_heap_bytes: self.number(),
        }
    }

    fn unnumbered(&mut self) -> Snapshot<'static> {
        let status = self.status();
        let paused = matches!(status, Status::Paused { .. });
        let frames = if paused { 1 + self.below(6) } else { 0 };
        let module: Vec<u8> = self.list(300, |r| r.next() as u8);
        let module = match self.below(2) {
            0 => ModuleRef::name(&module),
            _ => ModuleRef { bytes: Some(module.clone().into()), ..ModuleRef::name(&module) },
        };
        Snapshot {
            module,
            cost_table: self.index(),
            parent: (self.below(2) == 0).then(|| Digest::of(&[self.next() as u8])),
            base: (self.below(3) == 0).then(|| Digest::of(&[self.next() as u8])),
            profile: (self.below(2) == 0).then(|| self.profile()),
            steps_used: self.number(),
            balance: self.number() as i64,
            status,
            entry: Entry { export: self.text(), args: self.list(3, Random::value) },
            pending: if paused {
                self.list(2, |r| PendingCall {
                    function: r.index(),
                    args: r.list(3, Random::value),
                })
            } else {
                Vec::new()
            },
            frames: (1..=frames).map(|frame| self.frame(frame == frames)).collect(),
            memories: (0..self.below(3)).map(|index| self.memory(index as u32)).collect(),
            globals: self.indexed(5),
            tables: (0..self.below(3)).map(|index| self.table(index as u32)).collect(),
            objects: vec![],
            exceptions: vec![],
            dropped_data: self.ascending(5),
            dropped_elements: self.ascending(5),
            host: vec![("a".into(), self.host_value(4)), ("bb".into(), self.host_value(4))],
            labels: vec![("z".into(), self.text()), ("aa".into(), self.text())],
        }
    }
}

/// A finished tasklet of which little is left.
pub fn finished() -> Snapshot<'static> {
    Snapshot {
        module: ModuleRef::name(b"\0asm\x01\0\0\0"),
        cost_table: 1,
        parent: None,
        base: None,
        profile: None,
        steps_used: 1_000_000,
        balance: 24,
        status: Status::Finished {
            results: vec![Value::I64(-1), Value::F64(0x7ff8_0000_0000_0001)],
        },
        entry: Entry { export: "main".into(), args: vec![Value::I32(-25)] },
        pending: vec![],
        frames: vec![],
        memories: vec![],
        globals: vec![],
        tables: vec![],
        objects: vec![],
        exceptions: vec![],
        dropped_data: vec![],
        dropped_elements: vec![],
        host: vec![],
        labels: vec![],
    }
}

/// A trapped one, and one whose guest exited.
pub fn trapped() -> Snapshot<'static> {
    let backtrace = vec![
        TrapFrame { function: 12, offset: Some(0x1234) },
        TrapFrame { function: 3, offset: None },
    ];
    let message = "wasm trap: integer divide by zero".into();
    Snapshot { status: Status::Trapped { message, backtrace }, balance: -7, ..finished() }
}

pub fn exited() -> Snapshot<'static> {
    Snapshot { status: Status::Exited { code: 3 }, ..finished() }
}

/// A paused tasklet with something of everything but pages of bytes, so that it is small.
pub fn paused() -> Snapshot<'static> {
    Snapshot {
        module: ModuleRef::embed(b"\0asm\x01\0\0\0"),
        parent: Some(Digest([0xab; 32])),
        balance: i64::MIN,
        steps_used: u64::MAX,
        status: Status::Paused { reason: PauseReason::Waiting },
        pending: vec![PendingCall { function: 9, args: vec![Value::FuncRef(Some(4))] }],
        frames: frames(),
        memories: vec![MemoryState {
            index: 1,
            pages: 3,
            runs: vec![
                PageRun { first: 1, count: 2, data: PageData::Zero },
                PageRun { first: 5, count: 43, data: PageData::Zero },
            ],
        }],
        globals: vec![(0, Value::I32(1_048_576)), (5, Value::FuncRef(Some(24)))],
        tables: vec![TableState {
            index: 0,
            element: RefType::Func,
            size: 40,
            runs: vec![
                TableRun { first: 1, elements: vec![Some(256), None] },
                TableRun { first: 39, elements: vec![None] },
            ],
        }],
        dropped_data: vec![0, 24],
        dropped_elements: vec![255],
        host: host(),
        labels: vec![("b".into(), "2".into()), ("name".into(), "sample".into())],
        ..finished()
    }
}

/// A paused one with references of every kind in every place that can hold them.
pub fn references() -> Snapshot<'static> {
    let (object, exception) =
        (|index| Value::ExternRef(Some(index)), |index| Value::ExnRef(Some(index)));
    let mut frames = frames();
    frames[0].locals.push((301, exception(1)));
    frames[0].operands.push(object(1));
    frames[1].locals.push((2, Value::ExternRef(None)));
    let table = |index, element, elements| TableState {
        index,
        element,
        size: 4,
        runs: vec![TableRun { first: 1, elements }],
    };
    Snapshot {
        entry: Entry { export: "main".into(), args: vec![object(0), Value::ExnRef(None)] },
        frames,
        pending: vec![PendingCall { function: 9, args: vec![object(2), exception(0)] }],
        globals: vec![(0, exception(2)), (7, object(0))],
        tables: vec![
            table(0, RefType::Func, vec![Some(0)]),
            table(3, RefType::Extern, vec![Some(4), None]),
            table(4, RefType::Exn, vec![Some(2), Some(0), None]),
        ],
        objects: ["file", "file", "socket", "a", "b"]
            .iter()
            .zip(0u8..)
            .map(|(codec, n)| Object { codec: codec.to_string(), bytes: vec![n; n.into()] })
            .collect(),
        exceptions: vec![
            Exception { tag: 0, fields: vec![] },
            Exception { tag: 300, fields: vec![Value::I32(-1), exception(0), object(0)] },
            Exception { tag: 1, fields: vec![object(3), exception(1), Value::ExnRef(None)] },
        ],
        ..paused()
    }
}

fn frames() -> Vec<Frame> {
    vec![
        Frame {
            function: 70_000,
            at: Position::Call { offset: 0x123 },
            locals: vec![
                (0, Value::I32(i32::MIN)),
                (1, Value::I64(i64::MAX)),
                (300, Value::F32(0x7fa0_0001)),
            ],
            operands: vec![Value::V128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10)],
        },
        Frame {
            function: 2,
            at: Position::Import,
            locals: vec![(0, Value::F64(0xfff4_0000_0000_0001)), (1, Value::FuncRef(None))],
            operands: vec![],
        },
    ]
}

fn host() -> Vec<(String, HostValue)> {
    let int = |value: i64| HostValue::Integer(value.into());
    let text = |text: &str| HostValue::Text(text.into());
    vec![(
        "wasi_snapshot_preview1".into(),
        HostValue::Map(vec![
            (int(10), int(-500)),
            (int(-1), HostValue::Bool(true)),
            (text("fds"), HostValue::Array(vec![int(0), HostValue::Null])),
            (text("argv"), HostValue::Array(vec![text("a.wasm"), text("ü")])),
            (text("random"), HostValue::Bytes(vec![1, 2, 3])),
        ]),
    )]
}

/// The paused one with pages of bytes, between, before and after zero ones.
pub fn paused_with_pages() -> Snapshot<'static> {
    let mut bytes = vec![0x11; 2 * PAGE_BYTES];
    bytes[PAGE_BYTES..].fill(0x22);
    Snapshot {
        memories: vec![MemoryState {
            index: 0,
            pages: 1,
            runs: vec![
                PageRun { first: 0, count: 1, data: PageData::Zero },
                PageRun { first: 1, count: 2, data: PageData::Bytes(bytes.into()) },
                PageRun { first: 3, count: 13, data: PageData::Zero },
            ],
        }],
        ..paused()
    }
}

/// One of a deterministic run, whose memories are to be laid over those of another.
pub fn over_a_base() -> Snapshot<'static> {
    Snapshot {
        module: ModuleRef::name(b"\0asm\x01\0\0\0"),
        base: Some(Digest([0xba; 32])),
        profile: Some(Profile {
            stack_bytes: 256 << 20,
            memory_bytes: 4 << 30,
            callback_steps: 1 << 30,
            table_elements: 1 << 24,
            reference_heap_bytes: 7,
        }),
        ..paused_with_pages()
    }
}
