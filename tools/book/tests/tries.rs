//! What the book tells its reader to try has the result that the book says.
//!
//! A block ` ```diff try=RESULT ` names a file in its first line, `@@ boot/NAME`, and
//! changes it. RESULT is `boots`, `reset`, `hangs`, an error's code such as `E5`, or
//! `refused`: the assembler or the linker does not take it. The next ` ```text output `
//! block is what they say, or with `log` what QEMU's log of exceptions has.

mod common;

use common::loader::{Outcome, boot};
use common::{kernel, missing};
use siso_book::chapters::{self, Block};
use siso_book::loader;
use siso_book::tools::path;
use siso_book::top;
use std::fs;

#[test]
fn the_unchanged_loader_is_built_as_always() {
    let work = tempfile::tempdir().expect("a folder can be made");
    let built = loader::build(&top().join("boot"), work.path()).expect("it is built");
    let image = built.image(&kernel()).expect("the kernel is valid");
    assert!(image == common::image());
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
    let copy = loader::copy(work.path())?;
    loader::change(&block.text, work.path())?;
    let says = |said: &str| {
        let output = output.ok_or("the book does not show the output")?;
        missing(&output.text, said).map_or(Ok(()), Err)
    };
    let built = loader::build(&copy, work.path());
    if wanted == "refused" {
        return says(&built.map(|_| String::new()).unwrap_or_else(|error| error));
    }
    let log = work.path().join("log");
    let logged = ["-d", "int,cpu_reset", "-D", path(&log)];
    let arguments: &[&str] = if block.has("log") { &logged } else { &[] };
    let seen = boot(&built?.image(&kernel())?, work.path(), arguments);
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
