//! Writes the seed corpus of every target to `corpus/` beside this crate's manifest. Files of other
//! names (found by fuzzing) stay as they are.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in stead_fuzz::TARGETS {
        let directory = root.join(target.name);
        std::fs::create_dir_all(&directory)?;
        let files = stead_fuzz::seeds::corpus(target);
        println!("{:>3} seeds for {}", files.len(), target.name);
        for (name, content) in files {
            std::fs::write(directory.join(name), content)?;
        }
    }
    Ok(())
}
