//! The tour: what it records is what the machine does, and the page shows it.

use crate::common::browser::{self, Browser};
use crate::common::{Folder, kernel, path, plain, siso_image, top};
use serde_json::Value;
use siso_image::elf::Kernel;
use siso_image::layout;
use siso_image::qemu::{self, Machine};
use siso_image::recorder::stub::{self, Stub};
use siso_image::recorder::{REPEATABLE, cpu};
use siso_image::tour::steps;
use siso_image::tour::subject::Subject;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The kernel of the tours: a release build with line numbers.
const KERNEL: &str = "tour/siso_os";

struct Tour {
    folder: Folder,
}

impl Tour {
    fn new(kernel: &Path) -> Tour {
        let folder = Folder::new();
        let output = siso_image(&["tour", path(kernel), "-o", path(&folder.0)]);
        assert!(output.status.success(), "{output:?}");
        Tour { folder }
    }

    /// The tour of this project's kernel, which the tests share.
    fn shared() -> &'static Tour {
        static TOUR: OnceLock<Tour> = OnceLock::new();
        TOUR.get_or_init(|| Tour::new(&kernel(KERNEL)))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    fn trace(&self) -> String {
        fs::read_to_string(self.file("trace.tsv")).expect("the trace was written")
    }

    fn steps(&self) -> Value {
        let text = fs::read(self.file("steps.json")).expect("the steps were written");
        serde_json::from_slice(&text).expect("it is JSON")
    }
}

/// The fields of a trace: number, mode, address, source.
fn lines(trace: &str) -> impl Iterator<Item = [&str; 4]> {
    let lines = trace.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        fields.try_into().expect("four fields")
    })
}

fn address(field: &str) -> u64 {
    let digits = field.strip_prefix("0x").unwrap_or(field);
    u64::from_str_radix(digits, 16).expect("a hexadecimal number")
}

fn disk_of(kernel: &Path, folder: &Folder) -> PathBuf {
    let image = folder.0.join("disk.img");
    let output = siso_image(&["build", path(kernel), "-o", path(&image)]);
    assert!(output.status.success(), "{output:?}");
    image
}

/// Two recordings are the same, to the byte. The numbers are in order, and each
/// source line exists.
#[test]
fn a_boot_is_recorded_the_same_again() {
    let first = Tour::shared().trace();
    let second = Tour::new(&kernel(KERNEL)).trace();
    assert!(first == second, "the traces differ");
    let mut texts: BTreeMap<String, usize> = BTreeMap::new();
    let mut without = 0;
    for (n, [number, mode, address, source]) in lines(&first).enumerate() {
        assert_eq!(number, n.to_string());
        assert!(["real", "prot16", "prot32", "compat16", "compat32", "long64"].contains(&mode));
        assert!(address.starts_with("0x"), "{address}");
        let Some((file, line)) = source.rsplit_once(':') else {
            // The compiler made this instruction of the kernel; it belongs to no line.
            assert!(source == "-" && mode == "long64", "{number}");
            without += 1;
            continue;
        };
        let line: usize = line.parse().expect("a number");
        if file.starts_with("boot/") || file.starts_with("src/") {
            let count = texts.entry(file.into()).or_insert_with(|| {
                let text = fs::read_to_string(top().join(file)).expect("the file exists");
                text.lines().count()
            });
            assert!((1..=*count).contains(&line), "{source}");
        }
    }
    assert!(without < 500, "{without} instructions have no source line");
    let modes: Vec<&str> = lines(&first).map(|[_, mode, ..]| mode).collect();
    for mode in ["real", "prot16", "prot32", "compat32", "compat16", "long64"] {
        assert!(modes.contains(&mode), "{mode}");
    }
}

