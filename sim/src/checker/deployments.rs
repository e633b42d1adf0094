//! Which job graph an attempt runs: a job may be stopped and started again with another parallelism.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tidegate::{graph::JobGraph, id::AttemptId};

/// The job graphs that were deployed, by the first term of the job manager that runs them. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Deployments(Arc<Mutex<BTreeMap<u32, Arc<JobGraph>>>>);

impl Deployments {
    /// All attempts run this graph.
    #[must_use]
    pub fn new(graph: Arc<JobGraph>) -> Self {
        Self(Arc::new(Mutex::new(BTreeMap::from([(0, graph)]))))
    }

    /// Attempts of this term and later ones run another graph.
    pub fn change(&self, from_term: u32, graph: Arc<JobGraph>) {
        self.0.lock().expect("nobody panics while holding this lock").insert(from_term, graph);
    }

    /// The graph of an attempt.
    #[must_use]
    pub fn of(&self, attempt: AttemptId) -> Arc<JobGraph> {
        let graphs = self.0.lock().expect("nobody panics while holding this lock");
        graphs.range(..=attempt.term).next_back().expect("there is one from term 0 on").1.clone()
    }
}
