//! collections: the containers of std, filled and emptied from a pseudo-random
//! sequence; closures, iterators, trait objects, reference counts.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

/// FNV-1a. The hasher of std is seeded at random, and the order of a map with
/// it; this one gives the same order and the same work in every run.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf29ce484222325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = (self.0 ^ u64::from(*b)).wrapping_mul(0x100000001b3);
        }
    }
}

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Fnv>>;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

trait Shape {
    fn name(&self) -> String;
    fn area(&self) -> u32;
}

struct Square(u32);
struct Rectangle(u32, u32);

impl Shape for Square {
    fn name(&self) -> String {
        format!("square of {}", self.0)
    }
    fn area(&self) -> u32 {
        self.0 * self.0
    }
}

impl Shape for Rectangle {
    fn name(&self) -> String {
        format!("{} by {}", self.0, self.1)
    }
    fn area(&self) -> u32 {
        self.0 * self.1
    }
}

/// A tree whose leaves know how often they have been counted.
struct Node {
    children: Vec<Rc<Node>>,
    visits: RefCell<u32>,
}

fn tree(depth: u32) -> Rc<Node> {
    let children = (0..depth).map(|_| tree(depth - 1)).collect();
    Rc::new(Node { children, visits: RefCell::new(0) })
}

fn visit(node: &Rc<Node>) -> u32 {
    *node.visits.borrow_mut() += 1;
    1 + node.children.iter().map(visit).sum::<u32>()
}

fn main() {
    let mut random = Random(1);

    let mut words: Map<String, u32> = Map::default();
    for _ in 0..3000 {
        let word = format!("w{}", random.below(40) * random.below(40) / 40);
        *words.entry(word).or_default() += 1;
    }
    let mut common: Vec<_> = words.iter().collect();
    common.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    println!("{} words, the most frequent:", words.len());
    for (word, times) in common.iter().take(5) {
        println!("  {word:<4} {times:>5}");
    }

    let mut sorted = BTreeMap::new();
    for i in 0..2000u64 {
        sorted.insert(random.below(10_000), i);
    }
    sorted.retain(|key, _| key % 3 != 0);
    let middle: Vec<_> = sorted.range(5000..).take(4).map(|(k, v)| format!("{k}:{v}")).collect();
    println!("{} keys, from 5000: {}", sorted.len(), middle.join(" "));

    let mut heap: BinaryHeap<u64> = (0..1000).map(|_| random.below(1_000_000)).collect();
    let top: Vec<_> = std::iter::from_fn(|| heap.pop()).take(3).collect();
    println!("largest: {top:?}, {} left", heap.len());

    // Everybody counts to seven; the seventh leaves the circle.
    let mut circle: VecDeque<u32> = (1..=200).collect();
    while circle.len() > 1 {
        circle.rotate_left(6 % circle.len());
        circle.pop_front();
    }
    println!("last in the circle: {}", circle[0]);

    let divisible: BTreeSet<u64> = (1..=60).filter(|n| n % 4 == 0).collect();
    let others: BTreeSet<u64> = (1..=60).filter(|n| n % 6 == 0).collect();
    println!("both: {:?}", divisible.intersection(&others).collect::<Vec<_>>());

    let shapes: Vec<Box<dyn Shape>> = (1..=6)
        .map(|i| -> Box<dyn Shape> {
            if i % 2 == 0 { Box::new(Square(i)) } else { Box::new(Rectangle(i, i + 3)) }
        })
        .collect();
    for shape in &shapes {
        println!("{:>12}: {:3}", shape.name(), shape.area());
    }

    let root = tree(6);
    let nodes = visit(&root);
    for _ in 0..3 {
        visit(&root);
    }
    println!("{nodes} nodes, the root seen {} times", root.visits.borrow());

    let counters: Vec<Box<dyn Fn(u64) -> u64>> = vec![
        Box::new(|n| n + 1),
        Box::new(move |n| n * nodes as u64),
        Box::new(|n| n ^ 0xff),
    ];
    println!("closures: {}", (0..300).fold(1u64, |n, i| counters[i % 3](n) % 1_000_003));
}
