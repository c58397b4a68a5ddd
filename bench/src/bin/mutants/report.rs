//! The report: a row a file, and where docs/testing.md is wrong about the survivors.

use crate::mutate::Mutant;
use crate::results::Results;
use bench::points::Sources;
use std::collections::BTreeMap;

/// The rows of the table of equivalent mutants in docs/testing.md, without the last
/// cell, which says why.
pub fn explained(docs: &str) -> Vec<String> {
    let rows = docs.lines().filter_map(|row| {
        let row = row.strip_prefix("| ")?;
        let cells: Vec<&str> = row.split(" | ").collect();
        let [change, file, code, _why] = cells[..] else {
            return None;
        };
        file.starts_with("`boot/")
            .then(|| format!("{change} | {file} | {code}"))
    });
    rows.collect()
}

/// A mutant as in that table.
pub fn row_of(mutant: &Mutant, sources: &Sources) -> String {
    let code = sources.code(mutant.point).replace('|', "\\|"); // or it would end a cell
    format!(
        "{} | `boot/{}` | `{code}`",
        mutant.change, mutant.point.file
    )
}

/// Prints the report; false if a mutant survives without an explanation, or an
/// explanation is for none that survives. `tried` are some of `all`, or all of them.
pub fn print(
    tried: &[&Mutant],
    all: &[Mutant],
    results: &Results,
    sources: &Sources,
    docs: &str,
) -> bool {
    let mut explained = explained(docs);
    let mut rows: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut total = [0; 3];
    let mut wrong = Vec::new();
    for mutant in tried {
        let row = row_of(mutant, sources);
        let outcome = if results.killer(mutant).is_some() {
            0
        } else if let Some(n) = explained.iter().position(|known| *known == row) {
            explained.remove(n);
            1
        } else {
            wrong.push(format!(
                "boot/{}:{}: {}: {}: no test notices it",
                mutant.point.file,
                mutant.point.line,
                mutant.change,
                sources.code(mutant.point)
            ));
            2
        };
        rows.entry(&mutant.point.file).or_default()[outcome] += 1;
        total[outcome] += 1;
    }
    // What a sample leaves out may survive.
    let count = |mutants: &mut dyn Iterator<Item = &Mutant>, row: &String| {
        mutants
            .filter(|mutant| row_of(mutant, sources) == *row)
            .count()
    };
    for row in &explained {
        if count(&mut tried.iter().copied(), row) == count(&mut all.iter(), row) {
            wrong.push(format!("docs/testing.md: {row}: this does not survive"));
        }
    }
    println!("{} of {} mutants:\n", tried.len(), all.len());
    println!("| file | mutants | killed | equivalent | survive |");
    println!("|---|---|---|---|---|");
    for (name, [killed, equivalent, survive]) in rows.into_iter().chain([("all", total)]) {
        let all = killed + equivalent + survive;
        println!("| {name} | {all} | {killed} | {equivalent} | {survive} |");
    }
    println!();
    for line in &wrong {
        println!("{line}");
    }
    wrong.is_empty()
}

#[cfg(test)]
mod tests {
    use super::explained;

    /// The rows of the other table, of what is not reached, are none of these.
    #[test]
    fn rows_of_the_table() {
        let docs = "| mutant | file | code | why |\n|---|---|---|---|\n\
                    | removed | `boot/long.s` | `xor %edx, %edx` | it is 0 |\n\
                    | removed | `boot/cpu.s` | `mov $A \\| B, %al` | it is there |\n\
                    | `boot/kernel.s` | `rep movsq` | never with a count of 0 | it is not |\n";
        let rows = [
            "removed | `boot/long.s` | `xor %edx, %edx`",
            "removed | `boot/cpu.s` | `mov $A \\| B, %al`",
        ];
        assert_eq!(explained(docs), rows);
    }
}
