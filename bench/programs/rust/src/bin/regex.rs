//! regex [KILOBYTES = 100]: the crate `regex` looks for several patterns in a text.

use regex::{Captures, Regex};
use tasklet_bench_programs::{Random, argument, result};

fn main() {
    let mut random = Random(13);
    let mut text = String::new();
    while text.len() < argument(1, 100) * 1000 {
        text.push_str(&random.text(300));
        let [year, month, day] = [1900 + random.below(150), random.below(15), random.below(35)];
        text.push_str(&format!(
            " {year:04}-{month:02}-{day:02} {}@{}.org http://{}.com/{}?q={year} ",
            random.word(),
            random.word(),
            random.word(),
            random.word()
        ));
    }
    let mut found = String::new();
    for pattern in [
        r"(?P<year>\d{4})-(?P<month>0[1-9]|1[0-2])-(?P<day>[0-2]\d|3[01])",
        r"\b\w+@\w+\.(?:com|org)\b",
        r"https?://[^\s/]+/(\w*)\?(\w+)=(\d+)",
        r"(?i)(ba|TO|ke)[aeiou]?(na|mi)+",
        r"(\w+) \b(\w+), (\w+)\.",
    ] {
        let regex = Regex::new(pattern).expect("the pattern is right");
        let mut groups = 0;
        for captures in regex.captures_iter(&text) {
            groups += captures.iter().flatten().map(|group| group.len()).sum::<usize>();
        }
        found.push_str(&format!("{groups} "));
    }
    let dates = Regex::new(r"(\d+)-(\d+)-(\d+)").expect("the pattern is right");
    let turned = dates.replace_all(&text, |date: &Captures| format!("{}.{}.{}", &date[3], &date[2], &date[1]));
    found.push_str(&turned);
    result("regex", found.as_bytes());
}