/// The loader's lines are as many as the instructions that the bench's plugin counts.
#[test]
fn as_many_instructions_as_the_bench_counts() {
    let folder = Folder::new();
    let image = disk_of(&kernel(KERNEL), &folder);
    let (plugin, counts) = (folder.0.join("plugin.so"), folder.0.join("counts"));
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2"])
        .arg(top().join("bench/count.c"))
        .arg("-o")
        .arg(&plugin)
        .status();
    assert!(compiled.is_ok_and(|status| status.success()));
    let steps = Tour::shared().steps();
    let entry = steps["image"]["entry"].as_str().expect("a text");
    let status = qemu::command()
        .args(REPEATABLE)
        .args(["-m", "512", "-display", "none", "-no-reboot", "-plugin"])
        .arg(format!(
            "{},entry=0x{entry},out={}",
            plugin.display(),
            counts.display()
        ))
        .args(qemu::disk(&image))
        .status();
    assert!(status.is_ok_and(|status| status.success()));
    let counts = fs::read_to_string(counts).expect("the plugin wrote it");
    let count = |name: &str| {
        let line = counts.lines().find_map(|line| line.strip_prefix(name));
        line.expect("it is there")
            .trim()
            .parse::<u64>()
            .expect("a number")
    };
    let trace = Tour::shared().trace();
    let loader = lines(&trace)
        .filter(|[_, _, at, _]| address(at) < layout::LOADER_END)
        .count();
    assert_eq!(loader as u64, count("own "));
    assert_eq!(steps["counts"]["loader"], count("own "));
    // The firmware's are not always the same: it looks at the disk in a loop until the
    // host has read the sectors.
    assert!(steps["counts"]["firmware"].as_u64() > Some(10_000));
    // The steps together have all instructions, too.
    let all = steps["steps"].as_array().expect("a list");
    let total: u64 = all.iter().map(|step| step["k"].as_u64().unwrap_or(1)).sum();
    assert_eq!(total, lines(&trace).count() as u64);
}

/// The state that the steps describe, rebuilt step by step.
#[derive(Default)]
struct State {
    registers: BTreeMap<String, Value>,
    memory: BTreeMap<u64, u8>,
    unknown: Vec<(u64, u64)>,
}

impl State {
    /// Memory before the first step.
    fn new(steps: &Value) -> State {
        let mut state = State::default();
        for page in steps["memory"].as_array().expect("a list") {
            let start = address(page[0].as_str().expect("a text"));
            let bytes = from_base64(page[1].as_str().expect("a text"));
            state.memory.extend((start..).zip(bytes));
        }
        state
    }

    fn before(&mut self, step: &Value) {
        for (name, value) in step["r"].as_object().into_iter().flatten() {
            self.registers.insert(name.clone(), value.clone());
        }
    }

    fn after(&mut self, step: &Value) {
        for write in step["w"].as_array().into_iter().flatten() {
            let start = address(write[0].as_str().expect("a text"));
            match (write[1].as_str(), write[2].as_u64()) {
                (Some(text), _) => {
                    let bytes = (0..text.len())
                        .step_by(2)
                        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"));
                    self.memory.extend((start..).zip(bytes));
                }
                (None, Some(fill)) => {
                    let end = start + write[1].as_u64().expect("a count");
                    self.memory.extend((start..end).map(|at| (at, fill as u8)));
                }
                _ => self
                    .unknown
                    .push((start, write[1].as_u64().expect("a count"))),
            }
        }
    }

    fn number(&self, name: &str) -> u64 {
        address(self.registers[name].as_str().expect("a text"))
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits = text.trim_end_matches('=');
    let bits = digits.bytes().map(digit);
    let mut bytes = Vec::new();
    let (mut number, mut count) = (0u32, 0);
    for six in bits {
        number = number << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((number >> count) as u8);
        }
    }
    bytes
}

