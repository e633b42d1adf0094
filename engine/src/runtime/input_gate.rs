//! The receiving end of a task's channels.
//!
//! All channels of a task share one queue, so that order of arrival is order of processing; a blocked channel's elements
//! are parked until it is unblocked. The queue is bounded by credit: each channel starts with a number of credits, a batch
//! costs one, and it comes back when the batch is taken out for processing. Barriers and the end of input cost none. The
//! memory of a batch goes back, too, once it is processed: to whoever fills batches at this end of the channel.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::{Semaphore, mpsc};

use crate::{
    error::{Error, Result},
    id::ChannelId,
    recycler::Recycler,
    stream::{AnyBatch, StreamElement},
};

/// How many emptied batches of a channel are kept. As many as it has credits, unless told otherwise.
const EMPTIED: usize = 4;

/// What a channel delivers: an element, or the reason why there will be none.
type Delivery = (usize, Result<StreamElement>);

/// How a taken batch's credit gets back to the sender.
pub(crate) enum CreditReturn {
    /// The sender is in this process.
    Local(Arc<Semaphore>),
    /// The connection's writer sends it in a frame.
    Remote(mpsc::UnboundedSender<u32>),
}

impl CreditReturn {
    fn give_back(&self) {
        match self {
            Self::Local(credits) => credits.add_permits(1),
            // If the connection is gone, its reader has said so in the queue.
            Self::Remote(credits) => drop(credits.send(1)),
        }
    }
}

/// Where producers put elements. One for each channel.
#[derive(Clone)]
pub(crate) struct GateSender {
    channel: usize,
    queue: mpsc::UnboundedSender<Delivery>,
    attach: mpsc::UnboundedSender<(usize, CreditReturn)>,
    emptied: Recycler<AnyBatch>,
}

impl GateSender {
    /// The memory of a batch that was delivered and processed, if there is one.
    pub(crate) fn emptied(&self) -> Option<AnyBatch> {
        self.emptied.take()
    }

    /// Says how credit gets back; before the first element is sent.
    pub(crate) fn attach(&self, credit: CreditReturn) -> Result<()> {
        self.attach.send((self.channel, credit)).map_err(|_| consumer_gone())
    }

    /// Delivers an element; the caller has spent a credit if it is a batch.
    pub(crate) fn deliver(&self, element: StreamElement) -> Result<()> {
        self.queue.send((self.channel, Ok(element))).map_err(|_| consumer_gone())
    }

    /// Says that the channel is broken.
    pub(crate) fn fail(&self, error: Error) {
        // A consumer that is gone needs no reason any more.
        let _ = self.queue.send((self.channel, Err(error)));
    }
}

fn consumer_gone() -> Error {
    Error::unavailable("the consuming task is gone")
}

struct Channel {
    id: ChannelId,
    credit: Option<CreditReturn>,
    parked: VecDeque<Result<StreamElement>>,
    /// Records taken out so far.
    records: u64,
    ended: bool,
    emptied: Recycler<AnyBatch>,
}

/// The channels of one task.
pub(crate) struct InputGate {
    queue: mpsc::UnboundedReceiver<Delivery>,
    attached: mpsc::UnboundedReceiver<(usize, CreditReturn)>,
    channels: Vec<Channel>,
}

impl InputGate {
    /// A gate over these channels, and the sender of each.
    pub(crate) fn new(channels: &[ChannelId]) -> (Self, Vec<GateSender>) {
        let (into_queue, queue) = mpsc::unbounded_channel();
        let (attach, attached) = mpsc::unbounded_channel();
        let channel = |id: &ChannelId| Channel {
            id: *id,
            credit: None,
            parked: VecDeque::new(),
            records: 0,
            ended: false,
            emptied: Recycler::new(EMPTIED),
        };
        let channels: Vec<_> = channels.iter().map(channel).collect();
        let sender = |(channel, Channel { emptied, .. }): (usize, &Channel)| GateSender {
            channel,
            queue: into_queue.clone(),
            attach: attach.clone(),
            emptied: emptied.clone(),
        };
        let senders = channels.iter().enumerate().map(sender).collect();
        (Self { queue, attached, channels }, senders)
    }

    /// Gives the memory of a processed batch back to where the channel's batches are filled.
    pub(crate) fn recycle(&self, channel: usize, batch: AnyBatch) {
        assert!(batch.is_empty(), "a processed batch still holds records of channel {}", self.channel(channel));
        self.channels[channel].emptied.put(batch);
    }

    /// The next element of a channel that `is_blocked` lets through. Cancel safe.
    ///
    /// # Errors
    /// `Unavailable` if a channel broke.
    pub(crate) async fn next(&mut self, is_blocked: impl Fn(usize) -> bool) -> Result<(usize, StreamElement)> {
        loop {
            let ready = self.channels.iter().position(|c| !c.parked.is_empty());
            // Unblocking is rare and all at once, so that the scan over parked channels finds nothing nearly always.
            let unparked = ready.and_then(|_| {
                (0..self.channels.len()).find(|i| !is_blocked(*i) && !self.channels[*i].parked.is_empty())
            });
            if let Some(channel) = unparked {
                let element = self.channels[channel].parked.pop_front().expect("it is not empty");
                return self.take(channel, element);
            }
            let Some((channel, element)) = self.queue.recv().await else {
                if self.has_ended() {
                    // The producers have left after the end of the job; this task is about to be told.
                    std::future::pending::<()>().await;
                }
                return Err(Error::unavailable("all producers are gone"));
            };
            if is_blocked(channel) {
                self.channels[channel].parked.push_back(element);
            } else {
                return self.take(channel, element);
            }
        }
    }

