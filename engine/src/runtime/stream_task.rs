//! One subtask at work: the loop around its chain.
//!
//! A task does one thing at a time, between two batches: a command from its mailbox, or the next input. That is what makes
//! a barrier a clean cut.

use std::{pin::pin, sync::Arc};

use futures_util::{
    FutureExt,
    future::{Either, select},
};
use tokio::sync::mpsc;

use super::{
    alignment::{Alignment, AlignmentMeter},
    input_gate::InputGate,
    result_partition::ResultPartition,
    rpc::ToJobManager,
    source_progress::SourceProgress,
    subtask_checkpoint::SubtaskCheckpoint,
    turn::Turn,
};
use crate::{
    checkpoint::{AlignerCommand, BarrierAligner, CompletionNotification},
    error::{Error, Result},
    exchange::BatchSizer,
    id::{CheckpointId, TaskId},
    instant::Instant,
    operator::{SourceStatus, SubtaskProgram},
    probe::{Reporter, Step},
    stream::{AnyBatch, CheckpointBarrier, StreamElement},
};

/// What the task manager tells a task.
#[derive(Clone, Debug)]
pub(crate) enum TaskCommand {
    /// A source: emit this barrier.
    Trigger(CheckpointBarrier),
    /// A checkpoint has completed.
    NotifyComplete(CompletionNotification),
    /// A checkpoint will not complete.
    NotifyAborted(CheckpointId),
    /// The job is done.
    Finish,
}

/// A deployed task with its state in place and its outputs connected.
pub(crate) struct StreamTask {
    pub task: TaskId,
    pub program: Box<dyn SubtaskProgram>,
    pub output: ResultPartition,
    /// How much a source reads at once.
    pub input_sizer: BatchSizer,
    /// How far a source has come.
    pub progress: Arc<SourceProgress>,
    /// `None` for a job without checkpoints: the task then ends with its input.
    pub checkpoint: Option<SubtaskCheckpoint>,
    pub mailbox: mpsc::UnboundedReceiver<TaskCommand>,
    pub to_job_manager: mpsc::UnboundedSender<ToJobManager>,
    pub reporter: Reporter,
}

/// What a task does next: obey, or take an element that came in on a channel.
type Input = Either<TaskCommand, (usize, StreamElement)>;

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Flow {
    Continue,
    Finish,
}

impl StreamTask {
    /// Runs a task that reads its records from outside.
    pub(crate) async fn run_source(mut self) -> Result<()> {
        let (mut status, mut turn) = (SourceStatus::More, Turn::default());
        loop {
            while let Ok(command) = self.mailbox.try_recv() {
                if self.obey(command, None).await? == Flow::Finish {
                    return self.finish().await;
                }
            }
            if status == SourceStatus::EndOfInput && self.is_sweeping() {
                self.sweep()?;
                turn.end().await;
                continue;
            }
            if status == SourceStatus::EndOfInput {
                let command = self.mailbox.recv().await.ok_or_else(abandoned)?;
                if self.obey(command, None).await? == Flow::Finish {
                    return self.finish().await;
                }
                continue;
            }
            let began = self.output.now();
            status = self.poll_source().await?;
            let records = self.program.process_polled(self.output.outbox())?;
            self.progress.sent(records);
            self.pass_on(began).await?;
            self.sweep()?;
            self.input_sizer.observe(records, self.output.now().since(began));
            if status == SourceStatus::EndOfInput && self.end_input().await? == Flow::Finish {
                return self.finish().await;
            }
            // A source that never has to wait must still let others run.
            turn.batch().await;
        }
    }

