//! Refuses a job that makes no sense, before anything runs.

use std::collections::BTreeMap;

use super::{
    environment::JobSettings,
    operator_graph::{NodeId, OperatorGraph, is_file_safe},
};
use crate::{
    checkpoint::MAX_INLINE_THRESHOLD,
    error::{Error, Result},
    key_group::UPPER_BOUND_MAX_PARALLELISM,
    operator::Template,
};

/// # Errors
/// `BadInput` naming the operator or the setting.
pub(crate) fn validate(job: &str, graph: &OperatorGraph, settings: &JobSettings) -> Result<()> {
    check_settings(job, settings)?;
    check_operators(graph, settings)?;
    check_uids(graph)
}

fn check_settings(job: &str, settings: &JobSettings) -> Result<()> {
    let max = settings.max_parallelism;
    if job.trim().is_empty() {
        return Err(Error::bad_input("the job has no name: its checkpoints and outputs are known by it"));
    }
    if max == 0 || max > UPPER_BOUND_MAX_PARALLELISM {
        return Err(Error::bad_input(format!(
            "the maximum parallelism is {max}: choose one from 1 to {UPPER_BOUND_MAX_PARALLELISM}"
        )));
    }
    if settings.batch_size == 0 {
        return Err(Error::bad_input("the batch size is 0: a batch needs at least one record"));
    }
    if let Some(checkpoints) = &settings.checkpoints {
        if checkpoints.interval.is_zero() {
            return Err(Error::bad_input("the checkpoint interval is zero: choose one, such as 5 s"));
        }
        if checkpoints.timeout.is_zero() {
            return Err(Error::bad_input("the checkpoint time-out is zero: no checkpoint could complete"));
        }
        if checkpoints.retained == 0 {
            return Err(Error::bad_input("no checkpoint would be retained: keep at least 1 to recover from"));
        }
        let inline = checkpoints.inline_threshold;
        if inline > MAX_INLINE_THRESHOLD {
            return Err(Error::bad_input(format!(
                "the threshold for inline snapshots is {inline} bytes: choose one from 0 to {MAX_INLINE_THRESHOLD}; larger \
                 snapshots belong into files"
            )));
        }
    }
    Ok(())
}

