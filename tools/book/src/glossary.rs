//! The glossary: what each term means, and where the chapters say so.

use crate::chapters::slug;
use crate::read;

/// The page of the glossary, which is one of the reference pages, too.
pub const PAGE: &str = "docs/glossary.md";

/// The terms, as the glossary spells them.
pub fn terms() -> Result<Vec<String>, String> {
    let text = read(PAGE)?;
    let term = |line: &str| Some(entry(line)?.0.to_string());
    Ok(text.lines().filter_map(term).collect())
}

/// An entry: `- **term**: meaning`.
fn entry(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("- **")?.split_once("**: ")
}

/// The names in links to a term's entry.
pub fn anchor(term: &str) -> String {
    format!("term-{}", slug(&term.to_lowercase()))
}

/// The glossary with an anchor at each entry.
pub fn with_anchors(text: &str) -> String {
    let line = |line: &str| match entry(line) {
        Some((term, meaning)) => {
            format!("- <a id=\"{}\"></a>**{term}**: {meaning}\n", anchor(term))
        }
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Makes a link to the glossary of each term that a line of a chapter defines: the
/// chapters have these in bold, and nothing else.
pub fn with_links(line: &str, terms: &[String]) -> String {
    let mut linked = String::new();
    for (n, part) in line.split("**").enumerate() {
        let known = terms
            .iter()
            .find(|term| term.to_lowercase() == part.to_lowercase());
        linked += &match (n % 2, known) {
            (0, _) => part.to_string(),
            (_, Some(term)) => format!("[**{part}**](glossary.md#{})", anchor(term)),
            (_, None) => format!("**{part}**"),
        };
    }
    linked
}

/// The terms that a line of a chapter defines.
pub fn defined(line: &str) -> impl Iterator<Item = &str> {
    line.split("**").skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_become_links() {
        let terms = ["A20".to_string(), "boot sector".into()];
        assert_eq!(
            with_links("a **boot sector** and **b**", &terms),
            "a [**boot sector**](glossary.md#term-boot-sector) and **b**"
        );
        assert_eq!(
            with_anchors("- **A20**: text"),
            "- <a id=\"term-a20\"></a>**A20**: text\n"
        );
        assert_eq!(defined("a **b** c **d**").collect::<Vec<_>>(), ["b", "d"]);
    }
}
