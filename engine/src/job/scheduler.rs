//! Which task manager runs which subtask.

use std::collections::BTreeMap;

use crate::id::{SubtaskId, TaskManagerId, VertexId};

/// Assigns every subtask to a task manager, or says that there are not enough slots.
///
/// Slots are shared as in Flink: slot `i` holds subtask `i` of every vertex, so that a job needs as many slots as its
/// largest parallelism, and forward edges stay within a process. Slots are filled round by round over the task managers,
/// which spreads the load evenly and depends on nothing but the arguments.
#[must_use]
pub fn assign(
    vertices: &[(VertexId, u32)],
    task_managers: &BTreeMap<TaskManagerId, u32>,
) -> Option<BTreeMap<SubtaskId, TaskManagerId>> {
    let needed = vertices.iter().map(|(_, parallelism)| *parallelism).max().unwrap_or(0);
    let rounds = task_managers.values().copied().max().unwrap_or(0);
    let slots: Vec<&TaskManagerId> = (0..rounds)
        .flat_map(|round| task_managers.iter().filter(move |(_, slots)| **slots > round).map(|(id, _)| id))
        .take(needed as usize)
        .collect();
    if slots.len() < needed as usize {
        return None;
    }
    let subtasks = vertices.iter().flat_map(|(vertex, p)| (0..*p).map(|index| SubtaskId { vertex: *vertex, index }));
    Some(subtasks.map(|s| (s, slots[s.index as usize].clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(parallelism: [u32; 2], slots: &[u32]) -> Option<String> {
        let vertices = [(VertexId(0), parallelism[0]), (VertexId(1), parallelism[1])];
        let name = |i: usize| TaskManagerId::new(&format!("tm-{}", i + 1));
        let task_managers = slots.iter().enumerate().map(|(i, s)| (name(i), *s)).collect();
        let assignment = assign(&vertices, &task_managers)?;
        Some(assignment.iter().map(|(s, tm)| format!("{s}:{tm}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn slots_are_shared_and_spread() {
        assert_eq!(assigned([2, 3], &[1, 1]), None);
        assert_eq!(assigned([1, 1], &[]), None);
        insta::assert_snapshot!(assigned([2, 3], &[2, 1, 0]).unwrap(), @"v0/0:tm-1 v0/1:tm-2 v1/0:tm-1 v1/1:tm-2 v1/2:tm-1");
    }
}
