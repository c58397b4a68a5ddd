//! What the book tells its reader to try has the result that the book says.
//!
//! A block ` ```diff try=RESULT ` names a file in its first line, `@@ boot/NAME`, and
//! changes it. RESULT is `boots`, `reset`, `hangs`, an error's code such as `E5`, or
//! `refused`: the assembler or the linker does not take it. The next ` ```text output `
//! block is what they say, or with `log` what QEMU's log of exceptions has.

mod common;

use common::loader::{self, Outcome};
use common::missing;
use siso_book::chapters::{self, Block};
use siso_book::tools::path;
use siso_book::top;
use siso_image::LOADER;
use std::fs;
use std::path::Path;

#[test]
fn the_unchanged_loader_is_built_as_always() {
    let work = tempfile::tempdir().expect("a folder can be made");
    let image = loader::build(&top().join("boot"), work.path()).expect("it is built");
    assert_eq!(image[..LOADER.len()], common::image()[..LOADER.len()]);
}

#[test]
fn every_try_has_the_result_that_the_book_says() {
    let mut tried = 0;
    let mut wrong = Vec::new();
    for page in chapters::all().expect("the pages can be read") {
        let blocks = page.blocks();
        for (n, block) in blocks.iter().enumerate() {
            if block.info.first().map(String::as_str) != Some("diff") {
                continue;
            }
            tried += 1;
            let output = blocks[n..].iter().find(|block| block.has("output"));
            if let Err(complaint) = try_it(block, output) {
                wrong.push(format!("{}:{}: {complaint}", page.file, block.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried >= 10, "only {tried} blocks to try");
}

fn try_it(block: &Block, output: Option<&Block>) -> Result<(), String> {
    let wanted = block.option("try").ok_or("the block says no result")?;
    let work = tempfile::tempdir().expect("a folder can be made");
    let boot = work.path().join("boot");
    copy(&top().join("boot"), &boot);
    change(&block.text, work.path())?;
    let says = |said: &str| {
        let output = output.ok_or("the book does not show the output")?;
        missing(&output.text, said).map_or(Ok(()), Err)
    };
    let built = loader::build(&boot, work.path());
    if wanted == "refused" {
        return says(&built.map(|_| String::new()).unwrap_or_else(|error| error));
    }
    let log = work.path().join("log");
    let logged = ["-d", "int,cpu_reset", "-D", path(&log)];
    let arguments: &[&str] = if block.has("log") { &logged } else { &[] };
    let seen = loader::boot(&built?, work.path(), arguments);
    if block.has("log") {
        says(&fs::read_to_string(&log).map_err(|error| error.to_string())?)?;
    }
    let same = match &seen.0 {
        Outcome::Boots => wanted == "boots",
        Outcome::Reset => wanted == "reset",
        Outcome::Hangs => wanted == "hangs",
        Outcome::Error(line) => line.split(' ').next() == Some(wanted),
    };
    if same {
        Ok(())
    } else {
        Err(format!("wanted {wanted}, seen {:?}\n{}", seen.0, seen.1))
    }
}

/// Applies a block to a copy of the tree.
fn change(diff: &str, tree: &Path) -> Result<(), String> {
    let (file, lines) = diff.split_once('\n').ok_or("the block is empty")?;
    let file = tree.join(file.strip_prefix("@@ ").ok_or("the block names no file")?);
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let side = |other: char| -> String {
        let kept = lines.lines().filter(|line| !line.starts_with(other));
        kept.map(|line| line.get(1..).unwrap_or_default().to_string() + "\n")
            .collect()
    };
    let (old, new) = (side('+'), side('-'));
    if old == new || text.matches(&old).count() != 1 {
        return Err("its lines are not in the file, or more than once".into());
    }
    fs::write(&file, text.replace(&old, &new)).map_err(|error| error.to_string())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("it has a name");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("it can be copied");
    }
}
