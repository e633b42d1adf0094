//! What a job is told on the command line, by people and by the process that starts task managers.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{Args, Subcommand};
use tidegate::{
    error::Result,
    graph::{JobGraph, StreamExecutionEnvironment},
    job::RestartStrategy,
};

use super::snapshot_args::SnapshotArgs;
use crate::jobs::word_count::{NAME, WordCount};

/// What the job is called on the command line.
const WORDCOUNT: &str = "wordcount";

/// Count words: every update becomes a line `word<TAB>n` in the output directory
#[derive(Args, Clone, Debug)]
pub(crate) struct WordCountArgs {
    /// Text files in UTF-8, or directories of such
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub input: Vec<PathBuf>,
    /// Where the results go; new, empty, or of an earlier start of this job
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Where the checkpoints rest; starting again with the same directory goes on from the newest one
    #[arg(long, value_name = "DIR")]
    pub checkpoint_dir: PathBuf,
    /// From the start of one checkpoint to the start of the next ("500ms", "5s", "1m")
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub checkpoint_interval: Duration,
    #[command(flatten)]
    pub snapshots: SnapshotArgs,
    /// How many subtasks each operator has
    #[arg(long, default_value_t = 2, value_name = "N", allow_negative_numbers = true)]
    pub parallelism: u32,
}

/// A job for a task manager.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum JobArgs {
    /// Count words
    Wordcount(WordCountArgs),
}

impl JobArgs {
    /// The job.
    pub fn job_graph(&self) -> Result<Arc<JobGraph>> {
        let Self::Wordcount(args) = self;
        let mut env = StreamExecutionEnvironment::new();
        env.set_parallelism(args.parallelism)
            .enable_checkpointing(args.checkpoint_interval)
            .set_checkpoint_directory(&args.checkpoint_dir)
            .set_restart_strategy(RestartStrategy::ExponentialDelay {
                initial: Duration::from_millis(100),
                max: Duration::from_secs(30),
                reset_after: Duration::from_secs(60),
            });
        args.snapshots.apply(&mut env);
        WordCount::new(args.input.clone(), args.output.clone()).build(&env);
        env.job_graph(NAME).map(Arc::new)
    }

    /// Where the job's checkpoints rest.
    pub fn checkpoint_directory(&self) -> &Path {
        let Self::Wordcount(args) = self;
        &args.checkpoint_dir
    }

    /// Where the job's results go.
    pub fn output(&self) -> &Path {
        let Self::Wordcount(args) = self;
        &args.output
    }

    /// How many slots the job needs.
    pub fn parallelism(&self) -> u32 {
        let Self::Wordcount(args) = self;
        args.parallelism
    }

    /// The arguments that parse to this, subcommand included.
    pub fn to_arguments(&self) -> Vec<OsString> {
        let Self::Wordcount(args) = self;
        let mut arguments: Vec<OsString> = vec![WORDCOUNT.into(), "--input".into()];
        arguments.extend(args.input.iter().map(Into::into));
        arguments.extend(["--output".into(), (&args.output).into()]);
        arguments.extend(["--checkpoint-dir".into(), (&args.checkpoint_dir).into()]);
        let interval = humantime::format_duration(args.checkpoint_interval).to_string().replace(' ', "");
        arguments.extend(["--checkpoint-interval".into(), interval.into()]);
        arguments.extend(args.snapshots.to_arguments());
        arguments.extend(["--parallelism".into(), args.parallelism.to_string().into()]);
        arguments
    }
}

/// A command as one would type it into a POSIX shell.
pub(crate) fn shell_command(arguments: &[OsString]) -> String {
    let quoted = arguments.iter().map(|argument| {
        let text = argument.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            text.into_owned()
        } else {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tidegate::checkpoint::{CheckpointOptions, SnapshotCompression, SnapshotPolicy};

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(subcommand)]
        job: JobArgs,
    }

    #[test]
    fn arguments_survive_the_way_to_another_process() {
        let given = [
            "x",
            "wordcount",
            "--input",
            "a b",
            "it's",
            "--output=out",
            "--checkpoint-dir=chk",
            "--checkpoint-interval=1m500ms",
            "--snapshots=incremental",
            "--snapshot-compression=lz4",
            "--retained-checkpoints=4",
            "--inline-snapshots=512",
            "--parallelism=3",
        ];
        let job = Command::parse_from(given).job;
        let passed_on = job.to_arguments();
        insta::assert_snapshot!(shell_command(&passed_on), @r"wordcount --input 'a b' 'it'\''s' --output out --checkpoint-dir chk --checkpoint-interval 1m500ms --snapshots incremental --snapshot-compression lz4 --retained-checkpoints 4 --inline-snapshots 512 --parallelism 3");
        let again = Command::parse_from([OsString::from("x")].into_iter().chain(passed_on)).job;
        assert_eq!(format!("{again:?}"), format!("{job:?}"));
    }

    /// The settings of checkpoints that a job has with these arguments.
    fn checkpoints(more: &[&str]) -> CheckpointOptions {
        let given = ["x", "wordcount", "--input=in", "--output=out", "--checkpoint-dir=chk"];
        let command = Command::parse_from(given.iter().chain(more));
        command.job.job_graph().unwrap().checkpoints.clone().expect("the job takes checkpoints")
    }

    #[test]
    fn arguments_become_settings() {
        use SnapshotCompression::{Lz4, Zstd};
        use SnapshotPolicy::{Full, Incremental};
        let usual = CheckpointOptions::default;
        assert_eq!(checkpoints(&[]), usual());
        let second = Duration::from_secs(1);
        assert_eq!(checkpoints(&["--checkpoint-interval=1s"]), CheckpointOptions { interval: second, ..usual() });
        for (name, snapshots) in [("by-cost", SnapshotPolicy::ByCost), ("incremental", Incremental), ("full", Full)] {
            assert_eq!(checkpoints(&["--snapshots", name]), CheckpointOptions { snapshots, ..usual() });
        }
        for (name, compression) in [("none", SnapshotCompression::None), ("lz4", Lz4), ("zstd", Zstd)] {
            assert_eq!(checkpoints(&["--snapshot-compression", name]), CheckpointOptions { compression, ..usual() });
        }
        let inline = CheckpointOptions { inline_threshold: 4096, ..usual() };
        assert_eq!(checkpoints(&["--inline-snapshots=4096"]), inline);
        assert_eq!(checkpoints(&["--retained-checkpoints=7"]), CheckpointOptions { retained: 7, ..usual() });
    }
}
