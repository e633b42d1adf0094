//! What `tidegate inspect` says, as text and as JSON.

use std::{
    fmt::Write as _,
    path::Path,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use tidegate::{
    checkpoint::Manifest, connector::TextSplit, id::CheckpointId, metrics::CheckpointMetrics, storage::JobFile,
};

use super::figures::{cost, size};
use super::inspect_state::{Item, ItemReport, KeyedReport, OperatorReport};

/// A checkpoint directory.
#[derive(Serialize)]
pub(crate) struct DirectoryReport {
    directory: String,
    /// `None` if the file that says so is missing or damaged.
    job: Option<JobFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
    /// Whether the job has committed all its output.
    finished: bool,
    /// What is wrong with manifests of which nobody knows to which checkpoints they belong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<String>,
    checkpoints: Vec<CheckpointReport>,
}

#[derive(Serialize)]
pub(crate) struct CheckpointReport {
    pub checkpoint: CheckpointId,
    pub path: String,
    /// The file in the directory that holds the manifest.
    pub file: String,
    #[serde(flatten)]
    pub condition: Condition,
}

/// Of which use a checkpoint is.
#[derive(Serialize)]
#[serde(tag = "condition", rename_all = "kebab-case")]
pub(crate) enum Condition {
    /// Its manifest cannot be read.
    Damaged { reason: String },
    /// Its manifest can be read. `vertices` is empty unless its contents were asked for; they may be damaged.
    Completed {
        job: String,
        attempt: String,
        is_final: bool,
        completed_at_ms: u64,
        duration_us: u64,
        bytes: u64,
        metrics: CheckpointMetrics,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        vertices: Vec<VertexReport>,
    },
}

#[derive(Serialize)]
pub(crate) struct VertexReport {
    pub name: String,
    pub parallelism: usize,
    pub metrics: CheckpointMetrics,
    pub subtasks: Vec<SubtaskReport>,
    pub operators: Vec<OperatorReport>,
}

#[derive(Serialize)]
pub(crate) struct SubtaskReport {
    pub subtask: usize,
    /// The snapshot's newest file; `None` if it stands in the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    pub bytes: u64,
    /// Why the snapshot cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

impl Condition {
    /// What the manifest says.
    pub fn completed(manifest: &Manifest, vertices: Vec<VertexReport>) -> Self {
        Self::Completed {
            job: manifest.job.clone(),
            attempt: manifest.attempt.to_string(),
            is_final: manifest.is_final,
            completed_at_ms: manifest.completed_at_ms,
            duration_us: manifest.duration_us,
            bytes: manifest.bytes(),
            metrics: manifest.metrics(),
            vertices,
        }
    }

    /// What is wrong with it.
    pub fn damage(&self) -> Vec<&str> {
        match self {
            Self::Damaged { reason } => vec![reason],
            Self::Completed { vertices, .. } => {
                vertices.iter().flat_map(|v| &v.subtasks).filter_map(|s| s.damage.as_deref()).collect()
            }
        }
    }
}

impl DirectoryReport {
    /// `job` is what its file says, or why it does not.
    pub fn new(
        root: &Path,
        job: Result<Option<JobFile>, String>,
        finished: bool,
        unreadable: Vec<String>,
        checkpoints: Vec<CheckpointReport>,
    ) -> Self {
        let (job, damage) = job.map_or_else(|damage| (None, Some(damage)), |job| (job, None));
        Self { directory: root.display().to_string(), job, damage, finished, unreadable, checkpoints }
    }

    /// What is wrong with what was looked at.
    pub fn damage(&self) -> Vec<&str> {
        let of_directory = self.damage.iter().chain(&self.unreadable).map(String::as_str);
        of_directory.chain(self.checkpoints.iter().flat_map(|c| c.condition.damage())).collect()
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a report is plain data")
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = match &self.job {
            Some(job) => format!("job {}, maximum parallelism {}\n", job.job, job.max_parallelism),
            None => "job unknown\n".to_owned(),
        };
        if self.finished {
            text += "the job has finished: all its output is committed\n";
        }
        for reason in &self.unreadable {
            let _ = writeln!(text, "DAMAGED: {reason}");
        }
        if self.checkpoints.is_empty() {
            text += "no checkpoints\n";
            return text;
        }
        let rows: Vec<[String; 6]> = self.checkpoints.iter().map(CheckpointReport::row).collect();
        let head = ["checkpoint", "manifest", "completed", "size", "attempt", "took"].map(str::to_owned);
        let width = |i: usize| rows.iter().chain([&head]).map(|row| row[i].chars().count()).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        text += "\n";
        for row in [&head].into_iter().chain(&rows) {
            let cell = |(cell, width): (&String, usize)| format!("{cell:width$}");
            let line: Vec<String> = row.iter().zip(widths).map(cell).collect();
            text += line.join("  ").trim_end();
            text += "\n";
        }
        for checkpoint in &self.checkpoints {
            checkpoint.write_contents(&mut text);
        }
        text
    }
}

impl CheckpointReport {
    fn row(&self) -> [String; 6] {
        let (id, file) = (self.checkpoint.to_string(), self.file.clone());
        match &self.condition {
            Condition::Damaged { .. } => [id, file, "damaged".into(), String::new(), String::new(), String::new()],
            Condition::Completed { attempt, is_final, completed_at_ms, duration_us, bytes, .. } => {
                let at = SystemTime::UNIX_EPOCH + Duration::from_millis(*completed_at_ms);
                let took = humantime::format_duration(Duration::from_millis(duration_us.div_ceil(1000)));
                let end = if *is_final { ", the final one" } else { "" };
                let at = humantime::format_rfc3339_seconds(at).to_string();
                [id, file, at, size(*bytes), attempt.clone(), format!("{took}{end}")]
            }
        }
    }

    fn write_contents(&self, text: &mut String) {
        let (vertices, metrics) = match &self.condition {
            Condition::Damaged { reason } => {
                let _ = write!(text, "\ncheckpoint {}\n  DAMAGED: {reason}\n", self.checkpoint);
                return;
            }
            Condition::Completed { vertices, metrics, .. } => (vertices, metrics),
        };
        if !vertices.is_empty() {
            let _ = writeln!(text, "\ncheckpoint {}\n  {}", self.checkpoint, cost(metrics));
        }
        for vertex in vertices {
            let inline = |s: &SubtaskReport| if s.file.is_none() { " in the manifest" } else { "" };
            let sizes: Vec<String> = vertex.subtasks.iter().map(|s| size(s.bytes) + inline(s)).collect();
            let VertexReport { name, parallelism, metrics, .. } = vertex;
            let _ = writeln!(text, "  vertex {name}, parallelism {parallelism}: {}", sizes.join(" + "));
            let _ = writeln!(text, "    {}", cost(metrics));
            for damage in vertex.subtasks.iter().filter_map(|s| s.damage.as_ref()) {
                let _ = writeln!(text, "    DAMAGED: {damage}");
            }
            for operator in &vertex.operators {
                write_operator(text, operator);
            }
        }
    }
}

fn write_operator(text: &mut String, operator: &OperatorReport) {
    let _ = writeln!(text, "    operator {}", operator.uid);
    for list in &operator.lists {
        let none = if list.items.is_empty() { " none" } else { "" };
        let _ = writeln!(text, "      {}:{none}", list.name);
        for ItemReport { subtask, item } in &list.items {
            let _ = writeln!(text, "        subtask {subtask}: {}", describe(item));
        }
    }
    for state in &operator.keyed {
        write_keyed(text, state);
    }
}

fn describe(item: &Item) -> String {
    match item {
        Item::TextSplit(split) => {
            let TextSplit { path, start, end, position, .. } = split;
            let read = if split.is_finished() { "all read".to_owned() } else { format!("goes on at {position}") };
            format!("{path}, bytes {start} to {end}: {read}")
        }
        Item::ElementsSplit(split) if split.position == split.end => {
            format!("elements {} to {} of {}: all read", split.start, split.end, split.total)
        }
        Item::ElementsSplit(split) => {
            format!("elements {} to {} of {}: goes on at {}", split.start, split.end, split.total, split.position)
        }
        Item::PendingPart { file, checkpoint } => format!("{file}, to be committed by checkpoint {checkpoint}"),
        Item::Hex(hex) => hex.clone(),
    }
}

fn write_keyed(text: &mut String, state: &KeyedReport) {
    let KeyedReport { name, type_name, entries_per_subtask, entries, hex } = state;
    let total: u64 = entries_per_subtask.iter().sum();
    let shares: Vec<String> = entries_per_subtask.iter().map(u64::to_string).collect();
    let shares = if shares.len() > 1 { format!(" ({})", shares.join(" + ")) } else { String::new() };
    let _ = writeln!(text, "      state {name} ({type_name}): {total} keys{shares}");
    for entry in entries {
        let _ = writeln!(text, "        {:?} -> {}", entry.key, entry.value);
    }
    if let Some(hex) = hex {
        let _ = writeln!(text, "        {hex}");
    }
    if !entries.is_empty() && total > entries.len() as u64 {
        let _ = writeln!(text, "        …");
    }
}
