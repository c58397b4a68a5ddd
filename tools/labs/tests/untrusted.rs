//! Files that a student should not write: the grader names what is wrong, and nothing of
//! them runs without end, grows without end, or reads what is not the student's.

mod common;

use common::{grade, kernel};
use siso_labs::lab::Lab;
use siso_labs::student;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

fn a20() -> Lab {
    Lab::named("a20").expect("there is such a lab")
}

/// The project's routine with these lines at its beginning.
fn with(lines: &str) -> String {
    let solution = a20().solution().expect("it can be read");
    let (before, after) = solution.split_once("\na20_open:\n").expect("it is there");
    format!("{before}\na20_open:\n{lines}\n{after}")
}

/// What the grader says against a file that is not booted.
fn refusal(text: &str) -> String {
    let report = grade(&a20(), text, None);
    assert_eq!(report.points(), 0, "{report}");
    report
        .refused
        .unwrap_or_else(|| panic!("it was booted: {text}"))
}

#[test]
fn a_file_that_does_not_assemble() {
    let said = refusal(&with("        mov     $1, %nosuch"));
    let line = with("")
        .lines()
        .position(|line| line == "a20_open:")
        .expect("it is there");
    let place = format!("labs/a20/a20.s:{}: Error: bad register name", line + 2);
    assert!(said.contains(&place), "'{place}' is not in {said}");
}

#[test]
fn a_file_without_the_routine() {
    let said = refusal("        .section .stage2, \"ax\"\n");
    assert!(said.contains("undefined reference to `a20_open'"), "{said}");
    assert!(!said.contains("/tmp"), "{said}");
}

#[test]
fn files_of_the_machine_are_not_read() {
    let secret = tempfile::NamedTempFile::new().expect("a file can be made");
    fs::write(secret.path(), "the secret\n").expect("it can be written");
    let path = secret.path().display();
    for line in [
        format!("        .incbin \"{path}\""),
        format!("        .include \"{path}\""),
        format!("        .macro m a\n        .inc\\a \"{path}\"\n        .endm\n        m lude"),
    ] {
        let said = refusal(&with(&line));
        assert!(said.contains("is refused"), "{said}");
        assert!(!said.contains("the secret"), "{said}");
    }
}

#[test]
fn a_file_that_never_ends_to_assemble() {
    for lines in [
        "        .rept 0x7fffffff\n        .quad 1, 2, 3, 4, 5, 6, 7, 8\n        .endr",
        "        .skip 0x7fffffffff, 1",
        "        .rept 100000\n        .print \"a line of a file that talks without end, and more\"\n        .endr\n        mov $1, %nosuch",
    ] {
        let said = refusal(&with(lines));
        assert!(said.len() < 100_000, "{} bytes", said.len());
    }
}

/// The reason for which the first check fails.
fn complaint(text: &str) -> String {
    let report = grade(&a20(), text, None);
    assert_eq!(report.points(), 0, "{report}");
    let complaint = report.rows[0].complaint.clone();
    complaint.expect("the first check fails").seen
}

/// The boot sector has room for a routine of some length.
#[test]
fn a_routine_that_is_too_long() {
    let read = Lab::named("read").expect("there is such a lab");
    let text = read.solution().expect("it can be read");
    for bytes in [60, 200] {
        let more = format!("\ndisk_read:\n        .skip {bytes}, 0x90\n");
        let report = grade(&read, &text.replace("\ndisk_read:\n", &more), None);
        let said = report.refused.unwrap_or_default();
        assert!(said.starts_with("stage 1 is too long"), "{said}");
    }
}

/// The image builder does not write outside of the loader.
#[test]
fn a_place_for_the_checksum_that_is_none() {
    let read = Lab::named("read").expect("there is such a lab");
    let text = read.solution().expect("it can be read").replace(
        "stage2_checksum_end:",
        "        .set stage2_checksum_end, 0x7fffffff",
    );
    let report = grade(&read, &text, None);
    let said = report.refused.unwrap_or_default();
    assert!(said.contains("no place for the checksum"), "{said}");
}

#[test]
fn code_that_never_ends() {
    let said = complaint(&with("        cli\n.Lmine: jmp     .Lmine"));
    assert!(
        said.starts_with("the loader hangs, in `a20_open`, at labs/a20/a20.s:"),
        "{said}"
    );
}

#[test]
fn code_that_prints_without_end() {
    let said = complaint(&with(".Lmine: out     %al, $0xe9\n        jmp     .Lmine"));
    assert!(
        said.starts_with("the loader prints without end, in `a20_open`"),
        "{said}"
    );
}

#[test]
fn code_that_writes_over_the_loader() {
    let lines = "        cld\n        xor     %ax, %ax\n        mov     %ax, %es\n\
        \x20       mov     $0x7e00, %di\n        mov     $0x1000, %cx\n        rep stosw";
    let said = complaint(&with(lines));
    // What is left of it is not the same everywhere.
    let ends = ["hangs", "resets the machine", "prints without end"];
    assert!(ends.iter().any(|end| said.contains(end)), "{said}");
}