    fn take(&mut self, channel: usize, element: Result<StreamElement>) -> Result<(usize, StreamElement)> {
        while let Ok((channel, credit)) = self.attached.try_recv() {
            self.channels[channel].credit = Some(credit);
        }
        let state = &mut self.channels[channel];
        let element = element.map_err(|e| e.at(format!("input channel {}", state.id)))?;
        match &element {
            StreamElement::Batch(batch) => {
                assert!(!state.ended, "records after the end of input on channel {}", state.id);
                state.records += batch.len() as u64;
                state.credit.as_ref().expect("a channel is attached before it delivers").give_back();
            }
            StreamElement::EndOfInput => state.ended = true,
            StreamElement::Barrier(_) => {}
        }
        Ok((channel, element))
    }

    /// How many channels there are.
    pub(crate) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// The channel's name.
    pub(crate) fn channel(&self, channel: usize) -> ChannelId {
        self.channels[channel].id
    }

    /// How many records were taken out of the channel.
    pub(crate) fn records(&self, channel: usize) -> u64 {
        self.channels[channel].records
    }

    /// How many records wait on blocked channels.
    pub(crate) fn parked_records(&self) -> u64 {
        let parked = self.channels.iter().flat_map(|c| &c.parked);
        let records = |element: &Result<StreamElement>| match element {
            Ok(StreamElement::Batch(batch)) => batch.len() as u64,
            _ => 0,
        };
        parked.map(records).sum()
    }

    /// For each channel, how many of its records are reflected in the task's state between two elements.
    pub(crate) fn reflected(&self) -> Vec<(ChannelId, u64)> {
        self.channels.iter().map(|c| (c.id, c.records)).collect()
    }

    /// Whether the end of input has come on all channels.
    pub(crate) fn has_ended(&self) -> bool {
        self.channels.iter().all(|c| c.ended)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::{
        id::{SubtaskId, VertexId},
        stream::AnyBatch,
    };

    fn gate(channels: u32) -> (InputGate, Vec<GateSender>, Vec<Arc<Semaphore>>) {
        let subtask = |vertex, index| SubtaskId { vertex: VertexId(vertex), index };
        let ids: Vec<_> = (0..channels).map(|i| ChannelId { from: subtask(0, i), to: subtask(1, 0) }).collect();
        let (gate, senders) = InputGate::new(&ids);
        let credits: Vec<_> = senders.iter().map(|_| Arc::new(Semaphore::new(0))).collect();
        for (sender, credit) in senders.iter().zip(&credits) {
            sender.attach(CreditReturn::Local(credit.clone())).unwrap();
        }
        (gate, senders, credits)
    }

    fn batch(records: Vec<u64>) -> StreamElement {
        StreamElement::Batch(AnyBatch::new(records))
    }

    fn next(gate: &mut InputGate, blocked: &[usize]) -> Option<(usize, Vec<u64>)> {
        let (channel, element) = gate.next(|c| blocked.contains(&c)).now_or_never()?.unwrap();
        let StreamElement::Batch(batch) = element else { panic!("only batches were sent") };
        Some((channel, batch.downcast()))
    }

    #[test]
    fn a_blocked_channel_waits_in_order_and_keeps_its_credit() {
        let (mut gate, senders, credits) = gate(2);
        senders[0].deliver(batch(vec![1])).unwrap();
        senders[1].deliver(batch(vec![10])).unwrap();
        senders[0].deliver(batch(vec![2])).unwrap();
        assert_eq!(next(&mut gate, &[0]), Some((1, vec![10])));
        assert_eq!(next(&mut gate, &[0]), None);
        assert_eq!(credits[0].available_permits(), 0, "a parked batch still occupies its credit");
        senders[0].deliver(batch(vec![3])).unwrap();
        assert_eq!(next(&mut gate, &[]), Some((0, vec![1])));
        assert_eq!(next(&mut gate, &[]), Some((0, vec![2])));
        assert_eq!(next(&mut gate, &[]), Some((0, vec![3])));
        assert_eq!((credits[0].available_permits(), gate.records(0), gate.records(1)), (3, 3, 1));
    }

    #[test]
    fn the_memory_of_a_batch_goes_back_to_its_channel() {
        let (mut gate, senders, _) = gate(2);
        senders[1].deliver(batch(vec![1, 2])).unwrap();
        let (channel, element) = gate.next(|_| false).now_or_never().unwrap().unwrap();
        let StreamElement::Batch(mut batch) = element else { panic!("only a batch was sent") };
        assert!(senders[1].emptied().is_none(), "it is being processed");
        batch.as_vec_mut::<u64>().clear();
        gate.recycle(channel, batch);
        assert!(senders[0].emptied().is_none());
        let emptied: Vec<u64> = senders[1].emptied().unwrap().downcast();
        assert!(emptied.is_empty() && emptied.capacity() >= 2);
    }

    #[test]
    #[should_panic(expected = "still holds records of channel v0/0->v1/0")]
    fn records_do_not_go_back_to_the_producer() {
        gate(1).0.recycle(0, AnyBatch::new(vec![1_u64]));
    }

    #[test]
    fn a_broken_channel_is_named() {
        let (mut gate, senders, _) = gate(1);
        senders[0].fail(Error::unavailable("connection reset"));
        let error = gate.next(|_| false).now_or_never().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "input channel v0/0->v1/0: connection reset");
    }
}
