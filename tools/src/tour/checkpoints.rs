//! The checkpoints of the tour: texts beside named lines of the sources.
//!
//! `checkpoints.txt` has them in order:
//!
//!     [name] Title
//!     at: file: text of a source line
//!     Some sentences.
//!     ? A question.
//!     = Its answer.
//!
//! A checkpoint is the first step on the line. The text must be on one line of the
//! file only, so it survives changes elsewhere.

use super::record::Record;
use super::subject::Subject;

/// The texts.
pub const TEXTS: &str = include_str!("checkpoints.txt");

/// A checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Checkpoint {
    pub name: String,
    pub title: String,
    pub file: String,
    pub line: String,
    pub text: String,
    pub question: String,
    pub answer: String,
    /// The index of its step.
    pub step: usize,
}

/// Reads the texts. The steps are not known yet.
pub fn parse(texts: &str) -> Result<Vec<Checkpoint>, String> {
    let mut checkpoints: Vec<Checkpoint> = Vec::new();
    for line in texts.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((name, title)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            checkpoints.push(Checkpoint {
                name: name.into(),
                title: title.trim().into(),
                ..Checkpoint::default()
            });
            continue;
        }
        let about = || format!("checkpoints.txt: {line}: what is this for?");
        let checkpoint = checkpoints.last_mut().ok_or_else(about)?;
        let (field, text) = if let Some(place) = line.strip_prefix("at: ") {
            let (file, line) = place.split_once(": ").ok_or_else(about)?;
            checkpoint.file = file.into();
            checkpoint.line = line.trim().into();
            continue;
        } else if let Some(text) = line.strip_prefix("? ") {
            (&mut checkpoint.question, text)
        } else if let Some(text) = line.strip_prefix("= ") {
            (&mut checkpoint.answer, text)
        } else if !checkpoint.answer.is_empty() {
            (&mut checkpoint.answer, line)
        } else if !checkpoint.question.is_empty() {
            (&mut checkpoint.question, line)
        } else {
            (&mut checkpoint.text, line)
        };
        if !field.is_empty() {
            field.push(' ');
        }
        field.push_str(text);
    }
    Ok(checkpoints)
}

/// The checkpoints that this boot passes, in the order of the boot. Those in a kernel
/// of another source are left out.
pub fn find(subject: &Subject, record: &mut Record) -> Result<Vec<Checkpoint>, String> {
    let mut found = Vec::new();
    for mut checkpoint in parse(TEXTS)? {
        let Some(text) = super::steps::source(&checkpoint.file, subject) else {
            continue;
        };
        let mut lines = (1..).zip(text.lines());
        let matching: Vec<u32> = lines
            .by_ref()
            .filter(|(_, line)| line.contains(&checkpoint.line))
            .map(|(number, _)| number)
            .collect();
        let [line] = matching[..] else {
            return Err(format!(
                "checkpoints.txt: [{}]: \"{}\" is on {} lines of {}, not on one",
                checkpoint.name,
                checkpoint.line,
                matching.len(),
                checkpoint.file
            ));
        };
        // A line without an instruction stands for the next one that has some.
        let on_line = |step: &super::fold::Step| {
            let index = record.index[&(step.address, step.mode)];
            record.codes[index]
                .place
                .as_ref()
                .filter(|place| place.file == checkpoint.file && place.line >= line)
                .map(|place| place.line)
        };
        let nearest = record.steps.iter().filter_map(on_line).min();
        let step = nearest
            .filter(|&nearest| nearest < line + 8)
            .and_then(|nearest| {
                record
                    .steps
                    .iter()
                    .position(|step| on_line(step) == Some(nearest))
            });
        if let Some(step) = step {
            checkpoint.step = step;
            found.push(checkpoint);
        }
    }
    found.sort_by_key(|checkpoint| checkpoint.step);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_checkpoint_is_complete() {
        let checkpoints = parse(TEXTS).expect("the texts can be read");
        assert!(checkpoints.len() >= 16, "{}", checkpoints.len());
        for checkpoint in &checkpoints {
            let all = [
                &checkpoint.title,
                &checkpoint.file,
                &checkpoint.line,
                &checkpoint.text,
                &checkpoint.question,
                &checkpoint.answer,
            ];
            assert!(all.iter().all(|text| !text.is_empty()), "{checkpoint:?}");
        }
    }
}
