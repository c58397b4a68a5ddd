//! Checks the links of the finished book.

use crate::tour;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Checks that every link, image and script of every page in a folder leads to a file
/// and a place in it, and that none needs a network.
pub fn check(folder: &Path) -> Result<(), String> {
    let mut pages = BTreeMap::new();
    collect(folder, &mut pages)?;
    let mut checked = 0;
    let mut complaints = Vec::new();
    for (page, html) in &pages {
        for part in html.split('<') {
            let tag = part.split('>').next().unwrap_or_default();
            for link in ["href=\"", "src=\""]
                .iter()
                .filter_map(|name| tag.split(name).nth(1)?.split('"').next())
            {
                checked += 1;
                if let Some(complaint) = wrong(page, tag, link, &pages) {
                    complaints.push(format!("{}: {link}: {complaint}", page.display()));
                }
            }
        }
    }
    if pages.is_empty() {
        return Err(format!("{}: there are no pages", folder.display()));
    }
    if complaints.is_empty() {
        println!("{} pages, {checked} links, none is dead", pages.len());
        return Ok(());
    }
    Err(complaints.join("\n"))
}

fn collect(folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<(), String> {
    let about = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(about)? {
        let path = entry.map_err(about)?.path();
        if path.is_dir() {
            collect(&path, pages)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            let text = fs::read_to_string(&path).map_err(about)?;
            pages.insert(path, text);
        }
    }
    Ok(())
}

/// What is wrong with a link, if something is.
fn wrong(
    page: &Path,
    tag: &str,
    link: &str,
    pages: &BTreeMap<PathBuf, String>,
) -> Option<&'static str> {
    let link = link.replace("&amp;", "&");
    if link.starts_with("http:") || link.starts_with("https:") || link.starts_with("//") {
        // A link that a reader may follow is no request of the page.
        let follows = tag.starts_with("a ");
        return (!follows).then_some("the page would need the network");
    }
    if link.starts_with(tour::PREFIX) {
        return None; // the tour need not have been made
    }
    if link.starts_with("data:") || link.starts_with("javascript:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
    let path = match file {
        "" => page.to_path_buf(),
        _ => normal(&page.parent()?.join(file)),
    };
    if !path.exists() {
        return Some("there is no such file");
    }
    let html = pages.get(&path)?;
    let ids: BTreeSet<&str> = html
        .split("id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    (!anchor.is_empty() && !ids.contains(anchor)).then_some("there is no such place in the page")
}

/// A path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part.as_os_str() == ".." {
            normal.pop();
        } else if part.as_os_str() != "." {
            normal.push(part);
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_are_found() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("a file can be written");
        };
        write("a.html", "<a href=\"b.html#x\">");
        write("b.html", "<b id=\"x\">");
        assert_eq!(check(folder.path()), Ok(()));
        write("a.html", "<a href=\"https://x/\">");
        assert_eq!(check(folder.path()), Ok(()));
        write(
            "a.html",
            "<a href=\"b.html#y\"><img src=\"c.png\"><link href=\"https://x/\">",
        );
        let complaints = check(folder.path()).expect_err("all three are wrong");
        assert_eq!(complaints.lines().count(), 3, "{complaints}");
    }
}
