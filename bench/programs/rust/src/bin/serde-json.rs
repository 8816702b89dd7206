//! serde-json [ROUNDS = 1]: reads and writes a document, as typed values and as untyped ones.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tasklet_bench_programs::{Random, argument, result};

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: String,
    paid: Option<f64>,
    lines: Vec<Line>,
    note: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    article: String,
    count: i32,
    price: f64,
    #[serde(default)]
    tags: Vec<String>,
}

fn orders(random: &mut Random) -> Vec<Order> {
    (0..200)
        .map(|id| Order {
            id: id << 20,
            customer: format!("{} \"{}\"", random.word(), random.word()),
            paid: (random.below(3) > 0).then(|| f64::from(random.below(100_000)) / 7.0),
            lines: (0..random.below(5))
                .map(|_| Line {
                    article: random.word(),
                    count: random.below(100) as i32 - 50,
                    price: f64::from(random.below(1000)) * 0.01,
                    tags: (0..random.below(4)).map(|_| random.word()).collect(),
                })
                .collect(),
            note: format!("line\n\ttab \u{e9}\u{1F600} {}", random.text(40)),
        })
        .collect()
}

fn main() {
    let mut random = Random(12);
    let mut text = serde_json::to_string(&orders(&mut random)).expect("it can be written");
    for _ in 0..argument(1, 1) {
        let mut orders: Vec<Order> = serde_json::from_str(&text).expect("it was written so");
        orders.iter_mut().for_each(|order| order.id += 1);
        let pretty = serde_json::to_string_pretty(&orders).expect("it can be written");
        let value: Value = serde_json::from_str(&pretty).expect("it was written so");
        text = value.to_string();
    }
    result("serde-json", text.as_bytes());
}
