//! Checks the links of finished pages: the book's, or those of the whole site.

use serde_json::Value;
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
    for (path, page) in &pages {
        for (tag, link) in &page.links {
            checked += 1;
            if let Some(complaint) = wrong(path, tag, link, &pages) {
                complaints.push(format!("{}: {link}: {complaint}", path.display()));
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

fn collect(folder: &Path, pages: &mut BTreeMap<PathBuf, Page>) -> Result<(), String> {
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
            pages.insert(path, Page::new(&text));
        }
    }
    Ok(())
}

/// What the check needs of a page.
struct Page {
    /// Each link, and the name of its element.
    links: Vec<(String, String)>,
    /// The places to which a link can lead.
    places: BTreeSet<String>,
}

impl Page {
    fn new(html: &str) -> Page {
        let (mut links, mut places) = (Vec::new(), BTreeSet::new());
        let mut rest = html;
        while let Some((_, after)) = rest.split_once('<') {
            let (tag, content) = after.split_once('>').unwrap_or((after, ""));
            rest = content;
            let name = tag.split_whitespace().next().unwrap_or_default();
            for link in ["href", "src"]
                .iter()
                .filter_map(|name| attribute(tag, name))
            {
                links.push((name.into(), link.replace("&amp;", "&")));
            }
            places.extend(attribute(tag, "id").map(String::from));
            if name == "script" {
                // A text in it may look like an element.
                let (script, after) = content.split_once("</script").unwrap_or((content, ""));
                rest = after;
                if attribute(tag, "id") == Some("steps") {
                    places.extend(checkpoints(script));
                }
            }
        }
        Page { links, places }
    }

    /// Whether a link can lead to a place: a name, or a range of lines in rustdoc's view
    /// of a source file.
    fn has(&self, place: &str) -> bool {
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let range = place
            .split_once('-')
            .filter(|&(a, b)| number(a) && number(b));
        self.places.contains(place)
            || range
                .is_some_and(|(from, to)| self.places.contains(from) && self.places.contains(to))
    }
}

/// The value of an attribute; rustdoc leaves some quotation marks out.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let starts = |at: &usize| tag[..*at].ends_with(char::is_whitespace);
    let at = tag.match_indices(name).map(|(at, _)| at).filter(starts);
    let value = |at: usize| tag[at + name.len()..].strip_prefix('=');
    let value = at.filter_map(value).next()?;
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split_whitespace().next(),
    }
}

/// The names of the tour's checkpoints, which are in the data of its page.
fn checkpoints(steps: &str) -> Vec<String> {
    let steps: Value = serde_json::from_str(steps).unwrap_or_default();
    let list = steps["checkpoints"].as_array().into_iter().flatten();
    list.filter_map(|checkpoint| Some(checkpoint["name"].as_str()?.into()))
        .collect()
}

/// What is wrong with a link, if something is.
fn wrong(
    page: &Path,
    tag: &str,
    link: &str,
    pages: &BTreeMap<PathBuf, Page>,
) -> Option<&'static str> {
    if link.starts_with("http:") || link.starts_with("https:") || link.starts_with("//") {
        // A link that a reader may follow is no request of the page.
        return (tag != "a").then_some("the page would need the network");
    }
    if link.starts_with("data:") || link.starts_with("javascript:") {
        return None;
    }
    let (file, place) = link.split_once('#').unwrap_or((link, ""));
    let path = match file {
        "" => page.to_path_buf(),
        _ => normal(&page.parent()?.join(file)),
    };
    if !path.is_file() {
        return Some("there is no such file");
    }
    let page = pages.get(&path)?;
    (!place.is_empty() && !page.has(place)).then_some("there is no such place in the page")
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

    /// The complaints about a page `a.html` beside these files.
    fn complaints(a: &str, files: &[(&str, &str)]) -> usize {
        let folder = tempfile::tempdir().expect("a folder can be made");
        for (name, text) in [("a.html", a)].iter().chain(files) {
            fs::write(folder.path().join(name), text).expect("a file can be written");
        }
        check(folder.path()).map_or_else(|complaints| complaints.lines().count(), |()| 0)
    }

    #[test]
    fn dead_links_are_found() {
        let b = [("b.html", "<b id=\"x\">")];
        assert_eq!(complaints("<a href=\"b.html#x\">", &b), 0);
        assert_eq!(complaints("<a href=\"https://x/\">", &b), 0);
        let dead = "<a href=\"b.html#y\"><img src=\"c.png\"><link href=\"https://x/\">";
        assert_eq!(complaints(dead, &b), 3);
        assert_eq!(complaints("<a href=\"..\">", &b), 1); // a folder is no page
    }

    #[test]
    fn the_places_of_rustdoc_are_known() {
        let source = [(
            "b.html",
            "<a href=#1 id=1>1</a><a href=#2 id=2 data-x>2</a>",
        )];
        assert_eq!(
            complaints("<a class=\"src\" href=\"b.html#1-2\">", &source),
            0
        );
        assert_eq!(
            complaints("<a class=\"src\" href=\"b.html#1-3\">", &source),
            1
        );
        assert_eq!(complaints("<a data-href=\"b.html#3\">", &source), 0);
    }

    #[test]
    fn the_places_of_the_tour_are_its_checkpoints() {
        let steps = "{\"checkpoints\":[{\"name\":\"a20\"}],\"text\":\"<a href='x'>\"}";
        let tour = format!("<script id=\"steps\" type=\"application/json\">{steps}</script>");
        let tour = [("tour.html", tour.as_str())];
        assert_eq!(complaints("<a href=\"tour.html#a20\">", &tour), 0);
        assert_eq!(complaints("<a href=\"tour.html#a21\">", &tour), 1);
    }
}