/// At each checkpoint, another run of the same boot has the same registers,
/// descriptors and memory, and its page tables translate in the same way. They are
/// read in another way: from QEMU's monitor.
#[test]
fn the_facts_are_those_of_another_boot() {
    let steps = Tour::shared().steps();
    let checkpoints = steps["checkpoints"].as_array().expect("a list");
    let names: Vec<&str> = checkpoints
        .iter()
        .map(|checkpoint| checkpoint["name"].as_str().expect("a text"))
        .collect();
    for name in [
        "entry",
        "a20",
        "memory-map",
        "protected",
        "long",
        "kernel",
        "first-character",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(checkpoints.len() >= 16, "{names:?}");

    let folder = Folder::new();
    let image = disk_of(&kernel(KERNEL), &folder);
    let socket = folder.0.join("gdb");
    let mut arguments: Vec<String> = REPEATABLE.map(String::from).into();
    arguments[3] = "shift=0,sleep=on".into(); // as in `tour::memory`
    arguments.extend(["-m".into(), "512".into()]);
    arguments.extend(qemu::disk(&image));
    arguments.extend(stub::arguments(&socket));
    let mut machine = Machine::start(&arguments).expect("QEMU starts");
    let mut stub = Stub::connect(&socket).expect("the stub answers");
    stub.run_to_boot_sector(&machine, 1)
        .expect("the boot sector starts");

    let all = steps["steps"].as_array().expect("a list");
    let mut state = State::new(&steps);
    let mut done = 0;
    let mut last = None;
    for checkpoint in checkpoints {
        let name = checkpoint["name"].as_str().expect("a text");
        let place = checkpoint["step"].as_u64().expect("a number") as usize;
        while done < place {
            state.before(&all[done]);
            state.after(&all[done]);
            done += 1;
        }
        state.before(&all[place]);
        let code = &steps["code"][all[place]["c"].as_u64().expect("an index") as usize];
        let at = address(code[0].as_str().expect("a text"));
        // A checkpoint is the first step at its address.
        if last.is_some_and(|last| last != at) {
            stub.set_breakpoint(at).expect("a breakpoint");
            stub.go_on().expect("it is reached");
            stub.remove_breakpoint(at).expect("a breakpoint");
        }
        last = Some(at);
        compare(
            &mut machine,
            &state,
            name,
            code[1].as_str().expect("a text"),
        );
    }
}

fn compare(machine: &mut Machine, state: &State, name: &str, mode: &str) {
    let seen = machine
        .command("info registers")
        .expect("the monitor answers");
    let field = |register: &str| {
        let start = seen
            .find(register)
            .unwrap_or_else(|| panic!("{register}: {seen}"));
        &seen[start + register.len()..]
    };
    let first = |text: &str| {
        let text = text.trim_start();
        let end = text
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(text.len());
        address(&text[..end])
    };
    let (prefix, registers) = match mode {
        "long64" => ("R", &cpu::REGISTERS[..]),
        _ => ("E", &cpu::REGISTERS[..8]),
    };
    for register in registers {
        let shown = match register.strip_prefix('r') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => format!("R{rest:<2}="),
            _ => format!("{prefix}{}=", register[1..].to_uppercase()),
        };
        assert_eq!(
            state.number(register),
            first(field(&shown)),
            "{name}: {register}"
        );
    }
    for (register, shown) in [
        ("cr0", "CR0="),
        ("cr2", "CR2="),
        ("cr3", "CR3="),
        ("cr4", "CR4="),
        ("efer", "EFER="),
    ] {
        assert_eq!(
            state.number(register),
            first(field(shown)),
            "{name}: {register}"
        );
    }
    let flags = field(if prefix == "R" { "RFL=" } else { "EFL=" });
    assert_eq!(state.number("rflags"), first(flags), "{name}: flags");
    for segment in ["es", "cs", "ss", "ds", "fs", "gs"] {
        let line = field(&format!("\n{:<3}=", segment.to_uppercase()));
        let line = line.trim_start().lines().next().unwrap_or_default();
        let words: Vec<u64> = line.split_whitespace().take(4).map(address).collect();
        let ours: Vec<u64> = state.registers[segment]
            .as_array()
            .expect("a list")
            .iter()
            .map(|word| address(word.as_str().expect("a text")))
            .collect();
        assert_eq!(ours, words, "{name}: {segment}");
    }
    for table in ["gdt", "idt"] {
        let line = field(&format!("{}=", table.to_uppercase()));
        let mut words = line.split_whitespace().map(address);
        let ours = &state.registers[&format!("{table}r")];
        for word in [&ours[0], &ours[1]] {
            let word = address(word.as_str().expect("a text"));
            assert_eq!(Some(word), words.next(), "{name}: {table}");
        }
    }

    // Memory, but for the BIOS's data and what lies below the stack pointer, which
    // the timer's interrupt changes at any time; and the firmware's own.
    let stack = state.number("rsp");
    let changes = |at: u64| {
        (0x400..0x500).contains(&at)
            || (layout::STACK_BOTTOM..layout::STACK_TOP).contains(&at) && at < stack.max(0x7c00)
            || (0x9f000..0xa0000).contains(&at)
            || state
                .unknown
                .iter()
                .any(|&(start, count)| at >= start && at < start + count)
    };
    let mut pages: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut compared = 0;
    for (&at, &ours) in state.memory.iter().filter(|(at, _)| !changes(**at)) {
        let page = pages.entry(at / 4096).or_insert_with(|| {
            let page = machine.memory(at / 4096 * 4096, 4096);
            page.expect("memory can be read")
        });
        assert_eq!(ours, page[at as usize % 4096], "{name}: memory at {at:#x}");
        compared += 1;
    }
    assert!(compared > 4096, "{name}");

    // The page tables: the walk in the recorded memory against QEMU's.
    let state_of_cpu = cpu::Cpu {
        cr0: state.number("cr0"),
        cr3: state.number("cr3"),
        ..cpu::Cpu::default()
    };
    let quad = |at: u64| {
        let byte = |at: u64| u64::from(state.memory.get(&at).copied().unwrap_or(0));
        Some((0..8).rev().fold(0, |number, n| number << 8 | byte(at + n)))
    };
    for linear in [
        0,
        0x1000,
        0x7c00,
        0xb8000,
        0x20_0000,
        0x20_1000,
        0x100_0000_0000,
        0x180_0000_0000,
    ] {
        let ours = siso_image::recorder::paging::walk(&state_of_cpu, linear, quad).physical;
        let answer = machine
            .command(&format!("gva2gpa {linear:#x}"))
            .expect("an answer");
        let theirs = answer.trim().strip_prefix("gpa: ").map(address);
        if state_of_cpu.cr0 & cpu::CR0_PG != 0 {
            assert_eq!(ours, theirs, "{name}: {linear:#x}: {answer}");
        }
    }
}