    /// Runs a task that gets its records from other tasks.
    pub(crate) async fn run_operator(mut self, mut gate: InputGate) -> Result<()> {
        let (mut aligner, mut turn) = (BarrierAligner::new(gate.channels()), Turn::default());
        let mut meter = self.checkpoint.as_ref().map(|c| AlignmentMeter::new(c.env.clock.clone()));
        loop {
            let Some(next) = self.next(&mut gate, &aligner).await? else {
                // Frozen state is all that there is to do something about.
                self.sweep()?;
                turn.end().await;
                continue;
            };
            let is_batch = matches!(next, Either::Right((_, StreamElement::Batch(_))));
            match next {
                Either::Left(command) => {
                    if self.obey(command, Some(&mut aligner)).await? == Flow::Finish {
                        return self.finish().await;
                    }
                }
                Either::Right((channel, StreamElement::Batch(mut batch))) => {
                    while batch.len() > self.output.most_records() {
                        self.process_first(&mut batch).await?;
                    }
                    let began = self.output.now();
                    self.program.process(&mut batch, self.output.outbox())?;
                    gate.recycle(channel, batch);
                    self.pass_on(began).await?;
                    self.sweep()?;
                }
                Either::Right((channel, StreamElement::Barrier(barrier))) => {
                    let meter = meter.as_mut().expect("barriers flow only where checkpoints are on");
                    self.receive_barrier(channel, barrier, &mut gate, &mut aligner, meter).await?;
                }
                Either::Right((_, StreamElement::EndOfInput)) => {
                    if gate.has_ended() && self.end_input().await? == Flow::Finish {
                        return self.finish().await;
                    }
                }
            }
            // Whose input never ends has still to let others run: what comes after it in the job, and the job manager. After a
            // barrier above all, which they wait for: the next batch may have much to copy before it changes anything.
            if is_batch {
                turn.batch().await;
            } else {
                turn.end().await;
            }
        }
    }

    /// The next command or the next element of the input. Commands first: they are rare, and a notification should not wait
    /// behind records. Before it waits, it sends on what is held back: a fuller batch is not to be had. `None` if it would
    /// have to wait though there is state to be swept.
    async fn next(&mut self, gate: &mut InputGate, aligner: &BarrierAligner) -> Result<Option<Input>> {
        if self.output.is_holding() || self.is_sweeping() {
            if let Some(next) = self.wait(gate, aligner).now_or_never() {
                return next.map(Some);
            }
            self.output.flush().await?;
            if self.is_sweeping() {
                return Ok(None);
            }
        }
        self.wait(gate, aligner).await.map(Some)
    }

    /// Cancel safe.
    async fn wait(&mut self, gate: &mut InputGate, aligner: &BarrierAligner) -> Result<Input> {
        let input = gate.next(|channel| aligner.is_blocked(channel));
        match select(pin!(self.mailbox.recv()), pin!(input)).await {
            Either::Left((command, _)) => command.map(Either::Left).ok_or_else(abandoned),
            Either::Right((input, _)) => input.map(Either::Right),
        }
    }

    /// Reads the next batch of a source. If that has to wait, what is held back is sent on before.
    async fn poll_source(&mut self) -> Result<SourceStatus> {
        // As many as make a batch, should each of them become a record of the output.
        let max = self.input_sizer.size().min(self.output.most_records());
        let mut polled = self.program.poll_source(max);
        match polled.as_mut().now_or_never() {
            Some(status) => return status,
            None => self.output.flush().await?,
        }
        polled.await
    }

    /// Runs a part of a batch through the chain, which makes large records of small ones: they are sent before more of them are
    /// made.
    async fn process_first(&mut self, batch: &mut AnyBatch) -> Result<()> {
        let began = self.output.now();
        let mut first = batch.take_first(self.output.most_records());
        self.program.process(&mut first, self.output.outbox())?;
        self.pass_on(began).await?;
        self.sweep()
    }

    async fn receive_barrier(
        &mut self,
        channel: usize,
        barrier: CheckpointBarrier,
        gate: &mut InputGate,
        aligner: &mut BarrierAligner,
        meter: &mut AlignmentMeter,
    ) -> Result<()> {
        meter.barrier(channel, barrier.checkpoint, gate);
        let step = Step::BarrierReceived { channel: gate.channel(channel), records: gate.records(channel) };
        self.reporter.report_for(barrier.checkpoint, step).await;
        let mut commands = Vec::new();
        aligner.on_barrier(channel, barrier, &mut commands);
        for command in commands {
            match command {
                AlignerCommand::Aligned(barrier) => {
                    self.reporter.report_for(barrier.checkpoint, Step::Aligned).await;
                    let checkpoint = self.checkpoint.as_mut().expect("barriers flow only where checkpoints are on");
                    let (alignment, reflected) = (meter.aligned(gate), gate.reflected());
                    checkpoint.take(barrier, &mut *self.program, &mut self.output, reflected, alignment).await?;
                }
                // The gate asks the aligner itself which channels are blocked.
                AlignerCommand::Block { .. } | AlignerCommand::Unblock => {}
                AlignerCommand::Abandoned(id) => {
                    let checkpoint = self.checkpoint.as_mut().expect("barriers flow only where checkpoints are on");
                    checkpoint.abort(id, &mut *self.program);
                }
            }
        }
        Ok(())
    }

