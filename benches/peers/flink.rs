//! Apache Flink: set up from its Python package below the target directory, and one Java process per cell.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::{
    Result,
    contender::{Cell, Contender, Setup},
    scratch,
};
use crate::{measured::Measured, support::Work};

pub const VERSION: &str = "2.3.0";

/// The program that runs the jobs, by file.
const SOURCES: [(&str, &str); 4] = [
    ("Board.java", include_str!("flink/Board.java")),
    ("Job.java", include_str!("flink/Job.java")),
    ("Machine.java", include_str!("flink/Machine.java")),
    ("Peer.java", include_str!("flink/Peer.java")),
];

/// The best of four settings that were tried for this work: the default collector costs up to twice the CPU time.
const JVM: [&str; 4] = ["-Xms8g", "-Xmx8g", "-XX:+UseParallelGC", "-XX:+UseTransparentHugePages"];

/// Packages that Flink looks into by reflection, as its own start script opens them.
const OPENED: [&str; 12] = [
    "java.lang",
    "java.net",
    "java.io",
    "java.nio",
    "sun.nio.ch",
    "java.lang.reflect",
    "java.text",
    "java.time",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.util.concurrent.locks",
];

/// Flink and the program, ready to be started.
pub struct Flink {
    directory: PathBuf,
    class_path: String,
    /// Of the Java machine.
    pub java: String,
}

impl Flink {
    /// Fetches Flink, unless an earlier report has, and compiles the program.
    ///
    /// # Errors
    /// What is missing.
    pub fn set_up() -> Result<Self> {
        let java = scratch::version_of("java", &["-version"])?;
        scratch::version_of("javac", &["-version"])?;
        let directory = scratch::directory("flink")?;
        let libraries = libraries(&directory)?;
        let mut class_path = vec![directory.join("classes")];
        for entry in fs::read_dir(&libraries)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            // The rest is for SQL and other formats.
            if name.ends_with(".jar") && (name.starts_with("flink-dist") || name.starts_with("log4j")) {
                class_path.push(path);
            }
        }
        class_path.sort();
        let class_path = std::env::join_paths(class_path)?.into_string().map_err(|_| "a path that is no text")?;
        compile(&directory, &class_path)?;
        fs::write(directory.join("log4j2.properties"), "rootLogger.level = off\n")?;
        Ok(Self { directory, class_path, java })
    }

    /// What of the settings is told in the report.
    pub fn settings() -> String {
        JVM.join(" ")
    }

    /// Starts the process that runs a cell's jobs. Its first jobs are slow: they are compiled while they run.
    pub fn start(&self, cell: Cell) -> Result<FlinkProcess> {
        let opened = OPENED.map(|package| format!("--add-opens=java.base/{package}=ALL-UNNAMED"));
        let log_settings = self.directory.join("log4j2.properties");
        let mut child = Command::new("java")
            .args(JVM)
            .args(opened)
            .arg(format!("-Dlog4j.configurationFile={}", log_settings.display()))
            .args(["-cp", &self.class_path, "Peer"])
            .arg(self.directory.join("run"))
            .arg(cell.parallelism.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(self.directory.join("stderr.log"))?)
            .spawn()?;
        let commands = child.stdin.take().ok_or("the process has no standard input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("the process has no standard output")?);
        Ok(FlinkProcess { child, commands: Some(commands), answers, log: self.directory.join("stderr.log") })
    }
}

/// The directory of the libraries, which is filled if it is not there.
fn libraries(directory: &Path) -> Result<PathBuf> {
    let found = directory.join(format!("{VERSION}/pyflink/lib"));
    if found.join(format!("flink-dist-{VERSION}.jar")).exists() {
        return Ok(found);
    }
    scratch::version_of("python3", &["-m", "pip", "--version"])?;
    eprintln!("peers: fetching Flink {VERSION}, 330 MB");
    let package = format!("apache-flink-libraries=={VERSION}");
    let fetch = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", "wheel", &package];
    python(directory, &fetch, "pip cannot fetch apache-flink-libraries")?;
    let wheel = fs::read_dir(directory.join("wheel"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "whl"))
        .ok_or("pip fetched no wheel")?;
    let wheel_path = wheel.to_str().ok_or("a path that is no text")?;
    python(directory, &["-m", "zipfile", "-e", wheel_path, VERSION], "the wheel cannot be unpacked")?;
    fs::remove_file(wheel)?;
    Ok(found)
}

fn python(directory: &Path, arguments: &[&str], complaint: &str) -> Result<()> {
    let output = Command::new("python3").args(arguments).current_dir(directory).output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{complaint}: {}", text.lines().last().unwrap_or("")).into())
}

fn compile(directory: &Path, class_path: &str) -> Result<()> {
    let sources = directory.join("src");
    fs::create_dir_all(&sources)?;
    fs::create_dir_all(directory.join("classes"))?;
    for (name, text) in SOURCES {
        fs::write(sources.join(name), text)?;
    }
    let output = Command::new("javac")
        .args(["-nowarn", "-cp", class_path, "-d"])
        .arg(directory.join("classes"))
        .args(SOURCES.map(|(name, _)| sources.join(name)))
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("javac: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// A running Flink.
pub struct FlinkProcess {
    child: Child,
    /// `None` when it has been told to end.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    log: PathBuf,
}

impl FlinkProcess {
    /// Runs a job and waits for what came of it.
    pub fn run(&mut self, setup: &Setup) -> Result<Measured> {
        let commands = self.commands.as_mut().ok_or("Flink was told to end")?;
        writeln!(
            commands,
            "work={} keys={} records={} interval_ms={} reuse={} fail={} compress={}",
            if setup.cell.work == Work::WordCount { "W1" } else { "W2" },
            setup.cell.keys,
            setup.records,
            setup.interval_ms.unwrap_or(0),
            setup.contender == Contender::Flink { reuse: true },
            setup.fails,
            // Without it, Flink reads a snapshot back in small pieces: seconds where these are tenths of one.
            setup.fails,
        )?;
        commands.flush()?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            return Err(format!("Flink has ended; {} says why", self.log.display()).into());
        }
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for FlinkProcess {
    fn drop(&mut self) {
        self.commands = None;
        if let Err(error) = self.child.wait() {
            eprintln!("peers: Flink cannot be waited for: {error}");
        }
    }
}
