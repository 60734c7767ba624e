//! Files that are written at the end: tried before a long measurement, and replaced only by a whole new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use swapwire_bench::{Run, report};
use tempfile::NamedTempFile;

use crate::cli::OutputArgs;
use crate::exit::{self, Failure, cause};
use crate::stdio::Output as Standard;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    Markdown,
    Html,
    Hlog,
}

/// Where the outputs go beside the table.
#[derive(Debug)]
pub(crate) struct Outputs(Vec<Output>);

#[derive(Debug)]
struct Output {
    format: Format,
    path: PathBuf,
    to: To,
}

#[derive(Debug)]
enum To {
    StandardOutput,
    /// A regular file, or none yet: a new file takes its place when it is whole.
    Replace(PathBuf),
    /// A device or a pipe.
    Direct(File),
}

impl To {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::StandardOutput, Self::StandardOutput) => true,
            (Self::Replace(one), Self::Replace(other)) => one == other,
            _ => false,
        }
    }
}

impl Outputs {
    /// Finds out whether all of them can be written, and changes none of them.
    ///
    /// # Errors
    /// Those that cannot, a line each: wrong usage, if two are the same.
    pub(crate) fn open(json: Option<&PathBuf>, others: &OutputArgs) -> Result<Self, Failure> {
        let asked = [
            (Format::Json, json),
            (Format::Csv, others.csv.as_ref()),
            (Format::Markdown, others.markdown.as_ref()),
            (Format::Html, others.html.as_ref()),
            (Format::Hlog, others.hlog.as_ref()),
        ];
        let mut problems = Vec::new();
        let mut outputs: Vec<Output> = Vec::new();
        for (format, path) in asked.into_iter().filter_map(|(format, path)| Some((format, path?))) {
            match open(path) {
                Ok(to) if outputs.iter().any(|output| output.to.is_same(&to)) => {
                    let problem = format_args!("write {}: two outputs cannot go to one file", path.display());
                    return Err(Failure::usage(problem));
                }
                Ok(to) => outputs.push(Output { format, path: path.clone(), to }),
                Err(error) => problems.push(format!("write {}: {}", path.display(), cause(&error))),
            }
        }
        if problems.is_empty() { Ok(Self(outputs)) } else { Err(Failure::several(exit::FAILURE, problems)) }
    }

    /// Prints the table: on the standard output, or on the standard error if one of the outputs goes to the former. Gives
    /// what went wrong, in a line.
    pub(crate) fn print(&self, table: impl Fn(bool) -> String) -> Option<String> {
        if self.0.iter().any(|output| matches!(output.to, To::StandardOutput)) {
            // If that is closed, the error cannot be written.
            let _ = Standard::Stderr.write_all(table(exit::is_colored(&io::stderr())).as_bytes());
            return None;
        }
        let error = exit::write_stdout(&table(exit::is_colored(&io::stdout()))).err()?;
        Some(format!("write the standard output: {}", cause(&error)))
    }

    /// Writes all that can be written of these runs, with their names, and gives what cannot, a line each.
    ///
    /// JSON, CSV and the log are of the first run alone.
    pub(crate) fn write(self, runs: &[(String, Run)]) -> Vec<String> {
        self.write_with(|format| render(format, runs))
    }

    fn write_with(self, make: impl Fn(Format) -> io::Result<String>) -> Vec<String> {
        let write = |Output { format, path, to }| {
            let written = make(format).and_then(|text| match to {
                To::StandardOutput => exit::write_stdout(&text),
                To::Replace(path) => replace(&path, &text),
                To::Direct(mut file) => file.write_all(text.as_bytes()),
            });
            written.err().map(|error| format!("write {}: {}", path.display(), cause(&error)))
        };
        self.0.into_iter().filter_map(write).collect()
    }
}

fn render(format: Format, runs: &[(String, Run)]) -> io::Result<String> {
    let first = || runs.first().map(|(_, run)| run);
    Ok(match format {
        Format::Json => serde_json::to_string_pretty(&first())? + "\n",
        Format::Csv => first().map(report::csv).unwrap_or_default(),
        Format::Hlog => first().map(report::hlog).unwrap_or_default(),
        Format::Markdown => runs.iter().map(|(_, run)| report::markdown(run)).collect::<Vec<_>>().join("\n"),
        Format::Html => report::html(runs),
    })
}

fn open(path: &Path) -> io::Result<To> {
    if path == Path::new("-") || path == Path::new("/dev/stdout") {
        return Ok(To::StandardOutput);
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(io::Error::other("it is a directory")),
        // A file that a process has open, as one behind a redirected standard error, cannot be replaced by another.
        Ok(metadata)
            if !metadata.is_file() || ["/dev/stderr", "/dev/fd", "/proc"].iter().any(|at| path.starts_with(at)) =>
        {
            OpenOptions::new().append(true).open(path).map(To::Direct)
        }
        Ok(_) => {
            OpenOptions::new().append(true).open(path)?;
            // A link stays a link, to the new file.
            let path = fs::canonicalize(path)?;
            beside(&path)?;
            Ok(To::Replace(path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            beside(path)?;
            Ok(To::Replace(path.to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// A new file in the directory of `path`, with the rights that one under this name would have.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let create = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
    tempfile::Builder::new().prefix(".swapwire-").make_in(directory, create)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut file = beside(path)?;
    file.write_all(text.as_bytes())?;
    if let Ok(metadata) = fs::metadata(path) {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(path: &Path) -> OutputArgs {
        OutputArgs { csv: Some(path.to_owned()), markdown: None, html: None, hlog: None }
    }

    fn problems(failure: Failure) -> String {
        format!("{failure:?}")
    }

    #[test]
    fn trying_changes_nothing_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.csv");
        let outputs = Outputs::open(None, &csv(&path)).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        fs::write(&path, "precious").unwrap();
        drop(Outputs::open(None, &csv(&path)).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert_eq!(outputs.write_with(|_| Ok("new".to_owned())), Vec::<String>::new());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn rights_and_links_of_a_file_that_is_replaced_are_kept() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("run.csv"), directory.path().join("latest.csv"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        assert_eq!(
            Outputs::open(None, &csv(&link)).unwrap().write_with(|_| Ok("new".to_owned())),
            Vec::<String>::new()
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn what_cannot_be_written_is_told_early() {
        let directory = tempfile::tempdir().unwrap();
        let said = problems(Outputs::open(None, &csv(directory.path())).unwrap_err());
        assert!(said.contains("it is a directory"), "{said}");
        let said = problems(Outputs::open(None, &csv(&directory.path().join("none/run.csv"))).unwrap_err());
        assert!(said.contains("none/run.csv: No such file or directory"), "{said}");
        let path = directory.path().join("x");
        let said = problems(Outputs::open(Some(&path), &csv(&path)).unwrap_err());
        assert!(said.contains("two outputs cannot go to one file"), "{said}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_and_the_others_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.csv");
        let outputs = Outputs::open(Some(&PathBuf::from("/dev/full")), &csv(&path)).unwrap();
        assert_eq!(outputs.write_with(|_| Ok("text".to_owned())), ["write /dev/full: No space left on device"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }
}
