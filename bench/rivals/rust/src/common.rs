//! What a rival prints: see `bench/rivals/README.md`.

/// What is asked for: `times TURNS MESSAGES SPAWNS`, or `memory COUNT`.
pub enum Asked {
    Times { turns: u32, messages: u32, spawns: u32 },
    Memory { count: u32 },
}

pub fn asked() -> Asked {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|arg| arg.parse().ok()).expect("a number");
    match args.first().map(String::as_str) {
        Some("times") => Asked::Times { turns: number(1), messages: number(2), spawns: number(3) },
        Some("memory") => Asked::Memory { count: number(1) },
        _ => panic!("`times TURNS MESSAGES SPAWNS` or `memory COUNT`"),
    }
}

/// Nanoseconds of CPU time of this thread, which is the only one that does anything.
pub fn cpu() -> u64 {
    let times = std::fs::read_to_string("/proc/self/schedstat").expect("this is Linux");
    times.split(' ').next().and_then(|time| time.parse().ok()).expect("a number")
}

/// Prints how long one of `count` took.
pub fn print(name: &str, begun: u64, count: u32) {
    println!("{name} {:.1}", (cpu() - begun) as f64 / f64::from(count));
}

/// Memory of this process, and the page tables for it, in bytes.
pub fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let of = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    };
    1024 * (of("VmRSS:") + of("VmPTE:"))
}
