//! The output must not touch the input.

use std::path::Path;

use bundle::BundleError;

use crate::error::ConvertError;

/// Refuses an output that is the input, lies in it, or holds it.
pub(crate) fn check_output(input: &Path, output: &Path) -> Result<(), ConvertError> {
    let from = cli::resolve(input).map_err(|source| ConvertError::Io { path: input.into(), source })?;
    let to = cli::resolve(output).map_err(|source| BundleError::Write { path: output.into(), source })?;
    let relation = match (to.starts_with(&from), from.starts_with(&to)) {
        (true, true) => "is",
        (true, false) => "lies in",
        (false, true) => "holds",
        (false, false) => return Ok(()),
    };
    Err(ConvertError::Output { output: output.into(), input: input.into(), relation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_touches_the_input_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let student = root.path().join("student");
        std::fs::create_dir_all(student.join("inner")).unwrap();
        std::fs::create_dir(root.path().join("other")).unwrap();
        let relation = |output: &str| match check_output(&student, &root.path().join(output)) {
            Err(ConvertError::Output { relation, .. }) => relation,
            Ok(()) => "apart from",
            Err(e) => panic!("{e}"),
        };
        assert_eq!(relation("student"), "is");
        assert_eq!(relation("other/../student"), "is");
        assert_eq!(relation("absent/../student/bundle"), "lies in");
        assert_eq!(relation("student/inner/bundle"), "lies in");
        assert_eq!(relation("."), "holds");
        assert_eq!(relation("student-bundle"), "apart from");
        assert_eq!(relation("student/../bundle"), "apart from");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_the_input_is_seen_through() {
        let root = tempfile::tempdir().unwrap();
        let (student, link) = (root.path().join("student"), root.path().join("link"));
        std::fs::create_dir(&student).unwrap();
        std::os::unix::fs::symlink(&student, &link).unwrap();
        assert!(check_output(&student, &link.join("bundle")).is_err());
    }
}
