//! A student's copy: the labs, the grader as a program, and the loader, in which each file
//! that is the solution of a lab is an object; and the kernel's package without such files.
//! It needs make, QEMU and GNU binutils; Rust for the labs about the kernel only.

use crate::bug;
use crate::lab::{Kind, Lab};
use siso_book::values::Values;
use siso_book::{chapters, loader, preprocess, top};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// The front door of the copy.
const MAKEFILE: &str = "\
# The labs. Each command is the program in bin/; docs/labs has the pages.

LAB  ?=
JSON ?=
override LAB := $(value LAB)
export LAB
export SISO_TOP := $(CURDIR)

.PHONY: help lab hint grade watch

help:   ## show this help
\t@sed -n 's/^\\([a-z]*\\):.*## /  make \\1\\t/p' Makefile

lab:    ## begin a lab, or list them: LAB=name
\t@bin/siso-labs lab --kernel bin/kernel \"$$LAB\"

hint:   ## show the next hint of a lab: LAB=name
\t@bin/siso-labs hint \"$$LAB\"

grade:  ## grade a lab, or all: LAB=name JSON=1
\t@bin/siso-labs grade --kernel bin/kernel $(if $(JSON),--json) \"$$LAB\"

watch:  ## grade a lab after each save: LAB=name
\t@bin/siso-labs watch --kernel bin/kernel \"$$LAB\"
";

const README: &str = "\
# Labs

Write routines of a boot loader, and see them boot. `make lab` lists the labs, `make lab LAB=a20` begins one, `make grade LAB=a20`
grades what you wrote in `labs/a20`, as often as you like; `make hint LAB=a20` shows a hint.

You need make, QEMU and GNU binutils: on Debian or Ubuntu, `sudo apt-get install make qemu-system-x86 binutils`. The lab `vga` needs Rust, too: with
[rustup](https://rustup.rs), the first `make grade LAB=vga` installs the version in `rust-toolchain`.

`docs/labs` has the pages, `docs/book/src` the chapters that they name, `boot` the rest of the loader, `src` the rest of the kernel; the files that
you write are objects in `boot`, and missing in `src`. `make watch LAB=a20` grades after each save. Begin with `hello`, `a20` and `gdt`; `make lab` lists the labs in the order of a boot. What
the chapters say under \"Run it\" and \"Try\" needs the whole project, and so do `bug1` to `bug3`.
";

/// What is copied as it is, but for the solutions.
const COPIED: [&str; 10] = [
    "build.rs",
    "src",
    "linker.ld",
    "x86_64-siso_os.json",
    ".cargo",
    "Cargo.toml",
    "rust-toolchain",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "docs/book/src",
];

/// Makes the copy in a folder that does not exist yet. Returns what was made, in a sentence.
pub fn make(to: &Path, kernel: &Path) -> Result<String, String> {
    let about = |error: io::Error| format!("{}: {error}", to.display());
    fs::create_dir(to).map_err(about)?;
    let labs = Lab::all()?;
    let files = |kind: Kind| -> BTreeSet<&str> {
        let labs = labs.iter().filter(|lab| lab.kind == kind);
        labs.map(|lab| lab.file.as_str()).collect()
    };
    let (assembly, rust) = (files(Kind::Loader), files(Kind::Kernel));
    let solutions = &assembly | &rust;
    for folder in ["bin", "docs", "docs/book", "tests"] {
        fs::create_dir(to.join(folder)).map_err(about)?;
    }
    let program = std::env::current_exe().map_err(about)?;
    fs::copy(program, to.join("bin/siso-labs")).map_err(about)?;
    fs::copy(kernel, to.join("bin/kernel"))
        .map_err(|error| format!("{}: {error}", kernel.display()))?;
    fs::write(to.join("Makefile"), MAKEFILE).map_err(about)?;
    fs::write(to.join("README.md"), README).map_err(about)?;
    for file in COPIED {
        copy(&top().join(file), &to.join(file)).map_err(about)?;
    }
    copy(&top().join("tests/firmware"), &to.join("tests/firmware")).map_err(about)?;
    for entry in fs::read_dir(top().join("docs")).map_err(about)? {
        let entry = entry.map_err(about)?;
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join("docs").join(entry.file_name())).map_err(about)?;
        }
    }
    chapters(to, kernel, &solutions)?;
    let boot = loader::copy(to)?;
    for file in &rust {
        fs::remove_file(to.join(file)).map_err(about)?;
    }
    for file in &assembly {
        let source = to.join(file);
        let name = source.file_stem().unwrap_or_default().to_string_lossy();
        // Without debugging information, and without names that are not global.
        let object = source.with_extension("o");
        loader::assemble(&boot, &name, &object, &[])?;
        siso_book::tools::binutil("strip", &["--discard-all", siso_book::tools::path(&object)])?;
        fs::remove_file(&source).map_err(about)?;
    }
    for lab in &labs {
        let folder = to.join("docs/labs").join(&lab.name);
        copy(&lab.folder(), &folder).map_err(about)?;
        if folder.join("wrong").exists() {
            fs::remove_dir_all(folder.join("wrong")).map_err(about)?;
        }
        match lab.kind {
            Kind::Loader | Kind::Kernel => {
                fs::write(folder.join("start"), lab.start()?).map_err(about)?
            }
            Kind::Sector => fs::remove_file(folder.join("solution")).map_err(about)?,
            Kind::Bug => bug::make(lab, &folder, kernel)?,
        }
    }
    Ok(format!(
        "{} has {} labs, without {}",
        to.display(),
        labs.len(),
        Vec::from_iter(solutions).join(", ")
    ))
}

/// Replaces the marks in the chapters, and leaves out what they quote of the solutions.
fn chapters(to: &Path, kernel: &Path, solutions: &BTreeSet<&str>) -> Result<(), String> {
    let values = Values::new(kernel)?;
    for page in chapters::all()?.iter().filter(|page| page.is_chapter()) {
        let text = preprocess::plain(&page.text, &values, solutions)
            .map_err(|error| format!("{}: {error}", page.file))?;
        let file = to.join(chapters::FOLDER).join(&page.file);
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

/// Copies a file, or a folder with all that is in it. Links become what they lead to.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
