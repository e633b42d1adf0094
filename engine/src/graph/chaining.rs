//! Which operators run as one task.
//!
//! An operator is chained to the one before it if it reads from it alone, subtask by subtask, at the same parallelism, and
//! is its only consumer. A sink always runs in a task of its own: it waits for its device, and what computes need not.
//!
//! A vertex has the name of its first operator: its uid if the user gave one, else its name, made fit for file names, with a
//! number behind it if it is taken. So WordCount's vertices are `source` (which also splits lines), `count` and `sink`.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    JobEdge, JobGraph, JobVertex, OperatorInfo, Partitioning,
    environment::JobSettings,
    operator_graph::{NodeId, OperatorGraph, file_safe},
};
use crate::{
    id::VertexId,
    job::RestartStrategy,
    operator::{ChainFactory, Template},
};

/// The job of a validated graph.
pub(crate) fn build(name: &str, graph: &OperatorGraph, settings: &JobSettings) -> JobGraph {
    let parallelism: Vec<_> = graph.nodes.iter().map(|n| n.parallelism.unwrap_or(settings.parallelism)).collect();
    let chains = chains(graph, &parallelism);
    let mut vertex_of = vec![VertexId(0); graph.nodes.len()];
    for (i, chain) in chains.iter().enumerate() {
        chain.iter().for_each(|id| vertex_of[*id] = VertexId(i as u32));
    }
    let mut names = BTreeSet::new();
    let mut vertices = Vec::new();
    let mut edges = Vec::new();
    for (i, chain) in chains.iter().enumerate() {
        let (first, last) = (chain[0], *chain.last().expect("a chain has an operator"));
        let id = VertexId(i as u32);
        let mut outputs = Vec::new();
        if !matches!(graph.nodes[last].template, Template::Sink(_)) {
            for (output, consumer) in graph.consumers(last).enumerate() {
                let input = graph.nodes[consumer].input.as_ref().expect("a consumer has an input");
                let partitioning = resolved(input.partitioning, parallelism[last], parallelism[consumer]);
                outputs.push((partitioning, input.edge.clone()));
                let codec = input.edge.codec();
                edges.push(JobEdge { from: id, to: vertex_of[consumer], output, partitioning, codec });
            }
        }
        let factory = ChainFactory {
            operators: chain.iter().map(|id| (graph.uid(*id), graph.nodes[*id].template.clone())).collect(),
            input: graph.nodes[first].input.as_ref().map(|input| input.edge.clone()),
            outputs,
        };
        vertices.push(JobVertex {
            id,
            name: vertex_name(graph, first, &mut names),
            operators: chain.iter().map(|id| info(graph, *id)).collect(),
            parallelism: parallelism[first],
            is_source: graph.nodes[first].input.is_none(),
            factory: Arc::new(factory),
        });
    }
    let default_restart =
        || settings.checkpoints.as_ref().map_or(RestartStrategy::None, |_| RestartStrategy::default());
    JobGraph {
        name: name.to_owned(),
        vertices,
        edges,
        max_parallelism: settings.max_parallelism,
        checkpoints: settings.checkpoints.clone(),
        restart: settings.restart.clone().unwrap_or_else(default_restart),
    }
}

/// The operators of each vertex. Topologically sorted, because an operator is recorded after its input.
fn chains(graph: &OperatorGraph, parallelism: &[u32]) -> Vec<Vec<NodeId>> {
    let mut chains: Vec<Vec<NodeId>> = Vec::new();
    for id in 0..graph.nodes.len() {
        let before = graph.nodes[id].input.as_ref().filter(|input| {
            input.partitioning == Partitioning::Forward
                && parallelism[input.from] == parallelism[id]
                && graph.consumers(input.from).count() == 1
                && !matches!(graph.nodes[id].template, Template::Sink(_))
        });
        match before.and_then(|input| chains.iter_mut().find(|chain| chain.last() == Some(&input.from))) {
            Some(chain) => chain.push(id),
            None => chains.push(vec![id]),
        }
    }
    chains
}

/// Subtask by subtask is possible only between equally many.
fn resolved(partitioning: Partitioning, from: u32, to: u32) -> Partitioning {
    if partitioning == Partitioning::Forward && from != to { Partitioning::Rebalance } else { partitioning }
}

fn vertex_name(graph: &OperatorGraph, first: NodeId, taken: &mut BTreeSet<String>) -> String {
    let node = &graph.nodes[first];
    let name = file_safe(node.uid.as_ref().unwrap_or(&node.name));
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|n| !taken.contains(n)).expect("numbers do not end");
    taken.insert(free.clone());
    free
}

fn info(graph: &OperatorGraph, id: NodeId) -> OperatorInfo {
    let node = &graph.nodes[id];
    let keyed = node.input.as_ref().is_some_and(|input| input.partitioning == Partitioning::Hash);
    let stateful = keyed || !matches!(node.template, Template::Transform(_));
    OperatorInfo { uid: graph.uid(id), name: node.name.clone(), stateful }
}
