//! Bugs of real engines that this one cannot have, because it lacks what they live in.

use super::Ticket;

/// A bug that cannot be planted.
#[derive(Clone, Copy, Debug)]
pub struct NotApplicable {
    /// Where it is told.
    pub ticket: Ticket,
    /// What it is, in a few words.
    pub bug: &'static str,
    /// The feature that the engine does not have.
    pub missing: &'static str,
}

const fn lacks(name: &'static str, url: &'static str, bug: &'static str, missing: &'static str) -> NotApplicable {
    NotApplicable { ticket: Ticket { name, url }, bug, missing }
}

/// Each with the feature that would make it possible.
pub const NOT_APPLICABLE: &[NotApplicable] = &[
    lacks(
        "FLINK-21996",
        "https://github.com/apache/flink/pull/15557",
        "a message that hands out a split is lost, and the checkpoint completes without the split",
        "assignment of splits at run time",
    ),
    lacks(
        "FLINK-21351",
        "https://github.com/apache/flink/pull/14953",
        "a savepoint takes the place of the last retained checkpoint",
        "savepoints",
    ),
    lacks(
        "FLINK-20645",
        "https://github.com/apache/flink/pull/14721",
        "a newer checkpoint starts, and buffers that its barrier overtook are not stored",
        "unaligned barriers",
    ),
    lacks(
        "FLINK-20290",
        "https://github.com/apache/flink/pull/14259",
        "after a partial failover one split has two owners",
        "partial failover: every failure restarts all tasks",
    ),
    lacks(
        "Feldera 6121",
        "https://github.com/feldera/feldera/commit/157254596",
        "the input is told that it may forget before the checkpoint is durable",
        "sources that are told to forget",
    ),
    lacks(
        "FLINK-36663",
        "https://github.com/apache/flink/pull/26765",
        "the watermark is not restored, or too late",
        "watermarks",
    ),
    lacks(
        "Flink 2602",
        "https://github.com/apache/flink/pull/2602",
        "timers are registered again before the operator is open",
        "timers",
    ),
    lacks(
        "FLINK-6006",
        "https://github.com/apache/flink/pull/3505",
        "a restore keeps only the splits that a new look at the input finds",
        "discovery at restore: a restored source never lists its input",
    ),
    lacks(
        "FLINK-21080",
        "https://github.com/apache/flink/pull/16633",
        "list state lacks the share of subtasks that have finished",
        "checkpoints with finished tasks: all stay until the end of the job",
    ),
    lacks(
        "FLINK-11419",
        "https://github.com/apache/flink/pull/7588",
        "a file is cut to its valid length while its old writer still holds it",
        "files that are written on after a restore: each attempt begins new parts",
    ),
    lacks(
        "FLINK-10354",
        "https://github.com/apache/flink/pull/6704",
        "a savepoint commits output, and recovery does not count it",
        "savepoints",
    ),
    lacks(
        "MinIO 12369",
        "https://github.com/minio/minio/pull/12369",
        "what grows out of the metadata leaves its small contents behind there, and these are read",
        "metadata that can hold both: a snapshot's handle is its contents or its files, never the two",
    ),
];
