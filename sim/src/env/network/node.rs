//! The network as one node sees it: the seam's traits.

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use tidegate::{
    env::{Address, ByteStream, Listener, Network},
    instant::Instant,
};
use tokio::sync::mpsc;

use super::{Listening, SimNetwork};
use crate::env::{
    Incarnation,
    clock::{SimSleep, now},
};

/// The network of one life of a node.
pub(super) struct NodeNetwork {
    pub network: Arc<SimNetwork>,
    pub incarnation: Incarnation,
}

impl NodeNetwork {
    async fn wait_until(&self, at: Instant) {
        SimSleep::new(&self.network.time, at).await;
        if !self.incarnation.is_alive() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Network for NodeNetwork {
    async fn bind(&self, address: &Address) -> io::Result<Box<dyn Listener>> {
        let (host, port) = address.0.rsplit_once(':').ok_or(io::ErrorKind::InvalidInput)?;
        if host != self.incarnation.node() {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "a node listens under its own name only"));
        }
        let mut state = self.network.lock();
        let address = if port == "0" {
            state.next_port += 1;
            format!("{host}:{}", state.next_port)
        } else {
            address.0.to_string()
        };
        if state.listeners.get(&address).is_some_and(|l| l.incarnation.is_alive() && !l.arrivals.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (arrivals, queue) = mpsc::unbounded_channel();
        state.listeners.insert(address.clone(), Listening { incarnation: self.incarnation.clone(), arrivals });
        drop(state);
        let node = NodeNetwork { network: self.network.clone(), incarnation: self.incarnation.clone() };
        Ok(Box::new(SimListener { node, address: Address::new(&address), queue }))
    }

    async fn connect(&self, address: &Address) -> io::Result<ByteStream> {
        let (me, host) = (self.incarnation.node(), address.host());
        let give_up = now(&self.network.time) + Duration::from_millis(self.network.settings.connect_timeout_ms);
        self.wait_until(self.network.transit(me, host, 0).arrival()).await;
        // Asking is repeated until the way there and back is open, as TCP does.
        while self.network.is_cut(me, host) || self.network.is_cut(host, me) || self.network.lock().dark.contains(host)
        {
            let again = now(&self.network.time) + Duration::from_millis(10);
            if again >= give_up {
                self.wait_until(give_up).await;
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.wait_until(again).await;
        }
        let network = &self.network;
        let peer = {
            let state = network.lock();
            let listening = state.listeners.get(&*address.0);
            let open = listening.filter(|l| l.incarnation.is_alive() && !l.arrivals.is_closed());
            open.map(|l| (l.incarnation.clone(), l.arrivals.clone()))
        };
        let answered = network.transit(host, me, 0).arrival();
        let Some((peer, arrivals)) = peer else {
            self.wait_until(answered).await;
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let [there, back] = network.meters(address);
        let (there_in, there_out) = network.pipe(address, there, &self.incarnation, &peer);
        let (back_in, back_out) = network.pipe(address, back, &peer, &self.incarnation);
        let theirs = ByteStream { reader: Box::new(there_out), writer: Box::new(back_in) };
        arrivals.send((now(&network.time), theirs)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        self.wait_until(answered).await;
        Ok(ByteStream { reader: Box::new(back_out), writer: Box::new(there_in) })
    }
}

struct SimListener {
    node: NodeNetwork,
    address: Address,
    queue: mpsc::UnboundedReceiver<(Instant, ByteStream)>,
}

#[async_trait]
impl Listener for SimListener {
    async fn accept(&mut self) -> io::Result<ByteStream> {
        match self.queue.recv().await {
            Some((_, stream)) if self.node.incarnation.is_alive() => Ok(stream),
            _ => std::future::pending().await,
        }
    }

    fn local_address(&self) -> Address {
        self.address.clone()
    }
}
