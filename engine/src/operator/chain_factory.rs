//! A vertex of the job graph: several operators that run as one task.

use std::sync::Arc;

use async_trait::async_trait;

use super::{SubtaskContext, SubtaskProgram, edge::EdgeTemplate, stage::OperatorContext, template::Template};
use crate::{
    error::{Context, Result},
    graph::{Partitioning, PrepareContext, SplitAssignment, VertexFactory},
};

/// Makes the subtasks of a chain.
pub(crate) struct ChainFactory {
    /// First to last, by uid. Never empty.
    pub operators: Vec<(String, Template)>,
    /// The edge that the chain reads from; `None` for a source.
    pub input: Option<Arc<dyn EdgeTemplate>>,
    /// The edges that the chain writes to, in the order of `JobGraph::outputs`; empty for a sink.
    pub outputs: Vec<(Partitioning, Arc<dyn EdgeTemplate>)>,
}

#[async_trait]
impl VertexFactory for ChainFactory {
    async fn prepare(&self, context: &PrepareContext) -> Result<SplitAssignment> {
        let mut splits = Vec::new();
        for (uid, template) in &self.operators {
            match template {
                Template::Source(source) if context.restored.is_none() => {
                    splits = source.assign_splits(context).await.at(|| format!("operator {uid}"))?;
                }
                Template::Source(_) | Template::Transform(_) => {}
                Template::Sink(sink) => sink.prepare(context, uid).await.at(|| format!("operator {uid}"))?,
            }
        }
        Ok(splits)
    }

    async fn clean_up(&self, context: &PrepareContext) -> Result<()> {
        for (uid, template) in &self.operators {
            if let Template::Sink(sink) = template {
                sink.clean_up(context, uid).await.at(|| format!("operator {uid}"))?;
            }
        }
        Ok(())
    }

    fn build(&self, subtask: SubtaskContext) -> Box<dyn SubtaskProgram> {
        let context = |uid: &String| OperatorContext { uid: uid.clone(), subtask: subtask.clone() };
        // From the end to the beginning, because each stage owns the next.
        let mut chain = self.outputs.first().map(|(_, edge)| {
            let writer = |(i, (p, edge)): (usize, &(Partitioning, Arc<dyn EdgeTemplate>))| edge.writer(*p, i, &subtask);
            edge.tail(self.outputs.iter().enumerate().map(writer).collect())
        });
        for (uid, template) in self.operators.iter().rev() {
            chain = match template {
                Template::Sink(sink) => Some(sink.stage(context(uid))),
                Template::Transform(transform) => {
                    let next = chain.expect("validation refuses an operator that leads nowhere");
                    Some(transform.stage(context(uid), next))
                }
                Template::Source(source) => {
                    let next = chain.expect("validation refuses a source that leads nowhere");
                    return source.program(context(uid), next);
                }
            };
        }
        let input = self.input.as_ref().expect("a chain that does not begin with a source has an input");
        input.program(chain.expect("a chain has an operator"))
    }
}
