//! The jobs, each as a function that a real and a simulated cluster share.
//!
//! Deliberately absent: where a job runs, and how it is told where its files are.

pub mod wordcount;
