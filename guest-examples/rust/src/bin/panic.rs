//! panic: indexes a vector beyond its end. Built to abort on a panic: the
//! message goes to standard error, and then the program runs into a trap.

fn look(numbers: &[u32], depth: u32, at: usize) -> u32 {
    if depth == 0 { numbers[at] } else { look(numbers, depth - 1, at + 1) ^ 1 }
}

fn main() {
    let numbers: Vec<u32> = (0..10).collect();
    println!("inside: {}", look(&numbers, 5, 0));
    println!("outside: {}", look(&numbers, 5, std::env::args().count() + 9));
}
