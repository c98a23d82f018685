//! Whether a pack was used twice: both parties' logs say of each that it was taken, and for which attempt.

use std::collections::HashMap;

use serde::Deserialize;

/// A pack, by its class and its serial.
pub(super) type Name = (String, u64);

/// A pack that was taken, as a party logs it.
#[derive(Debug, Deserialize)]
struct Line {
    class: String,
    serial: u64,
    #[serde(flatten)]
    attempt: Attempt,
}

/// For which attempt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Attempt {
    session: String,
    request: u64,
    attempt: u32,
}

/// Packs that a party took, each for one attempt.
#[derive(Debug, Default)]
pub(super) struct Taken(HashMap<Name, Attempt>);

impl Taken {
    /// Reads the log of a party, and says of what is taken twice.
    pub(super) fn read(party: &str, log: &str, violations: &mut Vec<String>) -> Taken {
        let mut taken = HashMap::new();
        for Line { class, serial, attempt } in log.lines().filter_map(line) {
            let name = (class, serial);
            if let Some(before) = taken.insert(name.clone(), attempt.clone()) {
                let what = if before == attempt { "twice" } else { "for two attempts" };
                violations.push(format!("{party} took {} {what}: {before:?}, {attempt:?}", pack(&name)));
            }
        }
        Taken(taken)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether it was taken, by what is logged.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.0.contains_key(name)
    }

    /// How many were taken at both parties, which must be for the same attempt.
    pub(super) fn agreed(&self, other: &Taken, violations: &mut Vec<String>) -> usize {
        let both = self.0.iter().filter_map(|(name, one)| Some((name, one, other.0.get(name)?)));
        let mut count = 0;
        for (name, one, other) in both {
            count += 1;
            if one != other {
                violations.push(format!("the parties took {} for {one:?} and {other:?}", pack(name)));
            }
        }
        count
    }
}

/// A pack in words.
pub(super) fn pack((class, serial): &Name) -> String {
    format!("pack {serial} of class {class}")
}

/// Whether a line of a party's log says that a pack was taken.
pub(super) fn is_taken(line: &str) -> bool {
    self::line(line).is_some()
}

fn line(line: &str) -> Option<Line> {
    let logged: serde_json::Value = serde_json::from_str(line).ok()?;
    (logged["message"] == "pack taken").then(|| serde_json::from_value(logged).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(session: &str, attempt: u32, serial: u64) -> String {
        format!(
            r#"{{"level":"INFO","message":"pack taken","role":"P0","session":"{session}","request":1,"attempt":{attempt},"class":"cd","serial":{serial}}}"#
        )
    }

    fn read(lines: &[String]) -> (Taken, Vec<String>) {
        let mut violations = Vec::new();
        let taken = Taken::read("party0", &lines.join("\n"), &mut violations);
        (taken, violations)
    }

    #[test]
    fn what_is_taken_once_is_read_and_other_lines_are_not() {
        let other = r#"{"message":"session begins","session":"ab"}"#.to_owned();
        let (taken, violations) = read(&[logged("ab", 0, 3), other, "x".into(), logged("ab", 1, 4)]);
        assert!(violations.is_empty() && taken.count() == 2, "{violations:?}");
        assert!(taken.has(&("cd".into(), 3)) && !taken.has(&("cd".into(), 5)));
    }

    #[test]
    fn a_line_that_is_there_twice_and_a_pack_for_two_attempts_are_seen() {
        let twice = read(&[logged("ab", 0, 3), logged("ab", 0, 4), logged("ab", 0, 3)]).1;
        assert!(twice.len() == 1 && twice[0].starts_with("party0 took pack 3 of class cd twice: "), "{twice:?}");
        let two = read(&[logged("ab", 0, 3), logged("ab", 1, 3)]).1;
        assert!(two.len() == 1 && two[0].contains(" for two attempts: "), "{two:?}");
    }

    #[test]
    fn both_parties_take_a_pack_for_one_attempt() {
        // each may have taken some of which the other did not hear
        let zero = read(&[logged("ab", 0, 3), logged("ab", 1, 4), logged("ef", 0, 9)]).0;
        let one = read(&[logged("ab", 0, 3), logged("ab", 2, 4)]).0;
        let mut violations = Vec::new();
        assert_eq!(zero.agreed(&one, &mut violations), 2);
        assert!(violations.len() == 1 && violations[0].contains("took pack 4 of class cd for "), "{violations:?}");
    }
}
