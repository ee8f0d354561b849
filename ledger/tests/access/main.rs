//! The access log from decision to answer: kills, damage, full disks, day bounds, pages, rollups.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

mod alerts;
mod backlog;
mod backup;
mod clock;
mod closed_alerts;
mod crash;
mod damage;
mod failed_calls;
mod full_disk;
mod kill;
mod looking;
mod pages;
mod power_cut;
mod sample;
mod sealing;
mod sealing_daemon;
mod storing;
mod summaries;
