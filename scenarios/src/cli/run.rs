//! `tidegate run`: a job in the real world.

use std::{ffi::OsString, net::IpAddr, path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use tidegate::{
    checkpoint::RestoreMode,
    env::{Address, Entropy, real},
    error::{Error, Result},
    exchange::Secret,
    graph::JobGraph,
    probe::JobStatus,
    runtime::{ClusterOptions, JobManagerConfig, LocalCluster, run_job_manager},
};
use tokio::sync::oneshot;

use super::{
    CANCELED, FAILURE, SUCCESS, complain,
    job_args::{JobArgs, WordCountArgs, shell_command},
    progress::{Progress, Seen},
    say,
    task_manager_processes::TaskManagerProcesses,
};

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    #[command(subcommand)]
    job: RunJob,
}

#[derive(Debug, Subcommand)]
enum RunJob {
    /// Count words, each of them exactly once, whatever is killed on the way
    Wordcount {
        #[command(flatten)]
        job: WordCountArgs,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
}

/// How the job is run.
#[derive(Args, Clone, Debug)]
struct ClusterArgs {
    /// Run the tasks in N processes of their own, which are started again if they die [default: in this process]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    task_managers: Option<u32>,
    /// The address that all processes of the job listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    listen: IpAddr,
    /// Where to start: from the latest checkpoint, from none, or from this one (`DIR/chk-<id>`, as `inspect` shows it)
    #[arg(long, default_value = "latest", value_name = "latest|none|PATH", value_parser = parse_restore)]
    restore: RestoreMode,
    /// Tell what each checkpoint has cost
    #[arg(long, short)]
    verbose: bool,
}

/// A directory that is called `none` can be given as `./none`.
fn parse_restore(text: &str) -> Result<RestoreMode, String> {
    match text {
        "" => Err("expected latest, none, or the path of a checkpoint".to_owned()),
        "latest" => Ok(RestoreMode::Latest),
        "none" => Ok(RestoreMode::None),
        path => Ok(RestoreMode::Path(PathBuf::from(path))),
    }
}

/// Runs the job; gives the exit code.
pub(crate) fn run(args: &RunArgs) -> u8 {
    let RunJob::Wordcount { job, cluster } = &args.job;
    let job = JobArgs::Wordcount(job.clone());
    let graph = match job.job_graph() {
        Ok(graph) => graph,
        Err(error) => {
            complain(&format!("error: {error}"));
            return FAILURE;
        }
    };
    let name = graph.name.clone();
    let progress = Arc::new(Progress::new(cluster.verbose));
    let result = real::block_on(run_cluster(graph, job.clone(), cluster.clone(), progress.clone()));
    progress.end();
    let seen = progress.seen();
    seen.figures.summary().iter().for_each(|summary| complain(summary));
    let command = || shell_command(&resume_arguments(&job, cluster, &seen));
    match result {
        Ok(JobStatus::Finished) => {
            say(&finished(&job, &seen));
            SUCCESS
        }
        Ok(JobStatus::Canceled) => {
            complain("canceled; what is committed stays, and nothing is lost");
            complain(&format!("to go on, run: {}", command()));
            CANCELED
        }
        Ok(JobStatus::Failed(error)) => fail(&error.at(format!("job {name}")), &command()),
        Err(error) => fail(&error, &command()),
    }
}

/// Says what is wrong and how to go on; gives the exit code.
fn fail(error: &Error, command: &str) -> u8 {
    let when = if error.may_be_retried() { "to go on" } else { "once that is put right" };
    complain(&format!("error: {error}"));
    complain(&format!("{when}, run: {command}"));
    FAILURE
}

fn finished(job: &JobArgs, seen: &Seen) -> String {
    let output = job.output().display();
    if seen.attempt.is_none() {
        return format!("the job had already finished; its output is in {output}");
    }
    let Seen { checkpoints, restarts, .. } = seen;
    format!("finished: {checkpoints} checkpoints completed, {restarts} restarts; the output is in {output}")
}

/// Once the job has a checkpoint of its own, that is where it goes on, whatever it first started from.
fn resume_arguments(job: &JobArgs, cluster: &ClusterArgs, seen: &Seen) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["tidegate".into(), "run".into()];
    arguments.extend(job.to_arguments());
    if let Some(task_managers) = cluster.task_managers {
        arguments.extend(["--task-managers".into(), task_managers.to_string().into()]);
    }
    if !cluster.listen.is_loopback() {
        arguments.extend(["--listen".into(), cluster.listen.to_string().into()]);
    }
    if cluster.verbose {
        arguments.push("--verbose".into());
    }
    if let (RestoreMode::Path(path), None) = (&cluster.restore, seen.completed) {
        arguments.extend(["--restore".into(), path.into()]);
    }
    arguments
}

async fn run_cluster(
    graph: Arc<JobGraph>,
    job: JobArgs,
    args: ClusterArgs,
    progress: Arc<Progress>,
) -> Result<JobStatus> {
    let env = real::env();
    let options = ClusterOptions::new(fresh_secret(&*env.entropy));
    let address = Address::new(&std::net::SocketAddr::new(args.listen, 0).to_string());
    let checkpoint_directory = Some(job.checkpoint_directory().to_owned());
    let cancel = Some(cancel_on_signal(progress.clone())?);
    let Some(task_managers) = args.task_managers else {
        let restore = args.restore.clone();
        let cluster = LocalCluster { graph, checkpoint_directory, restore, task_managers: 1, address, options, cancel };
        return cluster.run(env, progress.clone()).await;
    };
    let (on_bound, bound) = oneshot::channel();
    let processes = TaskManagerProcesses {
        job: job.clone(),
        count: task_managers,
        slots: job.parallelism().div_ceil(task_managers),
        listen: args.listen,
        secret: options.secret.clone(),
        progress: progress.clone(),
    };
    let config = JobManagerConfig {
        graph,
        address,
        checkpoint_directory,
        restore: args.restore.clone(),
        options,
        on_bound: Some(Box::new(move |address| drop(on_bound.send(address)))),
        cancel,
    };
    let (job_ended, job_end) = oneshot::channel();
    let job_manager = async {
        let status = run_job_manager(env, progress.clone(), config).await;
        let _ = job_ended.send(());
        status
    };
    let processes = async {
        match bound.await {
            Ok(job_manager) => processes.run(job_manager, job_end).await,
            // The job manager did not come to listen, and tells why itself.
            Err(_) => Ok(()),
        }
    };
    // If the task managers cannot be run at all, neither can the job; otherwise both come to their end.
    tokio::try_join!(job_manager, processes).map(|(status, ())| status)
}

fn fresh_secret(entropy: &dyn Entropy) -> Secret {
    let mut secret = [0; 32];
    secret.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&entropy.next_u64().to_le_bytes()));
    Secret(secret)
}

/// Completes at the first signal to end. A second one ends the process at once, as a crash would.
fn cancel_on_signal(progress: Arc<Progress>) -> Result<oneshot::Receiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |e: std::io::Error| Error::from(e).at("listening for signals");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let (cancel, canceled) = oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                biased;
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        progress.line("canceling; once more to end at once");
        let _ = cancel.send(());
        next().await;
        std::process::exit(i32::from(CANCELED));
    });
    Ok(canceled)
}
