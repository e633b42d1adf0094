//! What the user's program recorded: operators and how they hang together, before chaining.

use std::sync::Arc;

use super::Partitioning;
use crate::operator::{EdgeTemplate, Template};

/// An operator's position in the order in which the program named them. Inputs come before their consumers.
pub(crate) type NodeId = usize;

/// All operators of an environment.
#[derive(Default)]
pub(crate) struct OperatorGraph {
    pub nodes: Vec<OperatorNode>,
}

/// One operator.
pub(crate) struct OperatorNode {
    /// For people.
    pub name: String,
    /// As given by the user.
    pub uid: Option<String>,
    /// As given by the user; else the environment's.
    pub parallelism: Option<u32>,
    /// Where its records come from; `None` for a source.
    pub input: Option<NodeInput>,
    /// How to make it.
    pub template: Template,
}

/// An edge, seen from its consumer.
pub(crate) struct NodeInput {
    pub from: NodeId,
    pub partitioning: Partitioning,
    pub edge: Arc<dyn EdgeTemplate>,
}

impl OperatorGraph {
    /// Records an operator.
    pub fn add(&mut self, name: &str, input: Option<NodeInput>, template: Template) -> NodeId {
        self.nodes.push(OperatorNode { name: name.to_owned(), uid: None, parallelism: None, input, template });
        self.nodes.len() - 1
    }

    /// The operators that read from `id`, in order.
    pub fn consumers(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        (0..self.nodes.len()).filter(move |c| self.nodes[*c].input.as_ref().is_some_and(|i| i.from == id))
    }

    /// The operator's uid: the user's, or one made of its name and position, which stays as long as nothing is inserted
    /// before it.
    pub fn uid(&self, id: NodeId) -> String {
        let node = &self.nodes[id];
        node.uid.clone().unwrap_or_else(|| format!("{}-{id}", file_safe(&node.name)))
    }
}

/// The text with everything but letters, digits, `-` and `_` replaced by `_`.
pub(crate) fn file_safe(text: &str) -> String {
    let safe: String = text.chars().map(|c| if is_file_safe(c) { c } else { '_' }).collect();
    if safe.is_empty() { "_".to_owned() } else { safe }
}

/// Whether a character may stand in a uid or in the name of a vertex, both of which become parts of file names.
pub(crate) fn is_file_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}
