//! A ledger: each account's entries are chained by a hash, so that one entry that is lost, doubled or out of order changes
//! every line of the account that follows. Some entries close their account, which is then forgotten.

use std::path::PathBuf;

use tidegate::{
    connector::FileSink,
    error::Result,
    graph::StreamExecutionEnvironment,
    operator::KeyedProcessFunction,
    state::{KeyedContext, KeyedStates, ValueState, ValueStateDescriptor},
};

use super::entry_log::{Entry, EntryLog};

/// What the job is called, and what its checkpoint directories belong to.
pub const NAME: &str = "Ledger";

/// An account after some entries: how many, and the hash of all of them in order.
pub type Tip = (u64, u64);

/// Where it reads and writes, and how many subtasks do it.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The log's partitions. All entries of an account are in one, so that their order is that of the log.
    pub partitions: Vec<PathBuf>,
    /// Gets part files with a line `account<TAB>entries<TAB>hash` for every entry.
    pub output: PathBuf,
    /// Subtasks of source, chain and sink.
    pub parallelism: [u32; 3],
    /// Sees each entry before it is chained. User code like any other: it may panic.
    pub audit: Option<fn(&Entry)>,
}

impl Ledger {
    /// Adds the job's streams to the environment.
    pub fn build(&self, env: &StreamExecutionEnvironment) {
        let [readers, chains, writers] = self.parallelism;
        env.from_source(EntryLog::new(self.partitions.clone()))
            .set_parallelism(readers)
            .uid("source")
            .key_by(|(account, _): &Entry| *account)
            .process(Chain { audit: self.audit, ..Chain::default() })
            .set_parallelism(chains)
            .uid("chain")
            .sink_to(FileSink::new(&self.output, |(account, (n, hash)): &(u64, Tip), line: &mut Vec<u8>| {
                line.extend_from_slice(format!("{account}\t{n}\t{hash:016x}").as_bytes());
            }))
            .set_parallelism(writers)
            .uid("sink");
    }
}

/// Chains the entries of each account.
#[derive(Clone, Default)]
struct Chain {
    tip: ValueState<Tip>,
    audit: Option<fn(&Entry)>,
}

impl KeyedProcessFunction<u64, Entry, (u64, Tip)> for Chain {
    fn open(&mut self, states: &mut KeyedStates<u64>) -> Result<()> {
        self.tip = states.value(ValueStateDescriptor::new("tip"))?;
        Ok(())
    }

    fn process(
        &mut self,
        (account, amount): Entry,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Vec<(u64, Tip)>,
    ) -> Result<()> {
        if let Some(audit) = self.audit {
            audit(&(account, amount));
        }
        let (n, hash) = self.tip.value(context).copied().unwrap_or_default();
        let tip = (n + 1, link(hash, amount));
        if closes(amount) {
            self.tip.clear(context);
        } else {
            self.tip.update(context, tip);
        }
        out.push((account, tip));
        Ok(())
    }
}

/// One entry in eight closes its account: nothing of it is kept, and its next entry is the first of a new one.
fn closes(amount: u64) -> bool {
    amount % 8 == 7
}

/// FNV-1a over the bytes of the amount, begun with the hash so far: no two orders give the same.
fn link(hash: u64, amount: u64) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    amount.to_le_bytes().into_iter().fold(hash ^ 0xcbf2_9ce4_8422_2325, step)
}
