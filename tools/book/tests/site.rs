//! The site in a browser, from the file system. `make site` runs this, and nothing else
//! does: it needs what that makes.

#[path = "../../tests/suite/common/browser.rs"]
#[allow(dead_code)] // the test of the tour uses the rest
mod browser;

use browser::Browser;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// The windows: width, height, dark.
const WINDOWS: [(u32, u32, bool); 4] = [
    (1280, 720, false),
    (1280, 720, true),
    (390, 844, false),
    (390, 844, true),
];

/// One page of each kind that rustdoc makes: there are hundreds.
const API: [&str; 5] = [
    "kernel/siso_os/index.html",
    "kernel/siso_os/vga/index.html",
    "kernel/src/siso_os/vga.rs.html",
    "tools/siso_image/index.html",
    "tools/siso_boot_info/index.html",
];

fn site() -> PathBuf {
    let site = siso_book::top().join("target/site");
    assert!(site.join("index.html").exists(), "run `make site`");
    site
}

/// The front page, the book, the tour, and some of the API.
fn pages(site: &Path) -> Vec<PathBuf> {
    let mut pages = vec![site.join("index.html"), site.join("tour/index.html")];
    pages.extend(API.map(|page| site.join("api").join(page)));
    let before = pages.len();
    for file in fs::read_dir(site.join("book")).expect("it can be read") {
        let file = file.expect("it has a name").path();
        // toc.html is what a browser without JavaScript shows in a frame.
        let is_page = file
            .extension()
            .is_some_and(|extension| extension == "html");
        if is_page && !file.ends_with("toc.html") {
            pages.push(file);
        }
    }
    assert!(pages.len() > before + 30, "{pages:?}");
    pages
}

/// Asks until the answer is true.
fn wait(browser: &mut Browser, expression: &str) -> bool {
    let start = Instant::now();
    while browser.ask(expression) != true {
        if start.elapsed() > Duration::from_secs(30) {
            return false;
        }
        sleep(Duration::from_millis(20));
    }
    true
}

/// No page logs an error, asks for something on a network, is wider than its window,
/// lacks a link to the front page, or has one to a file that is missing (scripts make
/// some, which `siso-book links` does not see).
#[test]
fn every_page_works_on_chromium() {
    let program = browser::program().expect("Chromium is installed");
    let site = site();
    let pages = pages(&site);
    let wrong: Vec<String> = thread::scope(|scope| {
        let look = |window| {
            let (site, pages, program) = (&site, &pages, &program);
            scope.spawn(move || look_through(window, pages, site, program))
        };
        let lists = WINDOWS
            .map(look)
            .map(|look| look.join().expect("it has looked"));
        lists.into_iter().flatten().collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with the pages in a window.
fn look_through(
    (width, height, dark): (u32, u32, bool),
    pages: &[PathBuf],
    site: &Path,
    program: &Path,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut browser = Browser::start(program, width, height, dark);
    for page in pages {
        browser.open(page, "");
        let mut complaints = std::mem::take(&mut browser.complaints);
        let overflow = browser.overflow();
        // rustdoc's view of a source file is as wide as its lines.
        let is_source = page.starts_with(site.join("api/kernel/src"));
        if overflow > 0 && !is_source {
            complaints.push(format!("{overflow} pixels too wide"));
        }
        let links = "[...new Set([...document.querySelectorAll('a[href], area[href]')]
            .map(a => decodeURI(a.href.split(/[?#]/)[0])))].filter(a => a.startsWith('file:'))";
        let links = browser.ask(links);
        let links = links.as_array().expect("a list");
        let front = site.join("index.html");
        if *page != front && !links.contains(&format!("file://{}", front.display()).into()) {
            complaints.push("no link leads to the front page".into());
        }
        for link in links {
            let file = link.as_str().and_then(|link| link.strip_prefix("file://"));
            if !file.is_some_and(|file| Path::new(file).is_file()) {
                complaints.push(format!("{link} is dead"));
            }
        }
        let place = format!("{}, {width}x{height}, dark: {dark}", page.display());
        wrong.extend(
            complaints
                .iter()
                .map(|complaint| format!("{place}: {complaint}")),
        );
    }
    wrong
}

/// The book's search, and rustdoc's, find what they should, without a server.
#[test]
fn the_searches_work_on_chromium() {
    let program = browser::program().expect("Chromium is installed");
    let site = site();
    let mut browser = Browser::start(&program, 1280, 720, false);

    browser.open(&site.join("book/index.html"), "");
    browser.ask("document.getElementById('mdbook-search-toggle').click()");
    browser.ask("document.getElementById('mdbook-searchbar').focus()");
    browser.type_text("A20");
    let found = "[...document.querySelectorAll('#mdbook-searchresults a')]
        .some(a => a.href.includes('/05-memory.html'))";
    assert!(wait(&mut browser, found), "the book's search finds no A20");

    for (page, word, result) in [
        ("kernel/siso_os/index.html", "halt", "halt"),
        ("tools/siso_image/index.html", "bootinfo", "BootInfo"),
    ] {
        browser.open(&site.join("api").join(page), &format!("?search={word}"));
        let found = format!(
            "[...document.querySelectorAll('.search-results a')]
                .some(a => a.textContent.includes('{result}'))"
        );
        assert!(wait(&mut browser, &found), "{page}: no {result}");
    }
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// A link in the book leads to the tour's step, and the tour's page is the real one.
#[test]
fn the_book_leads_to_the_tour_on_chromium() {
    let program = browser::program().expect("Chromium is installed");
    let mut browser = Browser::start(&program, 1280, 720, false);
    browser.open(&site().join("book/05-memory.html"), "");
    let link = browser.ask("document.querySelector('.tour a[href$=\"#a20\"]').href");
    let link = link.as_str().and_then(|link| link.strip_prefix("file://"));
    let (page, hash) = link.and_then(|link| link.split_once('#')).expect("a link");
    browser.open(Path::new(page), &format!("#{hash}"));
    let step = browser.ask("tour.checkpoints.find(c => c.name === 'a20').step");
    assert_eq!(browser.ask("now"), step);
    assert_eq!(browser.complaints, Vec::<String>::new());
}
