//! `watch`: what a process uses while the others are at it.

mod process;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use tokio::time::interval;

use self::process::Process;
use crate::common::Mode;
use crate::report::Report;
use crate::values::{period, size, time};

/// The arguments of `watch`.
#[derive(Args, Clone, Debug)]
pub(crate) struct WatchArgs {
    /// The process
    #[arg(value_name = "PID")]
    pub(crate) pid: u32,
    /// Look each
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = period)]
    every: Duration,
    /// Look so long. Default: until the process ends
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    duration: Option<Duration>,
    /// Leave the beginning out of the summary
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    warm_up: Duration,
    /// Write the lines to this file. Default: to the standard output, unless --json
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// More resident memory is a fault
    #[arg(long, value_name = "BYTES", value_parser = size)]
    max_rss: Option<usize>,
    /// Resident memory that grows faster in ten minutes is a fault
    #[arg(long, value_name = "BYTES", value_parser = size)]
    max_growth: Option<usize>,
    /// More descriptors are a fault
    #[arg(long, value_name = "N")]
    max_fds: Option<u64>,
    /// A higher mean of the CPU, in percent of one processor, is a fault
    #[arg(long, value_name = "PERCENT")]
    max_cpu: Option<f64>,
    /// End the whole run after, which is a fault
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    pub(crate) deadline: Duration,
    /// Print one JSON object instead of the summary
    #[arg(long)]
    pub(crate) json: bool,
}

/// A run of `watch`.
#[derive(Debug)]
pub(crate) struct Watch {
    args: WatchArgs,
    process: Process,
    lines: RefCell<Option<File>>,
    rss: RefCell<Series>,
    fds: RefCell<Series>,
    threads: RefCell<Series>,
    cpu: RefCell<Series>,
}

impl Watch {
    /// # Errors
    /// No such process, or not ours; a file that cannot be written.
    pub(crate) fn new(args: WatchArgs) -> anyhow::Result<Self> {
        let process = Process::new(args.pid);
        process.look().with_context(|| format!("look at process {}", args.pid))?;
        let create = |path: &PathBuf| File::create(path).with_context(|| format!("create {}", path.display()));
        let lines = RefCell::new(args.csv.as_ref().map(create).transpose()?);
        let [rss, fds, threads, cpu] = std::array::from_fn(|_| RefCell::new(Series::default()));
        Ok(Self { args, process, lines, rss, fds, threads, cpu })
    }

    fn write(&self, line: &str) -> anyhow::Result<()> {
        match &mut *self.lines.borrow_mut() {
            Some(file) => file.write_all(line.as_bytes()).context("write the CSV file"),
            None if self.args.json => Ok(()),
            None => io::stdout().write_all(line.as_bytes()).context("write the standard output"),
        }
    }
}

impl Mode for Watch {
    const NAME: &'static str = "watch";

    async fn drive(&self) -> anyhow::Result<()> {
        self.write("elapsed_s,rss_kib,fds,threads,cpu_percent\n")?;
        let begun = Instant::now();
        let mut turns = interval(self.args.every);
        turns.tick().await;
        // A process that has ended meanwhile was looked at to the end.
        let Ok(mut before) = self.process.look() else { return Ok(()) };
        loop {
            turns.tick().await;
            let elapsed = begun.elapsed();
            let Ok(now) = self.process.look() else { return Ok(()) };
            let cpu = now.cpu_percent_since(&before);
            before = now;
            let at = elapsed.as_secs_f64();
            self.write(&format!("{at:.3},{},{},{},{cpu:.1}\n", now.rss_kib, now.fds, now.threads))?;
            if elapsed >= self.args.warm_up {
                self.rss.borrow_mut().add(at, now.rss_kib as f64);
                self.fds.borrow_mut().add(at, now.fds as f64);
                self.threads.borrow_mut().add(at, now.threads as f64);
                self.cpu.borrow_mut().add(at, cpu);
            }
            if self.args.duration.is_some_and(|duration| elapsed >= duration) {
                return Ok(());
            }
        }
    }

    fn report(&self, report: &mut Report) {
        let series =
            [("rss_kib", &self.rss), ("fds", &self.fds), ("threads", &self.threads), ("cpu_percent", &self.cpu)];
        for (name, series) in series {
            let series = series.borrow();
            report.line(format!("{name}: {series}"));
            report.set(name, series.json());
        }
        let (rss, fds, cpu) = (self.rss.borrow(), self.fds.borrow(), self.cpu.borrow());
        if rss.count == 0 {
            report.fault("the process ended before it was looked at twice");
        }
        let kib = |bytes: usize| bytes as f64 / 1024.0;
        let too_much = [
            ("resident KiB", rss.max, self.args.max_rss.map(kib)),
            ("KiB more in ten minutes", rss.slope() * 600.0, self.args.max_growth.map(kib)),
            ("descriptors", fds.max, self.args.max_fds.map(|most| most as f64)),
            ("percent of a processor", cpu.mean(), self.args.max_cpu),
        ];
        for (what, value, limit) in too_much {
            if let Some(limit) = limit.filter(|limit| value > *limit) {
                report.fault(format!("{value:.1} {what}, and not at most {limit:.1}"));
            }
        }
    }
}

/// Numbers over time; keeps sums alone.
#[derive(Debug, Default)]
struct Series {
    count: u64,
    min: f64,
    max: f64,
    last: f64,
    sum: f64,
    sum_at: f64,
    sum_at_squared: f64,
    sum_product: f64,
}

impl Series {
    fn add(&mut self, at: f64, value: f64) {
        let first = self.count == 0;
        self.min = if first { value } else { self.min.min(value) };
        self.max = if first { value } else { self.max.max(value) };
        self.count += 1;
        self.last = value;
        self.sum += value;
        self.sum_at += at;
        self.sum_at_squared += at * at;
        self.sum_product += at * value;
    }

    fn mean(&self) -> f64 {
        self.sum / (self.count.max(1) as f64)
    }

    /// Of the straight line with the least squares, for a second; 0 where there is none.
    fn slope(&self) -> f64 {
        let count = self.count as f64;
        let spread = count * self.sum_at_squared - self.sum_at * self.sum_at;
        if self.count < 2 || spread <= 0.0 {
            return 0.0;
        }
        (count * self.sum_product - self.sum_at * self.sum) / spread
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "looks": self.count, "min": self.min, "max": self.max, "mean": self.mean(), "last": self.last,
            "slope_per_10min": self.slope() * 600.0,
        })
    }
}

impl std::fmt::Display for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { min, max, last, .. } = self;
        let (mean, slope) = (self.mean(), self.slope() * 600.0);
        write!(f, "min {min:.1}, max {max:.1}, mean {mean:.1}, last {last:.1}, slope {slope:+.1} in 10 minutes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_knows_its_extremes_and_its_slope() {
        let mut series = Series::default();
        assert_eq!((series.slope(), series.mean()), (0.0, 0.0));
        for at in 0..10 {
            series.add(f64::from(at), 100.0 + 2.0 * f64::from(at));
        }
        assert_eq!((series.min, series.max, series.last), (100.0, 118.0, 118.0));
        assert!((series.slope() - 2.0).abs() < 1e-9 && (series.mean() - 109.0).abs() < 1e-9);
    }
}