/// A foreign kernel without source, and a BIOS that misbehaves: A20 is closed.
#[test]
fn any_kernel_on_a_bad_bios() {
    let seed = kernel("seed");
    let folder = Folder::new();
    let arguments = [
        "tour",
        path(&seed),
        "-o",
        path(&folder.0),
        "--bios",
        "a20_closed",
    ];
    let output = siso_image(&arguments);
    assert!(output.status.success(), "{output:?}");
    let tour = Tour { folder };
    let steps = tour.steps();
    assert_eq!(steps["bios"], "a20_closed");
    assert_eq!(steps["end"], "an endless loop");
    // The loader asks the BIOS to open the gate, and the CPU's line 20 opens.
    let all = steps["steps"].as_array().expect("a list");
    let asked = all
        .iter()
        .position(|step| step["bios"]["asked"] == "A20 gate: AX 2401");
    let opened = all.iter().skip(1).position(|step| step["r"]["a20"] == "1");
    assert_eq!(all[0]["r"]["a20"], "0");
    assert!(asked.is_some() && opened >= asked, "{asked:?} {opened:?}");
    // The seed kernel has run: its text is in the memory of the screen.
    let mut state = State::new(&steps);
    all.iter().for_each(|step| state.after(step));
    let text: Vec<u8> = (0..12).map(|n| state.memory[&(0xb8000 + n * 2)]).collect();
    assert_eq!(text, b"Hello World!");

    let arguments = [
        "tour",
        path(&seed),
        "-o",
        path(&tour.folder.0),
        "--bios",
        "nosuch",
    ];
    let output = siso_image(&arguments);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("BIOS=nosuch: the settings are") && said.contains("a20_closed"),
        "{said}"
    );
}

