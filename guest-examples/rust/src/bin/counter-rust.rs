//! The seed of the project in Rust: counts for ever, reports every tenth turn.
//!
//! Standard output is line-buffered, so each number leaves with its newline.

fn main() {
    let mut busy = 0u64;
    loop {
        busy += 1;
        if busy.is_multiple_of(10) {
            println!("{busy}");
        }
    }
}