#[test]
fn code_that_does_not_keep_registers() {
    let said = complaint(&with("        mov     $0x1234, %bx"));
    assert!(said.starts_with("EBX = 0x"), "{said}");
}

/// A return with the wrong stack goes elsewhere: its line, the address and the stack are named.
#[test]
fn code_that_returns_elsewhere() {
    let pushes = with("        push    $0x1234");
    let said = complaint(&pushes);
    let line = 1 + pushes
        .lines()
        .position(|line| line.starts_with(".Lopen: ret"))
        .expect("it is there");
    let place = format!(", with 2 bytes too many left on the stack, at labs/a20/a20.s:{line}");
    assert_eq!(
        said,
        format!("`a20_open` returns to 0x1234, where nothing called it{place}")
    );
    let said = complaint(&with("        pop     %ax"));
    assert!(
        said.contains("2 bytes too few on the stack, at labs/a20/a20.s:"),
        "{said}"
    );

    // The caller's address has 16 bits, and this takes 32.
    let gdt = Lab::named("gdt").expect("there is such a lab");
    let solution = gdt.solution().expect("it can be read");
    let text = solution
        .replace("        pop     %di ", "        mov     (%esp), %di ")
        .replace("        jmp     *%edi", "        ret");
    let report = grade(&gdt, &text, None);
    let said = report.to_string();
    assert!(said.contains("`enter_protected` returns to 0x"), "{said}");
    assert!(said.contains("2 bytes too few on the stack"), "{said}");
}

fn vga() -> Lab {
    Lab::named("vga").expect("there is such a lab")
}

/// The kernel's own writer with these lines at its end.
fn writer_with(lines: &str) -> String {
    vga().solution().expect("it can be read") + lines
}

#[test]
fn a_module_that_does_not_compile() {
    let text = writer_with("const X: u8 = 256;\n");
    let line = text.lines().count();
    let report = grade(&vga(), &text, None);
    let said = report.refused.unwrap_or_default();
    let place = format!("labs/vga/vga.rs:{line}:");
    assert!(
        said.contains(&place) && said.contains("out of range"),
        "'{place}' is not in {said}"
    );
    assert!(!said.contains("/target/"), "{said}");
}

/// What the words of a file do not tell is bounded.
#[test]
fn a_module_that_never_ends_to_compile() {
    for lines in [
        "const X: () = loop {};\n",
        "macro_rules! m { ($($a:tt)*) => { m!($($a)* $($a)* x); } }\nm!(x x x x);\n",
        "static X: [u64; 1 << 40] = [1; 1 << 40];\n",
        "mod nosuch;\n",
    ] {
        let report = grade(&vga(), &writer_with(lines), None);
        let said = report.refused.unwrap_or_default();
        assert!(!said.is_empty() && said.len() < 100_000, "{lines}: {said}");
    }
}

#[test]
fn a_module_that_never_ends() {
    let solution = vga().solution().expect("it can be read");
    let (before, after) = solution
        .split_once("-> fmt::Result {")
        .expect("it is there");
    for (lines, says) in [
        ("loop {}", "the kernel hangs, at labs/vga/vga.rs:"),
        (
            "loop { crate::serial_print!(\"without end\") }",
            "the kernel prints without end",
        ),
        (
            "// SAFETY: none.\nunsafe { (0x10 as *mut u8).write_volatile(1) }",
            "page fault (#PF)",
        ),
        (
            "// SAFETY: none.\nunsafe { (text.as_ptr() as *mut u8).write_volatile(1) }",
            ", at labs/vga/vga.rs:",
        ),
    ] {
        let text = format!("{before}-> fmt::Result {{\n{lines}\n{after}");
        let report = grade(&vga(), &text, None);
        let complaint = report.rows[0].complaint.clone();
        let said = complaint.expect("the first check fails").seen;
        assert!(said.contains(says), "'{says}' is not in {said}");
    }
}

#[test]
fn what_is_no_file_of_the_student() {
    let labs = tempfile::tempdir().expect("a folder can be made");
    let lab = a20();
    let file = student::folder(labs.path(), &lab).join("a20.s");
    let refused = || student::read(labs.path(), &lab).expect_err("it is refused");
    assert!(refused().contains("make lab LAB=a20"));
    fs::create_dir(labs.path().join("a20")).expect("a folder can be made");
    symlink("/etc/passwd", &file).expect("a link can be made");
    assert!(refused().contains("is not a file of its own"));
    fs::remove_file(&file).expect("it can be removed");
    let made = Command::new("mkfifo").arg(&file).status();
    assert!(made.expect("there is mkfifo").success());
    assert!(refused().contains("is not a file of its own"));
    fs::remove_file(&file).expect("it can be removed");
    fs::write(&file, vec![b'#'; 300_000]).expect("it can be written");
    assert!(refused().contains("has 300000 bytes"));
    fs::write(&file, [0xff]).expect("it can be written");
    assert!(refused().contains("is not a text in UTF-8"));
}

