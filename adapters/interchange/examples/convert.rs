//! temporary
use stead_interchange::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let t = std::time::Instant::now();
    let mut w = Writer::create(a[3].parse().unwrap(), a[4].as_ref()).unwrap();
    let mut n = 0;
    for r in Records::open(a[1].parse().unwrap(), a[2].as_ref()).unwrap() {
        w.write(&r.unwrap()).unwrap();
        n += 1;
    }
    w.finish().unwrap();
    eprintln!("{n} {:?}", t.elapsed());
}
