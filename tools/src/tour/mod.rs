//! `siso-image tour`: a recorded boot as a page to walk through.
//!
//! [`subject`] is what is booted. [`record`] records it: it writes `trace.tsv`, and
//! [`fold`] makes steps of the instructions. [`memory`] repeats the boot and finds
//! what each step changed in memory, on the screen and on the serial line; it compares
//! every state with the recorded one. [`steps`] makes `steps.json`, [`page`] the page,
//! and [`pictures`] the pictures. [`checkpoints`] reads the texts; [`bad_bios`] is a BIOS
//! that misbehaves.

pub mod bad_bios;
mod bios;
pub mod checkpoints;
pub mod fold;
pub mod memory;
pub mod page;
pub mod pictures;
pub mod record;
pub mod steps;
pub mod subject;

use std::fs;
use std::path::Path;
use subject::Subject;

/// Records a boot and writes the files of the tour to a folder. Returns a summary.
pub fn make(subject: &Subject, folder: &Path) -> Result<String, String> {
    let about = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| about(folder, &error))?;
    let trace = folder.join("trace.tsv");
    let mut record = record::record(subject, &trace)?;
    let memory = memory::replay(subject, &record)?;
    let checkpoints = checkpoints::find(subject, &mut record)?;
    let steps = steps::document(subject, &mut record, &memory, &checkpoints);
    let text = steps.to_string();
    let page = page::page(&text);
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        crate::output::write(&path, text.as_bytes()).map_err(|error| about(&path, &error))
    };
    write("steps.json", &text)?;
    write("index.html", &page)?;
    for (name, picture) in pictures::pictures(&steps) {
        write(&name, &picture)?;
    }
    Ok(format!(
        "{}: {} instructions of the loader and {} of the kernel in {} steps, {} KiB",
        folder.join("index.html").display(),
        record.loader,
        record.kernel,
        record.steps.len(),
        page.len() >> 10,
    ))
}
