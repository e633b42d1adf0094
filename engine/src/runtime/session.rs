//! A control connection: one task reads messages, one writes them, and either's end is the end of the session.

use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;

use super::message_stream::{MessageReader, write_message};
use crate::{
    env::{AbortOnDrop, ByteStream, Spawner},
    error::Error,
};

/// What the reading side tells its owner.
pub(crate) enum SessionEvent<M> {
    /// A message came.
    Message(M),
    /// The session is over; nothing follows.
    Ended(Error),
}

/// The two tasks of a session. They end when this is dropped.
pub(crate) struct Session {
    reader: AbortOnDrop,
    writer: AbortOnDrop,
}

impl Session {
    /// Starts the tasks. Incoming messages go to `on_event`; `outgoing` holds what is to be sent, and closing it ends the
    /// writing side once all is sent.
    pub(crate) fn start<In, Out>(
        spawner: &dyn Spawner,
        name: &str,
        stream: ByteStream,
        mut outgoing: mpsc::UnboundedReceiver<Out>,
        on_event: impl Fn(SessionEvent<In>) + Clone + Send + 'static,
    ) -> Self
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + Sync + 'static,
    {
        let ByteStream { reader, mut writer } = stream;
        let on_write_error = on_event.clone();
        let read = async move {
            let mut messages = MessageReader::<In>::new(reader);
            loop {
                match messages.read().await {
                    Ok(message) => on_event(SessionEvent::Message(message)),
                    Err(error) => return on_event(SessionEvent::Ended(error)),
                }
            }
        };
        let write = async move {
            while let Some(message) = outgoing.recv().await {
                if let Err(error) = write_message(&mut writer, &message).await {
                    return on_write_error(SessionEvent::Ended(error));
                }
            }
        };
        Self {
            reader: AbortOnDrop(spawner.start(&format!("{name} reader"), read)),
            writer: AbortOnDrop(spawner.start(&format!("{name} writer"), write)),
        }
    }

    /// Waits until all messages are sent; the owner has closed `outgoing`.
    pub(crate) async fn flush(mut self) {
        drop(self.reader);
        self.writer.0.join().await;
    }
}
