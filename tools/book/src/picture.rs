//! The pictures: SVG files in `docs/book/pictures` whose addresses and sizes are figures
//! of the build, and one that is drawn from the memory layout.
//!
//! They become part of the page, so they take its colours, light or dark.

use crate::quote::escape;
use crate::read;
use crate::values::Values;
use siso_image::layout::*;

/// The folder of the pictures.
pub const FOLDER: &str = "docs/book/pictures";
/// The one that is drawn here.
pub const LOW_MEMORY: &str = "low-memory";

/// The picture that a line of a chapter asks for.
pub fn parse(line: &str) -> Option<&str> {
    line.trim().strip_prefix("{{#picture ")?.strip_suffix("}}")
}

/// What a picture shows, in words.
pub fn description(name: &str, values: &Values) -> Result<String, String> {
    let html = html(name, values)?;
    let part = |tag: &str| {
        html.split(&format!("<{tag} "))
            .nth(1)?
            .split_once('>')?
            .1
            .split_once('<')
    };
    let (text, _) = part("desc").ok_or_else(|| format!("the picture {name} has no description"))?;
    Ok(text.into())
}

/// A picture, without blank lines, which would end the HTML.
pub fn html(name: &str, values: &Values) -> Result<String, String> {
    let svg = match name {
        LOW_MEMORY => low_memory(),
        _ => values.fill(&read(format!("{FOLDER}/{name}.svg"))?)?,
    };
    let lines = svg.lines().filter(|line| !line.trim().is_empty());
    let svg: Vec<&str> = lines.map(str::trim).collect();
    Ok(format!(
        "<figure class=\"picture\">{}</figure>\n",
        svg.join("\n")
    ))
}

/// What lies where below 1 MiB while the loader runs.
fn low_memory() -> String {
    let rows = [
        (0, 0x500, "interrupt vectors, BIOS data area", "pc"),
        (0x500, REGIONS_BASE, "free: some BIOSes write here", "none"),
        (
            REGIONS_BASE,
            REGIONS_END,
            "memory regions, as reported",
            "ours",
        ),
        (MAP_BASE, MAP_LIMIT, "the memory map, sorted", "ours"),
        (ELF_BASE, ELF_END, "the kernel's ELF headers", "ours"),
        (STACK_BOTTOM, STACK_TOP, "stack, grows down", "ours"),
        (STAGE1_BASE, STAGE2_BASE, "stage 1", "code"),
        (STAGE2_BASE, STAGE2_END, "stage 2", "code"),
        (VARIABLES_BASE, VARIABLES_END, "variables", "ours"),
        (
            CHUNK_BASE,
            CHUNK_END,
            "one chunk, as the BIOS read it",
            "ours",
        ),
        (
            CHECKSUMS_BASE,
            CHECKSUMS_END,
            "a block of the checksum table",
            "ours",
        ),
        (
            IDENTITY_PML4,
            IDENTITY_END,
            "the loader's own page tables",
            "ours",
        ),
        (
            IDENTITY_END,
            0xa0000,
            "not used; the EBDA is at its end",
            "none",
        ),
        (0xa0000, ONE_MIB, "video memory, ROMs, BIOS", "pc"),
    ];
    let mut svg = String::new();
    let mut y = 20;
    let mut end = 0;
    for (from, to, what, class) in rows.iter().rev() {
        let height = 26;
        if *to < end {
            y += 10; // a gap
        }
        svg += &format!(
            "<rect class=\"{class}\" x=\"150\" y=\"{y}\" width=\"300\" height=\"{height}\"/>\
             <text x=\"300\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text class=\"small\" x=\"140\" y=\"{}\" text-anchor=\"end\">{from:#x}</text>\
             <text class=\"small\" x=\"460\" y=\"{}\">{}</text>\n",
            y + 18,
            escape(what),
            y + 24,
            y + 18,
            size(to - from),
        );
        y += height;
        end = *from;
    }
    format!(
        "<svg viewBox=\"0 0 560 {}\" role=\"img\" aria-labelledby=\"low-t low-d\">\
         <title id=\"low-t\">Low memory while the loader runs</title>\
         <desc id=\"low-d\">From 1 MiB at the top down to address 0, not to scale: {}.</desc>\n{svg}</svg>",
        y + 10,
        rows.iter()
            .rev()
            .map(|(from, _, what, _)| format!("{} at {from:#x}", escape(what)))
            .collect::<Vec<_>>()
            .join("; ")
    )
}

fn size(bytes: u64) -> String {
    if bytes.is_multiple_of(1024) && bytes >= 4096 {
        format!("{} KiB", bytes / 1024)
    } else {
        format!("{bytes} bytes")
    }
}
