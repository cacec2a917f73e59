//! Writes inputs to begin with, made from the fixtures, to `corpus/<target>`.

use std::fs;
use std::path::Path;

use xai_insert_fuzz::targets::TARGETS;

fn main() -> std::io::Result<()> {
    for (name, _, inputs) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        fs::create_dir_all(&folder)?;
        let inputs = inputs();
        for (input, bytes) in &inputs {
            fs::write(folder.join(input), bytes)?;
        }
        println!("{name}: {} inputs", inputs.len());
    }
    Ok(())
}