/// A real browser walks through the page. (`on_chromium` is in the name so that the
/// Makefile can leave it out, and count it, where there is none.)
#[test]
#[ignore = "needs Chromium"]
fn the_page_works_on_chromium() {
    let program = browser::program().expect("Chromium is installed");
    let page = Tour::shared().file("index.html");
    let bytes = fs::metadata(&page).expect("the page was written").len();
    assert!(bytes <= 5 << 20, "{bytes} bytes");
    for (width, height, dark) in [(1280, 720, false), (390, 844, true)] {
        let mut browser = Browser::start(&program, width, height, dark);
        browser.open(&page, "");
        let count = browser.ask("steps.length").as_u64().expect("a number");
        assert_eq!(browser.ask("now"), 0);
        assert_eq!(
            browser.ask("document.getElementById('mode').textContent"),
            "16real mode"
        );

        // To the end by keyboard: some steps, over calls, then stage by stage.
        for _ in 0..40 {
            browser.press("ArrowRight", false);
        }
        assert_eq!(browser.ask("now"), 40);
        for _ in 0..5 {
            browser.press("ArrowDown", false);
        }
        let mut now = browser.ask("now").as_u64().expect("a number");
        assert!(now >= 45);
        let mut modes = Vec::new();
        while now < count - 1 {
            browser.press("ArrowRight", true);
            let next = browser.ask("now").as_u64().expect("a number");
            assert!(next > now);
            now = next;
            modes.push(browser.ask("document.getElementById('mode').textContent"));
        }
        assert!(modes.contains(&"64long mode".into()), "{modes:?}");
        let text = browser.ask("document.getElementById('screen-text').textContent");
        let text = text.as_str().expect("a text");
        assert!(text.starts_with("Hello World!\n"), "{text}");
        assert!(text.contains("\nsiso_os: stage 2"), "{text}");
        // The H is light cyan on black: some of its pixels are, and all others black.
        let pixels =
            "[...new Set([...new Uint32Array(canvas.getImageData(0, 0, 8, 16).data.buffer)])]
            .map(pixel => (pixel >>> 0).toString(16)).sort().join()";
        assert_eq!(browser.ask(pixels), "ff000000,ffffff55");
        let serial = browser.ask("document.getElementById('serial').textContent");
        assert!(
            serial
                .as_str()
                .is_some_and(|text| text.contains("Hello World!"))
        );

        // Back again, and to each chapter.
        browser.press("Home", false);
        assert_eq!(browser.ask("now"), 0);
        let empty = browser.ask("document.getElementById('screen-text').textContent");
        assert!(!empty.as_str().is_some_and(|text| text.contains("Hello")));
        browser.press("End", false);
        for _ in 0..3 {
            browser.press("ArrowLeft", false);
        }
        assert_eq!(browser.ask("now"), count - 4);
        let chapters = browser
            .ask("tour.chapters.length")
            .as_u64()
            .expect("a number");
        for chapter in 0..chapters {
            browser.ask(&format!(
                "document.querySelectorAll('#chapters button')[{chapter}].click()"
            ));
            assert_eq!(
                browser.ask("now"),
                browser.ask(&format!("tour.chapters[{chapter}][0]"))
            );
        }

        // An address in the walk: at the end, 0xb8000 is mapped to itself.
        browser.press("End", false);
        browser.ask("document.getElementById('walk-address').select(); document.getElementById('walk-address').focus()");
        browser.type_text("0xb8000");
        browser.press("Enter", false);
        let walk = browser.ask("document.getElementById('walk').textContent");
        let walk = walk.as_str().expect("a text");
        for words in [
            "PML4",
            "PDPT",
            "PD",
            "PT",
            "Physical address b8000: writable, not executable",
        ] {
            assert!(walk.contains(words), "{words}: {walk}");
        }
        browser.ask("document.getElementById('walk-address').value = '0'; showWalk()");
        let walk = browser.ask("document.getElementById('walk').textContent");
        assert!(
            walk.as_str()
                .is_some_and(|text| text.contains("Not mapped"))
        );

        // A link to a checkpoint; who wrote the first character? (The page hears of the
        // link in an event, and this listener comes after the page's own.)
        browser.ask(
            "new Promise(heard => {
                addEventListener('hashchange', () => heard(null), { once: true });
                location.hash = '#long+2';
            })",
        );
        let long = "tour.checkpoints.find(c => c.name === 'long').step + 2";
        assert_eq!(browser.ask("now"), browser.ask(long));
        browser.ask(
            "show(steps.length - 1); document.getElementById('query').value = '0xb8000'; hit(-1)",
        );
        let before = browser.ask("codeOf(now - 1)[5]");
        assert!(
            before
                .as_str()
                .is_some_and(|name| name.contains("write_cell") || name.contains("put_char")),
            "{before}"
        );

        // Nothing is wider than the window.
        assert_eq!(browser.overflow(), 0);
        assert_eq!(browser.complaints, Vec::<String>::new());
    }
}

/// The page shows this project's sources beside its own kernels only: another one has a
/// `src/main.rs` of its own.
#[test]
fn sources_are_shown_for_this_projects_kernels_only() {
    for (name, expected) in [(KERNEL, true), ("deaths", false), ("boot_info", false)] {
        let file = kernel(name);
        let elf = fs::read(&file).expect("the kernel can be read");
        let parsed = Kernel::parse(&elf, false).expect("the kernel is valid");
        let subject = Subject::new(Path::new("image"), plain(&parsed), &file, &elf, &[]);
        let subject = subject.expect("its debug information can be read");
        let text = steps::source("src/main.rs", &subject);
        assert_eq!(text.is_some(), expected, "{name}");
        assert!(steps::source("boot/a20.s", &subject).is_some(), "{name}");
    }
}

/// The README shows the checkpoints of this boot.
#[test]
fn the_readmes_picture_is_of_this_boot() {
    let strip = fs::read_to_string(Tour::shared().file("strip.svg")).expect("it was made");
    let shown = fs::read_to_string(top().join("docs/tour.svg")).expect("it can be read");
    assert!(
        strip == shown,
        "run `make tour`, then: cp target/tour/strip.svg docs/tour.svg"
    );
}
