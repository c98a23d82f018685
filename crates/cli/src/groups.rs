//! Memory that control groups leave to this process: those of containers, of systemd's units, of Slurm's jobs.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a file of one line says no limit.
const NONE: &str = "max";

/// Bytes that processes of this group may still take, by the tightest limit of the group and those around it.
pub(crate) fn left() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    left_in(Path::new("/sys/fs/cgroup"), &own)
}

/// The same for a tree of groups and what `/proc/self/cgroup` says of a process: a line `0::/a/b` for version 2, and one with
/// `memory` among its controllers for version 1.
fn left_in(root: &Path, own: &str) -> Option<u64> {
    let place = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/').to_string());
        match controllers {
            "" => Some((root.to_path_buf(), path, ["memory.max", "anon "])),
            names if names.split(',').any(|name| name == "memory") => {
                Some((root.join("memory"), path, ["memory.limit_in_bytes", "total_rss "]))
            }
            _ => None,
        }
    };
    let of = |(root, path, [limit, held]): (PathBuf, String, [&str; 2])| {
        let own = root.join(path);
        // a container may not show the groups around it: then its own is the root of what it sees
        let groups = own.ancestors().take_while(|group| group.starts_with(&root)).map(Path::to_path_buf);
        groups.filter_map(|group| of_group(&group, limit, held)).min()
    };
    own.lines().filter_map(place).filter_map(of).min()
}

/// What one group leaves. Files that the system keeps in memory count as the group's, but give way: only what processes hold
/// does not.
fn of_group(group: &Path, limit: &str, held: &str) -> Option<u64> {
    let limit = fs::read_to_string(group.join(limit)).ok()?;
    let limit: u64 = limit.trim().parse().ok().filter(|_| limit.trim() != NONE)?;
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let held = stat.lines().find_map(|line| line.strip_prefix(held)?.trim().parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_group_around_a_process_counts() {
        let root = tempfile::tempdir().unwrap();
        let group = |path: &str, files: &[(&str, &str)]| {
            fs::create_dir_all(root.path().join(path)).unwrap();
            files.iter().for_each(|(name, text)| fs::write(root.path().join(path).join(name), text).unwrap());
        };
        group("a", &[("memory.max", "8000\n"), ("memory.stat", "file 5000\nanon 1000\n")]);
        group("a/b", &[("memory.max", "max\n"), ("memory.stat", "anon 500\n")]);
        group("memory/c", &[("memory.limit_in_bytes", "900\n"), ("memory.stat", "total_cache 7\ntotal_rss 200\n")]);
        let left = |own: &str| left_in(root.path(), own);
        assert_eq!(left("0::/a/b\n"), Some(7000));
        assert_eq!(left("12:cpu,memory:/c\n0::/\n"), Some(700));
        // no limit, nothing to be seen, nonsense
        assert_eq!((left("0::/d\n"), left("0::/\n"), left(""), left("x\n")), (None, None, None, None));
        group("", &[("memory.max", "6000")]);
        assert_eq!((left("0::/a/b\n"), left("0::/elsewhere\n")), (Some(6000), Some(6000)));
    }
}