fn check_operators(graph: &OperatorGraph, settings: &JobSettings) -> Result<()> {
    if !graph.nodes.iter().any(|n| matches!(n.template, Template::Source(_))) {
        return Err(Error::bad_input(
            "the job has no source: begin with from_elements, read_text_files or from_source",
        ));
    }
    for (id, node) in graph.nodes.iter().enumerate() {
        let operator = described(graph, id);
        let parallelism = node.parallelism.unwrap_or(settings.parallelism);
        if parallelism == 0 {
            return Err(Error::bad_input(format!("{operator} has parallelism 0: choose 1 or more")));
        }
        if parallelism > settings.max_parallelism {
            return Err(Error::bad_input(format!(
                "{operator} has parallelism {parallelism}, above the maximum parallelism {}: lower it, or raise the \
                 maximum of a job that has no state yet",
                settings.max_parallelism
            )));
        }
        match &node.template {
            Template::Sink(sink) if sink.needs_checkpoints() && settings.checkpoints.is_none() => {
                return Err(Error::bad_input(format!(
                    "{operator} shows its output only when a checkpoint completes, and checkpoints are off: call \
                     enable_checkpointing"
                )));
            }
            Template::Source(_) | Template::Transform(_) if graph.consumers(id).next().is_none() => {
                return Err(Error::bad_input(format!(
                    "the stream of {operator} leads nowhere: end it with print or sink_to, or remove it"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_uids(graph: &OperatorGraph) -> Result<()> {
    let mut taken = BTreeMap::<String, NodeId>::new();
    for id in 0..graph.nodes.len() {
        let uid = graph.uid(id);
        let operator = described(graph, id);
        if uid.is_empty() || !uid.chars().all(is_file_safe) {
            return Err(Error::bad_input(format!(
                "the uid of {operator} is not usable: choose one of letters, digits, - and _"
            )));
        }
        if let Some(other) = taken.insert(uid, id) {
            return Err(Error::bad_input(format!(
                "{operator} and {} have the same uid: their state could not be told apart",
                described(graph, other)
            )));
        }
    }
    Ok(())
}

/// The operator for a message: what the user called it, and which one it is.
fn described(graph: &OperatorGraph, id: NodeId) -> String {
    let node = &graph.nodes[id];
    match &node.uid {
        Some(uid) => format!("operator {} (number {id}, uid {uid:?})", node.name),
        None => format!("operator {} (number {id})", node.name),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        connector::FileSink,
        error::ErrorKind,
        graph::{DataStream, StreamExecutionEnvironment},
    };

    /// What is wrong with a job of one source and one sink after a change.
    fn refused(change: impl FnOnce(&mut StreamExecutionEnvironment, DataStream<u32>)) -> String {
        let mut env = StreamExecutionEnvironment::new();
        let numbers = env.from_elements([1_u32]);
        numbers.clone().uid("numbers").print().uid("printed");
        change(&mut env, numbers);
        let error = env.job_graph("job").err().expect("it is refused");
        assert_eq!(error.kind, ErrorKind::BadInput);
        error.to_string()
    }

    #[test]
    fn a_job_that_makes_sense_is_accepted() {
        let env = StreamExecutionEnvironment::new();
        env.from_elements([1_u32]).print();
        env.job_graph("job").unwrap();
    }

    #[test]
    fn streams_that_make_no_sense_are_refused() {
        let env = StreamExecutionEnvironment::new();
        insta::assert_snapshot!(env.job_graph("empty").err().unwrap(), @"the job has no source: begin with from_elements, read_text_files or from_source");
        insta::assert_snapshot!(refused(|_, numbers| drop(numbers.map(|n| n).name("nowhere"))), @"the stream of operator nowhere (number 2) leads nowhere: end it with print or sink_to, or remove it");
        insta::assert_snapshot!(refused(|env, _| drop(env.from_elements([1_u8]).uid("unused"))), @r#"the stream of operator source (number 2, uid "unused") leads nowhere: end it with print or sink_to, or remove it"#);
        insta::assert_snapshot!(refused(|_, numbers| drop(numbers.print().uid("numbers"))), @r#"operator print (number 2, uid "numbers") and operator source (number 0, uid "numbers") have the same uid: their state could not be told apart"#);
        insta::assert_snapshot!(refused(|_, numbers| drop(numbers.print().uid("a/b"))), @r#"the uid of operator print (number 2, uid "a/b") is not usable: choose one of letters, digits, - and _"#);
        insta::assert_snapshot!(refused(|_, numbers| drop(numbers.print().uid(""))), @r#"the uid of operator print (number 2, uid "") is not usable: choose one of letters, digits, - and _"#);
        // A uid that the environment would have given to another operator.
        insta::assert_snapshot!(refused(|_, numbers| drop(numbers.map(|n| n).print().uid("map-2"))), @r#"operator print (number 3, uid "map-2") and operator map (number 2) have the same uid: their state could not be told apart"#);
        insta::assert_snapshot!(refused(|_, numbers| drop(numbers.print().set_parallelism(0))), @"operator print (number 2) has parallelism 0: choose 1 or more");
        insta::assert_snapshot!(refused(|_, numbers| drop(numbers.print().set_parallelism(129))), @"operator print (number 2) has parallelism 129, above the maximum parallelism 128: lower it, or raise the maximum of a job that has no state yet");
        insta::assert_snapshot!(refused(|_, numbers| drop(numbers.sink_to(FileSink::new("out", |_, _| ())))), @"operator sink (number 2) shows its output only when a checkpoint completes, and checkpoints are off: call enable_checkpointing");
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let second = Duration::from_secs(1);
        insta::assert_snapshot!(refused(|env, _| _ = env.set_parallelism(0)), @r#"operator source (number 0, uid "numbers") has parallelism 0: choose 1 or more"#);
        insta::assert_snapshot!(refused(|env, _| _ = env.set_max_parallelism(0)), @"the maximum parallelism is 0: choose one from 1 to 32768");
        insta::assert_snapshot!(refused(|env, _| _ = env.set_max_parallelism(32_769)), @"the maximum parallelism is 32769: choose one from 1 to 32768");
        insta::assert_snapshot!(refused(|env, _| _ = env.set_batch_size(0)), @"the batch size is 0: a batch needs at least one record");
        insta::assert_snapshot!(refused(|env, _| _ = env.enable_checkpointing(Duration::ZERO)), @"the checkpoint interval is zero: choose one, such as 5 s");
        insta::assert_snapshot!(refused(|env, _| _ = env.enable_checkpointing(second).set_retained_checkpoints(0)), @"no checkpoint would be retained: keep at least 1 to recover from");
        insta::assert_snapshot!(refused(|env, _| env.checkpoint_options_mut().timeout = Duration::ZERO), @"the checkpoint time-out is zero: no checkpoint could complete");
        insta::assert_snapshot!(refused(|env, _| _ = env.set_inline_snapshot_threshold(MAX_INLINE_THRESHOLD + 1)), @"the threshold for inline snapshots is 1048577 bytes: choose one from 0 to 1048576; larger snapshots belong into files");
        let mut env = StreamExecutionEnvironment::new();
        env.from_elements([1_u32]).print();
        insta::assert_snapshot!(env.set_max_parallelism(32_768).job_graph(" ").err().unwrap(), @"the job has no name: its checkpoints and outputs are known by it");
    }
}
