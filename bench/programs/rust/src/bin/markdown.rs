//! markdown [ROUNDS = 1]: documents become HTML, by the crate `pulldown-cmark`.

use pulldown_cmark::{Options, Parser, html};
use tasklet_bench_programs::{Random, argument, result};

fn document(random: &mut Random) -> String {
    let mut text = String::new();
    for chapter in 1..20 {
        text.push_str(&format!("# Chapter {chapter}: {}\n\n", random.word()));
        text.push_str(&format!("*{}* {}\n\n", random.word(), random.text(400)));
        for _ in 0..random.below(8) {
            text.push_str(&format!("- **{}** [{}](http://{}.org \"x\") `{}`\n", random.word(), random.word(), random.word(), random.word()));
        }
        text.push_str(&format!("\n> {}\n\n```rust\n{}\n```\n\n", random.text(100), random.text(200)));
        text.push_str(&format!("| a | b |\n|---|:-:|\n| {} | ~~{}~~ |\n\n", random.word(), random.word()));
    }
    text
}

fn main() {
    let mut random = Random(16);
    let mut out = String::new();
    for _ in 0..argument(1, 1) {
        let text = document(&mut random);
        out.clear();
        html::push_html(&mut out, Parser::new_ext(&text, Options::all()));
    }
    result("markdown", out.as_bytes());
}
