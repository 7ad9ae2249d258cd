//! What a process wrote, and what a directory holds.

use crate::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// What a directory holds, and all that is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Footprint {
    /// Lengths of the files.
    pub(super) size: u64,
    /// The same without the zeros at their ends: room that was prepared is not content.
    pub(super) used: u64,
}

/// A piece that is looked through for zeros.
const PIECE: u64 = 64 * 1024;

/// Lengths of the files in a directory.
pub(super) fn size(directory: &Path) -> u64 {
    walk(directory, &mut |_, length| Ok(Footprint { size: length, used: 0 }))
        .map_or(0, |it| it.size)
}

/// What a directory holds.
pub(super) fn footprint(directory: &Path) -> Result<Footprint, Error> {
    let each = &mut |path: &Path, length| {
        let used = used(&mut File::open(path)?, length)?;
        Ok(Footprint { size: length, used })
    };
    walk(directory, each).map_err(Error::io(format!("cannot read {}", directory.display())))
}

fn walk(
    directory: &Path,
    each: &mut dyn FnMut(&Path, u64) -> io::Result<Footprint>,
) -> io::Result<Footprint> {
    let mut all = Footprint::default();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let found = match fs::symlink_metadata(&path) {
            Ok(about) if about.is_dir() => walk(&path, each),
            Ok(about) => each(&path, about.len()),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => {
                all.size += found.size;
                all.used += found.used;
            }
            // A broker takes files away while somebody looks.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// The length without the zeros at the end.
fn used(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut piece = Vec::with_capacity(PIECE as usize);
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        file.seek(SeekFrom::Start(start))?;
        piece.clear();
        file.by_ref().take(end - start).read_to_end(&mut piece)?;
        if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Bytes that were written to the disk that a directory lies on, by whomever; `None` where the
/// system does not tell. What Linux charges a process with is no measure: of a large page of its
/// cache it counts all whenever some is written to.
pub(super) fn written_to(directory: &Path) -> Option<u64> {
    let stat = fs::read_to_string(format!("/sys/dev/block/{}/stat", device(directory)?)).ok()?;
    // In sectors, whatever those of the disk are.
    Some(stat.split_whitespace().nth(6)?.parse::<u64>().ok()? * 512)
}

/// Major and minor number.
#[cfg(target_os = "linux")]
fn device(directory: &Path) -> Option<String> {
    let device = std::os::linux::fs::MetadataExt::st_dev(&fs::metadata(directory).ok()?);
    let major = device >> 8 & 0xfff | device >> 32 & !0xfff;
    let minor = device & 0xff | device >> 12 & !0xff;
    Some(format!("{major}:{minor}"))
}

#[cfg(not(target_os = "linux"))]
fn device(_: &Path) -> Option<String> {
    None
}

/// Bytes that a process has had written to disks, less what it took back before that; `None`
/// where the system does not tell.
pub(super) fn written(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let number = |name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
    };
    let cancelled = number("cancelled_write_bytes:")?;
    Some(number("\nwrite_bytes:").or_else(|| number("write_bytes:"))?.saturating_sub(cancelled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_at_the_end_are_room_and_not_content() {
        let folder =
            std::env::temp_dir().join(format!("noctule-bench-disk-{}", std::process::id()));
        fs::create_dir_all(folder.join("inner")).unwrap();
        let mut content = vec![0; 200_000];
        content[99_999] = 7;
        fs::write(folder.join("a"), &content).unwrap();
        fs::write(folder.join("inner/b"), b"xyz").unwrap();
        fs::write(folder.join("inner/c"), vec![0; 100_000]).unwrap();
        let found = footprint(&folder).unwrap();
        assert_eq!(found, Footprint { size: 300_003, used: 100_003 });
        assert_eq!(size(&folder), 300_003);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_synced_was_written() {
        use std::io::Write;
        let pid = std::process::id();
        // A directory of the build is on a disk, where the one for temporary files may not be.
        let path = std::env::current_dir().unwrap().join(format!("written-{pid}"));
        let before = written(pid).unwrap();
        let mut file = File::create(&path).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        let after = written(pid).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(after - before >= 1 << 20, "{before} {after}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_device_is_found_by_its_numbers_if_the_directory_lies_on_one() {
        let here = std::env::current_dir().unwrap();
        let known = Path::new("/sys/dev/block").join(device(&here).unwrap()).exists();
        assert_eq!(written_to(&here).is_some(), known);
    }
}
