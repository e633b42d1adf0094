//! The defects that can be planted: what each does, who had it, and what it takes for it to show.

use std::fmt;

/// Where a bug is told in public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// What people call it.
    pub name: &'static str,
    /// Where it is.
    pub url: &'static str,
}

/// Declares [`Defect`] and, from the same list, what is known of each.
macro_rules! defects {
    ($($(#[doc = $doc:literal])+ $name:ident: $slug:literal, [$($ticket:literal $url:literal),+], needs $needs:literal;)+) => {
        /// A bug of a real engine, as it would look in this one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Defect {
            $($(#[doc = $doc])+ $name),+
        }

        impl Defect {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name on the command line: what is wrong.
            #[must_use]
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug),+ }
            }

            /// Who had it.
            #[must_use]
            pub fn tickets(self) -> &'static [Ticket] {
                match self { $(Self::$name => &[$(Ticket { name: $ticket, url: $url }),+]),+ }
            }

            /// What it does, in one sentence.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii()),+ }
            }

            /// What has to happen in a run for it to show.
            #[must_use]
            pub fn needs(self) -> &'static str {
                match self { $(Self::$name => $needs),+ }
            }
        }
    };
}

defects! {
    // Barriers and snapshots.
    /// A channel that has delivered the barrier goes on being read, so that the snapshot holds records that come again.
    BarrierDoesNotBlock: "barrier-does-not-block",
        ["FLINK-2406" "https://github.com/apache/flink/pull/938"],
        needs "a task with two input channels, one slower than the other";
    /// A barrier is sent before the records that are held back for a fuller batch.
    BarrierOvertakesData: "barrier-overtakes-data",
        ["FLINK-18252" "https://github.com/apache/flink/pull/12617"],
        needs "records that are held back when a barrier comes";
    /// A source takes an old trigger after a newer one.
    OldTriggerTaken: "old-trigger-taken",
        ["FLINK-17994" "https://github.com/apache/flink/pull/12406"],
        needs "a trigger that comes twice or is overtaken";
    /// A source's state is encoded after it has read one more batch behind the barrier.
    FrozenTooLate: "frozen-too-late",
        ["FLINK-9269" "https://github.com/apache/flink/pull/5934", "FLINK-6207" "https://github.com/apache/flink/pull/3634"],
        needs "input at the barrier";
    /// A snapshot that holds nothing is acknowledged without being written.
    EmptyPrepareNotPersisted: "empty-prepare-not-persisted",
        ["RisingWave 26492" "https://github.com/risingwavelabs/risingwave/issues/26492"],
        needs "an interval without data for some subtask";
    /// A snapshot is acknowledged before its bytes are synced.
    AcknowledgedBeforeSync: "acknowledged-before-sync",
        ["SlateDB 433" "https://github.com/slatedb/slatedb/issues/433"],
        needs "a loss of power, or a look at what would survive it";
    /// A snapshot is acknowledged before its name is synced.
    SnapshotDirectoryNotSynced: "snapshot-directory-not-synced",
        ["RocksDB 5287" "https://github.com/facebook/rocksdb/issues/5287",
         "Pillai et al. 2014" "https://research.cs.wisc.edu/wind/Publications/alice-osdi14.pdf"],
        needs "a loss of power, or a look at what would survive it";
    /// A piece of the state is changed behind the barrier before its frozen contents are encoded.
    CopyOnWriteForgotten: "copy-on-write-forgotten",
        ["FLINK-9269" "https://github.com/apache/flink/pull/5934"],
        needs "a write between the freeze and the end of the sweep";
    /// An incremental snapshot does not say which keys were removed, and a restore brings them back.
    RemovedNotInDelta: "removed-not-in-delta",
        ["Milvus 49013" "https://github.com/milvus-io/milvus/issues/49013",
         "Formance Ledger 2044" "https://github.com/formancehq/ledger/pull/2044"],
        needs "a key that is removed between two checkpoints, and a look at the second";
    /// A differential snapshot is written although keys were removed since the full one, and a restore brings them back.
    RemovedNotInDifference: "removed-not-in-difference",
        ["Bitcask 82" "https://github.com/basho/bitcask/issues/82"],
        needs "a key that is removed between a full snapshot and a differential one";
    /// A differential snapshot holds of what is not in the full one only what has changed since the snapshot before.
    DifferenceOfMarkedOnly: "difference-of-marked-only",
        ["Bareos 1785" "https://github.com/bareos/bareos/issues/1785"],
        needs "a key that comes after a full snapshot, and two checkpoints later is as it was";
    /// An incremental snapshot builds on the newest completed one although a later one, which took its changes, was aborted.
    DeltaOnAbortedBase: "delta-on-aborted-base",
        ["FLINK-6533" "https://github.com/apache/flink/pull/3870"],
        needs "an aborted checkpoint between two that complete";
    /// A place in the snapshot that belonged to a removed key is taken for that of the key that has come into its bucket.
    PlaceOutlivesKey: "place-outlives-key",
        ["Paimon 8987" "https://github.com/apache/paimon/pull/8987"],
        needs "a key that is removed and another that takes its place, between a full snapshot and one of changes";
    /// A value that is changed in place while nothing is being written is not written down, and an incremental snapshot misses it.
    UpdateInPlaceMissed: "update-in-place-missed",
        ["FLINK-26968" "https://github.com/apache/flink/pull/19311"],
        needs "a key that is seen again between two checkpoints, few others, and an incremental snapshot";
    /// When a piece of a table grows or splits, it is forgotten what has changed in it, and an incremental snapshot misses that.
    MarksLostInGrowth: "marks-lost-in-growth",
        ["FLINK-26968" "https://github.com/apache/flink/pull/19311"],
        needs "a piece of state that grows between two checkpoints, and an incremental snapshot";
    /// Entries are recorded under the key group of those that were recorded before them.
    WrongKeyGroup: "wrong-key-group",
        ["FLINK-26063" "https://github.com/apache/flink/pull/19096"],
        needs "entries in two key groups of one subtask, and a look at what the snapshot says of each";

    // The coordinator.
    /// Whoever says that it has no snapshot, or says the same twice, is counted as one who has: the checkpoint completes
    /// without the one that is missing.
    MissingCountsAsCollected: "missing-counts-as-collected",
        ["RisingWave 22384" "https://github.com/risingwavelabs/risingwave/pull/22384"],
        needs "a decline, or an acknowledgement that comes twice";
    /// Messages of a dead attempt count for the one that runs.
    DeadAttemptCounts: "dead-attempt-counts",
        ["FLINK-13593" "https://github.com/apache/flink/pull/9364"],
        needs "a message that is under way when its attempt fails";
    /// All output is said to be committed although the final checkpoint has failed.
    FinishedThoughFinalFailed: "finished-though-final-failed",
        ["Feldera a5d8d17cf" "https://github.com/feldera/feldera/commit/a5d8d17cf"],
        needs "a failure of the final checkpoint";
    /// The numbers of checkpoints go on from the newest completed one, whatever was begun since.
    IdsStartAgain: "ids-start-again",
        ["FLINK-2354" "https://github.com/apache/flink/pull/1153", "StreamPark 866" "https://github.com/apache/streampark/issues/866"],
        needs "a job manager that starts again";
    /// Tasks are told of a checkpoint before its manifest is durable.
    NotifiedBeforeDurable: "notified-before-durable",
        ["Gray 1978" "https://doi.org/10.1007/3-540-08755-9_9"],
        needs "nothing but a checkpoint";

    // Storage.
    /// A checkpoint counts as completed before that is synced which shows its manifest, a header or a name.
    ManifestNotSettled: "manifest-not-settled",
        ["mongo-rocks 35" "https://github.com/mongodb-partners/mongo-rocks/issues/35",
         "Pillai et al. 2014" "https://research.cs.wisc.edu/wind/Publications/alice-osdi14.pdf"],
        needs "a loss of power, or a look at what would survive it";
    /// A manifest is shown before its bytes are synced, so that a header can outlive the body that it vouches for.
    HeaderBeforeBody: "header-before-body",
        ["Pillai et al. 2014" "https://research.cs.wisc.edu/wind/Publications/alice-osdi14.pdf"],
        needs "a loss of power, or a look at what would survive it";
    /// A manifest is written over the oldest that is kept, because the one to come will not keep that.
    KeptSlotReused: "kept-slot-reused",
        ["DuckDB 25106" "https://github.com/duckdb/duckdb/pull/25106"],
        needs "nothing but two checkpoints";
    /// Snapshots are deleted because publishing their manifest gave an error, though it may stand.
    IndeterminateManifestDiscarded: "indeterminate-manifest-discarded",
        ["FLINK-22494" "https://github.com/apache/flink/pull/15832"],
        needs "an error of the disk after the manifest is shown, and then a restart";
    /// An unreadable newest checkpoint is passed over for the one before, or for none.
    UnreadableNewestSkipped: "unreadable-newest-skipped",
        ["FLINK-22502" "https://github.com/apache/flink/pull/15846"],
        needs "an error of the disk while the restore point is read";
    /// The file that fences off older job managers is tidied away with those of the older ones.
    FenceCollected: "fence-collected",
        ["SlateDB 352" "https://github.com/slatedb/slatedb/issues/352", "SlateDB 1622" "https://github.com/slatedb/slatedb/issues/1622"],
        needs "nothing but a start, with a look at the disk; or a second job manager";

    // Snapshot files that checkpoints share.
    /// When a checkpoint is given up, all its files are free, also those of the earlier one that it builds on.
    AbortFreesSharedFiles: "abort-frees-shared-files",
        ["FLINK-24611" "https://github.com/apache/flink/pull/17774"],
        needs "an aborted incremental checkpoint, and one after it";
    /// A file is free once the checkpoint is gone for which it was written, whoever builds on it.
    BaseFreedWithItsCheckpoint: "base-freed-with-its-checkpoint",
        ["FLINK-25395" "https://github.com/apache/flink/pull/18297"],
        needs "two incremental checkpoints in a row";
    /// The files of a checkpoint are free while it is still being deleted.
    FreedBeforeGone: "freed-before-gone",
        ["FLINK-7268" "https://github.com/apache/flink/pull/4410"],
        needs "nothing but a few checkpoints";
    /// What earlier attempts have left is deleted but for what the newest checkpoint names, though older ones are kept.
    OlderCheckpointsForgotten: "older-checkpoints-forgotten",
        ["SlateDB 355" "https://github.com/slatedb/slatedb/pull/355", "FLINK-6964" "https://github.com/apache/flink/pull/4192"],
        needs "more than one retained checkpoint, and a restart";
    /// A manifest that cannot be read right now counts as naming nothing when files are deleted.
    UnreadableNamesNothing: "unreadable-names-nothing",
        ["FLINK-7783" "https://github.com/apache/flink/pull/4870"],
        needs "an error of the disk while what an earlier attempt has left is cleaned up";
    /// The clean-up takes files that the running attempt has begun for those that nobody needs.
    LiveFilesCollected: "live-files-collected",
        ["ZeroFS 453" "https://github.com/Barre/ZeroFS/issues/453", "SlateDB 604" "https://github.com/slatedb/slatedb/issues/604"],
        needs "a clean-up while a snapshot is written";
    /// The entries of a snapshot are restored whether or not they are those whose checksum was written.
    ChecksumNotChecked: "checksum-not-checked",
        ["CubeFS 993" "https://github.com/cubefs/cubefs/issues/993"],
        needs "a bit of an entry that rots in a snapshot, which still can be decoded and is restored";
    /// What a file held before, and is longer than what it holds now, is read as if it belonged to it.
    StaleTailRead: "stale-tail-read",
        ["Pebble 580" "https://github.com/cockroachdb/pebble/pull/580", "RocksDB 12403" "https://github.com/facebook/rocksdb/pull/12403"],
        needs "a file that is written over with less than it held, and then restored";

    // Who may speak, and who owns what.
    /// A producer of an older attempt is let into the gates of the newer one.
    StaleProducerLetIn: "stale-producer-let-in",
        ["RisingWave 20879" "https://github.com/risingwavelabs/risingwave/pull/20879"],
        needs "a producer that connects while its consumer is deployed anew, and a checker of who is connected with whom";
    /// A producer that finds the way closed, and is passed by what opens it, waits for ever.
    LostWakeUp: "lost-wake-up",
        ["Arroyo 1017" "https://github.com/ArroyoSystems/arroyo/pull/1017"],
        needs "credit that comes back between look and wait";
    /// Routing and ownership compute the key groups of a subtask in two ways, which differ where the division has a rest.
    TwoMappings: "two-mappings",
        ["Bytewax 0.14" "https://github.com/bytewax/bytewax/blob/main/CHANGELOG.md"],
        needs "a parallelism that does not divide the number of key groups";
    /// List state is dealt out anew though the parallelism is the same.
    ListsDealtAnew: "lists-dealt-anew",
        ["FLINK-11618" "https://github.com/apache/flink/pull/7711"],
        needs "a restore at a parallelism above one, and a checker of who gets which list";
    /// Lines that are left in a block when the batch is full are dropped.
    HalfDrainedBlockDropped: "half-drained-block-dropped",
        ["Feldera 6085f616d" "https://github.com/feldera/feldera/commit/6085f616d"],
        needs "a block with more lines than a batch";

    // The exactly-once sink.
    /// A notification commits its own checkpoint alone, not those before it.
    OnlyNotifiedIsCommitted: "only-notified-is-committed",
        ["FLINK-10377" "https://github.com/apache/flink/pull/6723", "FLINK-20433" "https://github.com/apache/flink/pull/14348"],
        needs "a notification that is lost, or an aborted checkpoint before one that completes";
    /// A commit is skipped if output of the same or a newer checkpoint is visible already.
    CommitSkippedByHighestId: "commit-skipped-by-highest-id",
        ["Iceberg 10892" "https://github.com/apache/iceberg/issues/10892", "InLong 8366" "https://github.com/apache/inlong/issues/8366"],
        needs "two sinks, or a commit that is interrupted between two parts";
    /// The name of a part does not tell its attempt, so that a late writer's lines land in a newer attempt's part.
    PartWithoutAttempt: "part-without-attempt",
        ["KAFKA-14053" "https://github.com/apache/kafka/pull/12392"],
        needs "a task that goes on writing after it was replaced";
    /// A repeated notification of a commit that is done is not answered.
    RepeatedCommitNotAnswered: "repeated-commit-not-answered",
        ["KAFKA-19999" "https://github.com/apache/kafka/pull/21176"],
        needs "a confirmation of the last commit that is lost";
    /// Of several transactions that a subtask has in doubt, a restore keeps the last.
    LastCommittableWins: "last-committable-wins",
        ["FLINK-29627" "https://github.com/apache/flink/pull/21101"],
        needs "two checkpoints in doubt, and then a restore";
    /// Leftovers are removed by the beginning of their names, so that subtask 1 takes those of subtask 11.
    CleanUpByPrefix: "clean-up-by-prefix",
        ["FLINK-3651" "https://github.com/apache/flink/pull/1830"],
        needs "a sink of more than ten subtasks, and a restore before its commit";
    /// A part is prepared before its bytes are synced.
    PartNotSynced: "part-not-synced",
        ["RocksDB 12528" "https://github.com/facebook/rocksdb/pull/12528",
         "Pillai et al. 2014" "https://research.cs.wisc.edu/wind/Publications/alice-osdi14.pdf"],
        needs "a loss of power, or a look at what would survive it";
    /// A commit is confirmed before the visible names are synced.
    CommitDirectoryNotSynced: "commit-directory-not-synced",
        ["ClickHouse 111348" "https://github.com/ClickHouse/ClickHouse/issues/111348",
         "Pillai et al. 2014" "https://research.cs.wisc.edu/wind/Publications/alice-osdi14.pdf"],
        needs "a loss of power, or a look at what would survive it";
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_defect_has_a_name_of_its_own_a_ticket_and_a_sentence() {
        let slugs: BTreeSet<_> = Defect::ALL.iter().map(|d| d.slug()).collect();
        assert_eq!(slugs.len(), Defect::ALL.len());
        for defect in Defect::ALL {
            assert!(defect.slug().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{defect}");
            assert!(defect.tickets().iter().all(|t| t.url.starts_with("https://")), "{defect}");
            assert!(defect.summary().ends_with('.') && !defect.summary().contains("  "), "{}", defect.summary());
        }
    }
}
