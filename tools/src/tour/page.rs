//! The page: one file with its style, its program and the steps.

/// Puts the steps into the page.
pub fn page(steps: &str) -> String {
    const PAGE: &str = include_str!("page.html");
    // No "</script>" may stand in the data.
    let data = steps.replace("</", "<\\/");
    PAGE.replace("/*STYLE*/", include_str!("page.css"))
        .replace("/*PROGRAM*/", include_str!("page.js"))
        .replace("/*STEPS*/", &data)
}
