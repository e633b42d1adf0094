//! The task managers of a job as processes, started again when they die.

use std::{net::IpAddr, process::Stdio, sync::Arc, time::Duration};

use tidegate::{
    env::Address,
    error::{Context, Error, Result},
    exchange::Secret,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::{oneshot, watch},
    time::timeout,
};

use super::{
    FAILURE,
    job_args::JobArgs,
    progress::Progress,
    task_manager::{SECRET_VARIABLE, format_secret},
};

/// How long a process that has been told of the job's end may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// The pause before a process that died is started again, so that one that dies at once does not keep the machine busy.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// What the processes have in common.
pub(crate) struct TaskManagerProcesses {
    /// The job.
    pub job: JobArgs,
    /// How many processes.
    pub count: u32,
    /// How many subtasks of each operator each of them runs.
    pub slots: u32,
    /// Where they listen for records.
    pub listen: IpAddr,
    /// The job's secret.
    pub secret: Secret,
    /// Where to tell what happens to them.
    pub progress: Arc<Progress>,
}

impl TaskManagerProcesses {
    /// Runs them until the job has ended.
    ///
    /// # Errors
    /// If one cannot be started, or says that starting it again is of no use.
    pub async fn run(self, job_manager: Address, job_end: oneshot::Receiver<()>) -> Result<()> {
        let (ended, end) = watch::channel(false);
        let all = futures_util::future::try_join_all(
            (1..=self.count).map(|n| self.keep_running(n, &job_manager, end.clone())),
        );
        let tell = async {
            // However the job manager ended, the job has.
            let _ = job_end.await;
            ended.send_replace(true);
            Ok(())
        };
        tokio::try_join!(all, tell).map(|_| ())
    }

    /// Runs one, again and again.
    async fn keep_running(&self, number: u32, job_manager: &Address, mut end: watch::Receiver<bool>) -> Result<()> {
        let id = format!("tm-{number}");
        loop {
            let mut child = self.start(&id, job_manager).at(|| format!("starting task manager {id}"))?;
            // `wait` would close it.
            let _alive = child.stdin.take();
            let log = self.pass_on_errors(&id, &mut child);
            let ended = async { tokio::join!(log, child.wait()).1 };
            let job_ended = async {
                // An error means that nobody will tell any more, as when the job has ended.
                let _ = end.wait_for(|ended| *ended).await;
            };
            let status = tokio::select! {
                biased;
                status = ended => Some(status.at(|| format!("waiting for task manager {id}"))?),
                () = job_ended => None,
            };
            let Some(status) = status else {
                // It has been told by the job manager; if it did not hear it, dropping `child` ends it.
                let _ = timeout(GRACE, child.wait()).await;
                return Ok(());
            };
            if *end.borrow() || status.success() {
                return Ok(());
            }
            if status.code() == Some(i32::from(FAILURE)) {
                return Err(Error::bad_input(format!("task manager {id} gave up: its reason stands above")));
            }
            self.progress.line(&format!("task manager {id} ended ({status}); starting it again"));
            tokio::select! {
                biased;
                _ = end.wait_for(|ended| *ended) => return Ok(()),
                () = tokio::time::sleep(RESTART_PAUSE) => {}
            }
        }
    }

    fn start(&self, id: &str, job_manager: &Address) -> std::io::Result<Child> {
        Command::new(std::env::current_exe()?)
            .args(["task-manager", "--id", id, "--job-manager", &job_manager.0])
            .args(["--listen", &self.listen.to_string(), "--slots", &self.slots.to_string()])
            .args(self.job.to_arguments())
            .env(SECRET_VARIABLE, format_secret(&self.secret))
            // Its end is how the child learns of ours.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A Ctrl-C on the terminal is for this process, which then ends the job in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// Prints what the child complains of, with its name.
    fn pass_on_errors(&self, id: &str, child: &mut Child) -> impl Future<Output = ()> + use<> {
        let stderr = child.stderr.take().expect("standard error is piped");
        let (id, progress) = (id.to_owned(), self.progress.clone());
        async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                progress.line(&format!("{id}: {line}"));
            }
        }
    }
}
