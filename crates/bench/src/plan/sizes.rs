//! How large requests are.

use std::fmt;
use std::fs;
use std::str::FromStr;
use std::sync::Arc;

use swapwire_core::OptionValue;

/// The largest request: 64 MiB.
pub(crate) const LARGEST: usize = 64 << 20;
/// Sizes that a file may hold.
const MOST: usize = 1 << 20;

/// A distribution of sizes in bytes: `64`, `64..1k` (evenly between them, both included) or `file:PATH` (a size on each line,
/// each line as likely as any other).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sizes {
    /// All the same.
    Fixed(usize),
    /// Evenly between the two, both included.
    Between(usize, usize),
    /// Any of these, each as likely as any other; at least one, and the name of the file they came from.
    Any(Arc<[usize]>, String),
}

impl Sizes {
    /// The smallest.
    pub fn min(&self) -> usize {
        match self {
            Self::Fixed(size) | Self::Between(size, _) => *size,
            Self::Any(sizes, _) => sizes.iter().copied().min().unwrap_or(0),
        }
    }

    /// The largest.
    pub fn max(&self) -> usize {
        match self {
            Self::Fixed(size) | Self::Between(_, size) => *size,
            Self::Any(sizes, _) => sizes.iter().copied().max().unwrap_or(0),
        }
    }

    pub(crate) fn draw(&self, random: &mut fastrand::Rng) -> usize {
        match self {
            Self::Fixed(size) => *size,
            Self::Between(least, most) => random.usize(*least..=*most),
            Self::Any(sizes, _) => sizes[random.usize(..sizes.len())],
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Between(least, most) => write!(f, "{least}..{most}"),
            Self::Any(_, path) => write!(f, "file:{path}"),
        }
    }
}

/// A text that is not a distribution of sizes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("size {text:?}: {problem}")]
pub struct SizesParseError {
    text: String,
    problem: String,
}

fn size(text: &str) -> Result<usize, String> {
    let size = usize::parse_option(text.trim()).map_err(|problem| problem.to_string())?;
    if size > LARGEST { Err(format!("the largest is {LARGEST} bytes")) } else { Ok(size) }
}

impl FromStr for Sizes {
    type Err = SizesParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem| SizesParseError { text: text.to_owned(), problem };
        if let Some(path) = text.strip_prefix("file:") {
            let content = fs::read_to_string(path).map_err(|error| wrong(format!("read {path}: {error}")))?;
            let lines = content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let sizes: Vec<_> = lines
                .map(|(at, line)| size(line).map_err(|problem| wrong(format!("line {}: {problem}", at + 1))))
                .collect::<Result<_, _>>()?;
            return match sizes.len() {
                0 => Err(wrong("it holds no size; write one on each line".to_owned())),
                len if len > MOST => Err(wrong(format!("it holds {len} sizes; {MOST} are the most"))),
                _ => Ok(Self::Any(sizes.into(), path.to_owned())),
            };
        }
        match text.split_once("..") {
            None => size(text).map(Self::Fixed).map_err(wrong),
            Some((least, most)) => {
                let (least, most) = (size(least).map_err(wrong)?, size(most).map_err(wrong)?);
                if least > most {
                    return Err(wrong(format!("write the smaller first: {most}..{least}")));
                }
                Ok(Self::Between(least, most))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_one_a_range_or_a_file() {
        assert_eq!("64".parse(), Ok(Sizes::Fixed(64)));
        assert_eq!("64..1k".parse(), Ok(Sizes::Between(64, 1024)));
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "64\n\n1k\n64\n").unwrap();
        let sizes: Sizes = format!("file:{}", file.path().display()).parse().unwrap();
        assert_eq!((sizes.min(), sizes.max()), (64, 1024));
        let mut random = fastrand::Rng::with_seed(1);
        let small = (0..3000).filter(|_| sizes.draw(&mut random) == 64).count();
        assert!((1850..2150).contains(&small), "two of three lines are 64: {small} of 3000");
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "many", "1k..64", "1k..", "100G", "file:/no/such/file"] {
            let error = text.parse::<Sizes>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("size {text:?}: ")), "{error}");
        }
    }
}