    async fn obey(&mut self, command: TaskCommand, aligner: Option<&mut BarrierAligner>) -> Result<Flow> {
        match command {
            TaskCommand::Trigger(barrier) => self.trigger(barrier).await?,
            TaskCommand::NotifyComplete(notification) => self.commit(notification).await?,
            TaskCommand::NotifyAborted(id) => {
                self.reporter.report_for(id, Step::AbortReceived).await;
                if let Some(aligner) = aligner {
                    aligner.on_aborted(id, &mut Vec::new());
                }
                if let Some(checkpoint) = &mut self.checkpoint {
                    checkpoint.abort(id, &mut *self.program);
                }
                self.program.notify_aborted(id);
            }
            TaskCommand::Finish => return Ok(Flow::Finish),
        }
        Ok(Flow::Continue)
    }

    /// A source emits a barrier at the position that it has now.
    async fn trigger(&mut self, barrier: CheckpointBarrier) -> Result<()> {
        let checkpoint = self.checkpoint.as_mut().expect("triggers come only where checkpoints are on");
        // A trigger that was overtaken by a newer one is void (FLINK-17994).
        if checkpoint.last >= Some(barrier.checkpoint) && !planted!(OldTriggerTaken) {
            return Ok(());
        }
        self.reporter.report_for(barrier.checkpoint, Step::TriggerReceived).await;
        self.progress.barrier(&barrier);
        checkpoint.take(barrier, &mut *self.program, &mut self.output, Vec::new(), Alignment::default()).await
    }

    async fn commit(&mut self, notification: CompletionNotification) -> Result<()> {
        let CompletionNotification { checkpoint, attempt } = notification;
        self.reporter.report_for(checkpoint, Step::CompletionReceived).await;
        self.program.notify_complete(notification).await?;
        let is_done = planted!(RepeatedCommitNotAnswered, again: (self.task, checkpoint)); // KAFKA-19999
        if attempt == self.task.attempt && !is_done {
            self.tell(ToJobManager::Committed { task: self.task, checkpoint });
        }
        Ok(())
    }

    fn is_sweeping(&self) -> bool {
        self.checkpoint.as_ref().is_some_and(SubtaskCheckpoint::is_sweeping)
    }

    /// Encodes some of what is frozen, if something is.
    fn sweep(&mut self) -> Result<()> {
        let Some(checkpoint) = self.checkpoint.as_mut().filter(|c| c.is_sweeping()) else { return Ok(()) };
        checkpoint.sweep_on(&mut *self.program)
    }

    /// Sends on what the chain has made of an input on which the work began at `began`.
    async fn pass_on(&mut self, began: Instant) -> Result<()> {
        self.output.send(began).await?;
        self.program.flush().await
    }

    /// All input is processed. With checkpoints the task lives on for the final one, which commits its last output.
    async fn end_input(&mut self) -> Result<Flow> {
        self.program.end_of_input(self.output.outbox())?;
        self.program.flush().await?;
        self.output.send_end_of_input().await?;
        self.reporter.report(Step::InputEnded).await;
        self.tell(ToJobManager::InputEnded { task: self.task });
        Ok(if self.checkpoint.is_some() { Flow::Continue } else { Flow::Finish })
    }

    async fn finish(self) -> Result<()> {
        self.output.finish().await;
        Ok(())
    }

    fn tell(&self, message: ToJobManager) {
        // If the session is over, the task is about to be canceled.
        let _ = self.to_job_manager.send(message);
    }
}

fn abandoned() -> Error {
    Error::superseded("the task manager has abandoned this task")
}