/// The commands, as the Makefile calls them.
#[test]
fn the_commands() {
    let labs = tempfile::tempdir().expect("a folder can be made");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_siso-labs"))
            .args(arguments)
            .arg("--folder")
            .arg(labs.path())
            .output()
            .expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).expect("it says text");
        (said, output.status.success())
    };
    let (said, good) = run(&["lab", "nosuch"]);
    assert!(
        !good && said.contains("there is no lab 'nosuch'; the labs are "),
        "{said}"
    );
    let (said, good) = run(&["lab"]);
    assert!(good && said.contains("Open the A20 gate"), "{said}");
    let (said, good) = run(&["hint", "a20"]);
    assert!(!good && said.contains("begin with make lab"), "{said}");

    assert!(run(&["lab", "a20"]).1);
    let file = labs.path().join("a20/a20.s");
    let start = a20().start().expect("it can be read");
    assert_eq!(fs::read_to_string(&file).expect("it was made"), start);
    fs::write(&file, "mine\n").expect("it can be written");
    let (said, good) = run(&["lab", "a20"]);
    assert!(good && said.contains("is there already"), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine\n");

    let first = run(&["hint", "a20"]).0;
    let second = run(&["hint", "a20"]).0;
    assert!(first.starts_with("hint 1 of ") && second.starts_with("hint 2 of "));
    assert!(!first.contains("One look is not enough") && second.contains("One look"));

    // A solution, and one that is not.
    let kernel = kernel();
    let kernel = kernel.to_str().expect("its path is UTF-8");
    let (said, good) = run(&["grade", "a20", "--kernel", kernel, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    assert!(!good && json["points"] == 0, "{said}");
    assert!(
        json["refused"]
            .as_str()
            .is_some_and(|said| said.contains("labs/a20/a20.s:1: "))
    );
    let solution = a20().solution().expect("it can be read");
    fs::write(&file, solution).expect("it can be written");
    let (said, good) = run(&["grade", "a20", "--kernel", kernel]);
    assert!(
        good && said.contains(" passed, 0 failed: 20 of 20 points"),
        "{said}"
    );
    let (said, good) = run(&["grade", "--kernel", kernel]);
    assert!(!good && said.contains("1 passed, "), "{said}");
}

/// A student's copy grades a start and a solution, and has no solution in it.
#[test]
fn the_students_copy() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let copy = folder.path().join("copy");
    let made = Command::new(env!("CARGO_BIN_EXE_siso-labs"))
        .arg("handout")
        .arg(&copy)
        .arg("--kernel")
        .arg(kernel())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
    for lab in Lab::all().expect("the labs can be read") {
        assert!(!copy.join(&lab.file).exists(), "{}", lab.file);
        assert!(
            !copy
                .join("docs/labs")
                .join(&lab.name)
                .join("wrong")
                .exists()
        );
    }
    let chapter = fs::read_to_string(copy.join("docs/book/src/05-memory.md"));
    let chapter = chapter.expect("the chapter is there");
    assert!(!chapter.contains("{{"), "{chapter}");
    assert!(chapter.contains("(Here the book quotes `boot/a20.s`.)"));
    copy_built(&copy);
    let make = |arguments: &[&str]| {
        let output = Command::new("make")
            .args(arguments)
            .current_dir(&copy)
            .env_remove("MAKEFLAGS")
            .output()
            .expect("there is make");
        let said = [output.stdout, output.stderr].concat();
        (
            String::from_utf8_lossy(&said).into_owned(),
            output.status.success(),
        )
    };
    let (said, good) = make(&["lab", "LAB=a20"]);
    assert!(
        good && said.contains("labs/a20/a20.s is yours to write"),
        "{said}"
    );
    let (said, good) = make(&["grade", "LAB=a20"]);
    assert!(
        !good && said.contains("0 of 20 points") && said.contains("hangs"),
        "{said}"
    );
    let solution = a20().solution().expect("it can be read");
    fs::write(copy.join("labs/a20/a20.s"), solution).expect("it can be written");
    let (said, good) = make(&["grade", "LAB=a20"]);
    assert!(good && said.contains("20 of 20 points"), "{said}");
    let (said, good) = make(&["hint", "LAB=a20"]);
    assert!(good && said.contains("hint 1 of "), "{said}");

    // The kernel's sources are there, but for the file that is the solution.
    let (said, good) = make(&["lab", "LAB=vga"]);
    assert!(good, "{said}");
    let (said, good) = make(&["grade", "LAB=vga"]);
    assert!(!good && said.contains("not yet implemented"), "{said}");
    let solution = vga().solution().expect("it can be read");
    fs::write(copy.join("labs/vga/vga.rs"), solution).expect("it can be written");
    let (said, good) = make(&["grade", "LAB=vga"]);
    assert!(good && said.contains("20 of 20 points"), "{said}");
}

/// What Cargo has compiled of `core`, so that the copy need not begin anew.
fn copy_built(copy: &Path) {
    let built = siso_book::top().join("target/labs");
    let Ok(lock) = fs::File::open(built.join("lock")) else {
        return; // nothing yet
    };
    lock.lock().expect("it can be locked");
    let to = copy.join("target/labs");
    fs::create_dir_all(&to).expect("a folder can be made");
    let copied = Command::new("cp")
        .arg("-pR")
        .args([built.join("build"), to])
        .status();
    assert!(copied.expect("there is cp").success());
}
